"""Instructions: a change, said in one of many ways."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from compodiff.building import drawing

_SPELLED = {"color": "colour"}


class Edit(NamedTuple):
    """What changes: `kind` is a group of key words, the name of an attribute, or "words"."""

    kind: str
    attribute: str  # empty where no column of a table says it
    a: str  # what it is
    b: str  # what it becomes

    def inverse(self) -> "Edit":
        """The way back."""
        return self._replace(a=self.b, b=self.a)

    def to_dict(self) -> dict[str, str | None]:
        """As a row of triplets has it."""
        return {
            "kind": self.kind,
            "attribute": self.attribute or None,
            "from": self.a,
            "to": self.b,
        }


@cache
def templates(kind: str, *, attribute: bool) -> tuple[str, ...]:
    """At least twelve ways to say a change of this kind, with {a}, {b}, and {attribute}."""
    known = _shipped()
    kind = _SPELLED.get(kind, kind)
    general = known["attribute" if attribute else "any"]
    return tuple(dict.fromkeys([*general, *known["own"].get(kind, ())]))


@cache
def _shipped() -> dict[str, Any]:
    return tomllib.loads(
        files("compodiff.building").joinpath("phrasings.toml").read_text(encoding="utf-8")
    )


def phrase(edits: tuple[Edit, ...], seed: int, *key: str) -> str:
    """The instruction for these changes; several are joined by "and"."""
    return " and ".join(
        drawing.choice(
            templates(edit.kind, attribute=bool(edit.attribute)), seed, "phrase", str(place), *key
        ).format(a=edit.a, b=edit.b, attribute=edit.attribute)
        for place, edit in enumerate(edits)
    )
