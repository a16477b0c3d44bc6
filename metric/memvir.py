"""MemVir: the classes as they were some steps ago are further classes, without a gradient.

Ko, Gu, Kim 2021, *Learning with Memory-based Virtual Classes for Deep Metric Learning*, ICCV,
arXiv:2103.16940.
"""

import logging
from dataclasses import replace
from typing import Any, Literal, get_args

import psutil  # type: ignore[import-untyped]
import torch
from torch import Tensor, nn

from metric.memory import NAMES, Block, Memory
from metric.proxies import ProxyLoss, full_precision
from metric.rows import Rows
from vretr.errors import UsageError

log = logging.getLogger(__name__)

Reduction = Literal["paper", "balanced"]
DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)


class MemVir(nn.Module):
    """Adds to each batch those of `steps` earlier steps, every (gap + 1)-th of them, with the class
    weights of then: step t uses t - j (gap + 1), j = 1..steps, as far as they exist.

    The j-th block's labels are shifted by j C, and the unchanged loss runs over all n (1 + j) rows
    and C (1 + j) classes. So there is one block more every gap + 1 steps: this is the paper's
    curriculum. In training all embeddings are unit vectors, but with plain softmax. In eval() and
    without gradients it is the plain loss and remembers nothing.

    The memory and the number of the step are in `state_dict` as plain tensors, and are neither
    parameters nor buffers. Averaging a model's whole state (EMA) would average them: keep the loss
    out of the averaged model.

    Embeddings and labels of several processes have to be gathered first
    (`vretr.training.gathered`), or each process remembers its own.
    """

    def __init__(
        self,
        loss: nn.Module,
        *,
        steps: int = 20,
        gap: int = 25,
        warmup: int = 0,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
        reduction: Reduction = "paper",
        accumulate: int = 1,
        budget: int | None = None,
    ) -> None:
        """
        Args:
            loss: with class weights, of `make_loss` or pytorch-metric-learning.
            steps: N, blocks in use once the memory is full. The paper, on CARS196: 20 with
                Proxy-NCA, 45 with Norm-softmax.
            gap: M, steps left out between two blocks; 25 and 10 there.
            warmup: training steps before it begins to remember; 40 epochs there.
            dtype: of what is stored; halves move cosines by up to 5e-4, bfloat16 by 4e-3.
            device: where to store; None: where the loss is.
            reduction: "paper", the mean over all rows, in which the batch counts 1/(1 + j);
                "balanced", half the mean over the batch and half that over the remembered rows.
            accumulate: calls that make up one step of the optimiser.
            budget: bytes that may be stored; None: half of what is free.

        Raises:
            UsageError: a value out of its range, a loss that cannot be wrapped, or a memory over
                the budget.
        """
        super().__init__()
        if not (steps >= 1 and gap >= 0 and warmup >= 0 and accumulate >= 1):
            raise UsageError(
                f"steps {steps}, gap {gap}, warmup {warmup}, accumulate {accumulate}: steps and "
                "accumulate must be 1 or more, gap and warmup 0 or more"
            )
        if dtype not in DTYPES:
            raise UsageError(f"dtype is {dtype}, but must be one of {', '.join(map(str, DTYPES))}")
        if reduction not in get_args(Reduction):
            raise UsageError(f"reduction is {reduction!r}, but must be paper or balanced")
        if hasattr(loss, "proxies") and hasattr(loss, "expand"):
            raise UsageError(
                "MemVir stands in front of the plain loss: "
                "write ProxySynthesis(MemVir(loss)), or wrap it once"
            )
        self.proxies = loss if isinstance(loss, ProxyLoss) else ProxyLoss(loss)
        self.blocks, self.gap, self.warmup = steps, gap, warmup
        self.reduction, self.accumulate, self.budget = reduction, accumulate, budget
        self.calls = 0  # in training
        place = None if device is None else torch.device(device)
        self.memory = Memory(steps * (gap + 1), dtype=dtype, device=place)
        self._waiting: list[tuple[Tensor, Tensor]] = []  # of the optimiser's step that goes on
        self._require(rows=0)

    @property
    def steps(self) -> int:
        """Training steps so far."""
        return self.calls // self.accumulate

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The loss, a scalar, of embeddings [B, D] and labels [B] in 0..C-1."""
        if not self._remembers():
            return self.proxies(embeddings, labels)
        with full_precision(embeddings):
            rows = self.proxies.start(embeddings, labels)
            return self.evaluate(self.expand(self.proxies.directions(rows)))

    def expand(self, rows: Rows) -> Rows:
        """The rows with those of earlier steps behind; remembers the batch for later ones.

        It changes the memory, so it is called once a step; not in eval() or without gradients,
        where the rows stay as they are.
        """
        if not self._remembers():
            return rows
        warm, self.calls = self.steps >= self.warmup, self.calls + 1
        if not warm:
            return rows
        ages = range(self.gap + 1, len(self.memory) + 1, self.gap + 1)
        blocks = [self._read(age, number, rows) for number, age in enumerate(ages, 1)]
        more = rows
        if blocks:
            parts = Block(*(torch.cat(part) for part in zip(*blocks, strict=True)))
            more = replace(
                rows.add(*parts),
                remembered=len(parts.labels),
                remembered_weights=len(parts.weights),
            )
        self._remember(rows)  # last, as the oldest step makes room
        return more

    def evaluate(self, rows: Rows) -> Tensor:
        """The unchanged loss over all rows, averaged as `reduction` says."""
        if self.reduction == "paper" or not rows.remembered:
            return self.proxies.evaluate(rows)
        now, then = rows.of_now(), rows.from_memory()
        return (self.proxies.evaluate(now) + self.proxies.evaluate(then)) / 2

    def _remembers(self) -> bool:
        return self.training and torch.is_grad_enabled()

    def _read(self, age: int, number: int, rows: Rows) -> Block:
        """The `number`-th block in use, in the batch's number format and on its device."""
        embeddings, labels, weights = self.memory.block(age)
        device, kind = rows.weights.device, rows.weights.dtype
        shift = number * self.proxies.classes
        return Block(
            embeddings.to(device, kind), labels.to(device) + shift, weights.to(device, kind)
        )

    def _remember(self, rows: Rows) -> None:
        self._waiting.append((rows.embeddings.detach(), rows.labels))
        if self.calls % self.accumulate:
            return
        embeddings, labels = (torch.cat(part) for part in zip(*self._waiting, strict=True))
        self._waiting = []
        if not len(self.memory):
            self._require(len(labels))
        self.memory.push(Block(embeddings, labels, rows.weights))

    def _require(self, rows: int) -> None:
        """Makes sure that the memory may be as large as it has to be."""
        device = self.memory.device or self.proxies.weight.device
        weights, capacity, dtype = self.proxies.weight, self.memory.capacity, self.memory.dtype
        needed = bytes_needed(
            self.proxies.classes,
            weights.shape[1],
            steps=self.blocks,
            gap=self.gap,
            batch=rows,
            centres=self.proxies.centres,
            dtype=dtype,
        )
        budget = free_bytes(device) // 2 if self.budget is None else self.budget
        if needed > budget:
            half = "" if dtype.itemsize == 2 else "store halves (dtype=torch.float16), "
            move = "" if device.type == "cpu" else 'store on the processor (device="cpu"), '
            raise UsageError(
                f"MemVir would keep {needed / 1e9:.3g} GB ({capacity} steps of {len(weights)} "
                f"class weights of {weights.shape[1]} numbers), but may keep {budget / 1e9:.3g} "
                f"GB: {half}{move}take fewer steps or a smaller gap, or raise the budget"
            )
        log.info("MemVir keeps %.3g GB on %s", needed / 1e9, device)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination[prefix + "calls"] = torch.tensor(self.calls)
        for name, value in self.memory.state().items():
            destination[f"{prefix}memory.{name}"] = value

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *others: Any) -> None:
        ours = {prefix + "calls", *(f"{prefix}memory.{name}" for name in NAMES)}
        plain = {name: value for name, value in state_dict.items() if name not in ours}
        super()._load_from_state_dict(plain, prefix, *others)
        if (calls := state_dict.get(prefix + "calls")) is None:
            others[2].append(prefix + "calls")  # the missing keys
            return
        state = {n.removeprefix(prefix + "memory."): state_dict[n] for n in ours & {*state_dict}}
        state.pop(prefix + "calls")
        self.calls, self._waiting = int(calls), []
        self.memory.restore(state, self.proxies.weight)


def bytes_needed(
    classes: int,
    dim: int,
    *,
    steps: int,
    gap: int,
    batch: int = 0,
    centres: int = 1,
    dtype: torch.dtype = torch.float32,
) -> int:
    """Bytes that MemVir keeps once its memory is full: steps (gap + 1) batches and class weights.

    All of them are needed, as the selected ones slide on.
    """
    numbers = (classes * centres + batch) * dim
    return steps * (gap + 1) * (numbers * dtype.itemsize + batch * torch.int64.itemsize)


def free_bytes(device: torch.device) -> int:
    """Bytes that can be had on the device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return int(psutil.virtual_memory().available)
