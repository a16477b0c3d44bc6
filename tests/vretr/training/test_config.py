import subprocess
import sys
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vretr.training.config import TrainConfig, from_toml, from_values, to_toml


@dataclass(frozen=True, kw_only=True)
class Many(TrainConfig):
    """One field of each type that a config may have."""

    text: Annotated[str, "A text."] = "plain"
    maybe: Annotated[float | None, "Perhaps a number."] = None
    span: Annotated[tuple[float, float], "Two numbers."] = (0.5, 1.0)
    sizes: Annotated[tuple[int, ...], "Numbers."] = ()
    places: Annotated[list[Path], "Paths."] = field(default_factory=list)
    shape: Annotated[Literal["round", "square"], "A choice."] = "round"
    loud: Annotated[bool, "A switch."] = False


@pytest.mark.parametrize(
    "config",
    [
        TrainConfig(),
        Many(),
        Many(
            out=Path("a b/ü'\"\\.run"),
            text='"""\n\t#= [x]\r\x00\x7f\x1b 안녕 😀 \\u0041',
            maybe=1e-30,
        ),
        Many(span=(1e300, -0.0), sizes=(3, 1, 2), places=[Path("x"), Path("/y z")], loud=True),
        Many(maybe=2.0, shape="square", lr=1e-5, clip=1e16),
    ],
)
def test_toml_round_trip(config: TrainConfig) -> None:
    again = from_toml(to_toml(config), type(config))
    assert again == config
    for one in fields(config):
        assert type(getattr(again, one.name)) is type(getattr(config, one.name))


no_surrogates = st.text(st.characters(exclude_categories=["Cs"]))


@given(text=no_surrogates, maybe=st.none() | st.floats(allow_nan=False), loud=st.booleans())
def test_any_text_and_number_comes_back(text: str, maybe: float | None, loud: bool) -> None:
    config = Many(text=text, maybe=maybe, loud=loud)
    assert from_toml(to_toml(config), Many) == config


def test_toml_is_plain() -> None:
    values = tomllib.loads(to_toml(Many(out=Path("x")), leave_out=frozenset({"out"})))
    assert "out" not in values  # left out on request
    assert "maybe" not in values  # None
    assert values["span"] == [0.5, 1.0]
    assert values["lr"] == 0.001


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colour = 1", "colour: no field"),
        ("steps = 'many'", "steps is 'many', but must be of type int"),
        ("steps = 1.5", "must be of type int"),
        ("steps = true", "must be of type int"),
        ("span = [1.0]", "span has 1 values, but takes 2"),
        ("text = 3", "must be of type str"),
        ("shape = 'oval'", "must be one of round, square"),
        ("places = 'x'", "places is 'x'"),
    ],
)
def test_values_that_do_not_fit_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_toml(text, Many)


def test_an_integer_serves_as_float() -> None:
    config = from_toml("lr = 1\nmaybe = 2", Many)
    assert (type(config.lr), type(config.maybe)) == (float, float)


def test_plain_values_make_a_config() -> None:
    assert from_values({"sizes": [1, 2], "out": "x"}, Many) == Many(sizes=(1, 2), out=Path("x"))


@pytest.mark.parametrize(
    "values",
    [
        {"steps": 0}, {"batch_size": 0}, {"lr": 0.0}, {"lr": -1.0}, {"lr": float("nan")},
        {"lr": float("inf")}, {"ema": 1.0}, {"ema": -0.1}, {"warmup": -1}, {"clip": -1.0},
        {"clip": float("nan")}, {"weight_decay": -0.1}, {"workers": -1}, {"threads": -1},
        {"seed": -1}, {"validate_every": 0}, {"save_every": 0}, {"device": "gpu"},
        {"precision": "int8"}, {"schedule": "step"}, {"resume": True},
    ],
)  # fmt: skip
def test_impossible_values_are_refused_by_name(values: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        TrainConfig(**values)


def test_importing_it_needs_no_torch() -> None:
    code = (
        "import sys, vretr.training, vretr.training.config, vretr.training.run, vretr.report\n"
        "heavy = {'torch', 'accelerate', 'timm', 'matplotlib', 'jinja2', 'rich', 'safetensors'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
