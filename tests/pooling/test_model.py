"""What all poolings keep: shapes, masks, maps, dtypes."""

import pytest
import torch
from torch import nn

from pooling.model import Attention, Average, ClassToken, Maximum
from vretr.errors import UsageError
from vretr.poolings import make_pooling

ALL = ["avg", "max", "gem", "ggem", "ggem:negatives=signed", "ggem:negatives=shift", "cls"]
ALL += ["attention", "cls,ggem", "avg,max"]


@pytest.fixture(params=ALL)
def pool(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    return make_pooling(request.param, 12, heads=3)


@pytest.fixture
def tokens() -> tuple[torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(1)
    return torch.randn(4, 6, 12, generator=draws), torch.randn(4, 2, 12, generator=draws)


def test_the_vectors_shape(pool: nn.Module, tokens: tuple[torch.Tensor, torch.Tensor]) -> None:
    assert pool(*tokens).shape == (4, pool.out_dim)
    assert pool(tokens[0][:1, :1], tokens[1][:1]).shape == (1, pool.out_dim)


def test_maps_are_tokens(pool: nn.Module, tokens: tuple[torch.Tensor, torch.Tensor]) -> None:
    patches, prefix = tokens
    maps = patches.transpose(1, 2).reshape(4, 12, 2, 3)
    for same in (maps, maps.contiguous(memory_format=torch.channels_last)):
        torch.testing.assert_close(pool(same, prefix), pool(patches, prefix))


def test_masked_patches_do_not_count(
    pool: nn.Module, tokens: tuple[torch.Tensor, torch.Tensor]
) -> None:
    patches, prefix = tokens
    mask = torch.tensor([[True, False, True, True, False, True]]).expand(4, -1)
    spoilt = patches.masked_fill(~mask[..., None], 1e4)
    expected = pool(patches[:, [0, 2, 3, 5]], prefix)
    torch.testing.assert_close(pool(spoilt, prefix, mask), expected, rtol=1e-4, atol=1e-5)
    everything = torch.ones_like(mask)
    torch.testing.assert_close(pool(patches, prefix, everything), pool(patches, prefix))


def test_gradients_reach_the_tokens(
    pool: nn.Module, tokens: tuple[torch.Tensor, torch.Tensor]
) -> None:
    patches, prefix = (part.requires_grad_() for part in tokens)
    (pool(patches, prefix) * torch.linspace(-1, 1, pool.out_dim)).sum().backward()
    found = [part.grad for part in (patches, prefix) if part.grad is not None]
    assert found
    assert all(slope.isfinite().all() for slope in found)
    assert all(one.grad is not None for one in pool.parameters())


def test_it_can_be_saved(tokens: tuple[torch.Tensor, torch.Tensor]) -> None:
    pool, again = (make_pooling("cls,ggem", 12, heads=3) for _ in range(2))
    with torch.no_grad():
        pool.poolings[1].p.fill_(5)
    again.load_state_dict(pool.state_dict())
    torch.testing.assert_close(again(*tokens), pool(*tokens))


@pytest.mark.parametrize("shape", [(4, 12), (4, 6, 11), (4, 11, 2, 3), (4, 0, 12)])
def test_tokens_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="patches"):
        Average(12)(torch.zeros(shape))


def test_a_mask_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the mask is bool \[4, 6\]"):
        Average(12)(torch.zeros(4, 6, 12), None, torch.ones(4, 5, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"not torch\.float32"):
        Average(12)(torch.zeros(4, 6, 12), None, torch.ones(4, 6))


def test_an_empty_row_of_the_mask_is_refused(pool: nn.Module) -> None:
    mask = torch.ones(4, 6, dtype=torch.bool)
    mask[2] = False
    with pytest.raises(ValueError, match="no patch in row 2"):
        pool(torch.zeros(4, 6, 12), torch.zeros(4, 1, 12), mask)


@pytest.mark.parametrize("prefix", [None, torch.zeros(4, 0, 12)])
def test_without_a_class_token_there_is_none_to_pool(prefix: torch.Tensor | None) -> None:
    with pytest.raises(UsageError, match="no class token"):
        ClassToken(12)(torch.zeros(4, 6, 12), prefix)


def test_the_plain_ones() -> None:
    x = torch.tensor([[[0.5, -1, 2, 0.1], [1.5, 0.2, 1, -0.3], [-0.5, 0.4, 3, 0.6]]])
    torch.testing.assert_close(Average(4)(x), torch.tensor([[0.5, -0.4 / 3, 2, 0.4 / 3]]))
    torch.testing.assert_close(Maximum(4)(x), torch.tensor([[1.5, 0.4, 3, 0.6]]))
    torch.testing.assert_close(ClassToken(4)(x, x), x[:, 0])


def test_attention_is_attention() -> None:
    """Against the same written out, head by head."""
    torch.manual_seed(3)
    pool, x = Attention(12, heads=3), torch.randn(2, 5, 12)
    nn.init.normal_(pool.query)
    keys, values = pool.keys_values(pool.norm(x)).chunk(2, -1)
    heads = []
    for head in range(3):
        part = slice(4 * head, 4 * head + 4)
        weights = (keys[..., part] @ pool.query[head] / 2).softmax(1)
        heads.append((weights[..., None] * values[..., part]).sum(1))
    torch.testing.assert_close(pool(x), pool.out(torch.cat(heads, -1)))
    assert Attention(128).heads == 2
    assert Attention(100).heads == 1
