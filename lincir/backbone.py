"""The encoder that a φ belongs to."""

from pathlib import Path
from typing import cast

from vretr.encoders import Encoder, PseudoTextEncoder, load_encoder
from vretr.encoders.names import Precision
from vretr.errors import UsageError
from vretr.paths import atomic_write, home


def load_backbone(
    name: str | Path, *, device: str = "cpu", precision: Precision = "fp32"
) -> PseudoTextEncoder:
    """The encoder of that name, as one whose sentences may hold pseudo words.

    Raises:
        UsageError: there is no such encoder, or its text tower takes none.
        VretrError: its weights are not here.
    """
    return as_backbone(load_encoder(name, device=device, precision=precision))


def as_backbone(encoder: Encoder) -> PseudoTextEncoder:
    """The same encoder.

    Raises:
        UsageError: its text tower takes no pseudo words.
    """
    # Not by isinstance: that would compute the digest of its weights.
    if not hasattr(type(encoder), "encode_with"):
        raise UsageError(
            f"{encoder.name} takes no pseudo words: take lite, ViT-L, ViT-H, ViT-G or another "
            "model of CLIP's kind."
        )
    backbone = cast(PseudoTextEncoder, encoder)
    _ = backbone.token_width  # refuses text towers that are not CLIP's
    return backbone


def mean_length(encoder: PseudoTextEncoder) -> float:
    """Mean length of the text vectors as the tower gives them, of everyday phrases.

    Told once for each encoder, which takes torch, and remembered in vretr's cache.
    """
    from vretr.calibration import phrases

    file = home() / "lincir" / f"length-{encoder.identity}.txt"
    try:
        return float(file.read_text(encoding="ascii"))
    except (FileNotFoundError, ValueError):
        import torch

        with torch.no_grad():
            vectors = encoder.embed(encoder.prompts([(phrase,) for phrase in phrases()]))
        length = float(vectors.norm(dim=1).mean())
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as out:
            out.write(repr(length).encode())
        return length
