"""Image towers that give patch tokens: what poolings stand on and what trainings start from.

backbone = load_backbone("timm:vit_small_patch16_224.dino")
patches, prefix = backbone(pixels)
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vretr.encoders.names import Spec, parse
from vretr.encoders.pixels import normalised
from vretr.errors import UsageError
from vretr.images import Preprocessing


class Tokens(NamedTuple):
    """What a tower tells of B pictures, float32, after its last norm."""

    patches: Tensor  # [B, N, D], row by row
    prefix: Tensor  # [B, K, D]: the class token first, then registers; K may be 0


class Backbone(nn.Module):
    """Pixels to tokens, differentiable in the weights.

    Attributes:
        name: `load_backbone(name)` gives it again.
        identity: digest of the weights as loaded, the architecture and the preprocessing.
        preprocessing: how a picture becomes its pixels.
        width: D.
        heads: of its attention; None where it has none.
        prefix: K, how many tokens come before the patches.
    """

    name: str
    identity: str
    preprocessing: Preprocessing
    width: int
    heads: int | None = None
    prefix: int = 0

    def forward(self, pixels: Tensor) -> Tokens:
        """uint8 [B, 3, S, S] -> its tokens."""
        return self.tokens(normalised(pixels, self.preprocessing, self.device))

    def tokens(self, pixels: Tensor) -> Tokens:
        """Normalised pixels -> tokens."""
        raise NotImplementedError

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.parameters()).device


def load_backbone(
    name: str, *, size: int | None = None, frozen: bool = False, device: str = "cpu"
) -> Backbone:
    """The image tower of that name, with its weights.

    Args:
        name: `lite`, or a name of timm or open_clip (`vretr.encoders.names`).
        size: another side of its pictures than its own.
        frozen: without gradients; then as fast as it can be.
        device: one of torch's names.

    Raises:
        UsageError: no such name; a tower that has no patches, or does not take that size.
        VretrError: weights that are not here and cannot be fetched, or do not fit.
    """
    spec = parse(name)
    if spec.pooling:
        raise UsageError(f"{name} is to be a tower, which has no pooling: write {spec.tower}.")
    if spec.kind == "lite":
        kind = _FrozenLite if frozen and device == "cpu" else _TrainableLite
        backbone: Backbone = kind(spec, size)
    elif spec.kind == "timm":
        backbone = _Timm(spec, size)
    elif spec.kind in ("open_clip", "hf-hub", "local-dir"):
        backbone = _OpenClip(spec, size)
    else:
        raise UsageError(
            f"{name} is no image tower to start from: take lite, timm:NAME or a name of open_clip."
        )
    backbone.requires_grad_(not frozen).eval()
    return backbone.to(device).to(memory_format=torch.channels_last)


class _Lite(Backbone):
    """EfficientNet-Lite0: D 1280, a patch for 32 pixels; no prefix."""

    width = 1280

    def __init__(self, spec: Spec, size: int | None) -> None:
        super().__init__()
        from vretr.encoders.lite.files import PINNED
        from vretr.encoders.lite.image_weights import image_weights
        from vretr.encoders.lite.shape import PREPROCESSING

        self.name = "lite" if spec.path is None else spec.name
        self.preprocessing = _sized(PREPROCESSING, size)
        self.identity = _digest(
            *(pin for _, _, pin in PINNED.values()), self.preprocessing.describe()
        )
        self._fill(image_weights(spec.path))

    def _fill(self, weights: Mapping[str, NDArray[np.floating]]) -> None:
        raise NotImplementedError


class _TrainableLite(_Lite):
    def _fill(self, weights: Mapping[str, NDArray[np.floating]]) -> None:
        import timm

        self.network: Any = timm.create_model("tf_efficientnet_lite0", num_classes=0)
        known = {name: torch.tensor(array) for name, array in weights.items()}
        missing, unexpected = self.network.load_state_dict(known, strict=False)
        assert {*unexpected} == {"classifier.weight", "classifier.bias"}
        assert all(name.endswith("num_batches_tracked") for name in missing)

    def tokens(self, pixels: Tensor) -> Tokens:
        return _of_map(self.network.forward_features(pixels))


class _FrozenLite(_Lite):
    """The same by onnxruntime up to the last convolution: some five times as fast."""

    def _fill(self, weights: Mapping[str, NDArray[np.floating]]) -> None:
        from vretr.encoders.lite.efficientnet import folded
        from vretr.encoders.lite.onnx_network import OnnxNetwork

        self._network = OnnxNetwork(weights)
        weight, bias = folded(weights, "conv_head", "bn2")
        self._last = torch.from_numpy(weight[..., 0, 0]), torch.from_numpy(bias)

    def forward(self, pixels: Tensor) -> Tokens:
        _, _, found, _ = self._network.run(pixels.numpy())
        before = torch.from_numpy(found).flatten(2).transpose(1, 2)
        patches = functional.linear(before, *self._last).clamp(0, 6)
        return Tokens(patches, patches[:, :0])


class _Timm(Backbone):
    """A model of timm. Where it averages before its norm, each patch is normed here."""

    def __init__(self, spec: Spec, size: int | None) -> None:
        super().__init__()
        from vretr.encoders.pictures import Pictures

        encoder = Pictures(spec, device="cpu", precision="fp32")
        self.name, self.network = spec.name, encoder.tower
        self.preprocessing = _sized(encoder.preprocessing, size)
        self.identity = _digest(encoder.identity, self.preprocessing.describe())
        if size is not None:
            resize(self.network, size)
        self.width, self.heads = self.network.num_features, heads_of(self.network)
        self.prefix = getattr(self.network, "num_prefix_tokens", 0)

    def tokens(self, pixels: Tensor) -> Tokens:
        return tokens_of_timm(self.network, pixels)


class _OpenClip(Backbone):
    """The image tower of a model of open_clip, before its projection."""

    def __init__(self, spec: Spec, size: int | None) -> None:
        super().__init__()
        from open_clip.transformer import VisionTransformer

        from vretr.encoders.openclip import OpenClip
        from vretr.encoders.towers import image_tower

        encoder = OpenClip(spec, device="cpu", precision="fp32")
        if size not in (None, encoder.preprocessing.size):
            raise UsageError(f"{spec.name} takes pictures of {encoder.preprocessing.size} pixels.")
        self.name, self.preprocessing = spec.name, encoder.preprocessing
        self.identity = encoder.identity
        self.network: Any = image_tower(encoder.design, name=spec.name)
        network: Any = self.network
        if isinstance(network, VisionTransformer):
            if network.attn_pool is not None:
                raise UsageError(f"{spec.name} pools its patches by attention: it has no others.")
            self.width = network.ln_post.normalized_shape[0]
            self.heads = network.transformer.resblocks[0].attn.num_heads
            self.prefix = 1
        elif hasattr(network, "trunk"):
            self.width, self.heads = network.trunk.num_features, heads_of(network.trunk)
            self.prefix = getattr(network.trunk, "num_prefix_tokens", 0)
        else:
            self.width = network.attnpool.c_proj.in_features

    def tokens(self, pixels: Tensor) -> Tokens:
        network = self.network
        if hasattr(network, "trunk"):
            return tokens_of_timm(network.trunk, pixels)
        if hasattr(network, "attnpool"):
            x = network.stem(pixels)
            for stage in (network.layer1, network.layer2, network.layer3, network.layer4):
                x = stage(x)
            return _of_map(x)
        x = network.ln_post(network.transformer(network._embeds(pixels)))
        return Tokens(x[:, 1:], x[:, :1])


def tokens_of_timm(network: Any, pixels: Tensor) -> Tokens:
    """Patches and prefix of any model of timm, each after the model's last norm."""
    x = network.forward_features(pixels)
    if x.ndim == 4:
        return _of_map(x.permute(0, 3, 1, 2) if getattr(network, "output_fmt", "") == "NHWC" else x)
    norm = getattr(network, "fc_norm", None)
    x = x if norm is None else norm(x)
    prefix = getattr(network, "num_prefix_tokens", 0)
    return Tokens(x[:, prefix:], x[:, :prefix])


def heads_of(network: Any) -> int | None:
    """Heads of a timm model's first attention; None where it has none."""
    blocks = getattr(network, "blocks", None)
    attention = getattr(blocks[0], "attn", None) if isinstance(blocks, nn.Sequential) else None
    return getattr(attention, "num_heads", None)


def resize(network: Any, size: int) -> None:
    """Makes a timm model take pictures of another size.

    Raises:
        UsageError: it cannot.
    """
    if hasattr(network, "set_input_size"):
        network.set_input_size(img_size=size)
    elif hasattr(network, "patch_embed"):
        raise UsageError(f"{type(network).__name__} takes pictures of its own size only.")


def _of_map(maps: Tensor) -> Tokens:
    """[B, D, H, W] -> tokens, row by row."""
    patches = maps.flatten(2).transpose(1, 2)
    return Tokens(patches, patches[:, :0])


def _digest(*texts: str) -> str:
    return hashlib.blake2b("\n".join(texts).encode(), digest_size=16).hexdigest()


def _sized(preprocessing: Preprocessing, size: int | None) -> Preprocessing:
    return preprocessing if size is None else replace(preprocessing, size=size)
