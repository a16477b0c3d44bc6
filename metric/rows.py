"""What a loss compares once rows and classes were added, and a product that spares old ones."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


@dataclass(frozen=True)
class Rows:
    """What a loss compares: the batch, then rows from memory, then synthetic ones; the classes in
    the same order. No gradient goes into what comes from memory."""

    embeddings: Tensor  # [R, D]
    labels: Tensor  # [R], int64
    weights: Tensor  # [C*K, D]
    real: int  # rows of the batch
    real_weights: int
    remembered: int = 0  # rows behind those
    remembered_weights: int = 0

    def add(self, embeddings: Tensor, labels: Tensor, weights: Tensor) -> "Rows":
        """With these behind."""
        return replace(
            self,
            embeddings=torch.cat([self.embeddings, embeddings]),
            labels=torch.cat([self.labels, labels]),
            weights=torch.cat([self.weights, weights]),
        )

    def from_memory(self) -> "Rows":
        """The rows from memory alone, among all classes."""
        part = slice(self.real, self.real + self.remembered)
        return replace(self, embeddings=self.embeddings[part], labels=self.labels[part], real=0)

    def of_now(self) -> "Rows":
        """All rows but those from memory, among all classes."""
        first, last = self.real, self.real + self.remembered
        return replace(
            self,
            embeddings=torch.cat([self.embeddings[:first], self.embeddings[last:]]),
            labels=torch.cat([self.labels[:first], self.labels[last:]]),
            remembered=0,
        )


def product_of(rows: Rows) -> Callable[[Tensor, Tensor], Tensor]:
    """Replaces a distance's matrix product by one whose gradient leaves out what is remembered:
    with N blocks in memory this saves most of two of the three products."""
    still_left = (rows.real, rows.real + rows.remembered)
    still_right = (rows.real_weights, rows.real_weights + rows.remembered_weights)

    def compute_mat(left: Tensor, right: Tensor) -> Tensor:
        if len(left) != len(rows.embeddings) or len(right) != len(rows.weights):
            return left @ right.t()
        return cast(Tensor, _Product.apply(left, right, still_left, still_right))

    return compute_mat


class _Product(torch.autograd.Function):
    """left [R, D] times right [C, D] transposed; rows first..last-1 of each get no gradient."""

    @staticmethod
    def forward(
        ctx: Any, left: Tensor, right: Tensor, still: tuple[int, int], still_right: tuple[int, int]
    ) -> Tensor:
        ctx.save_for_backward(left, right)
        ctx.still, ctx.still_right = still, still_right
        return left @ right.t()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,), (left, right) = gradients, ctx.saved_tensors
        of_left = _partly(gradient, right, ctx.still) if ctx.needs_input_grad[0] else None
        of_right = _partly(gradient.t(), left, ctx.still_right) if ctx.needs_input_grad[1] else None
        return of_left, of_right, None, None


def _partly(gradient: Tensor, other: Tensor, still: tuple[int, int]) -> Tensor:
    """`gradient @ other`, but zeros in the rows `still`."""
    found = other.new_empty(len(gradient), other.shape[1])
    first, last = still
    found[first:last] = 0
    if first:
        torch.mm(gradient[:first], other, out=found[:first])
    if last < len(found):
        torch.mm(gradient[last:], other, out=found[last:])
    return found
