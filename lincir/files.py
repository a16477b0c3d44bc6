"""φ from a file: our Runs, what is shipped, and what LinCIR, SEARLE and Pic2Word published.

Only tensors and plain values are read (`weights_only`): nothing in a file is run.
"""

import hashlib
import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lincir.backbone import as_backbone, load_backbone
from lincir.composer import LinCIR
from lincir.config import PROMPT
from lincir.layouts import from_checkpoint, from_mlp
from lincir.phi import PseudoWords
from vretr.encoders import Encoder
from vretr.errors import MismatchError, UsageError, VretrError
from vretr.paths import display

log = logging.getLogger(__name__)

SHIPPED = Path(__file__).with_name("weights")
GUESSES = {512: "ViT-B", 768: "ViT-L", 1024: "ViT-H", 1280: "ViT-G"}  # dim -> backbone


@dataclass(frozen=True)
class Found:
    """A φ and what its file says of it."""

    phi: PseudoWords
    prompt: str = PROMPT  # of its authors
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def encoder(self) -> Mapping[str, str] | None:
        """Name and identity of the encoder that it was trained for, where the file has them."""
        return self.about.get("encoder")


def load(path: Path | str, encoder: Encoder | None = None, *, device: str = "auto") -> LinCIR:
    """The composer with the φ of a Run or a file.

    Args:
        encoder: that it is for; None: the one it names, or for somebody else's file, which names
            none, the usual backbone of its size.
        device: of the encoder, if it is loaded here.

    Raises:
        MismatchError: it belongs to another encoder, or holds no φ that is read here.
    """
    path = Path(path)
    if encoder is None:
        encoder = load_backbone(backbone_of(path), device=device, precision="auto")
    found = read(path)
    _require(found, path, encoder)
    return _composer(found, encoder)


def composer(
    encoder: Encoder,
    path: Path | None = None,
    *,
    picture_weight: float | None = None,
    words_weight: float | None = None,
    prompt: str | None = None,
) -> LinCIR | None:
    """The composer with the φ of a Run or file, or of the shipped one for this encoder, if any.

    Args:
        picture_weight, words_weight, prompt: None: what the card of the φ says.
    """
    if path is None:
        path = next((file for file in shipped() if _is_for(about_of(file), encoder)), None)
        if path is None:
            return None
    found = read(path)
    _require(found, path, encoder)
    return _composer(
        found,
        encoder,
        picture_weight=picture_weight,
        words_weight=words_weight,
        prompt=prompt,
    )


def shipped() -> list[Path]:
    """The φ files that come with this package."""
    return sorted(SHIPPED.glob("*.safetensors"))


def backbone_of(path: Path) -> str:
    """The name of the encoder that a φ is for: the one it names, or the usual one of its size.

    Raises:
        MismatchError: neither.
    """
    found = read(path)
    if found.encoder is not None:
        return found.encoder["name"]
    if (name := GUESSES.get(found.phi.dim)) is None:
        raise MismatchError(
            f"{display(path)} does not say which encoder its φ is for, and no usual one has "
            f"vectors of {found.phi.dim} numbers."
        )
    log.warning(
        "%s does not say which encoder its φ is for; from its %d numbers %s is taken.",
        *(display(path), found.phi.dim, name),
    )
    return name


def digest(path: Path) -> str:
    """What tells a φ from another in a report: the beginning of its file's SHA-256."""
    file = _weights_of_run(path) if path.is_dir() else path
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()[:16]


def read(path: Path) -> Found:
    """φ and what its file says of it.

    Args:
        path: a Run, a safetensors file of ours, or a file that torch saved.

    Raises:
        MismatchError: there is no φ in it, or none that is read here.
    """
    if path.is_dir():
        path = _weights_of_run(path)
    if not path.is_file():
        raise UsageError(f"There is no file {display(path)} with a φ.")
    try:
        if path.suffix == ".safetensors":
            about = about_of(path)  # first: it says what is wrong with a damaged file
            from safetensors.numpy import load_file

            return Found(from_mlp(load_file(path)), about=about)
        return Found(*from_checkpoint(_saved_by_torch(path)))
    except MismatchError as problem:
        raise MismatchError(f"{display(path)} cannot be used as a φ: {problem}.") from problem


