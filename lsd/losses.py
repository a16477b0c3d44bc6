"""M-LSD's losses on maps of logits, each in float32.

Section 3.5 of the paper. Targets may be soft: a teacher's maps are targets as any other.
"""

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from lsd.targets import SOL, TP, Target

LAMBDAS = {"centre": (1.0, 30.0), "junction": (1.0, 30.0), "line": (1.0, 1.0)}
"""Of cells that are one and of cells that are none."""
MATCHED = 5.0  # cells; the paper's γ is in pixels, of which map it does not say
PREDICTIONS = 200  # points of highest score that the matching loss looks at


PARTS = (  # the output's channels in their order, by the names of the losses on them
    *("sol_centre", "line", "junction", "sol_displacement", "centre", "displacement"),
    *("length", "degree", "sol_length", "sol_degree"),
)


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """How much each part counts; a part that counts 0 is not computed."""

    centre: float = 10.0
    displacement: float = 1.0
    matching: float = 1.0
    length: float = 1.0
    degree: float = 1.0
    line: float = 1.0
    junction: float = 1.0
    sol_centre: float = 1.0
    sol_displacement: float = 1.0
    sol_matching: float = 1.0
    sol_length: float = 1.0
    sol_degree: float = 1.0

    def __post_init__(self) -> None:
        """Raises ValueError for weights with which nothing is learnt."""
        values = asdict(self)
        if any(not 0 <= value < math.inf for value in values.values()) or not any(values.values()):
            raise ValueError(
                f"weights of losses are {values}, but must be 0 or more, and one at least more"
            )


def losses(logits: Tensor, wanted: Target, weights: LossWeights) -> dict[str, Tensor]:
    """Each part that counts, by its name in `LossWeights`, and "loss", their weighted sum.

    Args:
        logits: [B, 16, H, W], of the network.
        wanted: of these B pictures together (`data.collate`).
    """
    found, true = _parts(logits.float()), _parts(wanted.maps.float())

    def part(name: str) -> Tensor:
        kind = name.removeprefix("sol_")
        sol = name != kind
        if kind == "matching":
            head = "sol_" if sol else ""
            lines = wanted.segments if sol else wanted.lines
            return matching(found[f"{head}centre"], found[f"{head}displacement"], lines)
        if kind in LAMBDAS:
            return entropy(found[name], true[name], LAMBDAS[kind])
        regression = {"displacement": displacement, "length": length, "degree": degree}[kind]
        return regression(found[name], true[name], wanted.weight[:, SOL if sol else TP].float())

    counted = {name: value for name, value in asdict(weights).items() if value}
    parts = {name: part(name) for name in counted}
    total = torch.stack([counted[name] * loss for name, loss in parts.items()]).sum()
    return {"loss": total, **parts}


def _parts(maps: Tensor) -> dict[str, Tensor]:
    """[B, 16, H, W] -> [B, H, W], or [B, 4, H, W] of displacements, by name. Split all at once:
    the gradient of each slice by itself would be another full map."""
    pieces = maps.split([4 if "displacement" in name else 1 for name in PARTS], dim=1)
    return {name: x if x.shape[1] > 1 else x[:, 0] for name, x in zip(PARTS, pieces, strict=True)}


def entropy(z: Tensor, target: Tensor, lambdas: tuple[float, float]) -> Tensor:
    """Weighted binary cross entropy: the mean over what is wanted and over what is not, apart.

    λ₊ Σ t·softplus(-z) / Σ t + λ₋ Σ (1-t)·softplus(z) / Σ (1-t), over the whole batch; for t of
    0 and 1 the paper's. Without any t > 0 its first half is 0.

    Args:
        z: logits, of any shape.
        target: the same shape, probabilities t.
        lambdas: λ₊ and λ₋.
    """
    absent = F.softplus(z)
    present = absent - z  # softplus(-z)
    positive = _mean(present, target)
    negative = _mean(absent, 1 - target)
    return lambdas[0] * positive + lambdas[1] * negative


