"""Arguments that several commands have."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click


def refuse_empty(
    _context: click.Context, parameter: click.Parameter, value: str | None
) -> str | None:
    """A callback: an unset variable of a script is no ID, no name, and not what goes without it.
    None, which stands for what was left out, is passed on. Raises click.UsageError.
    """
    if value is not None and not value.strip():
        is_option = isinstance(parameter, click.Option)
        what = parameter.opts[0] if is_option else parameter.human_readable_name.strip("[]")
        raise click.UsageError(f"{what} is missing: what was given is empty.")
    return value


class NamedPath(click.Path):
    """A Path, and never the working directory because a variable of a script is unset."""

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        if not os.fspath(value).strip():
            self.fail("What was given is empty.", param, ctx)
        return super().convert(value, param, ctx)


FILE = NamedPath(dir_okay=False, path_type=Path)

FILE_OR_STDIN = NamedPath(dir_okay=False, allow_dash=True, path_type=Path)

FOLDER = NamedPath(file_okay=False, path_type=Path)

job_argument = click.argument("job_id", metavar="ID", callback=refuse_empty)

name_argument = click.argument("name", metavar="NAME", callback=refuse_empty)
