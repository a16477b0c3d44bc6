"""MemVir: golden values, which steps are used, what is remembered and what is not."""

import copy
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

import metric
from metric import memvir
from metric.loss_names import LOSSES
from metric.losses import make_loss
from metric.memvir import MemVir, bytes_needed
from metric.proxies import ProxyLoss
from metric.proxy_synthesis import ProxySynthesis
from tests.metric.golden import W, close, golden_loss, parameter, with_weights
from vretr.errors import MismatchError, UsageError, VretrError
from vretr.training import checkpoints
from vretr.training.checkpoints import Progress

Step = tuple[Tensor, Tensor, Tensor]  # embeddings, labels, class weights


def step(x: list, y: list, w: list) -> Step:
    kind = torch.float64
    return torch.tensor(x, dtype=kind), torch.tensor(y), torch.tensor(w, dtype=kind)


# Steps t-2, t-1 and t of the golden values.
STEPS = [
    step([[0, 1], [2, -1]], [0, 1], [[0.5, 1], [1, -1], [-1, 0.2]]),
    step([[1, 2], [-2, 0]], [0, 2], [[0.8, 1], [1.5, -1], [-2, 0.6]]),
    step([[1, 1], [1, -2]], [0, 1], W.tolist()),
]


def golden(name: str, *, steps: int, gap: int, **options: float) -> MemVir:
    """In float64, all of it."""
    return MemVir(golden_loss(name, **options), steps=steps, gap=gap, dtype=torch.float64)


def driven(loss: MemVir, steps: list[Step]) -> Tensor:
    """The loss of the last step."""
    for x, y, w in steps:
        with_weights(loss.proxies, w)
        found = loss(x, y)
    return found


GOLDEN = [  # N, M, Norm-softmax s=1 and s=23, Proxy-NCA s=1 and s=12
    (1, 2, 0.4957487886, None, 0.2076712594, None),
    (1, 0, 1.1423037336, 0.8476992040, 0.8632764804, 0.8577314236),
    (1, 1, 1.1847599884, 1.2953318259, 0.9108561738, 1.3377547219),
    (2, 0, 1.5652663521, 1.4676693004, 1.2895978780, 1.4964681932),
]


@pytest.mark.parametrize(
    ("steps", "gap", "name", "scale", "wanted"),
    [
        (steps, gap, name, scale, value)
        for steps, gap, *row in GOLDEN
        for value, (name, scale) in zip(
            row,
            [("norm-softmax", 1), ("norm-softmax", 23), ("proxy-nca", 1), ("proxy-nca", 12)],
            strict=True,
        )
        if value is not None
    ],
)
def test_golden_values(steps: int, gap: int, name: str, scale: float, wanted: float) -> None:
    loss = golden(name, scale=scale, steps=steps, gap=gap)
    close(driven(loss, STEPS).detach(), wanted)


@pytest.mark.parametrize(
    ("name", "options", "wanted"),
    [
        ("cosface", {"scale": 23, "margin": 0.1}, 2.5435715111),
        ("arcface", {"scale": 23, "margin": 0.1}, 1.3584082690),
        ("proxy-anchor", {"scale": 32, "margin": 0.1}, 24.4200402553),
        ("proxy-anchor", {"scale": 1, "margin": 0.1}, 1.9517676474),
    ],
)
def test_golden_values_of_further_losses(name: str, options: dict, wanted: float) -> None:
    close(driven(golden(name, **options, steps=1, gap=0), STEPS).detach(), wanted)


def test_golden_values_without_a_block_at_the_scales_of_the_papers() -> None:
    for name, scale, wanted in (("norm-softmax", 23, 7.40e-08), ("proxy-nca", 12, 3.73e-08)):
        loss = MemVir(golden_loss(name, scale=scale), steps=1, gap=2)
        torch.testing.assert_close(float(driven(loss, STEPS).detach()), wanted, rtol=2e-3, atol=0)


