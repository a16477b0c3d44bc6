"""The parts of the diffusion prior's transformer.

CompoDiff takes them from DALLE2-pytorch (Wang, MIT): one key and value more in every attention, and
a LayerNorm behind every branch as well as before it.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STREAM = 2  # tokens of the stream: the noisy vector and the time
DISTANCES = ((0, 0, 0), (1, 0, 0))
"""How far each token of the stream lies behind each key, counted from the key that is learned."""

SHARPNESS = 16  # of the cosines in self-attention
ROTATED = 32  # numbers of a head, at most, that carry the position
THETA = 10_000


class Norm(nn.Module):
    """LayerNorm with a gain and without a bias."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        eps = 1e-5 if x.dtype in (torch.float32, torch.float64) else 1e-3
        return F.layer_norm(x, x.shape[-1:], self.gain, eps=eps)


def mlp(inputs: int, width: int) -> nn.Sequential:
    """Numbers [..., inputs] -> a token [..., width]."""
    return nn.Sequential(
        nn.Linear(inputs, 2 * width),
        nn.SiLU(),
        nn.Linear(2 * width, 2 * width),
        nn.SiLU(),
        nn.Linear(2 * width, width),
    )


def wave(t: Tensor, width: int) -> Tensor:
    """Times [B], not scaled -> [sin(t f_i), cos(t f_i)], [B, width], f_i from 1 to 1/10,000."""
    half = width // 2
    powers = torch.arange(half, device=t.device) / max(half - 1, 1)
    angles = t.float()[:, None] * torch.exp(-math.log(10_000) * powers)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class SelfAttention(nn.Module):
    """The stream to itself: cosines, rotated by position; all heads share one key and value."""

    cosine: Tensor
    sine: Tensor

    def __init__(self, width: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads = heads
        self.null = nn.Parameter(torch.randn(2, head_dim))  # a key and a value
        self.norm = Norm(width)
        self.to_q = nn.Linear(width, heads * head_dim, bias=False)
        self.to_kv = nn.Linear(width, 2 * head_dim, bias=False)
        self.out = nn.Linear(heads * head_dim, width, bias=False)
        self.out_norm = Norm(width)
        size = min(ROTATED, head_dim)
        angles = torch.outer(torch.arange(STREAM), THETA ** -(torch.arange(0, size, 2) / size))
        self.register_buffer("cosine", angles.cos(), persistent=False)
        self.register_buffer("sine", angles.sin(), persistent=False)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """Stream [B, 2, width], bias of the logits [heads, 2, 3] -> what is added to the stream."""
        x = self.norm(x)
        q = self.to_q(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
        k, v = self.to_kv(x)[:, None].chunk(2, dim=-1)
        q, k = (F.normalize(self._rotated(each), dim=-1) for each in (q, k))
        key, value = self.null
        found = attend(SHARPNESS * q, k, v, F.normalize(key, dim=0), value, bias)
        return self.out_norm(self.out(found))

    def _rotated(self, x: Tensor) -> Tensor:
        """Neighbouring numbers [B, heads, 2, head_dim], as a pair, turned by position times f."""
        size = 2 * self.cosine.shape[1]
        even, odd = x[..., :size:2], x[..., 1:size:2]
        turned = (
            even * self.cosine - odd * self.sine,
            odd * self.cosine + even * self.sine,
        )
        return torch.cat([torch.stack(turned, dim=-1).flatten(-2), x[..., size:]], dim=-1)


class CrossAttention(nn.Module):
    """The stream to what leads it. Padding is attended to like any token."""

    def __init__(self, width: int, heads: int, head_dim: int) -> None:
        super().__init__()
        self.heads = heads
        self.null = nn.Parameter(torch.randn(2, head_dim))  # shared by the heads
        self.norm = Norm(width)
        self.to_q = nn.Linear(width, heads * head_dim, bias=False)
        self.to_kv = nn.Linear(width, 2 * heads * head_dim, bias=False)
        self.out = nn.Linear(heads * head_dim, width, bias=False)
        self.out_norm = Norm(width)

    def keys(self, tokens: Tensor) -> Tensor:
        """Tokens [B, L, width] -> keys and values [B, 2, heads, L, head_dim], each token's own."""
        return self.to_kv(tokens).unflatten(2, (2, self.heads, -1)).permute(0, 2, 3, 1, 4)

    def forward(self, x: Tensor, keys: Tensor) -> Tensor:
        """Stream [B, 2, width], `keys` as above -> what is added to the stream."""
        q = self.to_q(self.norm(x)).unflatten(2, (self.heads, -1)).transpose(1, 2)
        k, v = keys.unbind(1)
        found = attend(q / math.sqrt(q.shape[-1]), k, v, *self.null)
        return self.out_norm(self.out(found))


def attend(
    q: Tensor, k: Tensor, v: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None
) -> Tensor:
    """What each token of the stream finds, [B, 2, heads * head_dim].

    Args:
        q: [B, heads, 2, head_dim], scaled already.
        k, v: [B, heads or 1, L, head_dim].
        key, value: [head_dim], learned; they stand in front of `k` and `v`.
        bias: [heads, 2, 1 + L], added to the logits.
    """
    logits = torch.cat([(q @ key)[..., None], q @ k.mT], dim=-1)
    shares = (logits if bias is None else logits + bias).softmax(dim=-1)
    found = shares[..., :1] * value + shares[..., 1:].to(v.dtype) @ v
    return found.transpose(1, 2).flatten(2)


class FeedForward(nn.Module):
    """Each token by itself: four times as wide, half of it a gate for the other half."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = Norm(width)
        self.widen = nn.Linear(width, 8 * width, bias=False)
        self.narrow = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        values, gate = self.widen(self.norm(x)).chunk(2, dim=-1)
        return self.narrow(values * F.silu(gate))
