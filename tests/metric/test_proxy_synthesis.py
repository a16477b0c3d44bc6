"""Proxy Synthesis: golden values, pairs, draws, and what it must leave alone."""

import copy
import logging
import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytorch_metric_learning import losses
from torch import Tensor, nn

import metric
from metric import proxy_synthesis
from metric.loss_names import LOSSES
from metric.losses import make_loss
from metric.memvir import MemVir
from metric.proxies import ProxyLoss
from metric.proxy_synthesis import ProxySynthesis, derangement, floor, synthesised
from tests.metric.golden import ROWS, W, X, Y, close, golden_loss, parameter, with_weights
from vretr.errors import UsageError, VretrError

SHARE = 0.3


def rolled(count: int, of: int = 4) -> Tensor:
    """The first `count` rows, each with the row before."""
    return torch.stack([torch.arange(of), torch.arange(of).roll(1)])[:, :count]


def mixed(loss: ProxyLoss, x: Tensor = X, y: Tensor = Y, *, count: int = 4) -> Tensor:
    """The loss with the first `count` synthetic rows of the golden values."""
    rows = loss.directions(loss.start(x, y))
    return loss.evaluate(synthesised(rows, rolled(count, len(x)), SHARE, loss=loss))


@pytest.mark.parametrize(("name", "options", "_", "wanted"), ROWS)
def test_golden_values(name: str, options: dict[str, float], _: float, wanted: float) -> None:
    close(mixed(golden_loss(name, **options)).detach(), wanted)


