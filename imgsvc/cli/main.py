"""The command line. Commands are imported when they are called, so that help comes at once."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import click

from imgsvc import __version__
from imgsvc.cli.streams import guard_streams
from imgsvc.errors import ImgsvcError


class _Place(NamedTuple):
    """Where a command is defined, and what the list of commands says of it."""

    module: str
    attribute: str
    help: str


COMMANDS = {
    "serve": _Place("serve", "serve", "Run the server."),
    "run": _Place("run", "run", "Process files without a server."),
    "submit": _Place("submit", "submit", "Send files to a server."),
    "watch": _Place("watch", "watch", "Send every file that arrives in a folder."),
    "status": _Place("jobs", "status", "Show a job, or follow it to its end."),
    "list": _Place("jobs", "list_jobs", "List jobs, newest first."),
    "download": _Place("jobs", "download", "Save the finished files of a job."),
    "cancel": _Place("control", "cancel", "Cancel what is left of a job."),
    "retry": _Place("control", "retry", "Try failed images again."),
    "delete": _Place("control", "delete", "Delete a job with its files."),
    "deliveries": _Place("deliveries", "deliveries", "List what was sent to a job's webhook."),
    "redeliver": _Place("deliveries", "redeliver", "Send it again."),
    "backup": _Place("backup", "backup", "Save everything a server has as one file."),
    "plan": _Place("plan", "plan", "Show what would be done with a file."),
    "doctor": _Place("doctor", "doctor", "Say whether all is well here, and what to do."),
    "watermarks": _Place(
        "watermarks", "watermarks", "List pictures to be laid over others, or add to them."
    ),
    "presets": _Place("presets", "presets", "List what can be made of images, or add to it."),
}


class LazyGroup(click.Group):
    """Knows its commands by name; turns errors and Ctrl-C into messages and exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        command = getattr(import_module(f"imgsvc.cli.{place.module}"), place.attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{place.module}.{place.attribute} is no command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, place.help) for name, place in COMMANDS.items()])

    def main(self, *args: Any, **extra: Any) -> Any:
        guard_streams()
        return super().main(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(130)
        except click.UsageError as exc:  # a file may be called whatever somebody liked
            from imgsvc.domain.names import without_controls

            lines = exc.format_message().splitlines()
            if all(line.isprintable() for line in lines):
                raise
            raise click.UsageError("\n".join(map(without_controls, lines)), exc.ctx) from exc
        except ImgsvcError as exc:
            from imgsvc.cli import explain  # loads the client, which --help does without

            click.echo(explain.explain(exc), err=True)
            ctx.exit(explain.code_of(exc))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="imgsvc")
def cli() -> None:
    """Submit ten thousand photos, watch them finish, download the results."""