@pytest.mark.parametrize(
    ("steps", "gap", "labels"),
    [(1, 0, [0, 1, 3, 5]), (1, 1, [0, 1, 3, 4]), (2, 0, [0, 1, 3, 5, 6, 7]), (1, 2, [0, 1])],
)
def test_golden_labels(steps: int, gap: int, labels: list[int]) -> None:
    loss = MemVir(golden_loss("norm-softmax"), steps=steps, gap=gap)
    driven(loss, STEPS[:2])
    assert loss.expand(loss.proxies.start(*STEPS[2][:2])).labels.tolist() == labels


def test_golden_values_of_each_sample() -> None:
    plain = golden_loss("norm-softmax", scale=1)
    loss = MemVir(plain, steps=1, gap=0)
    driven(loss, STEPS[:2])
    with_weights(plain, W)
    rows = loss.expand(plain.start(*STEPS[2][:2]))
    parts = zip(rows.embeddings.split(1), rows.labels.split(1), strict=True)
    found = torch.stack([plain(x, y, rows.weights) for x, y in parts])
    close(found.detach(), [1.22683214, 1.14473753, 1.20090978, 0.99673549], 8)


def test_golden_gradients() -> None:
    """With and without a block; what is stored gets none."""
    known = {
        2: (
            [[0.050144, -0.050144], [0.048786, 0.097571], [0.000989, 0.002968]],
            [[0.038567, -0.038567], [-0.022645, -0.011322]],
        ),
        0: (
            [[-0.005363, 0.005363], [0.031835, 0.063670], [-0.000164, -0.000492]],
            [[0.014512, -0.014512], [-0.015798, -0.007899]],
        ),
    }
    for gap, (of_w, of_x) in known.items():
        loss = golden("norm-softmax", scale=1, steps=1, gap=gap)
        x, y, w = STEPS[2]
        x = x.clone().requires_grad_()
        driven(loss, [*STEPS[:2], (x, y, w)]).backward()
        assert x.grad is not None
        close(parameter(loss).grad.t(), of_w, 6)
        close(x.grad, of_x, 6)
        for age in range(1, len(loss.memory) + 1):
            assert not any(part.requires_grad for part in loss.memory.block(age))


@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_that_is_spared_changes_nothing(name: str) -> None:
    """Against the same rows with the plain matrix product, of all weights and embeddings."""
    torch.manual_seed(0)
    loss = make_loss(name, 4, 6).double()
    x = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([0, 3, 1])
    old, weights = (torch.randn(n, 6, dtype=torch.float64) for n in (5, 8 * loss.centres))
    between = torch.randn(2, 6, dtype=torch.float64, requires_grad=True)
    shifted = torch.tensor([4, 7, 11, 8, 5])
    rows = loss.start(x, y).add(old, shifted, weights)
    rows = memvir.replace(rows, remembered=5, remembered_weights=len(weights))
    more = (
        between.repeat(1, 1),
        torch.tensor([12, 13]),
        between.repeat_interleave(loss.centres, 0),
    )
    rows = rows.add(*more)
    wanted = [*loss.parameters(), x, between]
    spared = torch.autograd.grad(loss.evaluate(rows), wanted)
    full = torch.autograd.grad(loss(rows.embeddings, rows.labels, rows.weights), wanted)
    for one, other in zip(spared, full, strict=True):
        torch.testing.assert_close(one, other)


# Which steps are used


def used(loss: MemVir, count: int) -> list[list[int]]:
    """The numbers of the steps from which each of so many steps takes blocks. Embeddings, labels
    and weights all tell the number of their step."""
    found = []
    for number in range(count):
        x = torch.tensor([[float(number), 0]])
        with_weights(loss.proxies, torch.full((3, 2), float(number)))
        rows = loss.expand(loss.proxies.start(x, torch.tensor([number % 3])))
        found.append([int(value) for value in rows.embeddings[1:, 0]])
        assert rows.weights[3:, 0].tolist() == [n for n in found[-1] for _ in range(3)]
        labels = [3 * j + n % 3 for j, n in enumerate([number, *found[-1]])]
        assert rows.labels.tolist() == labels
    return found


