"""The proxy losses by name, each over one table of class weights."""

import difflib
import math
from typing import Any

import torch
from pytorch_metric_learning import losses
from pytorch_metric_learning.distances import CosineSimilarity, DotProductSimilarity
from torch import Tensor, nn
from torch.nn import functional as F

from metric.loss_names import LOSSES
from metric.proxies import Layout, ProxyLoss, unit
from vretr.errors import UsageError

NEARLY_ONE = 1 - 1e-7  # the gradient of acos is infinite at 1


def make_loss(name: str, classes: int, dim: int, **options: float) -> ProxyLoss:
    """The loss `name` over `classes` class weights of length `dim`.

    Args:
        options: those of `LOSSES[name]`, such as `scale` and `margin`.

    Raises:
        UsageError: an unknown loss or option, or a value with which there is no such loss.
    """
    if name not in LOSSES:
        near = difflib.get_close_matches(name, LOSSES, 1)
        hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(LOSSES)}"
        raise UsageError(f"there is no loss {name!r}{hint}")
    known = LOSSES[name].options
    if unknown := sorted(set(options) - set(known)):
        of = f"has only {', '.join(known)}" if known else "has no options"
        raise UsageError(f"the loss {name} {of}, not {', '.join(unknown)}")
    if classes < 1 or dim < 1:
        raise UsageError(f"{classes} classes of {dim} numbers: both must be at least 1")
    values = {**known, **options}
    for option, value in values.items():
        lowest = "0 or more" if option in ("margin", "tau") else "above 0"
        if not math.isfinite(value) or value < 0 or (value == 0 and lowest == "above 0"):
            raise UsageError(f"{option} of the loss {name} is {value}, but must be {lowest}")
    for option in {"centres"} | ({"margin"} if name == "sphereface" else set()):
        if option in values and (values[option] < 1 or values[option] != int(values[option])):
            raise UsageError(f"{option} of the loss {name} must be a whole number from 1")
    return ProxyLoss(_made(name, classes, dim, **values))


def _made(
    name: str,
    classes: int,
    dim: int,
    *,
    scale: float = 1,
    margin: float = 0,
    gamma: float = 1,
    centres: float = 1,
    tau: float = 0,
) -> nn.Module:
    size: dict[str, Any] = {"num_classes": classes, "embedding_size": dim}
    size["weight_init_func"] = _uniform
    match name:
        case "softmax":
            return Softmax(classes, dim)
        case "norm-softmax":
            return NormSoftmax(temperature=1 / scale, **size)
        case "cosface":
            return CosFace(margin=margin, scale=scale, **size)
        case "arcface":
            return ArcFace(margin=math.degrees(margin), scale=scale, **size)
        case "sphereface":
            return SphereFace(margin=int(margin), scale=scale, **size)
        case "softtriple":
            return SoftTriple(
                tau, centers_per_class=int(centres), la=scale, gamma=gamma, margin=margin, **size
            )
        case "proxy-nca":
            return ProxyNCA(softmax_scale=scale, **size | {"weight_init_func": _normal})
        case "proxy-anchor":
            size["weight_init_func"] = _normal
            return losses.ProxyAnchorLoss(margin=margin, alpha=scale, **size)
    return Circle(classes, dim, margin=margin, scale=scale)


def _uniform(weight: Tensor) -> None:
    """He's initialisation for the inputs' number, as both papers start; weight is [D, C]."""
    nn.init.kaiming_uniform_(weight.t(), a=math.sqrt(5))


def _normal(weight: Tensor) -> None:
    """He's initialisation for the classes' number; weight is [C, D]."""
    nn.init.kaiming_normal_(weight, mode="fan_out")


class Softmax(nn.Module):
    """Plain softmax: cross entropy over inner products, nothing normalised and no bias."""

    layout = Layout("weight", unit=False)

    def __init__(self, classes: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, dim))
        self.distance = DotProductSimilarity(normalize_embeddings=False)
        _uniform(self.weight.t())

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(self.distance(embeddings, self.weight), labels)


