"""The command `vretr`: its commands by name, and how every end of it is told."""

import logging
import os
import select
import signal
import sys
import traceback
import warnings
from functools import partial
from typing import Annotated, Any, NoReturn

import typer
from typer._click.exceptions import ClickException
from typer.completion import completion_init, install_callback, show_callback
from typer.main import get_command

from cli import console
from cli.lazy import EVERYWHERE, LazyGroup, Stub, command_at
from cli.verbs import eval_group, method_commands, train_group
from vretr import paths
from vretr.errors import VretrError

# Name -> (place of a typer function or app, summary). Imported when called.
COMMANDS = {
    "index": ("cli.index:index", "Read the photos of folders into an index."),
    "query": ("cli.query:query", "Find photos by words, by picture or by both."),
    "encoders": ("cli.encoders:app", "List the encoders; fetch the weights of one."),
}

app = typer.Typer(
    cls=LazyGroup,
    name="vretr",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,  # typer's own two options would import pydantic: see `root`
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(ctx: typer.Context, asked: bool) -> None:
    if asked and not ctx.resilient_parsing:
        for line in _versions():
            console.write(line + "\n")
        raise typer.Exit


def _versions() -> list[str]:
    """vretr's version, and where each of its packages was loaded from."""
    import cli
    import vretr

    places = [f"{module.__name__} {module.__path__[0]}" for module in (vretr, cli)]
    return [f"vretr {vretr.__version__} (Python {sys.version.split()[0]})", *places]


def _flag(name: str) -> Any:
    """A callback that notes --quiet or --verbose at once, wherever on the line it stands."""

    def note(ctx: typer.Context, value: bool) -> None:
        if value or ctx.parent is None:  # a command's unset flag leaves what `vretr -v` has set
            setattr(console, name, value)
            logging.getLogger().setLevel(
                logging.INFO
                if console.verbose
                else logging.ERROR
                if console.quiet
                else logging.WARNING
            )

    return note


def _offline(value: bool) -> None:
    if value:
        paths.go_offline()


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version and where each package lies.",
            callback=_version,
            is_eager=True,
            expose_value=False,
        ),
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet",
            "-q",
            help="Say only errors.",
            rich_help_panel=EVERYWHERE,
            callback=_flag("quiet"),
            expose_value=False,
        ),
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option(
            "--verbose",
            "-v",
            help="Say more; tracebacks of failures.",
            rich_help_panel=EVERYWHERE,
            callback=_flag("verbose"),
            expose_value=False,
        ),
    ] = False,
    offline: Annotated[
        bool,
        typer.Option(
            "--offline",
            help="Never use the network.",
            rich_help_panel=EVERYWHERE,
            callback=_offline,
            expose_value=False,
        ),
    ] = False,
    install_completion: Annotated[
        bool,
        typer.Option(
            "--install-completion",
            help="Complete commands, methods and names in this shell from now on.",
            callback=install_callback,
            expose_value=False,
        ),
    ] = False,
    show_completion: Annotated[
        bool,
        typer.Option(
            "--show-completion",
            help="Print the script that completion is made of.",
            callback=show_callback,
            expose_value=False,
        ),
    ] = False,
) -> None:
    """Search photos by words, by picture and by both; train and evaluate what does it.

    \b
    vretr index photos/
    vretr query --text "a dog in the snow"
    """


def command() -> LazyGroup:
    """The whole command line."""
    completion_init()
    group = get_command(app)
    assert isinstance(group, LazyGroup)
    for name, (place, summary) in COMMANDS.items():
        group.add_command(Stub(name, summary, partial(command_at, place, name=name)))
    group.add_command(train_group())
    group.add_command(eval_group())
    group.further = method_commands
    return group


def main() -> NoReturn:
    """The entry point `vretr`: runs the command line and exits."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as nohup and `&` have it
        signal.signal(signal.SIGINT, _interrupt)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who called us: `vretr ... >&-`
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - until the end
    _listen_to_libraries()
    sys.exit(run(command()))


def run(group: Any, arguments: list[str] | None = None) -> int:
    """Runs a command line, tells every failure in one sentence, and returns the exit code."""
    try:
        code = group.main(arguments, prog_name="vretr", standalone_mode=False)
        sys.stdout.flush()
    except SystemExit as end:  # typer's after completion, and its answer to any broken pipe
        if not isinstance(end.__context__, BrokenPipeError):
            raise
        return _told(end.__context__)
    except Exception as problem:  # noqa: BLE001 - the last place where a failure can be told
        return _told(problem)
    if code == 130:
        console.error("interrupted")
    return code if isinstance(code, int) else 0


def _told(problem: Exception) -> int:
    """Says what went wrong, a traceback only with --verbose, and returns the exit code."""
    if isinstance(problem, BrokenPipeError) and _reader_is_gone():
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0  # `vretr query ... | head -1` has what it wanted
    if isinstance(problem, ClickException):
        problem.show()  # usage and hint; exit code 2
        return problem.exit_code
    if console.verbose:
        console.note("".join(traceback.format_exception(problem)).rstrip())
    if isinstance(problem, VretrError):
        console.error(str(problem))
        return problem.exit_code
    if isinstance(problem, OSError):  # no permission, disk full, no network, ...
        about = f": {problem.filename}" if problem.filename is not None else ""
        console.error(f"{problem.strerror or problem}{about}")
    elif (
        isinstance(problem, MemoryError) or type(problem).__name__ == "OutOfMemoryError"
    ):  # torch's
        console.error("there is not enough memory for this; a smaller --batch-size may help")
    elif isinstance(problem, typer.Abort):
        console.error("stopped: the input ended")
    else:
        place = traceback.extract_tb(problem.__traceback__)[-1]
        where = f"{os.path.basename(place.filename)}:{place.lineno}"
        what = f"{type(problem).__name__}: {problem}".splitlines()[0]
        console.error(f"this is a bug: {what} ({where}); --verbose shows where it comes from")
    return 1


def _reader_is_gone() -> bool:
    """Whether stdout is a pipe that nobody reads any more (another pipe may have broken)."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _interrupt(*_: object) -> NoReturn:
    """The first Ctrl-C unwinds, so that what was begun is put away; a second one ends at once."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    raise KeyboardInterrupt


class _Lines(logging.Handler):
    """Log records as plain lines on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        say = console.error if record.levelno >= logging.ERROR else console.warn
        say(record.getMessage())


def _listen_to_libraries() -> None:
    """What libraries log, and Python's warnings, become plain lines on stderr."""
    logging.getLogger().addHandler(_Lines())
    logging.captureWarnings(True)
    warnings.formatwarning = lambda message, category, *_, **__: f"{category.__name__}: {message}"
