"""Commands that are listed by name and summary and imported when they are called.

typer asks a group's `resolve_command` only for the command that really runs (also to complete or
to help with its options); listing, completion of names and suggestions are content with stubs.
"""

from collections.abc import Callable, Mapping
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from vretr.methods import near, thing

# typer carries click inside itself and names neither its contexts nor its commands in public.
Context = Any
Command = Any

# The heading of those options of `vretr` that every command takes as well.
EVERYWHERE = "Everywhere"


class PlainCommand(TyperCommand):
    """A command whose help is plain text (rich's panels cost 0.1 s), its options under headings."""

    def __init__(self, name: str | None, **settings: Any) -> None:
        super().__init__(name, **(settings | {"rich_markup_mode": None}))

    def format_options(self, ctx: Context, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        param: Any
        for param in self.get_params(ctx):
            if record := param.get_help_record(ctx):
                sections.setdefault(self._heading(param), []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)

    def _heading(self, param: Any) -> str:
        if param is self._help_option:
            return EVERYWHERE
        positional = param.param_type_name == "argument"
        return param.rich_help_panel or ("Arguments" if positional else "Options")


class Stub(PlainCommand):
    """A name and a summary, and how to get the command behind them."""

    def __init__(self, name: str, summary: str, load: Callable[[], Command]) -> None:
        super().__init__(name, help=summary, short_help=summary)
        self.load = load


class LazyGroup(TyperGroup):
    """Lists stubs and swaps the one that is called for its command.

    `further` finds more stubs, by entry points say; it is asked only when the commands are listed
    or one is called that is not known without it.
    """

    def __init__(
        self,
        *,
        further: Callable[[], Mapping[str, Stub]] = dict,
        called: str = "command",
        **settings: Any,
    ) -> None:
        super().__init__(**(settings | {"rich_markup_mode": None}))
        self.further = further
        self.called = called  # what a name in this group is the name of

    def get_help_option(self, ctx: Context) -> Any:
        option = super().get_help_option(ctx)
        if option is not None:
            option.default = False  # with None typer imports pydantic to learn what a bool is
        return option

    def list_commands(self, ctx: Context) -> list[str]:
        self._find_further()
        return super().list_commands(ctx)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        if cmd_name not in self.commands:
            self._find_further()
        return super().get_command(ctx, cmd_name)

    def _find_further(self) -> None:
        found, self.further = self.further(), dict
        for name, stub in found.items():
            self.commands.setdefault(name, stub)  # nobody's package replaces a command of ours

    def resolve_command(
        self, ctx: Context, args: list[str]
    ) -> tuple[str | None, Command | None, list[str]]:
        if self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            known = {name: command for name, command in self.commands.items() if not command.hidden}
            ctx.fail(f"There is no {self.called} {args[0]!r}; {near(args[0], known)}")
        name, command, rest = super().resolve_command(ctx, args)
        if isinstance(command, Stub):
            command = command.load()
        options = ctx.find_root().command.params
        _accept(command, [o for o in options if o.rich_help_panel == EVERYWHERE])
        return name, command, rest


def _accept(command: Command | None, options: list[Any]) -> None:
    """Lets a command and all below it take these options, except where it has its own."""
    if command is None:  # a name that does not exist, while completing
        return
    taken = {option for param in command.params for option in param.opts}
    command.params.extend(option for option in options if taken.isdisjoint(option.opts))
    for below in getattr(command, "commands", {}).values():
        _accept(below, options)


def command_at(place: str, *, name: str) -> Command:
    """The command at "module:thing", where the thing is a typer function or a typer app."""
    found = thing(place)
    if isinstance(found, typer.Typer):
        command = get_command(found)
        command.name = name
        return command
    return command_of(found, name=name)


def command_of(function: Callable[..., Any], *, name: str, help: str | None = None) -> Command:
    """The command that typer makes of a function's signature."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(name, cls=PlainCommand, help=help)(function)
    return get_command(app)