def displacement(found: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Smooth L1 summed over the four numbers, in the better order of the ends, cell by cell.

    Args:
        found, target: [B, 4, H, W] in cells.
        weight: [B, H, W], how much a cell counts in the mean.
    """
    cells = weight > 0
    found, target = (x.permute(0, 2, 3, 1)[cells] for x in (found, target))
    ways = [
        F.smooth_l1_loss(found, ends, reduction="none").sum(dim=1)
        for ends in (target, target.roll(2, dims=1))
    ]
    return _mean(torch.minimum(*ways), weight[cells])


def length(z: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Smooth L1 of the sigmoid [B, H, W], as a weighted mean."""
    cells = weight > 0
    found = z[cells].sigmoid()
    return _mean(F.smooth_l1_loss(found, target[cells], reduction="none"), weight[cells])


def degree(z: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """The same for angles: half a turn more or less is the same line, so 0.25 equals 0.75."""
    cells = weight > 0
    difference = z[cells].sigmoid() - target[cells]
    difference = torch.remainder(difference + 0.25, 0.5) - 0.25
    size = F.smooth_l1_loss(difference, torch.zeros_like(difference), reduction="none")
    return _mean(size, weight[cells])


def matching(z: Tensor, displacement: Tensor, lines: Tensor) -> Tensor:
    """How far found lines lie from the true ones that they are nearest to: the ends' and the
    centre's distances |Δx| + |Δy| in cells, as a mean over the lines that match.

    A found line matches if both its ends are within `MATCHED` cells of the true ones. It has the
    better order of ends, and its centre is the mean place of the 3x3 cells around it, by their
    probabilities, so that the centre learns too. 0 if no line matches.

    Args:
        z: [B, H, W], logits of centres.
        displacement: [B, 4, H, W] in cells.
        lines: [B, N, 4] in cells, padded with NaN.
    """
    if lines.shape[-2] == 0:
        return z[:0].sum()
    ends, centres, peak = _decoded(z, displacement)
    ways = torch.stack([lines, lines.roll(2, dims=-1)], dim=2).flatten(1, 2)  # [B, 2N, 4]
    with torch.no_grad():
        away = (ends[:, :, None] - ways[:, None]).unflatten(-1, (2, 2)).norm(dim=-1).amax(dim=-1)
        away, nearest = away.nan_to_num(torch.inf).min(dim=2)  # [B, K]
        matched = peak & (away < MATCHED)
    true = ways.gather(1, nearest[..., None].expand(-1, -1, 4))[matched]
    off = (ends[matched] - true).abs().sum(dim=1)
    middle = (true[:, :2] + true[:, 2:]) / 2
    off = off + (centres[matched] - middle).abs().sum(dim=1)
    return _mean(off, torch.ones_like(off))


def _decoded(z: Tensor, displacement: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The ends [B, K, 4] and centres [B, K, 2], in cells, of the K peaks of highest score; and
    which of them [B, K] are peaks, for a picture may have fewer."""
    width = z.shape[-1]
    with torch.no_grad():
        highest = F.max_pool2d(z[:, None], 3, stride=1, padding=1)[:, 0]
        peaks = z.masked_fill(z < highest, -torch.inf).flatten(1)
        scores, places = peaks.topk(min(PREDICTIONS, peaks.shape[1]), dim=1)  # [B, K]
        x, y = places % width, places // width
    cells = torch.stack([x, y], dim=2).to(z)
    moved = displacement.flatten(2).gather(2, places[:, None].expand(-1, 4, -1)).mT
    # logsigmoid: the share of a cell is its probability among the nine, 0 beyond the border.
    around = F.pad(F.logsigmoid(z), (1, 1, 1, 1), value=-torch.inf)
    steps = [(dx, dy) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    batch = torch.arange(len(z), device=z.device)[:, None]
    nine = torch.stack([around[batch, y + 1 + dy, x + 1 + dx] for dx, dy in steps], dim=2)
    share = nine.softmax(dim=2)[..., None]
    offsets = (share * torch.tensor(steps, device=z.device)).sum(dim=2)
    return cells.repeat(1, 1, 2) + moved, cells + offsets, scores.isfinite()


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    """Weighted; 0, with a gradient of 0, where nothing has weight."""
    return (values * weight).sum() / weight.sum().clamp(min=torch.finfo(torch.float32).tiny)
