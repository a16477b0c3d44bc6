"""A proxy loss as a function of its class weights, so that classes can be added in front of it.

The losses of pytorch-metric-learning keep one weight a class (or K) as a parameter. Here the
parameter is exchanged for the length of one call, and with it the attributes that hold the number
of classes. Not for several threads at once.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, NamedTuple, cast

import torch
from pytorch_metric_learning import losses
from pytorch_metric_learning.distances import CosineSimilarity, DotProductSimilarity
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from metric.rows import Rows, product_of
from vretr.errors import UsageError, VretrError


class Layout(NamedTuple):
    """Where a loss has its class weights. A loss of one's own says it as its attribute `layout`."""

    weight: str  # name of the parameter
    class_major: bool = True  # [C*K, D], else [D, C*K]
    counts: tuple[str, ...] = ()  # attributes with the number of classes
    centres: str | None = None  # attribute with K, the weights a class
    unit: bool = True  # whether it compares directions only


LAYOUTS: dict[type[nn.Module], Layout] = {
    losses.NormalizedSoftmaxLoss: Layout("W", class_major=False),
    losses.CosFaceLoss: Layout("W", False, ("num_classes",)),
    losses.ArcFaceLoss: Layout("W", False, ("num_classes",)),
    losses.SphereFaceLoss: Layout("W", False, ("num_classes",)),
    losses.LargeMarginSoftmaxLoss: Layout(
        "W", class_major=False, counts=("num_classes",), unit=False
    ),
    losses.SubCenterArcFaceLoss: Layout("W", False, ("num_classes",), centres="sub_centers"),
    losses.SoftTripleLoss: Layout("fc", False, ("num_classes",), centres="centers_per_class"),
    losses.ProxyNCALoss: Layout("proxies", counts=("proxy_labels",)),
    losses.ProxyAnchorLoss: Layout("proxies", counts=("num_classes",)),
}


def layout_of(loss: nn.Module) -> Layout:
    """Where `loss` has its class weights.

    Raises:
        UsageError: a loss without class weights, or one that is not known.
    """
    if isinstance(own := getattr(loss, "layout", None), Layout):
        return own
    for kind in type(loss).__mro__:
        if kind in LAYOUTS:
            return LAYOUTS[kind]
    known = ", ".join(kind.__name__ for kind in LAYOUTS)
    raise UsageError(
        f"{type(loss).__name__} is no loss with class weights; known are {known}, "
        "those of make_loss, and any with an attribute `layout`"
    )