def _weights_of_run(folder: Path) -> Path:
    if (folder / "oti_pseudo_tokens.pt").exists():
        raise MismatchError(
            f"{display(folder)} holds SEARLE's pseudo words of single pictures, not a φ: this is "
            "not supported."
        )
    from vretr.training.run import Run

    run = Run.open(folder)
    if run.method != "lincir":
        raise MismatchError(f"{display(folder)} is a run of {run.method}, not of lincir.")
    if not run.weights.exists():
        raise MismatchError(
            f"The training in {display(folder)} was not finished; --out {display(folder)} --resume "
            "goes on."
        )
    return run.weights


def about_of(file: Path) -> dict[str, Any]:
    """What vretr wrote into the header of a safetensors file.

    Raises:
        VretrError: it is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "numpy") as opened:
            return json.loads((opened.metadata() or {}).get("vretr", "{}"))
    except (SafetensorError, ValueError, OSError) as problem:
        raise VretrError(f"{display(file)} cannot be read: {problem}.") from problem


def _saved_by_torch(file: Path) -> Any:
    """The content of a checkpoint with arrays instead of tensors."""
    import pathlib
    import pickle

    import torch

    # SEARLE's checkpoints hold the path that they were trained at: harmless, but not a tensor.
    harmless: list[Any] = [pathlib.PosixPath, pathlib.PurePosixPath]
    try:
        with torch.serialization.safe_globals(harmless):
            content = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as problem:
        reason = str(problem).strip().splitlines()[0] if str(problem).strip() else "it is damaged"
        raise MismatchError(f"torch cannot read it safely ({reason})") from problem
    return _arrays(content)


def _arrays(content: Any) -> Any:
    import torch

    if isinstance(content, Mapping):
        return {name: _arrays(value) for name, value in content.items()}
    return content.float().numpy() if isinstance(content, torch.Tensor) else content


def _is_for(about: Mapping[str, Any], encoder: Encoder) -> bool:
    return (about.get("encoder") or {}).get("identity") == encoder.identity


def _require(found: Found, path: Path, encoder: Encoder) -> None:
    """Raises MismatchError unless the φ fits the encoder, as far as can be told."""
    if found.encoder is not None and found.encoder.get("identity") != encoder.identity:
        raise MismatchError(
            f"The φ in {display(path)} was trained for {found.encoder.get('name')}, and "
            f"{encoder.name} is another encoder."
        )
    width, phi = as_backbone(encoder).token_width, found.phi
    several = found.encoder is not None and phi.width % width == 0
    if phi.dim != encoder.dim or not (phi.width == width or several):
        usual = f"; its size is that of {GUESSES[phi.dim]}" if phi.dim in GUESSES else ""
        raise MismatchError(
            f"The φ in {display(path)} makes word embeddings of {phi.width} numbers from vectors "
            f"of {phi.dim}, but {encoder.name} has {width} and {encoder.dim}{usual}."
        )


def _composer(
    found: Found,
    encoder: Encoder,
    *,
    picture_weight: float | None = None,
    words_weight: float | None = None,
    prompt: str | None = None,
) -> LinCIR:
    is_default, share, words = _default(found.about.get("default", "lincir"))
    return LinCIR(
        as_backbone(encoder),
        found.phi,
        prompt=prompt or found.about.get("prompt") or found.prompt,
        picture_weight=share if picture_weight is None else picture_weight,
        words_weight=words if words_weight is None else words_weight,
        is_default=is_default,
    )


def _default(card: str) -> tuple[bool, float, float]:
    """`default` of a card -> whether LinCIR is it, and what the pictures' own vectors and the words
    by themselves have of it.

    lincir: nothing, as in the paper; mix(0.2, 0.6): these shares; sum: the weighted sum did better.
    """
    if found := re.fullmatch(r"mix\(([\d.]+)(?:, *([\d.]+))?\)", card):
        return True, float(found[1]), float(found[2] or 0)
    if card not in ("lincir", "sum"):
        raise VretrError(f"A card's default is lincir, sum or mix(PICTURES, WORDS), not {card!r}.")
    return card == "lincir", 0.0, 0.0