class Circle(nn.Module):
    """Circle loss over classes (Sun et al. 2020, CVPR, eq. 7), the mean over all rows.

    Of one's own, as CircleLoss averages over the rows whose loss is not 0 alone, and lists every
    pair of row and class.
    """

    layout = Layout("weight")

    def __init__(self, classes: int, dim: int, *, margin: float, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, dim))
        self.margin, self.scale = margin, scale
        self.distance = CosineSimilarity()
        _uniform(self.weight.t())

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        cosines, right = self.distance(embeddings, self.weight), labels[:, None]
        lacking = (cosines.detach() + self.margin).relu()
        others = (self.scale * lacking * (cosines - self.margin)).scatter(1, right, -math.inf)
        own = cosines.gather(1, right)[:, 0]
        lacking = (1 + self.margin - own.detach()).relu()
        own = -self.scale * lacking * (own - (1 - self.margin))
        return F.softplus(own + others.logsumexp(1)).mean()


class NormSoftmax(losses.NormalizedSoftmaxLoss):
    """Normalised softmax that scales the embeddings, not the many more logits."""

    def get_logits(self, embeddings: Tensor) -> Tensor:
        scaled = unit(embeddings) / self.temperature
        return self.distance.compute_mat(scaled, unit(self.W.t()))


class ProxyNCA(losses.ProxyNCALoss):
    """Proxy-NCA with the positive in the denominator, as log-softmax: no row is dropped because
    its probability is too small for the number format."""

    def get_default_distance(self) -> CosineSimilarity:
        return CosineSimilarity()

    def nca_computation(self, query: Tensor, reference: Tensor, labels: Tensor, *_: Any) -> dict:
        # -s |q - r|^2 = 2 s q·r - 2 s of unit vectors, and softmax does not see the constant.
        scaled = 2 * self.softmax_scale * unit(query)
        return _of_rows(self.distance.compute_mat(scaled, unit(reference)), labels)


class Margins:
    """The losses with a margin, without their masks as large as the logits. No miner."""

    def compute_loss(self: Any, embeddings: Tensor, labels: Tensor, *_: Any) -> dict:
        cosines, right = self.get_cosine(embeddings), labels[:, None]
        moved = self.modify_cosine_of_target_classes(cosines.gather(1, right)[:, 0])
        cosines = cosines.scatter(1, right, moved[:, None])
        return _of_rows(self.scale_logits(cosines, embeddings), labels)


class CosFace(Margins, losses.CosFaceLoss):
    """CosFace."""


class ArcFace(Margins, losses.ArcFaceLoss):
    """ArcFace whose gradient is finite where an embedding lies on its class's weight."""

    def get_angles(self, cosine_of_target_classes: Tensor) -> Tensor:
        angles = cosine_of_target_classes.clamp(-NEARLY_ONE, NEARLY_ONE).acos()
        exact = cosine_of_target_classes.detach().clamp(-1, 1).acos()
        return angles + (exact - angles.detach())


class SphereFace(Margins, losses.SphereFaceLoss):
    """SphereFace whose binomials are made by Python: SciPy's, of tensors, warn with NumPy 2."""

    def init_margin(self) -> None:
        half = range(int(self.margin) // 2 + 1)
        self.n_range = torch.tensor([*half])
        self.margin_choose_n = torch.tensor([math.comb(self.margin, 2 * n) for n in half])
        self.cos_powers = torch.tensor([self.margin - 2 * n for n in half])
        self.alternating = torch.tensor([(-1) ** n for n in half])


def _of_rows(logits: Tensor, labels: Tensor) -> dict:
    """Cross entropy of each row, as pytorch-metric-learning's reducers take it."""
    rows = torch.arange(len(logits), device=logits.device)
    found = F.cross_entropy(logits, labels, reduction="none")
    return {"loss": {"losses": found, "indices": rows, "reduction_type": "element"}}


class SoftTriple(losses.SoftTripleLoss):
    """SoftTriple with its authors' term that draws the centres of one class together.

    The term is of the real classes alone: sum over pairs of a class's centres of
    √(2 + 1e-5 - 2 w·w'), divided by C K (K - 1), times tau.
    """

    def __init__(self, tau: float, **options: Any) -> None:
        super().__init__(**options)
        self.tau, self.real_classes = tau, self.num_classes

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        loss = super().forward(embeddings, labels)
        many = self.centers_per_class
        if self.tau == 0 or many == 1:
            return loss
        centres = self.fc.t()[: self.real_classes * many].reshape(self.real_classes, many, -1)
        centres = unit(centres)
        first, second = torch.triu_indices(many, many, 1, device=centres.device)
        cosines = (centres @ centres.transpose(1, 2))[:, first, second]
        spread = (2 + 1e-5 - 2 * cosines).clamp(min=1e-12).sqrt().sum()
        return loss + self.tau * spread / (self.real_classes * many * (many - 1))