class ProxyLoss(nn.Module):
    """A loss with class weights, given an embedding [B, D] and a label (int64, 0..C-1) a row.

    It computes in float32 (float64 where something is), whatever autocast says: one batch in half
    precision would turn the weights of pytorch-metric-learning's losses into halves for good.
    """

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss, self.layout = loss, layout_of(loss)
        self.centres: int = getattr(loss, self.layout.centres) if self.layout.centres else 1

    @property
    def weight(self) -> Tensor:
        """The class weights [C*K, D], class by class; gradients reach the parameter."""
        weight = cast(Tensor, getattr(self.loss, self.layout.weight))
        return weight if self.layout.class_major else weight.t()

    @property
    def classes(self) -> int:
        """Number of classes, C."""
        return len(self.weight) // self.centres

    def forward(self, embeddings: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
        """The loss, a scalar.

        Args:
            weights: [C'*K, D] to use instead of the loss's own; C' may be another number.

        Raises:
            ValueError: labels that are no integers, or not those of a class.
            VretrError: an embedding is not finite.
        """
        with full_precision(embeddings):
            return self.evaluate(self.start(embeddings, labels, weights))

    def start(self, embeddings: Tensor, labels: Tensor, weights: Tensor | None = None) -> Rows:
        """The batch as the rows to begin with, checked and in full precision."""
        weights = self.weight if weights is None else weights
        if embeddings.ndim != 2 or embeddings.shape[1] != weights.shape[1]:
            raise ValueError(
                f"embeddings have the shape {tuple(embeddings.shape)}, "
                f"but must be [batch, {weights.shape[1]}]"
            )
        _check(embeddings, labels, len(weights) // self.centres)
        kind = torch.promote_types(embeddings.dtype, weights.dtype)
        kind = torch.promote_types(kind, torch.float32)
        labels = labels.to(embeddings.device, torch.int64)
        weights = weights.to(embeddings.device, kind)
        return Rows(embeddings.to(kind), labels, weights, len(embeddings), len(weights))

    def directions(self, rows: Rows) -> Rows:
        """The rows with embeddings of length 1, if this loss compares directions."""
        return replace(rows, embeddings=unit(rows.embeddings)) if self.layout.unit else rows

    def expand(self, rows: Rows) -> Rows:
        """The same rows: nothing stands in front of this loss."""
        return rows

    def evaluate(self, rows: Rows) -> Tensor:
        """The unchanged loss over all rows and all classes."""
        classes = len(rows.weights) // self.centres
        weights = rows.weights if self.layout.class_major else rows.weights.t()
        counts: dict[str, Any] = dict.fromkeys(self.layout.counts, classes)
        if "proxy_labels" in counts:
            counts["proxy_labels"] = torch.arange(classes, device=rows.labels.device)
        with ExitStack() as changes:
            changes.enter_context(_changed(self.loss, **counts))
            distance = getattr(self.loss, "distance", None)
            if rows.remembered_weights and type(distance) in (
                CosineSimilarity,
                DotProductSimilarity,
            ):
                changes.enter_context(_changed(distance, compute_mat=product_of(rows)))
            return functional_call(
                self.loss, {self.layout.weight: weights}, (rows.embeddings, rows.labels)
            )


def unit(rows: Tensor) -> Tensor:
    """Rows of length 1; a row of zeros stays one."""
    return F.normalize(rows, dim=-1)


@contextmanager
def full_precision(embeddings: Tensor) -> Iterator[None]:
    """Autocast off on the device of the embeddings."""
    with torch.autocast(embeddings.device.type, enabled=False):
        yield


def check_labels(labels: Tensor, classes: int) -> None:
    """Makes sure, once for a data set, that its labels are exactly 0..classes-1.

    Raises:
        ValueError: they are not.
    """
    _check(torch.zeros(len(labels), 1), labels, classes)
    if (found := len(labels.unique())) != classes:
        raise ValueError(
            f"only {found} of the classes 0..{classes - 1} have a sample: number the classes "
            "without gaps (numpy.unique(labels, return_inverse=True))"
        )


def _check(embeddings: Tensor, labels: Tensor, classes: int) -> None:
    if labels.ndim != 1 or labels.is_floating_point() or labels.dtype == torch.bool:
        raise ValueError(
            f"labels must be one integer a sample, not {labels.dtype} of shape "
            f"{tuple(labels.shape)}"
        )
    if len(embeddings) != len(labels):
        raise ValueError(f"there are {len(embeddings)} embeddings but {len(labels)} labels")
    if not len(labels):
        raise ValueError("there is no sample in the batch")
    low, high = labels.aminmax()
    finite = embeddings.sum(dtype=torch.float32).isfinite()
    if finite & ((low >= 0) & (high < classes)).to(finite.device):  # waits for the device once
        return
    if low < 0 or high >= classes:
        raise ValueError(
            f"labels go from {int(low)} to {int(high)}, but the classes are 0..{classes - 1}: "
            "number them without gaps (numpy.unique(labels, return_inverse=True))"
        )
    if bad := int((~embeddings.isfinite().all(1)).sum()):  # the sum alone may be too large
        raise VretrError(
            f"{bad} of {len(embeddings)} embeddings are not finite (NaN or infinite): "
            "a lower learning rate or full precision may help"
        )


@contextmanager
def _changed(target: Any, **values: Any) -> Iterator[None]:
    """Sets attributes of the instance and puts back what was there, whatever happens."""
    before = {name: vars(target)[name] for name in values if name in vars(target)}
    try:
        for name, value in values.items():
            setattr(target, name, value)
        yield
    finally:
        for name in values:
            if name in before:
                setattr(target, name, before[name])
            elif name in vars(target):
                delattr(target, name)
