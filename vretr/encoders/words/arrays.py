"""What the towers are made of: linear maps, norms, activations and attention on NumPy arrays."""

import json
import mmap
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Ids = NDArray[np.int64]


def map_safetensors(path: Path, prefix: str = "") -> dict[str, Array]:
    """The float32 tensors whose names begin with `prefix`, without it, as views of the mapped file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no safetensors file.
    """
    with path.open("rb") as file:
        memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    start = 8 + int.from_bytes(memory[:8], "little")
    tensors = {}
    for name, facts in json.loads(memory[8:start]).items():
        if name.startswith(prefix) and facts.get("dtype") == "F32":
            first, end = facts["data_offsets"]
            flat: Array = np.frombuffer(memory, np.uint8, end - first, start + first).view("<f4")
            tensors[name.removeprefix(prefix)] = flat.reshape(facts["shape"])
    return tensors


class Tensors:
    """A tower's tensors by name, and the two layers that every tower has."""

    def __init__(self, tensors: Mapping[str, Array]) -> None:
        self._tensors = tensors

    def __getitem__(self, name: str) -> Array:
        return self._tensors[name]

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def count(self, pattern: str) -> int:
        """How many layers there are; `pattern` names a tensor of layer {}."""
        number = 0
        while pattern.format(number) in self._tensors:
            number += 1
        return number

    def linear(self, x: Array, weight: str, bias: str | None = None) -> Array:
        """[..., D] -> [..., E] with a weight [E, D]."""
        matrix = self[weight]
        # One flat product: NumPy takes [B, L, D] times a matrix apart, which is 20 times slower.
        # And the matrix first: for a few words that is up to twice as fast.
        y = np.ascontiguousarray((matrix @ x.reshape(-1, x.shape[-1]).T).T)
        if bias is not None:
            y += self[bias]
        return y.reshape(*x.shape[:-1], len(matrix))

    def affine(self, x: Array, name: str) -> Array:
        """The layer of that name, whose tensors are `weight` and `bias`."""
        return self.linear(x, f"{name}.weight", f"{name}.bias")

    def norm(self, x: Array, name: str, *, eps: float) -> Array:
        """Layer normalisation over the last axis."""
        x = x - x.mean(-1, keepdims=True)
        x /= np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(eps))
        x *= self[f"{name}.weight"]
        x += self[f"{name}.bias"]
        return x


def split(x: Array, heads: int) -> Array:
    """[B, L, H * D] -> [B, H, L, D]"""
    batch, length, width = x.shape
    return x.reshape(batch, length, heads, width // heads).transpose(0, 2, 1, 3)


def attention(
    q: Array, k: Array, v: Array, *, scale: float | None = None, bias: Array | None = None
) -> Array:
    """softmax(q kᵀ · scale + bias) v, heads joined: [B, H, L, D] three times -> [B, L, H * D].

    Args:
        scale: 1 / sqrt(D) unless given.
        bias: what broadcasts to [B, H, L, L]; a mask is 0 and -inf.
    """
    batch, heads, length, width = q.shape
    scores = q @ k.transpose(0, 1, 3, 2)
    scores *= np.float32(width**-0.5 if scale is None else scale)
    if bias is not None:
        scores += bias
    scores -= scores.max(-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(-1, keepdims=True)
    mixed = (scores @ v).transpose(0, 2, 1, 3)
    return mixed.reshape(batch, length, heads * width)  # type: ignore[return-value]


def masked(valid: NDArray[np.bool_]) -> Array:
    """An attention bias: 0 where `valid`, -inf elsewhere."""
    return np.where(valid, np.float32(0), np.float32(-np.inf))


def gelu(x: Array) -> Array:
    """x · Φ(x), with the error function by Abramowitz & Stegun 7.1.26 (absolute error < 1.5e-7)."""
    z = np.abs(x)
    z *= np.float32(0.5**0.5)
    t = 1 / (1 + np.float32(0.3275911) * z)
    series = np.full_like(t, 1.061405429)
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series *= t
        series += np.float32(coefficient)
    series *= t
    z *= z
    np.negative(z, out=z)
    series *= np.exp(z, out=z)
    erf = np.copysign(np.subtract(1, series, out=series), x, out=series)
    erf += 1
    erf *= x
    erf *= np.float32(0.5)
    return erf


def gelu_tanh(x: Array) -> Array:
    """GELU's approximation by tanh (Hendrycks & Gimpel 2016)."""
    inner = np.float32((2 / np.pi) ** 0.5) * (x + np.float32(0.044715) * x * x * x)
    return np.float32(0.5) * x * (1 + np.tanh(inner))


def quick_gelu(x: Array) -> Array:
    """x · σ(1.702 x), as OpenAI's CLIP has it; σ by tanh, which cannot overflow."""
    return x * (np.float32(0.5) * (1 + np.tanh(np.float32(0.851) * x)))


def relu(x: Array) -> Array:
    """max(x, 0)"""
    return np.maximum(x, 0)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "quick_gelu": quick_gelu,
    "relu": relu,
}
