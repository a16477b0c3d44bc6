"""The paper's figures, to stand beside ours (Gu et al. 2024, and the authors' word on GitHub)."""

from collections.abc import Mapping

Rows = Mapping[str, Mapping[str, float]]

_CIRR = ("recall@1", "recall@5", "recall@10")
_SUBSET = tuple(f"subset_recall@{k}" for k in (1, 2, 3))
_CIRCO = tuple(f"map@{k}" for k in (5, 10, 25, 50))
_FASHIONIQ = ("recall@10", "recall@50")
_CATEGORIES = tuple(f"{c}_{name}" for c in ("shirt", "dress", "toptee") for name in _FASHIONIQ)
_GENECIS = tuple(
    f"{task}_recall@{k}"
    for task in ("focus_attribute", "change_attribute", "focus_object", "change_object")
    for k in (1, 2, 3)
)


def _row(names: tuple[str, ...], *percent: float) -> dict[str, float]:
    return {name: round(value / 100, 6) for name, value in zip(names, percent, strict=True)}


# Data set -> (what it was measured on, backbone -> figures). Of L there are two φ: the paper's, and
# the one that was released.
RELEASED = "ViT-L, released φ"
FIGURES: dict[str, tuple[str, dict[str, dict[str, float]]]] = {
    "cirr": (
        "test",
        {
            "ViT-L": _row((*_CIRR, *_SUBSET), 25.04, 53.25, 66.68, 57.11, 77.37, 88.89),
            RELEASED: _row((*_CIRR, *_SUBSET), 25.40, 53.30, 67.04, 56.24, 76.94, 88.58),
            "ViT-H": _row((*_CIRR, *_SUBSET), 33.83, 63.52, 75.35, 62.43, 81.47, 92.12),
            "ViT-G": _row((*_CIRR, *_SUBSET), 35.25, 64.72, 76.05, 63.35, 82.22, 91.98),
        },
    ),
    "circo": (
        "test",
        {
            "ViT-L": _row(_CIRCO, 12.59, 13.58, 15.00, 15.85),
            RELEASED: _row(_CIRCO, 12.75, 13.63, 14.99, 15.90),
            "ViT-H": _row(_CIRCO, 17.6, 18.5, 20.5, 21.4),
            "ViT-G": _row(_CIRCO, 19.71, 21.01, 23.13, 24.18),
        },
    ),
    "fashioniq": (
        "val",
        {
            "ViT-L": _row(_FASHIONIQ, 26.28, 46.49)
            | _row(_CATEGORIES, 29.10, 46.81, 20.92, 42.44, 28.81, 50.18),
            RELEASED: _row(_FASHIONIQ, 26.10, 46.25)
            | _row(_CATEGORIES, 28.66, 47.11, 20.67, 42.34, 28.96, 49.31),
            "ViT-H": _row(_FASHIONIQ, 36.26, 57.46)
            | _row(_CATEGORIES, 36.90, 57.75, 29.80, 52.11, 42.07, 62.52),
            "ViT-G": _row(_FASHIONIQ, 45.11, 65.69)
            | _row(_CATEGORIES, 46.76, 65.11, 38.08, 60.88, 50.48, 71.09),
        },
    ),
    "genecis": (
        "test",
        {
            "ViT-L": _row(("recall@1",), 12.19)
            | _row(
                _GENECIS,
                *(16.90, 29.95, 41.45, 16.19, 27.98, 36.84),
                *(8.27, 17.40, 26.22, 7.40, 15.71, 25.00),
            ),
            "ViT-G": _row(("recall@1",), 13.66)
            | _row(
                _GENECIS,
                *(19.05, 33.00, 42.30, 17.57, 30.16, 38.07),
                *(10.1, 19.1, 28.1, 7.9, 16.3, 25.7),
            ),
        },
    ),
}


def rows(dataset: str, encoder: str) -> Rows:
    """The rows of a data set for a backbone, named with the split; ViT-L's for any other one."""
    if dataset not in FIGURES:
        return {}
    split, figures = FIGURES[dataset]
    backbone = encoder if encoder in figures else "ViT-L"
    chosen = [name for name in figures if name.partition(",")[0] == backbone]
    return {f"LinCIR, {name}, {split}": figures[name] for name in chosen}
