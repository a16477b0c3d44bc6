"""Poolings by name: from a tower's patch tokens to one vector. Imports no torch itself.

avg max cls           their mean, their maximum, the class token
gem ggem              generalised mean, of all channels or group by group
ggem:groups=8,p=3     with options
cls,avg               several, each of unit length, one behind the other
...                   whatever an installed package brings (entry points `vretr.poolings`)

A pooling is a torch module that is made as `Class(width, heads=heads, **options)`; options are
keywords with type hints. It maps patches [B, N, D] or [B, D, H, W], and the prefix [B, K, D] and
mask [B, N] where there are any, to [B, out_dim]. Its `repr` and its state tell it from others.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from vretr.errors import UsageError
from vretr.methods import near

if TYPE_CHECKING:
    from torch import nn

GROUP = "vretr.poolings"


@dataclass(frozen=True)
class PoolingSpec:
    """A pooling's name that was understood; `str` writes it again.

    Attributes:
        name: as it was registered; of several "cls,avg".
        options: as they were written.
        parts: where there are several.
    """

    name: str
    options: Mapping[str, str] = field(default_factory=dict)
    parts: tuple["PoolingSpec", ...] = ()

    def __str__(self) -> str:
        if self.parts:
            return ",".join(map(str, self.parts))
        options = ",".join(f"{name}={value}" for name, value in self.options.items())
        return f"{self.name}:{options}" if options else self.name


def parse_pooling(text: str) -> PoolingSpec:
    """Understands a pooling's name; imports nothing of it, so its options are not looked at yet.

    Raises:
        UsageError: there is no such pooling, or it is not written as one.
    """
    pieces: list[tuple[str, dict[str, str]]] = []
    for piece in text.strip().split(","):
        name, colon, rest = piece.partition(":")
        if "=" not in name:
            pieces.append((_known(name.strip(), text), {}))
            if colon:
                _add_option(pieces[-1][1], rest, text)
        elif pieces:
            _add_option(pieces[-1][1], piece, text)
        else:
            raise UsageError(f"The pooling {text!r} begins with an option; write NAME:{piece}.")
    parts = tuple(PoolingSpec(name, options) for name, options in pieces)
    if len(parts) == 1:
        return parts[0]
    return PoolingSpec(",".join(part.name for part in parts), parts=parts)


def known_poolings() -> list[str]:
    """The names of all that are installed."""
    return sorted(_points())


def make_pooling(text: str | PoolingSpec, width: int, *, heads: int | None = None) -> "nn.Module":
    """The pooling of that name for tokens of `width` numbers.

    Args:
        text: its name, perhaps with options.
        width: D of the tokens.
        heads: of the attention that made them; None where there is none.

    Raises:
        UsageError: no such pooling or option, or a value that it cannot have.
    """
    spec = parse_pooling(text) if isinstance(text, str) else text
    if spec.parts:
        from vretr.concatenation import Concatenation

        return Concatenation([make_pooling(part, width, heads=heads) for part in spec.parts])
    kind = _points()[spec.name].load()
    return kind(width, heads=heads, **_options(spec, kind))


@cache
def _points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _known(name: str, text: str) -> str:
    if name not in _points():
        of = f" (in {text!r})" if text.strip() != name else ""
        raise UsageError(f"There is no pooling {name!r}{of}; {near(name, known_poolings())}")
    return name


def _add_option(options: dict[str, str], written: str, text: str) -> None:
    name, _, value = (part.strip() for part in written.partition("="))
    if not name or not value:
        raise UsageError(f"Options of poolings are written NAME:OPTION=VALUE, not {text!r}.")
    if name in options:
        raise UsageError(f"The pooling {text!r} has the option {name} twice.")
    options[name] = value


def _options(spec: PoolingSpec, kind: Any) -> dict[str, Any]:
    """The options as values of the types that the class asks for."""
    signature = inspect.signature(kind.__init__).parameters.values()
    hints = get_type_hints(kind.__init__)
    known = [one.name for one in signature if one.kind is one.KEYWORD_ONLY and one.name != "heads"]
    for name in spec.options:
        if name not in known:
            hint = near(name, known) if known else "it has none."
            raise UsageError(f"The pooling {spec.name} has no option {name!r}; {hint}")
    return {
        name: _value(value, hints.get(name, str), f"{name} of the pooling {spec.name}")
        for name, value in spec.options.items()
    }


def _value(text: str, hint: Any, what: str) -> Any:
    if get_origin(hint) is Literal:
        if text not in get_args(hint):
            raise UsageError(f"{what} is {text!r}, but must be {' or '.join(get_args(hint))}.")
        return text
    kind = next((one for one in get_args(hint) if one is not NoneType), hint)
    if kind is bool:
        if text not in ("true", "false"):
            raise UsageError(f"{what} is {text!r}, but must be true or false.")
        return text == "true"
    try:
        return kind(text)
    except ValueError:
        wanted = {int: "a whole number", float: "a number"}.get(kind, kind.__name__)
        raise UsageError(f"{what} is {text!r}, but must be {wanted}.") from None
