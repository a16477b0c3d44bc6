"""A name becomes an Encoder: `lite`, any open_clip or timm model, or a Run by its path."""

from vretr.encoders.base import Encoder, PseudoTextEncoder, unit

__all__ = ["Encoder", "PseudoTextEncoder", "unit"]
