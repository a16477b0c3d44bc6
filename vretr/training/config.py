"""What every training can be told, and how a config becomes TOML and comes back. No torch."""

import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

# Where a run is and how it is worked off; the rest decides what comes out of it.
PLACE = frozenset({"out", "resume"})
FREE_ON_RESUME = PLACE | {"steps", "device", "workers", "threads", "validate_every", "save_every"}


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Training"""

    out: Annotated[
        Path | None, "Folder of the run (default: runs/METHOD-DATE-TIME, made anew)."
    ] = None
    resume: Annotated[bool, "Go on from the last checkpoint in --out."] = False
    seed: Annotated[int, "Decides initial weights, order of samples and all random draws."] = 0
    steps: Annotated[int, "Optimiser steps in all."] = 1000
    batch_size: Annotated[int, "Samples a step, over all processes together."] = 64
    lr: Annotated[float, "Highest learning rate (AdamW)."] = 1e-3
    weight_decay: Annotated[float, "Weight decay (AdamW)."] = 0.01
    warmup: Annotated[int, "Steps over which the learning rate rises from 0."] = 0
    schedule: Annotated[
        Literal["cosine", "constant"], "How the learning rate goes on after the warm-up."
    ] = "cosine"
    clip: Annotated[float, "Largest norm of the gradient; 0 leaves it as it is."] = 1.0
    ema: Annotated[float, "Decay of the moving average of the weights; 0 keeps none."] = 0.0
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"], "Where to compute; auto takes a GPU if there is one."
    ] = "auto"
    precision: Annotated[
        Literal["auto", "fp32", "bf16", "fp16"], "Number format; auto is bf16 on GPUs that have it."
    ] = "auto"
    workers: Annotated[int, "Processes that read and prepare samples; 0 does it in this one."] = 0
    threads: Annotated[int, "Threads torch computes with on the CPU; 0 leaves it to torch."] = 0
    validate_every: Annotated[int, "Steps between validations."] = 500
    save_every: Annotated[int, "Steps between checkpoints; a killed run loses no more."] = 500

    def __post_init__(self) -> None:
        """Raises ValueError for a value with which no training is possible."""
        for name, hint in get_type_hints(type(self)).items():
            if get_origin(hint) is Literal and getattr(self, name) not in get_args(hint):
                known = ", ".join(map(str, get_args(hint)))
                raise ValueError(f"{name} is {getattr(self, name)!r}, but must be one of {known}")
        for name in ("steps", "batch_size", "validate_every", "save_every"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("seed", "warmup", "clip", "weight_decay", "workers", "threads"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        _require(self.lr > 0 and math.isfinite(self.lr), "lr", self.lr, "a positive number")
        _require(0 <= self.ema < 1, "ema", self.ema, "at least 0 and less than 1")
        _require(not (self.resume and self.out is None), "resume", True, "given together with out")


def _require(holds: bool, name: str, value: object, what: str) -> None:
    if not holds:
        raise ValueError(f"{name} is {value}, but must be {what}")


Config = TypeVar("Config")


def to_toml(config: Any, *, leave_out: frozenset[str] = frozenset()) -> str:
    """A config dataclass as TOML, one line a field; TOML has no null, so None is left out."""
    values = {field.name: getattr(config, field.name) for field in fields(config)}
    return "".join(
        f"{name} = {_toml(value)}\n"
        for name, value in values.items()
        if value is not None and name not in leave_out
    )


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)  # also inf and nan
    if isinstance(value, str | Path):
        # JSON's escapes are TOML's, but for DEL, which TOML wants escaped as well.
        return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    raise TypeError(f"cannot write {value!r} ({type(value).__name__}) to TOML")


def from_toml(text: str, kind: type[Config], **others: Any) -> Config:
    """The config of class `kind` that a TOML text holds; `others` override what it says.

    Raises:
        ValueError: no TOML, a key that is no field of `kind`, or a value of the wrong type.
    """
    return from_values({**tomllib.loads(text), **others}, kind)


def from_values(values: Mapping[str, Any], kind: type[Config]) -> Config:
    """The config of class `kind` with these plain values (lists become tuples, texts paths)."""
    hints = get_type_hints(kind)
    if unknown := sorted(set(values) - set(hints)):
        raise ValueError(f"{', '.join(unknown)}: no field of {kind.__module__}.{kind.__name__}")
    return kind(**{name: _cast(value, hints[name], name) for name, value in values.items()})


def _cast(value: Any, hint: Any, name: str) -> Any:
    """`value` as what `hint` asks for: TOML knows no tuples and no paths."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if value is None and NoneType in arguments:
            return None
        return _cast(value, next(a for a in arguments if a is not NoneType), name)
    if origin is Literal:
        return value  # the config itself knows what it accepts
    if origin in (list, tuple) and isinstance(value, list | tuple):
        open_ended = origin is list or arguments[1:] == (...,)
        kinds = arguments[:1] * len(value) if open_ended else arguments
        if len(kinds) != len(value):
            raise ValueError(f"{name} has {len(value)} values, but takes {len(kinds)}")
        return origin(_cast(one, kind, name) for one, kind in zip(value, kinds, strict=True))
    if hint is Path and isinstance(value, str | Path):
        return Path(value)
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise ValueError(
            f"{name} is {value!r}, but must be of type {getattr(hint, '__name__', hint)}"
        )
    return value