@pytest.mark.parametrize(
    ("steps", "gap", "wanted"),
    [
        (2, 1, {0: [], 1: [], 2: [0], 3: [1], 4: [2, 0], 5: [3, 1], 6: [4, 2]}),
        (3, 2, {0: [], 1: [], 2: [], 3: [0], 6: [3, 0], 9: [6, 3, 0]}),
        (1, 0, {0: [], 1: [0], 2: [1]}),
    ],
)
def test_golden_steps(steps: int, gap: int, wanted: dict[int, list[int]]) -> None:
    found = used(MemVir(make_loss("norm-softmax", 3, 2), steps=steps, gap=gap), 10)
    assert {number: found[number] for number in wanted} == wanted


@pytest.mark.parametrize(("steps", "gap", "warmup"), [(2, 1, 0), (3, 2, 4), (1, 0, 3), (4, 3, 1)])
def test_steps_by_their_formula(steps: int, gap: int, warmup: int) -> None:
    """Step t takes t - j (gap + 1), and nothing from before the end of the warm-up."""
    loss = MemVir(make_loss("norm-softmax", 3, 2), steps=steps, gap=gap, warmup=warmup)
    for number, found in enumerate(used(loss, 40)):
        before = [number - j * (gap + 1) for j in range(1, steps + 1)]
        assert found == [other for other in before if other >= warmup and number >= warmup]


def test_micro_batches_are_one_step() -> None:
    """Both calls of a step see the same earlier ones, and are remembered together, once."""
    loss = MemVir(make_loss("norm-softmax", 3, 2), steps=2, gap=0, accumulate=2)
    found = []
    for number in range(4):
        with_weights(loss.proxies, torch.full((3, 2), float(number)))
        for part in (0.25, 0.5):
            x = torch.tensor([[number + part, 0]])
            rows = loss.expand(loss.proxies.start(x, torch.tensor([1])))
            found.append(rows.embeddings[1:, 0].tolist())
            assert len(rows.weights) == 3 * (1 + min(number, 2))
    old = [[], [0.25, 0.5], [1.25, 1.5, 0.25, 0.5], [2.25, 2.5, 1.25, 1.5]]
    assert found == [row for row in old for _ in (0, 1)]
    assert loss.steps == 4


def test_batches_may_differ_in_size() -> None:
    loss = MemVir(make_loss("norm-softmax", 3, 2), steps=3, gap=0)
    for count in (2, 5, 1):
        loss(torch.full((count, 2), float(count)), torch.zeros(count, dtype=torch.int64))
    sizes = [len(loss.memory.block(age).labels) for age in (1, 2, 3)]
    assert sizes == [1, 5, 2]
    rows = loss.expand(loss.proxies.start(torch.ones(4, 2), torch.tensor([0, 1, 2, 0])))
    assert rows.labels.tolist() == [0, 1, 2, 0, 3, *[6] * 5, *[9] * 2]


# When it remembers


def values(
    loss: nn.Module, count: int, *, seed: int = 0, kind: torch.dtype = torch.float32
) -> list:
    """A training of so many steps; its losses."""
    draw = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.SGD(loss.parameters(), lr=0.5)
    found = []
    for _ in range(count):
        x = torch.randn(6, 8, generator=draw).to(kind)
        value = loss(x, torch.randint(5, (6,), generator=draw))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        found.append(value.item())
    return found


def fresh(**options: object) -> MemVir:
    torch.manual_seed(1)
    return MemVir(make_loss("norm-softmax", 5, 8), **{"steps": 2, "gap": 1} | options)


def both(**options: object) -> ProxySynthesis:
    return ProxySynthesis(fresh(**options), seed=3)


def test_without_training_nothing_is_remembered() -> None:
    loss, x, y = fresh(), torch.randn(6, 8), torch.arange(6) % 5
    values(loss, 5)
    before = copy.deepcopy(loss.state_dict())
    plain = loss.proxies(x, y)
    assert torch.equal(loss.eval()(x, y), plain)
    with torch.no_grad():
        assert torch.equal(loss.train()(x, y), plain)
    after = loss.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_what_is_remembered_does_not_follow_the_weights() -> None:
    loss = fresh()
    values(loss, 1)
    stored = loss.memory.block(1).weights.clone()
    values(loss, 1)
    assert torch.equal(loss.memory.block(2).weights, stored)
    assert not torch.equal(loss.memory.block(1).weights, stored)


