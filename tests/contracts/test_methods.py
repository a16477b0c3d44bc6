"""What every registered method must keep, whoever has written it."""

import inspect
import subprocess
import sys
from dataclasses import MISSING, fields, is_dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest

from vretr.methods import Method, Verb, method, methods, thing
from vretr.training.config import TrainConfig, from_toml, to_toml

HEAVY = ("torch", "torchvision", "timm", "open_clip", "faiss", "datasets", "pandas", "matplotlib")


def verbs() -> dict[str, Verb]:
    """Every verb of every method, as "train lite"."""
    found: dict[str, Verb] = {}
    for name, record in methods().items():
        own = {"train": record.train, "eval": record.evaluate, **record.commands}
        found |= {f"{verb} {name}": place for verb, place in own.items() if place}
    return found


VERBS = pytest.mark.parametrize("verb", verbs().values(), ids=verbs().keys())


@pytest.mark.parametrize("point", entry_points(group="vretr.methods"), ids=lambda point: point.name)
def test_the_record_is_there(point) -> None:
    record = point.load()
    assert isinstance(record, Method)
    assert record.name == point.name
    assert record.summary
    assert "\n" not in record.summary
    assert method(point.name) == record
    if record.load is not None:
        assert "device" in inspect.signature(thing(record.load)).parameters
    assert (record.train is None) == (record.load is None), "what can be trained can be loaded"


@VERBS
def test_the_function_takes_its_config_alone(verb: Verb) -> None:
    (parameter,) = inspect.signature(verb.load_function()).parameters.values()
    assert get_type_hints(verb.load_function())[parameter.name] is verb.load_config()


@VERBS
def test_the_config_is_frozen_and_named(verb: Verb) -> None:
    config: Any = verb.load_config()
    assert is_dataclass(config)
    assert config.__dataclass_params__.frozen
    assert all(field.kw_only for field in fields(config))


@VERBS
def test_every_field_says_what_it_is_in_one_sentence(verb: Verb) -> None:
    hints = get_type_hints(verb.load_config(), include_extras=True)
    for field in fields(verb.load_config()):
        hint = hints[field.name]
        assert get_origin(hint) is Annotated, f"{field.name} has no sentence"
        sentence = next((mark for mark in get_args(hint) if isinstance(mark, str)), "")
        assert sentence.endswith("."), f"{field.name}: {sentence!r}"


@VERBS
def test_trainings_share_their_options(verb: Verb, request: pytest.FixtureRequest) -> None:
    trains = request.node.callspec.id.startswith("train ")
    assert issubclass(verb.load_config(), TrainConfig) or not trains


@VERBS
def test_a_config_comes_back_from_toml(verb: Verb) -> None:
    config = verb.load_config()(**required(verb.load_config()))
    assert from_toml(to_toml(config), type(config)) == config


@VERBS
def test_importing_the_config_imports_nothing_heavy(verb: Verb) -> None:
    module = verb.config.partition(":")[0]
    code = f"import sys, {module}; sys.exit(', '.join(set({HEAVY}) & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, f"{module} imports {done.stderr}"


def test_that_check_can_fail() -> None:
    code = f"import sys, torch; sys.exit(', '.join(set({HEAVY}) & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "torch" in done.stderr


def required(config: type) -> dict[str, Any]:
    """Some value for each field that has no default."""
    hints = get_type_hints(config)
    return {
        field.name: example(hints[field.name])
        for field in fields(config)
        if field.default is MISSING and field.default_factory is MISSING
    }


def example(hint: Any) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return arguments[0]
    if origin in (Union, UnionType):
        return example(arguments[0])
    if origin in (list, tuple):
        return origin(example(kind) for kind in arguments if kind is not ...)
    return {Path: Path("x"), str: "triplets:x.jsonl", int: 1, float: 0.5, bool: True}[hint]