@pytest.mark.parametrize(("name", "options", "_", "wanted"), ROWS)
def test_golden_values_as_a_user_meets_them(
    name: str, options: dict[str, float], _: float, wanted: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(np.random, "default_rng", lambda *_: Fixed())
    loss = ProxySynthesis(golden_loss(name, **options), pairing="roll")
    close(loss(X, Y).detach(), wanted)


class Fixed:
    """Draws the λ of the golden values."""

    def beta(self, *_: float) -> float:
        return SHARE


@pytest.mark.parametrize(
    ("name", "scale", "wanted"),
    [
        ("norm-softmax", 1, 1.2000768560),
        ("norm-softmax", 23, 1.6090028102),
        ("proxy-nca", 1, 0.9788677479),
        ("proxy-nca", 12, 1.6675154001),
    ],
)
def test_golden_values_of_half_as_many(name: str, scale: float, wanted: float) -> None:
    close(mixed(golden_loss(name, scale=scale), count=2).detach(), wanted)


def test_golden_rows_on_the_way() -> None:
    loss = golden_loss("norm-softmax", scale=1)
    rows = synthesised(loss.directions(loss.start(X, Y)), rolled(4), SHARE, loss=loss)
    embeddings = [[0.18, -0.46], [0.72, 0.56]]
    embeddings += [[0.56583592, 0.26832816], [-0.31304952, 0.32609903]]
    proxies = [[0.83823107, -0.10091748], [0.76330290, 0.36081067]]
    proxies += [[0.34149404, -0.21818119], [-0.39575015, 0.08719536]]
    close(rows.embeddings[4:], embeddings, 8)
    close(rows.weights[3:].detach(), proxies, 8)
    assert rows.labels.tolist() == [0, 1, 2, 1, 3, 4, 5, 6]
    wanted = [1.35425657, 1.64945853, 1.33461910, 1.51073415]
    wanted += [1.68497530, 1.45978875, 1.96293042, 1.20941827]
    found = [
        loss(rows.embeddings[i : i + 1], rows.labels[i : i + 1], rows.weights) for i in range(8)
    ]
    close(torch.stack(found).detach(), wanted, 8)


def test_golden_gradients() -> None:
    loss, x = golden_loss("norm-softmax", scale=1), X.clone().requires_grad_()
    mixed(loss, x).backward()
    assert x.grad is not None and loss.loss.W.grad is not None
    of_w = [[-0.000223, 0.000223], [-0.001306, -0.002612], [-0.016444, -0.049333]]
    of_x = [[0.003874, -0.002906], [0, 0.132449], [0.077304, 0.038652], [-0.036668, 0]]
    close(loss.loss.W.grad.t(), of_w, 6)
    close(x.grad, of_x, 6)


def test_golden_pair_of_one_class_is_left_out() -> None:
    """The authors' code takes it (1.9158196422); here the loss stays the plain one."""
    loss, x, y = golden_loss("norm-softmax", scale=23), X[:2], torch.tensor([0, 0])
    close(mixed(loss, x, y, count=2).detach(), 1.9158196422)
    for pairing in ("roll", "derangement"):
        close(ProxySynthesis(loss, pairing=pairing)(x, y).detach(), 2.1608675923)


def test_softmax_is_mixed_as_it_is() -> None:
    loss = golden_loss("softmax")
    second = torch.arange(4).roll(1)
    weights = torch.cat([W, SHARE * W[Y] + (1 - SHARE) * W[Y[second]]])
    x = torch.cat([X, SHARE * X + (1 - SHARE) * X[second]])
    labels = torch.cat([Y, 3 + torch.arange(4)])
    close(mixed(loss).detach(), torch.nn.functional.cross_entropy(x @ weights.t(), labels))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("merge", [False, True])
def test_every_loss_learns_with_it(name: str, merge: bool) -> None:
    torch.manual_seed(0)
    loss = ProxySynthesis(make_loss(name, 5, 8), merge=merge)
    x = torch.randn(20, 8, requires_grad=True)
    value = loss(x, torch.arange(20) % 5)
    value.backward()
    assert value.isfinite() and x.grad is not None and (x.grad.abs().sum(1) > 0).all()
    assert parameter(loss).grad.isfinite().all()


def test_a_loss_of_pytorch_metric_learning_is_wrapped_as_it_is() -> None:
    theirs = losses.ProxyAnchorLoss(3, 2)
    loss = metric.ProxySynthesis(theirs)
    loss(X.float(), Y).backward()
    assert theirs.proxies.grad is not None and theirs.num_classes == 3
    assert [*loss.parameters()] == [theirs.proxies]


# Pairs


@given(st.lists(st.integers(0, 6), min_size=1, max_size=40), st.integers(0, 9))
def test_derangement(labels: list[int], seed: int) -> None:
    """Every row is a partner once; pairs of one class only if it has more than half of all rows,
    and then as few as can be."""
    found = derangement(torch.tensor(labels), 7, np.random.default_rng(seed)).tolist()
    assert sorted(found) == [*range(len(labels))]
    same = sum(labels[i] == labels[j] for i, j in enumerate(found))
    largest = max(map(labels.count, labels))
    assert same == max(0, 2 * largest - len(labels))


def test_derangement_takes_all_partners_in_turn() -> None:
    """Of four rows of four classes: all six cycles through the four, and nothing else."""
    seen = {
        tuple(derangement(torch.arange(4), 4, np.random.default_rng(seed)).tolist())
        for seed in range(200)
    }
    assert len(seen) == 6 and {row[0] for row in seen} == {1, 2, 3}


@pytest.mark.parametrize(
    ("mu", "rows", "wanted"),
    [(0.16, 25, 4), (0.4, 45, 18), (0.29, 100, 29), (0.5, 5, 2), (1, 7, 7)],
)
def test_embeddings_and_proxies_are_of_one_number(mu: float, rows: int, wanted: int) -> None:
    assert floor(mu * rows) == wanted
    loss = ProxySynthesis(make_loss("norm-softmax", rows, 4), mu=mu)
    batch = loss.proxies.start(torch.randn(rows, 4), torch.arange(rows))
    more = loss.expand(batch)
    assert len(more.embeddings) == len(more.labels) == rows + wanted
    assert len(more.weights) == rows + wanted
    assert more.labels[rows:].tolist() == [*range(rows, rows + wanted)]


def test_merged_rows_of_one_ordered_pair_are_one_class() -> None:
    loss = golden_loss("norm-softmax")
    x, y = torch.cat([X[:2], X[:2]]), torch.tensor([0, 1, 0, 1])
    rows = loss.directions(loss.start(x, y))
    apart = synthesised(rows, rolled(4), SHARE, loss=loss)
    merged = synthesised(rows, rolled(4), SHARE, loss=loss, merge=True)
    assert apart.labels[4:].tolist() == [3, 4, 5, 6]
    assert merged.labels[4:].tolist() == [3, 4, 3, 4]
    assert torch.equal(merged.weights[3:], apart.weights[3:5])
    assert torch.equal(apart.weights[3:5], apart.weights[5:7])  # the same proxy twice
    assert torch.equal(merged.embeddings, apart.embeddings)


def test_a_class_with_more_than_half_of_the_batch(caplog: pytest.LogCaptureFixture) -> None:
    loss = ProxySynthesis(make_loss("norm-softmax", 3, 4))
    x, y = torch.randn(8, 4), torch.tensor([0, 0, 0, 0, 0, 0, 1, 2])
    with caplog.at_level(logging.WARNING):
        assert loss(x, y).isfinite() and loss(x, y).isfinite()
    assert [record.getMessage() for record in caplog.records] == [
        "Proxy Synthesis leaves out pairs of one class: 4 of 8 in this batch, "
        "further ones without a word"
    ]


@pytest.mark.parametrize("pairing", ["derangement", "roll"])
@pytest.mark.parametrize("name", LOSSES)
def test_one_row_or_one_class_gives_the_plain_loss(name: str, pairing: str) -> None:
    plain = make_loss(name, 3, 4)
    loss = ProxySynthesis(plain, pairing=pairing)
    x = nn.functional.normalize(torch.randn(5, 4))
    for rows in (x[:1], x):
        labels = torch.full((len(rows),), 2)
        torch.testing.assert_close(loss(rows, labels), plain(rows, labels))


def test_eval_mode_is_the_plain_loss() -> None:
    plain = make_loss("sphereface", 3, 2)
    loss = ProxySynthesis(plain).eval()
    assert torch.equal(loss(X.float(), Y), plain(X.float(), Y))
    assert loss.steps == 0


# Draws


def values(loss: nn.Module, count: int, *, seed: int = 0) -> list[float]:
    """The losses of so many batches."""
    draw = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(count):
        x = torch.randn(12, 8, generator=draw)
        found.append(loss(x, torch.randint(5, (12,), generator=draw)).item())
    return found


def fresh(**options: object) -> ProxySynthesis:
    torch.manual_seed(1)
    return ProxySynthesis(make_loss("norm-softmax", 5, 8), **options)


def test_the_draws_are_the_seeds_and_the_steps() -> None:
    assert values(fresh(), 4) == values(fresh(), 4)
    assert values(fresh(seed=1), 4) != values(fresh(), 4)
    same = fresh()
    x, y = torch.randn(12, 8), torch.arange(12) % 5
    assert same(x, y) != same(x, y)  # another step


def test_global_generators_are_left_alone() -> None:
    loss = fresh()
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    values(loss, 3)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1] and random.getstate() == before[2]


