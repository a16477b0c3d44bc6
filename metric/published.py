"""The papers' figures, to stand beside ours: with BN-Inception, 512 numbers, 224 pixels.

Recall@1 of the whole table by loss (Gu et al. 2021, AAAI, table 6; Ko et al. 2021, ICCV, table 4),
and for CARS196 the means of 8 and 5 trainings that the authors' repositories give. Both chose the
step on the test classes. Proxy Anchor was trained with other settings, and the two papers differ in
what they give for the plain losses: rows of one paper belong together.
"""

from collections.abc import Mapping

Rows = Mapping[str, Mapping[str, float]]
Pair = tuple[float, float]  # without, with

SETS = ("cub", "cars", "sop", "inshop")

# Loss -> Recall@1 in percent by set.
SYNTHESIS: Mapping[str, tuple[Pair, ...]] = {
    "softmax": ((64.2, 64.9), (81.5, 84.3), (76.3, 77.6), (90.4, 90.9)),
    "norm-softmax": ((64.9, 66.0), (83.3, 84.7), (78.6, 79.6), (90.4, 91.5)),
    "sphereface": ((65.4, 66.6), (83.6, 85.1), (78.9, 79.4), (90.3, 91.6)),
    "cosface": ((65.7, 66.6), (83.6, 84.6), (78.6, 79.3), (90.7, 91.4)),
    "arcface": ((66.1, 66.8), (83.7, 84.7), (78.8, 79.7), (91.0, 91.7)),
    "proxy-nca": ((65.1, 66.4), (83.7, 84.5), (78.1, 79.1), (90.0, 91.4)),
    "softtriple": ((65.4, 66.6), (84.5, 85.3), (78.3, 79.5), (91.1, 91.8)),
    "proxy-anchor": ((68.4, 69.2), (86.1, 86.9), (79.1, 79.8), (91.5, 91.9)),
}
MEMVIR: Mapping[str, tuple[Pair, ...]] = {  # without In-Shop
    "softmax": ((64.2, 66.8), (81.5, 86.5), (76.3, 77.8)),
    "norm-softmax": ((64.9, 67.3), (83.3, 86.8), (78.6, 79.6)),
    "cosface": ((65.7, 67.7), (83.6, 86.6), (78.6, 79.7)),
    "arcface": ((66.1, 67.4), (83.7, 86.5), (78.8, 80.0)),
    "proxy-nca": ((64.3, 68.3), (82.0, 86.5), (78.1, 79.2)),
    "proxy-anchor": ((67.7, 69.0), (84.9, 86.7), (78.9, 79.7)),
}

NAMES = ("recall@1", "r_precision", "map@r")

# CARS196: loss -> (without, with), each Recall@1, R-precision, MAP@R in percent.
SYNTHESIS_MEANS = {
    "norm-softmax": ((83.08, 35.23, 24.92), (84.25, 36.76, 26.51)),
    "proxy-nca": ((83.28, 35.70, 25.35), (84.21, 36.66, 26.42)),
}
MEMVIR_MEANS = {
    "norm-softmax": ((83.22, 35.43, 25.19), (86.11, 38.29, 28.46)),
    "proxy-nca": ((83.49, 35.81, 25.45), (86.19, 37.97, 28.17)),
}

PAPERS = (
    ("PS", "AAAI 2021", SYNTHESIS, SYNTHESIS_MEANS, 8),
    ("MemVir", "ICCV 2021", MEMVIR, MEMVIR_MEANS, 5),
)


def rows(dataset: str, loss: str = "norm-softmax") -> Rows:
    """The rows of a set for a loss, named with the paper; none of other sets."""
    found: dict[str, dict[str, float]] = {}
    if dataset not in SETS:
        return found
    place = SETS.index(dataset)
    for name, paper, table, means, times in PAPERS:
        titles = f"{loss} ({paper})", f"{name} + {loss} ({paper})"
        if len(table.get(loss, ())) > place:
            for title, value in zip(titles, table[loss][place], strict=True):
                found[title] = _row(value)
        if dataset == "cars" and loss in means:
            for title, values in zip(titles, means[loss], strict=True):
                found[f"{title[:-1]}, mean of {times})"] = _row(*values)
    return found


def _row(*percent: float) -> dict[str, float]:
    return {name: round(value / 100, 6) for name, value in zip(NAMES, percent, strict=False)}