def test_weights_are_stored_raw_and_embeddings_as_directions() -> None:
    loss = fresh()
    before = loss.proxies.weight.detach().clone()
    x = torch.randn(6, 8)
    loss(x, torch.arange(6) % 5)
    block = loss.memory.block(1)
    torch.testing.assert_close(block.embeddings, F.normalize(x))
    assert torch.equal(block.weights, before)


def test_plain_softmax_stores_everything_raw() -> None:
    loss, x = MemVir(make_loss("softmax", 5, 8)), torch.randn(6, 8)
    loss(x, torch.arange(6) % 5)
    assert torch.equal(loss.memory.block(1).embeddings, x)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("with_synthesis", [False, True])
def test_every_loss_learns_with_it(name: str, with_synthesis: bool) -> None:
    torch.manual_seed(0)
    loss: nn.Module = MemVir(make_loss(name, 5, 8), steps=2, gap=1)
    loss = ProxySynthesis(loss) if with_synthesis else loss
    assert torch.tensor(values(loss, 8)).isfinite().all()
    assert parameter(loss).grad.abs().sum() > 0


# How rows count


def test_the_batch_counts_one_in_one_and_j_in_the_paper_and_half_if_balanced() -> None:
    paper, balanced = fresh(), fresh(reduction="balanced")
    assert values(paper, 2) == values(balanced, 2)  # nothing is remembered yet
    for loss in (paper, balanced):
        values(loss, 4)
        loss.load_state_dict(paper.state_dict())
    x, y = torch.randn(6, 8), torch.arange(6) % 5
    rows = copy.deepcopy(paper).expand(paper.proxies.start(x, y))
    each = torch.stack(
        [
            paper.proxies(row, label, rows.weights)
            for row, label in zip(rows.embeddings.split(1), rows.labels.split(1), strict=True)
        ]
    )
    torch.testing.assert_close(paper(x, y), each.mean())
    torch.testing.assert_close(balanced(x, y), (each[:6].mean() + each[6:].mean()) / 2)


def test_with_synthesis_the_batchs_own_rows_are_mixed() -> None:
    loss = both()
    values(loss, 5)
    inner = copy.deepcopy(loss.loss)
    x, y = torch.randn(6, 8), torch.arange(6) % 5
    remembered = inner.expand(inner.proxies.directions(inner.proxies.start(x, y)))
    rows = loss.expand(remembered)
    assert len(rows.labels) == 6 * 3 + 6 and len(rows.weights) == 5 * 3 + 6
    assert torch.equal(rows.embeddings[:18], remembered.embeddings)
    assert rows.labels[18:].tolist() == [*range(15, 21)]
    for row, proxy in zip(rows.embeddings[18:], rows.weights[15:], strict=True):
        assert any(_between(row, remembered.embeddings[:6])), "of two rows of the batch"
        assert any(_between(proxy, F.normalize(remembered.weights[:5])))


def _between(found: Tensor, rows: Tensor) -> list[bool]:
    """Whether it lies on the line between two of the rows, for each two."""
    pairs = [(rows[i], rows[j]) for i in range(len(rows)) for j in range(i)]
    lengths = [((found - a).norm() + (found - b).norm() - (a - b).norm()) for a, b in pairs]
    return [bool(length.abs() < 1e-5) for length in lengths]


def test_balanced_with_synthesis_counts_the_synthetic_as_the_batchs() -> None:
    loss = both(reduction="balanced")
    values(loss, 5)
    x, y = torch.randn(6, 8), torch.arange(6) % 5
    twin = copy.deepcopy(loss)
    rows = twin.expand(twin.loss.expand(twin.proxies.directions(twin.proxies.start(x, y))))
    now = torch.cat([torch.arange(6), torch.arange(18, 24)])
    means = [
        loss.proxies(rows.embeddings[part], rows.labels[part], rows.weights)
        for part in (now, torch.arange(6, 18))
    ]
    torch.testing.assert_close(loss(x, y), sum(means) / 2)


