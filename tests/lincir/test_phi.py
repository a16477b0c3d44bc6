"""φ in NumPy is φ in torch, and brings vectors to the length that it knows."""

import numpy as np
import pytest
import torch

from lincir.layouts import from_mlp
from lincir.model import Phi
from lincir.phi import Layer, PseudoWords
from tests.lincir.test_model import INPUTS, golden


def arrays(phi: Phi) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in phi.state_dict().items()}


def test_the_golden_values() -> None:
    found = from_mlp(arrays(golden()))(INPUTS.numpy())
    expected = [
        [-0.07889298944460302, -0.19810315670714862],
        [-0.08563841871941308, -0.21014533607952485],
    ]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_it_is_the_network_in_torch() -> None:
    torch.manual_seed(0)
    phi = Phi(16, 12, tokens=2).eval()
    phi.length.fill_(4.0)
    x = 3 * torch.randn(50, 16)
    with torch.no_grad():
        expected = phi(x).flatten(1).numpy()
    np.testing.assert_allclose(from_mlp(arrays(phi))(x.numpy()), expected, atol=2e-6)


@pytest.fixture
def identity() -> PseudoWords:
    return PseudoWords((Layer(np.eye(3, dtype=np.float32), np.zeros(3, np.float32)),), length=5.0)


def test_unit_vectors_are_brought_to_the_mean_length_others_stay(identity) -> None:
    x = np.array([[0.6, 0.0, 0.8], [3.0, 0.0, 4.0]], np.float32)
    np.testing.assert_allclose(identity(x), [[3, 0, 4], [3, 0, 4]], atol=1e-6)


def test_a_network_of_unit_vectors_gets_those() -> None:
    layer = Layer(np.eye(3, dtype=np.float32), np.zeros(3, np.float32))
    x = np.array([[3.0, 0.0, 4.0]], np.float32)
    np.testing.assert_allclose(PseudoWords((layer,), unit=True)(x), [[0.6, 0, 0.8]], atol=1e-6)


def test_relu_is_pic2words() -> None:
    layers = (
        Layer(-np.eye(2, dtype=np.float32), np.zeros(2, np.float32)),
        Layer(np.eye(2, dtype=np.float32), np.ones(2, np.float32)),
    )
    x = np.array([[2.0, -3.0]], np.float32)
    np.testing.assert_allclose(PseudoWords(layers, activation="relu")(x), [[1, 4]])


def test_no_vector() -> None:
    phi = from_mlp(arrays(Phi(4, 6)))
    assert phi(np.zeros((0, 4), np.float32)).shape == (0, 6)
