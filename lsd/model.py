"""M-LSD in torch, for training and for GPUs."""

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lsd.architecture import CHANNELS, Channel, Layer, Size, forward, layers
from lsd.folding import ENCODER, Folded, Tensors, epsilon, folded

PROBABILITIES = (Channel.SOL_CENTRE, Channel.LINE, Channel.JUNCTION, Channel.CENTRE)
RARE = -4.0  # their logit at first
MOMENTUM = 0.1  # of normalisations; Keras's encoder has 0.001, which a short training cannot use


class Convolution(nn.Sequential):
    """Padding, convolution and normalisation of a layer; its activation is `activated`."""

    def __init__(self, name: str, layer: Layer) -> None:
        pad = layer.dilation * (layer.kernel // 2) if layer.stride == 1 else 0
        convolution = nn.Conv2d(
            layer.inputs,
            layer.outputs,
            layer.kernel,
            stride=layer.stride,
            padding=pad,
            dilation=layer.dilation,
            groups=layer.inputs if layer.depthwise else 1,
            bias=not layer.normalised,
        )
        super().__init__(convolution)
        self.layer = layer
        if layer.normalised:
            self.append(nn.BatchNorm2d(layer.outputs, eps=epsilon(name), momentum=MOMENTUM))
        nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")

    def linear(self, x: Tensor) -> Tensor:
        """All but the activation."""
        return super().forward(F.pad(x, (0, 1, 0, 1)) if self.layer.stride == 2 else x)

    def activated(self, x: Tensor) -> Tensor:
        """The activation."""
        if self.layer.activation == "none":
            return x
        return F.relu6(x) if self.layer.activation == "relu6" else F.relu(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.activated(self.linear(x))

    @property
    def convolution(self) -> nn.Conv2d:
        return cast(nn.Conv2d, self[0])

    @property
    def norm(self) -> nn.BatchNorm2d | None:
        return cast(nn.BatchNorm2d, self[1]) if len(self) > 1 else None


class MLSD(nn.ModuleDict):
    """uint8 or float pixels [B, 3, S, S] in 0 to 255, S a multiple of 16 -> logits
    [B, 16, S/2, S/2], float32; see `architecture.Channel`.

    Its layers are those of `architecture.layers`, by name.
    """

    def __init__(self, size: Size = "tiny") -> None:
        super().__init__({name: Convolution(name, layer) for name, layer in layers(size).items()})
        last = self.layer(
            "head_out"
        ).convolution  # most cells are no centre, so that is what it begins with
        nn.init.normal_(last.weight, std=0.01)
        bias = torch.zeros(CHANNELS)
        bias[[*PROBABILITIES]] = RARE
        last.bias = nn.Parameter(bias)
        self.size: Size = size
        self.frozen = False  # the encoder's normalisations keep their statistics in training

    def layer(self, name: str) -> Convolution:
        """Of `architecture.layers`."""
        return cast(Convolution, self[name])

    def train(self, mode: bool = True) -> "MLSD":
        super().train(mode)
        if self.frozen:
            for name, layer in self.items():
                layer.train(mode and not name.startswith(ENCODER))
        return self

    def forward(self, pixels: Tensor) -> Tensor:
        x = pixels.to(self.layer("stem").convolution.weight.dtype) / 127.5 - 1
        return forward(self, self.size, x).float()

    def convolve(self, name: str, x: Tensor) -> Tensor:
        return self.layer(name)(x)

    def convolve_resized(self, name: str, x: Tensor, like: Tensor) -> Tensor:
        """Resized after the convolution and before its activation: the same numbers, for a 1x1
        convolution and an interpolation are both linear and weights of the latter sum to 1."""
        layer = self.layer(name)
        x = layer.linear(x)
        if x.shape[-2:] != like.shape[-2:]:
            x = F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)
        return layer.activated(x)

    def add(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b

    def join(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.cat([a, b], dim=1)

    def doubled(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)

    def folded(self) -> Folded:
        """Weights with each normalisation folded into its convolution, as inference takes them."""
        return folded({name: tensor.cpu().numpy() for name, tensor in self.state_dict().items()})

    def load_folded(self, weights: Tensors, *, only: tuple[str, ...] = ("",)) -> None:
        """Takes folded weights: normalisations then change nothing (see `starting.settle`).

        Args:
            only: layers whose names begin so.
        """
        with torch.no_grad():
            for name in self:
                if not name.startswith(only):
                    continue
                layer = self.layer(name)
                weight, bias = (
                    torch.from_numpy(np.array(weights[f"{name}.{part}"], np.float32))
                    for part in ("weight", "bias")
                )
                layer.convolution.weight.copy_(weight)
                if layer.norm is None:
                    cast(Tensor, layer.convolution.bias).copy_(bias)
                    continue
                layer.norm.reset_parameters()
                cast(Tensor, layer.norm.running_var).fill_(1 - layer.norm.eps)
                layer.norm.bias.copy_(bias)
