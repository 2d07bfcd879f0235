"""Arguments that several commands have."""

from __future__ import annotations

import click


def refuse_empty(
    _context: click.Context, parameter: click.Parameter, value: str | None
) -> str | None:
    """A callback: an unset variable of a script is neither an ID nor a name. None, which stands
    for what was left out, is passed on. Raises click.UsageError.
    """
    if value is not None and not value.strip():
        what = parameter.human_readable_name.strip("[]")
        raise click.UsageError(f"{what} is missing: what was given is empty.")
    return value


job_argument = click.argument("job_id", metavar="ID", callback=refuse_empty)

name_argument = click.argument("name", metavar="NAME", callback=refuse_empty)
