"""Groups of commands from a table: a command's module is imported only when that command is called."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from kerasnets.errors import UserError, nearest


class Commands(click.Group):
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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.table and not args[0].startswith("-"):
            group = _words(ctx)
            wanted = " ".join([*group, args[0]])
            see = " ".join(["kerasnets", *group, "--help"])
            raise UserError(f"no command '{wanted}'{nearest(args[0], self.table)}; see `{see}`")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in self.table.items()])


def _words(ctx: click.Context) -> list[str]:
    """Return the words that call a group, without the program's name."""
    return [] if ctx.parent is None else [*_words(ctx.parent), str(ctx.command.name)]