# Storage


@pytest.mark.parametrize(("kind", "nearness"), [(torch.float16, 1e-3), (torch.bfloat16, 1e-2)])
def test_halves_are_nearly_as_good(kind: torch.dtype, nearness: float) -> None:
    full, half = fresh(), fresh(dtype=kind)
    wanted, found = (torch.tensor(values(loss, 8)) for loss in (full, half))
    torch.testing.assert_close(found, wanted, rtol=nearness, atol=0)
    assert half.memory.block(1).weights.dtype == kind
    assert parameter(half).dtype == torch.float32


def test_half_embeddings_and_autocast_change_no_format() -> None:
    loss, other = fresh(), fresh()
    for number in range(4):
        x = torch.randn(6, 8).half()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = loss(x, torch.arange(6) % 5)
        assert torch.equal(found, other(x.float(), torch.arange(6) % 5)), number
    assert loss.memory.block(1).embeddings.dtype == torch.float32


@pytest.mark.parametrize(
    ("classes", "steps", "gap", "gigabytes"), [(98, 45, 10, 0.0993), (11318, 5, 100, 11.7)]
)
def test_bytes_of_the_papers_settings(classes: int, steps: int, gap: int, gigabytes: float) -> None:
    found = bytes_needed(classes, 512, steps=steps, gap=gap)
    assert found == steps * (gap + 1) * classes * 512 * 4
    assert round(found / 1e9, 1 if gigabytes > 1 else 4) == gigabytes


def test_bytes_needed_are_those_that_are_kept() -> None:
    loss = MemVir(make_loss("softtriple", 5, 8, centres=3), steps=2, gap=1, dtype=torch.float16)
    values(loss, 6)
    kept = {name: loss.memory.state()[name] for name in ("embeddings", "labels", "weights")}
    needed = bytes_needed(5, 8, steps=2, gap=1, batch=6, centres=3, dtype=torch.float16)
    assert sum(tensor.nbytes for tensor in kept.values()) == needed


def test_a_memory_over_the_budget() -> None:
    loss = make_loss("norm-softmax", 1000, 64)
    message = (
        r"would keep 0\.133 GB \(520 steps of 1000 class weights of 64 numbers\), but may keep "
        r"0\.1 GB: store halves \(dtype=torch\.float16\), take fewer steps or a smaller gap"
    )
    with pytest.raises(UsageError, match=message):
        MemVir(loss, budget=10**8)
    MemVir(loss, budget=10**8, dtype=torch.float16)


def test_the_budget_is_half_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = bytes_needed(5, 8, steps=2, gap=1)
    monkeypatch.setattr(memvir, "free_bytes", lambda _: 2 * needed)
    loss = fresh()
    with pytest.raises(UsageError, match="MemVir would keep"):  # with the batches as well
        values(loss, 1)
    monkeypatch.setattr(memvir, "free_bytes", lambda _: 2 * needed - 2)
    with pytest.raises(UsageError, match="MemVir would keep"):
        fresh()
    monkeypatch.undo()
    assert memvir.free_bytes(torch.device("cpu")) > 2**20


# State


@pytest.mark.parametrize("count", [0, 1, 3, 4, 9])
@pytest.mark.parametrize("make", [fresh, both])
def test_a_resumed_training_is_equal_bit_for_bit(tmp_path: Path, make, count: int) -> None:
    straight = make(warmup=1)
    started = make(warmup=1)
    values(straight, count)
    values(started, count)
    file = tmp_path / "latest.safetensors"
    optimizer = torch.optim.SGD(started.parameters(), lr=0.5)
    checkpoints.save_state(file, Progress(step=count), started, None, optimizer)
    resumed = make(warmup=1)
    checkpoints.load_state(file, resumed, None, torch.optim.SGD(resumed.parameters(), lr=0.5))
    assert values(resumed, 7, seed=5) == values(straight, 7, seed=5)
    for name, tensor in straight.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor), name


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_halves_are_saved_as_halves(tmp_path: Path, kind: torch.dtype) -> None:
    loss, other = fresh(dtype=kind), fresh(dtype=kind)
    values(loss, 5)
    checkpoints.write(tmp_path / "x", loss.state_dict(), {})
    tensors, _ = checkpoints.read(tmp_path / "x")
    assert tensors["memory.weights"].dtype == kind
    other.load_state_dict(tensors)
    assert values(other, 3) == values(loss, 3)


