"""The loss is the plain mean of squared differences, in float32."""

import torch

from lincir.losses import reconstruction


def test_against_its_formula() -> None:
    found = torch.tensor([[1.0, 2.0], [0.0, 4.0]], requires_grad=True)
    wanted = torch.tensor([[1.0, 0.0], [3.0, 4.0]], requires_grad=True)
    loss = reconstruction(found, wanted)
    assert loss.item() == (0 + 4 + 9 + 0) / 4
    loss.backward()
    assert torch.equal(found.grad, 2 * (found - wanted).detach() / 4)
    assert wanted.grad is None


def test_half_precision_is_summed_in_float32() -> None:
    found = torch.full((64, 1024), 300.0, dtype=torch.float16)
    assert float(reconstruction(found, torch.zeros_like(found))) == 90_000.0
