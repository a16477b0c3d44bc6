"""φ against its golden values, and its noise."""

import math

import pytest
import torch

from lincir.model import Phi, noise_scale, noisy, read_by_phi


def golden() -> Phi:
    """The network of `specs/lincir.md` 2.2, in float64: 2 -> 3 -> 3 -> 2."""
    phi = Phi(2, 2, hidden=3).double().eval()
    for number, layer in enumerate(phi.layers[i] for i in (0, 3, 6)):
        rows, columns = layer.weight.shape
        layer.weight.data = torch.tensor(
            [
                [math.sin(1 + number + 2 * r + 3 * c) / 2 for c in range(columns)]
                for r in range(rows)
            ],
            dtype=torch.float64,
        )
        layer.bias.data = torch.tensor(
            [math.cos(1 + number + r) / 10 for r in range(rows)], dtype=torch.float64
        )
    return phi


INPUTS = torch.tensor([[1.0, -2.0], [0.5, 3.0]], dtype=torch.float64)


def test_the_golden_values() -> None:
    phi = golden()
    first = [
        [1.2315682182986902, 0.3083608185741452, -1.5678196336149954],
        [-0.870805766173104, -0.4254579289381363, 1.1453070517092436],
    ]
    torch.testing.assert_close(
        phi.layers[0](INPUTS), torch.tensor(first, dtype=torch.float64), atol=1e-9, rtol=0
    )
    out = [
        [-0.07889298944460302, -0.19810315670714862],
        [-0.08563841871941308, -0.21014533607952485],
    ]
    torch.testing.assert_close(
        phi(INPUTS)[:, 0], torch.tensor(out, dtype=torch.float64), atol=1e-12, rtol=0
    )


@pytest.mark.parametrize(
    ("dim", "parameters"),
    [(512, 6_296_064), (768, 14_162_688), (1024, 25_175_040), (1280, 39_333_120)],
)
def test_sizes_of_the_papers_networks(dim: int, parameters: int) -> None:
    with torch.device("meta"):
        phi = Phi(dim, dim)
    assert sum(parameter.numel() for parameter in phi.parameters()) == parameters


def test_names_are_those_of_published_files() -> None:
    names = {name for name, _ in Phi(4, 6).named_parameters()}
    assert names == {f"layers.{n}.{kind}" for n in (0, 3, 6) for kind in ("weight", "bias")}


def test_several_pseudo_words() -> None:
    assert Phi(4, 6, tokens=3)(torch.zeros(2, 4)).shape == (2, 3, 6)


def test_the_noise_has_one_scalar_a_row_and_variance_d_thirds() -> None:
    torch.manual_seed(0)
    clean = torch.full((4000, 256), 3.0)
    noise = noisy(clean, 2.0) - clean
    lengths = noise.norm(dim=1) / 2
    assert float(lengths.square().mean()) == pytest.approx(256 / 3, rel=0.05)
    # Within a row all elements share u: the row's spread follows it, from 0 to 1 evenly.
    uniform = lengths / math.sqrt(256)
    assert float(uniform.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(uniform.min()) < 0.02 and float(uniform.max()) > 0.95
    assert float(noise.mean()) == pytest.approx(0, abs=0.01)


def test_no_noise_leaves_vectors_as_they_are() -> None:
    x = torch.randn(3, 5)
    assert torch.equal(noisy(x, 0.0), x)


def test_the_papers_scale_holds_where_vectors_have_lengths() -> None:
    assert noise_scale(1.0, torch.tensor([9.0, 11.0]), 768) == 1.0


def test_unit_vectors_get_noise_of_the_same_length_in_proportion() -> None:
    """ViT-L/14: 16 of 10. So the root mean square over a unit vector is 1.6, in any dimension."""
    scale = noise_scale(1.0, torch.ones(5), 640)
    torch.manual_seed(0)
    noise = noisy(torch.zeros(4000, 640), scale)
    assert float(noise.norm(dim=1).square().mean().sqrt()) == pytest.approx(1.6, rel=0.05)


def test_what_phi_reads() -> None:
    phi = Phi(3, 3)
    x = torch.tensor([[3.0, 0.0, 4.0]])
    assert torch.equal(read_by_phi(x, phi), x)
    phi.unit.fill_(True)
    assert torch.allclose(read_by_phi(x, phi), x / 5)
