"""What MemVir remembers: batches and class weights of the last steps, in a ring."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from vretr.errors import MismatchError

NAMES = ("embeddings", "labels", "weights", "sizes", "pushed")
"""Of the tensors of a memory's state."""


class Block(NamedTuple):
    """One step: embeddings [B, D], labels [B], class weights [C*K, D]."""

    embeddings: Tensor
    labels: Tensor
    weights: Tensor


class Memory:
    """The last `capacity` steps, copied into tensors that are made once and written over.

    Neither parameter nor buffer: DistributedDataParallel would overwrite every process's with that
    of the first.
    """

    def __init__(self, capacity: int, *, dtype: torch.dtype, device: torch.device | None) -> None:
        """
        Args:
            device: where to keep it; None: where the weights are.
        """
        self.capacity, self.dtype, self.device = capacity, dtype, device
        self.clear()

    def clear(self) -> None:
        """Forgets everything."""
        self.pushed = 0  # steps in all
        self._sizes: list[int] = []  # rows of each place
        self._ring: Block | None = None

    def __len__(self) -> int:
        return min(self.pushed, self.capacity)

    def push(self, block: Block) -> None:
        """Copies the block in; the oldest one goes if there is no place."""
        rows, place = len(block.labels), self.pushed % self.capacity
        ring = self._with_room(rows, block.weights)
        ring.embeddings[place, :rows].copy_(block.embeddings.detach())
        ring.labels[place, :rows].copy_(block.labels)
        ring.weights[place].copy_(block.weights.detach())
        self._sizes[place : place + 1] = [rows]
        self.pushed += 1

    def block(self, age: int) -> Block:
        """The step pushed `age` times ago, 1 the newest, as it is stored and without copying."""
        assert self._ring is not None and 1 <= age <= len(self)
        place = (self.pushed - age) % self.capacity
        embeddings, labels, weights = self._ring
        size = self._sizes[place]
        return Block(embeddings[place, :size], labels[place, :size], weights[place])

    def _with_room(self, rows: int, weights: Tensor) -> Block:
        """The ring, whose batches have room for `rows` rows."""
        many, (classes, dim) = self.capacity, weights.shape
        if self._ring is None:
            device = self.device or weights.device
            self._ring = Block(
                torch.zeros(many, rows, dim, dtype=self.dtype, device=device),
                torch.zeros(many, rows, dtype=torch.int64, device=device),
                torch.zeros(many, classes, dim, dtype=self.dtype, device=device),
            )
        if (missing := rows - self._ring.labels.shape[1]) > 0:
            embeddings, labels, old = self._ring
            embeddings = torch.cat([embeddings, embeddings.new_zeros(many, missing, dim)], 1)
            labels = torch.cat([labels, labels.new_zeros(many, missing)], 1)
            self._ring = Block(embeddings, labels, old)
        return self._ring

    def state(self) -> dict[str, Tensor]:
        """Everything as tensors that share no memory with one another; empty if it is.

        They are the memory itself and not copies, apart from the small ones.
        """
        if self._ring is None or not self.pushed:
            return {}
        filled = len(self)
        return {
            "embeddings": self._ring.embeddings[:filled],
            "labels": self._ring.labels[:filled],
            "weights": self._ring.weights[:filled],
            "sizes": torch.tensor(self._sizes),
            "pushed": torch.tensor([self.pushed, self.capacity]),
        }

    def restore(self, state: Mapping[str, Tensor], weights: Tensor) -> None:
        """Takes over what `state` gave, for class weights like these.

        Raises:
            MismatchError: the state is of another number of steps or of other classes.
        """
        self.clear()
        if not state:
            return
        pushed, capacity = state["pushed"].tolist()
        if capacity != self.capacity or state["weights"].shape[1:] != weights.shape:
            raise MismatchError(
                f"The memory in the checkpoint holds {capacity} steps of class weights "
                f"{list(state['weights'].shape[1:])}, but this MemVir takes {self.capacity} of "
                f"{list(weights.shape)}: give it the same steps, gap and loss"
            )
        ring = self._with_room(state["labels"].shape[1], weights.detach())
        self.pushed, self._sizes = pushed, state["sizes"].tolist()
        for name in Block._fields:
            getattr(ring, name)[: len(self)].copy_(state[name])
