"""The network against golden values, a naive second implementation, and itself."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from compodiff.layers import SelfAttention, wave
from compodiff.model import Prior
from tests.compodiff.golden import BUFFERS, Inputs, close, golden_prior, released_shapes

GIVEN = Inputs()
PRIOR = golden_prior()


def small(**other: int) -> Prior:
    torch.manual_seed(0)
    sizes = {"dim": 6, "width": 8, "depth": 2, "heads": 2, "head_dim": 4, "cross_heads": 2}
    return Prior(**{**sizes, "text_width": 5, "mask_size": 4, **other}).eval()


def asked(count: int = 3, tokens: int = 4) -> dict[str, Tensor]:
    torch.manual_seed(1)
    return {
        "noisy": torch.randn(count, 6),
        "image": torch.randn(count, 6),
        "text": torch.randn(count, tokens, 5),
        "mask": torch.rand(count, 4, 4).round(),
        "t": torch.arange(count).float() * 300,
    }


@torch.no_grad()
def test_the_inputs_are_the_golden_ones() -> None:
    close(GIVEN.x, [1.6905, -0.4659, 0.0328], [0.5546, 0.1239, 0.2745])
    for first, wanted in (
        (GIVEN.image[0], [-1.6511, 0.5354, -2.0644]),
        (GIVEN.text[0, 0], [-0.3834, -0.8899, -1.1936]),
        (GIVEN.start[0], [-0.5139, -0.1449, -0.8878]),
    ):
        torch.testing.assert_close(first[:3], torch.tensor(wanted), atol=1e-4, rtol=0)


@torch.no_grad()
def test_golden_tokens() -> None:
    time = PRIOR.time(wave(GIVEN.t, 16))
    close(time, [-0.8143, -0.7001, 0.0586, -0.3893], [-0.2863, -0.6449, -0.0569, -0.3049])
    mask = PRIOR.mask_token(GIVEN.mask)[:, 0]
    close(mask, [-0.1280, -0.2843, 0.6248, 0.5264], [-0.0345, -0.3800, 0.8404, 0.5803])


@torch.no_grad()
def test_golden_stream_before_the_last_norm() -> None:
    seen: list[Tensor] = []
    last = PRIOR.blocks[-1]
    hook = last.register_forward_hook(lambda module, given, found: seen.append(found))
    PRIOR(GIVEN.x, GIVEN.image, GIVEN.text, GIVEN.mask, GIVEN.t)
    hook.remove()
    close(seen[0][:, 0], [0.6534, -0.1024, -0.2030, -3.7139], [1.6755, 0.9308, -3.0528, 2.8806])


@torch.no_grad()
@pytest.mark.parametrize(
    ("text", "image", "mask", "first", "second"),
    [
        (
            GIVEN.text,
            GIVEN.image,
            GIVEN.mask,
            [1.6577, 0.9330, -0.4253, 0.0172, 0.4201, 0.4644],
            [1.2395, -0.5572, -1.9363, -0.8031, 0.6396, -1.9208],
        ),
        (
            GIVEN.negative,
            GIVEN.image,
            GIVEN.mask,
            [1.6660, 0.6279, -0.4725, -0.2980, 0.2265, -1.0237],
            [1.1661, 1.1711, -1.1462, 1.0560, -0.4081, 0.3870],
        ),
        (
            GIVEN.negative,
            torch.zeros(2, 16),
            GIVEN.mask,
            [0.3980, -0.3354, 0.8031, 0.8160, 0.1699, -0.3051],
            [0.9971, 1.1532, -0.7461, 1.3309, -0.1720, 0.7440],
        ),
        (
            GIVEN.text,
            GIVEN.image,
            torch.zeros(2, 64, 64),
            [1.6992, 0.9510, -0.4023, 0.0422],
            [1.3005, -0.5397, -1.8658, -0.7618],
        ),
    ],
    ids=["full", "without the words", "without both", "without a mask"],
)
def test_golden_predictions(
    text: Tensor, image: Tensor, mask: Tensor, first: list[float], second: list[float]
) -> None:
    close(PRIOR(GIVEN.x, image, text, mask, GIVEN.t), first, second)


def test_the_papers_size_has_the_released_number_of_parameters() -> None:
    with torch.device("meta"):
        prior = Prior(dim=768, depth=12, heads=16, text_width=1280)
    frequencies = 16  # of the rotation; computed here, a parameter there, shared by all layers
    assert sum(each.numel() for each in prior.parameters()) + frequencies == 140_043_792
    shapes = released_shapes(768, 12, 16, 64, 8)
    assert sum(math.prod(shape) for shape in shapes.values()) + frequencies == 140_043_792
    assert len(prior.state_dict()) == len(shapes)
    assert len(shapes) + 12 + len(BUFFERS) == 222


def naive(prior: Prior, row: int, given: dict[str, Tensor]) -> Tensor:
    """The same for one row, head by head and token by token, in float64."""
    state = {name: value.double() for name, value in prior.state_dict().items()}
    sizes = prior.settings
    heads, cross_heads, head_dim = sizes["heads"], sizes["cross_heads"], sizes["head_dim"]
    assert heads and cross_heads and head_dim
    width = prior.width

    def linear(x: Tensor, name: str) -> Tensor:
        found = state[f"{name}.weight"] @ x
        return found + state[f"{name}.bias"] if f"{name}.bias" in state else found

    def mlp(x: Tensor, name: str) -> Tensor:
        return linear(F.silu(linear(F.silu(linear(x, f"{name}.0")), f"{name}.2")), f"{name}.4")

    def norm(x: Tensor, name: str) -> Tensor:
        centred = x - x.mean()
        return centred / (centred.square().mean() + 1e-5).sqrt() * state[f"{name}.gain"]

    def turned(x: Tensor, position: int) -> Tensor:
        x = x.clone()
        for pair in range(head_dim // 2):
            angle = position * 10_000 ** (-2 * pair / head_dim)
            a, b = x[2 * pair].clone(), x[2 * pair + 1].clone()
            x[2 * pair] = a * math.cos(angle) - b * math.sin(angle)
            x[2 * pair + 1] = b * math.cos(angle) + a * math.sin(angle)
        return x

    def unit(x: Tensor) -> Tensor:
        return x / x.norm()

    def into(x: Tensor) -> Tensor:
        return linear(x, "into")

    half = width // 2
    waves = [10_000 ** (-i / (half - 1)) * float(given["t"][row]) for i in range(half)]
    time = torch.tensor([*map(math.sin, waves), *map(math.cos, waves)]).double()
    stream = [into(given["noisy"][row].double()), mlp(time, "time")]
    context = [linear(token.double(), "text") for token in given["text"][row]]
    context += [
        into(given["image"][row].double()),
        mlp(given["mask"][row].double().flatten(), "mask"),
    ]
    for number in range(sizes["depth"] or 0):
        name = f"blocks.{number}.attention"
        normed = [norm(x, f"{name}.norm") for x in stream]
        null_key, null_value = state[f"{name}.null"]
        kvs = [linear(x, f"{name}.to_kv") for x in normed]
        keys = [unit(null_key)] + [unit(turned(kv[:head_dim], p)) for p, kv in enumerate(kvs)]
        values = [null_value] + [kv[head_dim:] for kv in kvs]
        added = []
        for place, x in enumerate(normed):
            found = []
            for head in range(heads):
                q = linear(x, f"{name}.to_q")[head * head_dim : (head + 1) * head_dim]
                logits = [
                    16 * unit(turned(q, place)) @ key
                    + state["distances"][max(place - where, 0), head]
                    for where, key in enumerate(keys)
                ]
                shares = torch.stack(logits).softmax(0)
                found.append(sum(s * v for s, v in zip(shares, values, strict=True)))
            out = linear(torch.cat(found), f"{name}.out")
            added.append(norm(out, f"{name}.out_norm"))
        stream = [x + y for x, y in zip(stream, added, strict=True)]

        name = f"blocks.{number}.cross"
        null_key, null_value = state[f"{name}.null"]
        added = []
        for x in stream:
            q = linear(norm(x, f"{name}.norm"), f"{name}.to_q")
            found = []
            for head in range(cross_heads):
                part = slice(head * head_dim, (head + 1) * head_dim)
                kvs = [linear(token, f"{name}.to_kv").chunk(2) for token in context]
                keys = [null_key, *(k[part] for k, _ in kvs)]
                values = [null_value, *(v[part] for _, v in kvs)]
                logits = [q[part] @ key / math.sqrt(head_dim) for key in keys]
                shares = torch.stack(logits).softmax(0)
                found.append(sum(s * v for s, v in zip(shares, values, strict=True)))
            out = linear(torch.cat(found), f"{name}.out")
            added.append(norm(out, f"{name}.out_norm"))
        stream = [x + y for x, y in zip(stream, added, strict=True)]

        name = f"blocks.{number}.feed"
        for place, x in enumerate(stream):
            a, gate = linear(norm(x, f"{name}.norm"), f"{name}.widen").chunk(2)
            stream[place] = x + linear(a * F.silu(gate), f"{name}.narrow")
    return linear(norm(stream[0] / stream[0].max(), "norm"), "out")


@torch.no_grad()
def test_a_naive_implementation_agrees() -> None:
    prior, given = small().double(), asked()
    wanted = torch.stack([naive(prior, row, given) for row in range(3)])
    found = prior(**{name: value.double() for name, value in given.items()})
    torch.testing.assert_close(found, wanted, atol=2e-6, rtol=1e-5)  # waves are made in float32


def test_a_head_wider_than_what_is_rotated_keeps_the_rest() -> None:
    attention = SelfAttention(8, 1, 64)
    x = torch.randn(1, 1, 2, 64)
    turned = attention._rotated(x)
    assert torch.equal(turned[..., 32:], x[..., 32:])
    assert torch.equal(turned[..., 0, :], x[..., 0, :])
    assert not torch.isclose(turned[..., 1, :32], x[..., 1, :32]).all()
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))


@torch.no_grad()
def test_keys_of_parts_are_the_keys_of_the_whole() -> None:
    prior, given = small(), asked()
    text = prior.keys(prior.text(given["text"]))
    others = prior.keys(
        torch.cat([prior.picture_token(given["image"]), prior.mask_token(given["mask"])], dim=1)
    )
    keys = [torch.cat(layer, dim=3) for layer in zip(text, others, strict=True)]
    found = prior.denoise(given["noisy"], given["t"], keys)
    torch.testing.assert_close(found, prior(**given), atol=1e-6, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("name", ["noisy", "image", "text", "mask", "t"])
def test_everything_that_is_given_acts(name: str) -> None:
    prior, given = small(), asked()
    other = {**given, name: given[name].flip(0) if name == "t" else 1 - given[name]}
    found, changed = prior(**given), prior(**other)
    assert not torch.isclose(found[0], changed[0]).all()


@torch.no_grad()
def test_without_a_width_vectors_are_tokens() -> None:
    prior = small(dim=6, width=None)
    assert not any(name.startswith("into") for name in prior.state_dict())
    assert prior(**asked()).shape == (3, 6)


def test_its_settings_make_it_again() -> None:
    prior = small()
    again = Prior(**prior.settings)
    again.load_state_dict(prior.state_dict())
    given = asked()
    assert torch.equal(prior(**given), again.eval()(**given))


def test_every_parameter_learns() -> None:
    prior = small()
    prior(**asked()).square().mean().backward()
    for name, parameter in prior.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert name == "distances" or parameter.grad.abs().sum() > 0, name


def test_an_odd_width_is_refused() -> None:
    with pytest.raises(ValueError, match="7, but must be even"):
        small(width=7)


@torch.no_grad()
def test_lower_precision_is_near() -> None:
    prior, given = small(), asked()
    wanted = prior(**given)
    with torch.autocast("cpu", torch.bfloat16):
        found = prior(**given)
    assert F.cosine_similarity(found.float(), wanted).min() > 0.99
