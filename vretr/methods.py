"""Methods: what can be trained, evaluated and loaded, found by entry points without importing it.

A method is described by strings, so that listing methods costs nothing and imports no torch.
Anybody's package can bring one by the entry-point group `vretr.methods`.
"""

import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any

from vretr.errors import UsageError

log = logging.getLogger(__name__)

ARGUMENT = object()  # in a config field's `Annotated[...]`: given by position, not as an option
PATHS = object()  # the same for a tuple of files and folders: globs, and - for a list on stdin


@dataclass(frozen=True)
class Verb:
    """One thing a method can do: the dotted places ("module:name") of a function and its config.

    The function takes exactly one argument, an instance of the config dataclass. The config's
    module imports no torch: the command line's options and help are made from it.
    """

    function: str
    config: str
    summary: str = ""  # one line for listings; else the method's is shown

    def load_config(self) -> type:
        """The config dataclass."""
        return thing(self.config)

    def load_function(self) -> Callable[[Any], Any]:
        """The function itself; importing it may import torch."""
        return thing(self.function)


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method package's record: `METHOD` in its `__init__.py`."""

    name: str
    summary: str  # one line for `vretr train --help`
    train: Verb | None = None  # (config) -> Run
    evaluate: Verb | None = None  # (config) -> Report
    load: str | None = None  # "module:function"; (Path, device) -> Encoder | Composer | ...
    composer: str | None = None
    """"module:function"; (encoder, Path | None, *, picture_weight, prompt) -> Composer | None: the
    one in a Run or a file, or, without a path, what is at hand for this encoder. The two settings
    may be None. With `composer_options`, also *, options."""
    composer_options: str | None = None  # "module:name" of a config dataclass of query options
    commands: Mapping[str, Verb] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(kw_only=True)
class Findings:
    """What a further command finds, one thing after another while it works.

    Attributes:
        found: objects, each a JSON line in a pipe; or text of another form, written as it is.
        headers, rows: for a terminal: the columns of a table, and an object's rows in it; a cell is
            a str, a number, a Path or None.
        skipped: what could not be used so far; each was named in the log.
    """

    found: Generator[Mapping[str, Any] | str]
    headers: Sequence[str]
    rows: Callable[[Mapping[str, Any]], Sequence[Sequence[Any]]]
    skipped: Sequence[object] = ()


@dataclass(frozen=True, kw_only=True)
class Report:
    """What an evaluation found: the fields of `vretr eval --json`."""

    dataset: str
    split: str
    metrics: Mapping[str, float]  # field-standard names: "recall@10", "map@5"; values in [0, 1]
    settings: Mapping[str, Any]  # protocol, counts, encoder, seed: what the figures depend on
    published: Mapping[str, Mapping[str, float]] = field(
        default_factory=dict
    )  # row name -> metrics

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values, ready for JSON."""
        return {key: value for key, value in asdict(self).items() if key != "published" or value}


def thing(place: str) -> Any:
    """Imports "module:name" and returns the thing of that name."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


def methods() -> dict[str, Method]:
    """Every method that is installed, by name. One that fails to load costs a warning, no more."""
    found: dict[str, Method] = {}
    for point in sorted(entry_points(group="vretr.methods"), key=lambda point: point.name):
        try:
            found[point.name] = point.load()
        except Exception as error:  # noqa: BLE001 - a stranger's package may raise anything
            log.warning("The method %r could not be loaded and is left out: %s", point.name, error)
    return found


def method(name: str) -> Method:
    """The method of that name.

    Raises:
        UsageError: no such method is installed; the message lists near names.
    """
    known = methods()
    if name not in known:
        raise UsageError(f"There is no method {name!r}; {near(name, known)}")
    return known[name]


def near(name: str, known: Mapping[str, Any] | list[str]) -> str:
    """The end of a sentence: what may have been meant by an unknown name, or all that is known."""
    from difflib import get_close_matches

    close = get_close_matches(name, list(known), n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"known are {', '.join(sorted(known))}."
