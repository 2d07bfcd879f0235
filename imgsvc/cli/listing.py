"""Commands that list when none of their own commands is named."""

from __future__ import annotations

import click


class Listing(click.Group):
    """Lists when no command is named, and takes the options for that."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)