def test_the_state_is_neither_parameter_nor_buffer() -> None:
    loss = fresh()
    values(loss, 3)
    assert [name for name, _ in loss.named_parameters()] == ["proxies.loss.W"]
    assert not [*loss.buffers()]
    memory = {f"memory.{name}" for name in ("embeddings", "labels", "weights", "sizes", "pushed")}
    assert loss.state_dict().keys() == {"calls", "proxies.loss.W"} | memory
    assert all(tensor.is_contiguous() for name, tensor in loss.state_dict().items())
    save(loss.state_dict())  # refuses tensors that share memory


def test_loading_forgets_what_was_remembered() -> None:
    empty, loss = fresh(), fresh()
    values(loss, 5)
    loss.load_state_dict(empty.state_dict())
    assert len(loss.memory) == 0 and loss.steps == 0
    assert values(loss, 5) == values(empty, 5)


def test_a_state_that_does_not_fit() -> None:
    loss = fresh()
    values(loss, 5)
    with pytest.raises(MismatchError, match=r"holds 4 steps .* but this MemVir takes 6"):
        fresh(gap=2).load_state_dict(loss.state_dict())
    bare = fresh().proxies.state_dict()
    with pytest.raises(RuntimeError, match="Missing key"):
        loss.load_state_dict({f"proxies.{name}": tensor for name, tensor in bare.items()})


def test_a_copy_remembers_by_itself() -> None:
    loss = fresh()
    values(loss, 5)
    other = copy.deepcopy(loss)
    before = other.memory.block(1).weights.clone()
    values(loss, 3)
    assert torch.equal(other.memory.block(1).weights, before)


# Bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps and accumulate must be 1 or more"),
        ({"gap": -1}, "gap and warmup 0 or more"),
        ({"warmup": -1}, "gap and warmup 0 or more"),
        ({"accumulate": 0}, "steps and accumulate must be 1 or more"),
        ({"dtype": torch.int8}, "must be one of torch.float32"),
        ({"reduction": "sum"}, "must be paper or balanced"),
    ],
)
def test_impossible_options(options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fresh(**options)


def test_what_cannot_be_wrapped() -> None:
    with pytest.raises(UsageError, match="or wrap it once"):
        MemVir(fresh())
    with pytest.raises(UsageError, match="no loss with class weights"):
        metric.MemVir(nn.CrossEntropyLoss())


def test_nan_is_not_remembered() -> None:
    loss = fresh()
    with pytest.raises(VretrError, match="not finite"):
        loss(torch.full((2, 8), torch.nan), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="labels go from 0 to 5"):
        loss(torch.randn(2, 8), torch.tensor([0, 5]))
    assert loss.steps == 0 and not len(loss.memory)


def test_a_plain_loss_of_a_user_remembers() -> None:
    from pytorch_metric_learning.losses import ProxyNCALoss

    loss = MemVir(ProxyNCALoss(5, 8, softmax_scale=12), steps=2, gap=1)
    twin = MemVir(ProxyLoss(make_loss("proxy-nca", 5, 8).loss), steps=2, gap=1)
    with_weights(twin.proxies, loss.proxies.weight.detach())
    torch.testing.assert_close(values(loss, 6), values(twin, 6), rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("device", [None, "cpu"])
def test_a_gpu_gives_the_same(device: str | None) -> None:
    loss, on_gpu = fresh(), fresh(device=device).cuda()
    x, y = torch.randn(6, 8), torch.arange(6) % 5
    for _ in range(6):
        torch.testing.assert_close(on_gpu(x.cuda(), y.cuda()).cpu(), loss(x, y))
    assert on_gpu.memory.block(1).weights.device.type == (device or "cuda")
