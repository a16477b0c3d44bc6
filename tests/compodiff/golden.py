"""The tiny network of specs/compodiff.md 9, built through the released layout, and its inputs."""

from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from compodiff.model import Prior
from compodiff.released import from_released

DIM, DEPTH, HEADS, HEAD_DIM, CROSS_HEADS = 16, 2, 2, 8, 8
TEXT_WIDTH, MASK_SIZE = 1280, 64

BUFFERS = (
    "betas",
    "alphas_cumprod",
    "alphas_cumprod_prev",
    "sqrt_alphas_cumprod",
    "sqrt_one_minus_alphas_cumprod",
    "log_one_minus_alphas_cumprod",
    "sqrt_recip_alphas_cumprod",
    "sqrt_recipm1_alphas_cumprod",
    "posterior_variance",
    "posterior_log_variance_clipped",
    "posterior_mean_coef1",
    "posterior_mean_coef2",
    "p2_loss_weight",
)


def released_shapes(
    dim: int, depth: int, heads: int, head_dim: int, cross_heads: int
) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the network's parameters as the authors have them, without `net.`; of
    `rotary_emb.freqs`, which all layers share, only those of the first."""
    shapes: dict[str, tuple[int, ...]] = {
        "to_text_embeds.0.weight": (dim, TEXT_WIDTH),
        "to_text_embeds.0.bias": (dim,),
    }
    for name, inputs in (("to_time_embeds.0.1", dim), ("to_mask_embeds.1", MASK_SIZE**2)):
        for part, size in (
            ("0.0", (2 * dim, inputs)),
            ("1.0", (2 * dim, 2 * dim)),
            ("2", (dim, 2 * dim)),
        ):
            shapes[f"{name}.net.{part}.weight"] = size
            shapes[f"{name}.net.{part}.bias"] = size[:1]
    shapes["transformer.rel_pos_bias.relative_attention_bias.weight"] = (32, heads)
    for layer in range(depth):
        for part, queries, keys in (
            (0, heads * head_dim, 2 * head_dim),
            (1, cross_heads * head_dim, 2 * cross_heads * head_dim),
        ):
            start = f"transformer.layers.{layer}.{part}"
            shapes[f"{start}.null_kv"] = (2, head_dim)
            shapes[f"{start}.norm.g"] = (dim,)
            shapes[f"{start}.to_q.weight"] = (queries, dim)
            shapes[f"{start}.to_kv.weight"] = (keys, dim)
            shapes[f"{start}.to_out.0.weight"] = (dim, queries)
            shapes[f"{start}.to_out.1.g"] = (dim,)
        shapes[f"transformer.layers.{layer}.2.0.g"] = (dim,)
        shapes[f"transformer.layers.{layer}.2.1.weight"] = (8 * dim, dim)
        shapes[f"transformer.layers.{layer}.2.5.weight"] = (dim, 4 * dim)
    shapes["transformer.norm.g"] = (dim,)
    shapes["transformer.project_out.weight"] = (dim, dim)
    return shapes


def golden_value(name: str, shape: tuple[int, ...]) -> Tensor:
    """A parameter from its original name."""
    normal = np.random.RandomState(crc32(name.encode()) & 0x7FFFFFFF).standard_normal(shape)
    if name.endswith(".g"):
        normal = 1 + 0.1 * normal
    elif len(shape) == 2 and "null_kv" not in name and "relative" not in name:
        normal = normal / np.sqrt(shape[1])
    else:
        normal = 0.3 * normal
    return torch.tensor(normal, dtype=torch.float32)


def released_state(prefix: str = "model.") -> dict[str, Tensor]:
    """All that a released file of the tiny network holds."""
    shapes = released_shapes(DIM, DEPTH, HEADS, HEAD_DIM, CROSS_HEADS)
    state = {f"{prefix}net.{name}": golden_value(name, shape) for name, shape in shapes.items()}
    for layer in range(DEPTH):
        name = f"{prefix}net.transformer.layers.{layer}.0.rotary_emb.freqs"
        state[name] = torch.full((HEAD_DIM // 2,), torch.nan)
    for name in BUFFERS:
        state[f"{prefix}noise_scheduler.{name}"] = torch.full((1000,), torch.nan)
    return state


def golden_prior() -> Prior:
    """The tiny network."""
    return from_released(released_state())


class Inputs:
    """x, image [2, 16]; text, negative [2, 3, 1280]; the start of the sampler [2, 16]."""

    def __init__(self) -> None:
        random = np.random.RandomState(7)

        def draw(*shape: int) -> Tensor:
            return torch.tensor(random.standard_normal(shape), dtype=torch.float32)

        self.x, self.image = draw(2, 1, DIM)[:, 0], draw(2, 1, DIM)[:, 0]
        self.text, self.negative = draw(2, 3, TEXT_WIDTH), draw(2, 3, TEXT_WIDTH)
        self.start = draw(2, 1, DIM)[:, 0]
        self.mask = torch.zeros(2, MASK_SIZE, MASK_SIZE)
        self.mask[0, :32, :32] = 1
        self.mask[1, 20:40] = 1
        self.t = torch.tensor([909.0, 3.0])


def close(found: Tensor, first: list[float], second: list[float]) -> None:
    """The first numbers of both rows, within the tolerance of the spec."""
    for row, wanted in zip(found, (first, second), strict=True):
        torch.testing.assert_close(row[: len(wanted)], torch.tensor(wanted), atol=1e-3, rtol=0)
