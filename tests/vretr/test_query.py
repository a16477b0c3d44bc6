"""What may be asked."""

from pathlib import Path

import pytest

from vretr.errors import UsageError
from vretr.query import Query


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"text": [""]},
        {"text": ["\udcff"]},
        {"not_text": ["a", " "]},
        {"text": ["a"], "k": 0},
        {"text": ["a"], "min_score": float("nan")},
        {"text": ["a", "b"], "text_weight": [1]},
        {"text": ["a"], "text_weight": [0]},
        {"text": ["a"], "text_weight": [float("inf")]},
        {"text": ["a"], "image_weight": [1]},
    ],
)
def test_what_is_no_query(fields: dict) -> None:
    with pytest.raises(UsageError):
        Query(**fields)


@pytest.mark.parametrize("fields", [{"text": "red"}, {"image": Path("cat.jpg")}])
def test_one_term_where_a_list_belongs(fields: dict) -> None:
    with pytest.raises(TypeError, match="takes a list"):
        Query(**fields)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"text": ["a"], "mask_box": (0, 0, 1, 1)}, "there are 0: give one --image"),
        ({"image": [Path("a")] * 2, "mask": Path("m")}, "there are 2"),
        ({"image": [Path("a")], "mask": Path("m"), "mask_box": (0, 0, 1, 1)}, "not both"),
        ({"image": [Path("a")], "mask_box": (0, 0, 0, 1)}, "left,top,width,height"),
        ({"image": [Path("a")], "mask_box": (0, 0, 1)}, "left,top,width,height"),
    ],
)
def test_what_is_no_masked_query(fields: dict, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        Query(**fields)