def test_a_resumed_training_draws_the_same() -> None:
    straight, first, second = fresh(), fresh(), fresh(seed=0)
    values(straight, 3)
    values(first, 3)
    second.load_state_dict(first.state_dict())
    assert values(second, 2, seed=7) == values(straight, 2, seed=7)


def test_what_is_no_step_does_not_count() -> None:
    loss = fresh()
    values(loss.eval(), 2)
    with torch.no_grad():
        values(loss.train(), 2)
    assert loss.steps == 0


def test_a_state_without_steps_is_of_another_module() -> None:
    loss = fresh()
    state = loss.state_dict()
    assert state.keys() == {"steps", "loss.loss.W"} and not [*loss.buffers()]
    del state["steps"]
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "steps"'):
        loss.load_state_dict(state)


def test_lambda_is_a_beta_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    shares: list[float] = []

    def note(rows, pairs, share, **_):
        shares.append(share)
        return rows

    monkeypatch.setattr(proxy_synthesis, "synthesised", note)
    values(fresh(alpha=0.4), 1000)
    assert abs(np.mean(shares) - 0.5) < 0.04
    assert abs(np.var(shares) - 0.25 / 1.8) < 0.015  # 1/4 / (2 alpha + 1)


# Formats and bad input


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_it_computes_in_float32(kind: torch.dtype) -> None:
    loss, other = fresh(), fresh()
    x, y = torch.randn(12, 8).to(kind), torch.arange(12) % 5
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = loss(x, y)
    assert torch.equal(found, other(x.float(), y)) and found.dtype == torch.float32
    assert parameter(loss).dtype == torch.float32


def test_nan_and_labels_are_looked_at() -> None:
    with pytest.raises(ValueError, match="labels go from 0 to 5"):
        fresh()(torch.randn(2, 8), torch.tensor([0, 5]))
    with pytest.raises(VretrError, match="not finite"):
        fresh()(torch.full((2, 8), torch.nan), torch.tensor([0, 1]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 0}, "alpha must be above 0"),
        ({"mu": 0}, "mu above 0 and at most 1"),
        ({"mu": 1.5}, "mu above 0 and at most 1"),
        ({"mu": float("nan")}, "mu above 0 and at most 1"),
        ({"seed": -1}, "seed 0 or more"),
        ({"pairing": "random"}, "must be derangement or roll"),
    ],
)
def test_impossible_options(options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fresh(**options)


def test_what_cannot_be_wrapped() -> None:
    with pytest.raises(UsageError, match="already: wrap it once"):
        ProxySynthesis(fresh())
    with pytest.raises(UsageError, match="no loss with class weights"):
        ProxySynthesis(nn.CrossEntropyLoss())
    with pytest.raises(UsageError, match=r"write ProxySynthesis\(MemVir\(loss\)\)"):
        MemVir(fresh())


def test_a_copy_goes_on_by_itself() -> None:
    loss = fresh()
    values(loss, 2)
    other = copy.deepcopy(loss)
    values(loss, 1)
    assert (loss.steps, other.steps) == (3, 2)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_draws_the_same_pairs() -> None:
    loss, other = fresh(), with_weights(fresh().proxies, fresh().proxies.weight.detach())
    on_gpu = ProxySynthesis(other).cuda()
    x, y = torch.randn(12, 8), torch.arange(12) % 5
    torch.testing.assert_close(on_gpu(x.cuda(), y.cuda()).cpu(), loss(x, y))
