"""The paper's figures, to stand beside ours (Gu et al. 2024).

FashionIQ's and CIRR's recall are from a public table that quotes the paper; the subset of CIRR,
CIRCO and GeneCIS are from memory. The ViT-G means of FashionIQ that are printed (39.02 / 51.71) are
not those of their columns and are left out.
"""

from collections.abc import Mapping

Rows = Mapping[str, Mapping[str, float]]

_CIRR = ("recall@1", "recall@5", "recall@10", "recall@50")
_SUBSET = tuple(f"subset_recall@{k}" for k in (1, 2, 3))
_CIRCO = tuple(f"map@{k}" for k in (5, 10, 25, 50))
_CATEGORIES = tuple(
    f"{category}_{name}"
    for category in ("shirt", "dress", "toptee")
    for name in ("recall@10", "recall@50")
)


def _row(names: tuple[str, ...], *percent: float) -> dict[str, float]:
    return {name: round(value / 100, 6) for name, value in zip(names, percent, strict=True)}


# Data set -> (what it was measured on, backbone -> figures).
FIGURES: dict[str, tuple[str, dict[str, dict[str, float]]]] = {
    "cirr": (
        "test",
        {
            "ViT-L": _row((*_CIRR, *_SUBSET), 18.24, 53.14, 70.82, 90.25, 57.42, 77.10, 87.90),
            "ViT-G": _row((*_CIRR, *_SUBSET), 26.71, 55.14, 74.52, 92.01, 64.54, 82.39, 91.81),
        },
    ),
    "circo": (
        "test",
        {
            "ViT-L": _row(_CIRCO, 12.55, 13.36, 15.83, 16.43),
            "ViT-G": _row(_CIRCO, 15.33, 17.71, 19.45, 21.01),
        },
    ),
    "fashioniq": (
        "val",
        {
            "ViT-L": _row(("recall@10", "recall@50"), 36.02, 48.64)
            | _row(_CATEGORIES, 37.69, 49.08, 32.24, 46.27, 38.12, 50.57),
            "ViT-G": _row(_CATEGORIES, 41.31, 55.17, 37.78, 49.10, 44.26, 56.41),
        },
    ),
    "genecis": (
        "test",
        {"ViT-L": _row(("recall@1",), 14.9), "ViT-G": _row(("recall@1",), 15.5)},
    ),
}


def rows(dataset: str, encoder: str) -> Rows:
    """The row of a data set for a backbone, named with the split; ViT-L's for any other one."""
    if dataset not in FIGURES:
        return {}
    split, figures = FIGURES[dataset]
    backbone = encoder if encoder in figures else "ViT-L"
    return {f"CompoDiff, {backbone}, {split}": figures[backbone]}
