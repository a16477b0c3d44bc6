"""A config dataclass as a command's options: name, type, default, help, choices and completion.

A field is `name: Annotated[type, "One sentence.", ...] = default`. The first string is the help,
the first tuple or function (of no arguments) gives words to complete an open list with, `ARGUMENT`
makes the field positional, `PATHS` positional files and folders. Neither typer nor torch is needed
to write one.
"""

import inspect
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from cli.listed import chosen
from vretr.methods import ARGUMENT, PATHS, near


def function_of(config: type, run: Callable[[Any, bool], None]) -> Callable[..., None]:
    """A function that typer reads as one option per field, and that runs `run(config, as_json)`.

    The class's own fields come first; those it inherits, and those whose default it changes, stand
    under the heading of the class that brought them: the first line of its docstring.
    """
    hints = get_type_hints(config, include_extras=True)  # also where annotations are strings
    home = {name: cls for cls in config.__mro__ for name in inspect.get_annotations(cls)}
    own_first = sorted(fields(config), key=lambda field: home[field.name] is not config)
    listed = [name for name, hint in hints.items() if PATHS in get_args(hint)]

    def command(ctx: typer.Context, **values: Any) -> None:
        as_json = values["json"] if "json" in hints else values.pop("json")
        del values["config"]
        if listed:
            nul = values.pop("null")
            values |= {name: list(chosen(values[name], nul=nul)) for name in listed}
        declared = {name: _as_declared(hints[name], value) for name, value in values.items()}
        try:
            made = config(**declared)
        except ValueError as problem:  # __post_init__ refuses impossible values and pairs
            ctx.fail(str(problem))
        run(made, as_json)

    parameters = [
        _parameter(field, hints[field.name], panel=_title(home[field.name], config))
        for field in own_first
        if field.init
    ]
    context = inspect.Parameter(
        "ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
    )
    common = [_CONFIG, *([_NULL] if listed else []), *([] if "json" in hints else [_JSON])]
    command.__signature__ = inspect.Signature([context, *parameters, *common])  # type: ignore[attr-defined]
    return command


def _title(home: type, config: type) -> str:
    return "Options" if home is config else (inspect.getdoc(home) or "").split("\n")[0].rstrip(".")


def _parameter(field: "Field[Any]", hint: Any, *, panel: str) -> inspect.Parameter:
    kind, *marks = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    words = next((mark for mark in marks if isinstance(mark, tuple) or callable(mark)), None)
    settings: dict[str, Any] = {
        "help": next((mark for mark in marks if isinstance(mark, str)), None),
        "autocompletion": starting(words) if words is not None else None,
    }
    if ARGUMENT in marks or PATHS in marks:
        info = typer.Argument(metavar="PATH" if PATHS in marks else None, **settings)
    else:
        name = "--" + field.name.rstrip("_").replace("_", "-")  # from_ is --from
        names = [f"{name}/--no-{name[2:]}" if kind is bool else name]
        info = typer.Option(*names, rich_help_panel=panel, **settings)
    default = _default(field)
    if _is_open_tuple(kind):  # what a frozen dataclass wants, and typer has as a list
        kind = list[get_args(kind)[0]]  # type: ignore[misc]
        default = list(default) if isinstance(default, tuple) else default
    return _keyword(field.name, kind, info, default=default)


def _keyword(name: str, kind: Any, info: Any, *, default: Any) -> inspect.Parameter:
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, keyword, default=default, annotation=Annotated[kind, info])


def _default(field: "Field[Any]") -> Any:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return inspect.Parameter.empty if field.default is MISSING else field.default


def _is_open_tuple(kind: Any) -> bool:
    return get_origin(kind) is tuple and get_args(kind)[1:] == (...,)


def _as_declared(hint: Any, value: Any) -> Any:
    kind = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    return tuple(value) if _is_open_tuple(kind) else value


def starting(words: Iterable[str] | Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """A completion function for an open list of words, or for a function that gives one."""

    def complete(incomplete: str) -> list[str]:
        known = words() if callable(words) else words
        return [word for word in known if word.startswith(incomplete)]

    return complete


def read_config(ctx: typer.Context, path: Path | None) -> Path | None:
    """Makes a TOML file's values the defaults of all options; unknown keys are refused by name."""
    if path is None or ctx.resilient_parsing:
        return path
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise typer.BadParameter(f"{path} cannot be read as TOML: {problem}") from problem
    ours = ("config", "json", "null")
    known = [p.name for p in ctx.command.params if p.expose_value and p.name not in ours]
    reserved = {name.rstrip("_"): name for name in known if name and name.endswith("_")}
    spelled = {key: key.replace("-", "_") for key in values}
    named = {reserved.get(spelled[key], spelled[key]): value for key, value in values.items()}
    for key in named:
        if key not in known:
            raise typer.BadParameter(
                f"{path} sets {key!r}, which is no option here; {near(key, known)}"
            )
    ctx.default_map = named
    return path


_CONFIG = _keyword(
    "config",
    Path | None,
    typer.Option(
        "--config",
        help="TOML file with values for these options; the command line goes first.",
        metavar="FILE.toml",
        exists=True,
        dir_okay=False,
        is_eager=True,
        callback=read_config,
    ),
    default=None,
)
_JSON = _keyword(
    "json", bool, typer.Option("--json", help="Print the result as one JSON object."), default=False
)
_NULL = _keyword(
    "null",
    bool,
    typer.Option("-0", "--null", help="Paths in a list on stdin end with NUL."),
    default=False,
)
