"""Composer options as typed: NAME=VALUE for the fields of a dataclass."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pytest

from tests.contracts.test_composers import Words
from vretr.composers import load_composer
from vretr.composers.options import known_options, parsed
from vretr.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Options:
    steps: Annotated[int | None, "Steps."] = None
    how_much: Annotated[float, "Share."] = 0.5
    kind: Annotated[Literal["a", "b"], "Kind."] = "a"

    def __post_init__(self) -> None:
        if self.how_much > 1:
            raise ValueError("how_much is above 1")


def test_values_get_their_types() -> None:
    assert parsed(["steps=3", "how-much=1", "kind=b"], Options) == Options(
        steps=3, how_much=1.0, kind="b"
    )
    assert parsed([], Options) == Options()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["step=3"], "no composer option 'step'; did you mean steps"),
        (["steps"], "is NAME=VALUE"),
        (["steps=x"], "steps must be a whole number, not 'x'"),
        (["how_much=x"], "how_much must be a number"),
        (["kind=c"], "kind must be a or b, not 'c'"),
        (["how-much=2"], "how_much is above 1"),
        (["steps=1", "steps=2"], "given twice"),
    ],
)
def test_what_is_no_option(given: list[str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        parsed(given, Options)


def test_who_has_none() -> None:
    for name in ("sum", "image"):
        with pytest.raises(UsageError, match=f"The composer {name} has no options"):
            load_composer(name, Words(), options=["steps=3"])
    with pytest.raises(UsageError, match="The composer lincir has no options"):
        load_composer("lincir", Words(), options=["steps=3"])


def test_completion_knows_those_of_all_methods() -> None:
    assert {"steps=", "guidance-text="} <= {*known_options()}
    assert np.unique([*known_options()]).size == len([*known_options()])
