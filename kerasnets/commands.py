"""Groups of commands: they name the nearest of a misspelt one, and import a command's module when it is called."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from kerasnets.errors import UserError, nearest


class Group(click.Group):
    """A group that names the nearest command for a misspelt one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        there = self.list_commands(ctx)
        if args and args[0] not in there and not args[0].startswith("-"):
            group = _words(ctx)
            wanted = " ".join([*group, args[0]])
            see = " ".join(["kerasnets", *group, "--help"])
            raise UserError(f"no command '{wanted}'{nearest(args[0], there)}; see `{see}`")
        return super().resolve_command(ctx, args)


class Commands(Group):
    """A group whose `table` maps each word to (module:function, what it does)."""

    def __init__(self, table: Mapping[str, tuple[str, str]], **attributes: Any) -> None:
        super().__init__(**attributes)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.table:
            return None
        module, function = self.table[cmd_name][0].split(":")
        command: click.Command = getattr(import_module(module), function)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in self.table.items()])


def _words(ctx: click.Context) -> list[str]:
    """Return the words that call a group, without the program's name."""
    return [] if ctx.parent is None else [*_words(ctx.parent), str(ctx.command.name)]
