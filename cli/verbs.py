"""`vretr train METHOD`, `vretr eval METHOD` and the methods' further commands."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import typer

from cli import console
from cli.lazy import Command, LazyGroup, Stub, command_of
from vretr.methods import Findings, Method, Report, Verb, methods
from vretr.paths import json_fields

if TYPE_CHECKING:
    from vretr.training import Run

Say = Callable[[Any, bool], None]  # (what the verb returned, as JSON)


def train_group() -> LazyGroup:
    """`vretr train`: a command for each method that can be trained."""
    return _group("train", "Train a method; prints the folder of its run.", say_run)


def eval_group() -> LazyGroup:
    """`vretr eval`: a command for each method that can be evaluated."""
    return _group("eval", "Evaluate a method on a data set; prints its metrics.", say_report)


def method_commands() -> dict[str, Stub]:
    """The commands that methods bring beside `train` and `eval`."""
    return {
        name: _stub(name, method, verb, say_objects)
        for method in methods().values()
        for name, verb in method.commands.items()
    }


def _group(name: str, help: str, say: Say) -> LazyGroup:
    def verb_of(method: Method) -> Verb | None:
        return method.train if name == "train" else method.evaluate

    def further() -> dict[str, Stub]:
        return {
            method.name: _stub(method.name, method, verb, say)
            for method in methods().values()
            if (verb := verb_of(method))
        }

    return LazyGroup(
        name=name,
        help=help,
        no_args_is_help=True,
        subcommand_metavar="METHOD [OPTIONS]",
        further=further,
        called=f"method to {name}",
    )


def _stub(name: str, method: Method, verb: Verb, say: Say) -> Stub:
    summary = verb.summary or method.summary
    return Stub(name, summary, partial(_load, name, summary, verb, say))


def _load(name: str, summary: str, verb: Verb, say: Say) -> Command:
    from cli.options import function_of  # with it come typer's parameters and tomllib

    def run(config: Any, as_json: bool) -> None:
        say(verb.load_function()(config), as_json)

    return command_of(function_of(verb.load_config(), run), name=name, help=summary)


def say_run(run: "Run", as_json: bool) -> None:
    """The folder of a training on stdout, its best figures on stderr."""
    if os.environ.get("RANK", "0") != "0":  # of several processes the first one speaks
        return
    metrics = run.about.get("metrics", {})
    if as_json:
        console.print_json({**json_fields(console.shown(run.folder)), "metrics": metrics})
    else:
        console.print_path(run.folder)
    for name, value in metrics.items():
        console.note(f"{name} {value:.4g}")


def say_report(report: Report, as_json: bool) -> None:
    """The metrics: a table with the published rows beside, `name<TAB>value` lines in a pipe."""
    if as_json:
        console.print_json(report.to_dict())
        return
    if not console.is_tty():
        console.table((), list(report.metrics.items()))
        return
    rows = [
        (name, value, *(row.get(name) for row in report.published.values()))
        for name, value in report.metrics.items()
    ]
    console.table(("", "measured", *report.published), rows)
    settings = ", ".join(f"{key} {value}" for key, value in report.settings.items())
    console.note(f"{report.dataset}, {report.split}: {settings}")


def say_objects(found: Findings | Iterable[Mapping[str, Any]] | None, as_json: bool) -> None:
    """What a further command returns: objects, a JSON line each; or findings."""
    if isinstance(found, Findings):
        say_findings(found, as_json)
        return
    for each in found or ():
        console.print_json(each)


def say_findings(findings: Findings, as_json: bool) -> None:
    """Findings as they come; on a terminal a table at the end. Exit code 3 where some inputs were
    skipped."""
    rows: list[Sequence[Any]] = []
    with closing(findings.found) as found:
        for each in found:
            if isinstance(each, str):
                console.write(os.fsencode(each))
            elif as_json or not console.is_tty():
                console.print_json(each)
            else:
                rows += findings.rows(each)
    if rows:
        console.table(findings.headers, rows)
    if findings.skipped:
        raise typer.Exit(3)
