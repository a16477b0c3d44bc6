"""Rows of a file of triplets; `docs/triplets.md` says what their fields hold."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

from compodiff.building.phrasings import Edit
from vretr.data.sources import Row


@dataclass
class Made:
    """What a source gives.

    Attributes:
        rows: the triplets, made while they are read; without a split, photos are split later.
        steps: how many there were at each step, by name; complete when `rows` is exhausted.
        rejected: how many were left out, by reason.
        among: the photos that the baselines search in; None: those of the triplets.
    """

    rows: Iterator[Row]
    steps: dict[str, Any] = field(default_factory=dict)
    rejected: Counter[str] = field(default_factory=Counter)
    among: Sequence[Path] | None = None


def row(
    *,
    reference: str | None,
    targets: Sequence[str],
    text: str,
    captions: tuple[str | None, str | None] = (None, None),
    edits: Sequence[Edit] = (),
    source: str,
    scores: Mapping[str, float | None] | None = None,
    seed: int,
    name: str = "",
    split: str | None = None,
) -> Row:
    """One triplet of pictures, or of words alone (no reference and no targets).

    Args:
        targets: several are `targets`, for which any of them is right.
        captions: what the reference and the (first) target show, in words.
        name: another id than the digest of what is in the row.
    """
    told = [reference or captions[0] or "", text, *(targets or [captions[1] or ""])]
    content = "\0".join(told).encode("utf-8", "surrogatepass")
    found: Row = {
        "id": name or blake2b(content, digest_size=8).hexdigest(),
        "reference": reference,
        "text": text,
    }
    found = with_targets(found, targets)
    found |= {
        "reference_caption": captions[0],
        "target_caption": captions[1],
        "edit": edits[0].to_dict() if len(edits) == 1 else [edit.to_dict() for edit in edits],
        "source": source,
        "scores": {
            name: round(value, 4) if value is not None else None
            for name, value in (scores or {}).items()
        },
        "split": split,
        "seed": seed,
    }
    return found


def with_targets(found: Row, targets: Sequence[str]) -> Row:
    """The row with these right pictures: `target` where it is one, `targets` where there are more,
    a null `target` where there is none."""
    said = {"targets": list(targets)} if len(targets) > 1 else {"target": next(iter(targets), None)}
    others = {name: value for name, value in found.items() if name not in ("target", "targets")}
    return others | said


def targets_of(found: Row) -> list[str]:
    """The right pictures of a row, none for words alone."""
    if "targets" in found:
        return list(found["targets"])
    return [found["target"]] if found["target"] is not None else []
