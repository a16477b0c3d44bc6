"""The papers' figures, to stand beside ours: rows by data set.

As later papers' tables quote them, above all that of RANK++LETR (2025); M-LSD-tiny's is in the
repository's README. Tables disagree by up to 2 points on York Urban (L-CNN's sAP10: 26.4, 28.2).
How many lines a picture were counted is not said; with the networks that M-LSD's authors released,
their figures come out at 1,000 lines, not at 200.
"""

from collections.abc import Mapping

Rows = Mapping[str, Mapping[str, float]]

WIREFRAME, YORK = "wireframe", "york-urban"
_NAMES = ("sap5", "sap10", "sap15", "lap")


def _row(*percent: float | None) -> dict[str, float]:
    named = zip(_NAMES, percent, strict=True)
    return {name: round(value / 100, 6) for name, value in named if value is not None}


# M-LSD's rows are at 512 pixels, as the others' but LSD's (320).
FIGURES: dict[str, dict[str, dict[str, float]]] = {
    WIREFRAME: {
        "M-LSD": _row(56.4, 62.1, None, 61.5),
        "M-LSD-tiny": _row(None, 58.0, None, None),
        "LSD": _row(6.7, 8.8, None, 18.7),
        "L-CNN": _row(58.9, 62.8, None, 59.8),
        "TP-LSD": _row(57.6, 57.2, None, 61.3),
        "LETR": _row(59.2, 65.6, None, 65.1),
        "HAWPv2": _row(65.7, 69.7, 71.3, None),
    },
    YORK: {
        "M-LSD": _row(24.6, 27.3, None, 30.7),
        "LSD": _row(7.5, 9.2, None, 16.1),
        "L-CNN": _row(25.9, 28.2, None, 32.0),
        "TP-LSD": _row(27.6, 27.7, None, 34.3),
        "LETR": _row(24.0, 27.6, None, 32.5),
        "HAWPv2": _row(28.8, 31.3, 32.6, None),
    },
}


def rows(dataset: str) -> Rows:
    """The rows of a data set; none of others than the two."""
    return FIGURES.get(dataset, {})
