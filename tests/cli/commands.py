"""Commands that run in the process of the test."""

from __future__ import annotations

from click.testing import CliRunner, Result

from imgsvc.cli.main import cli


def run(*arguments: object, **env: str) -> Result:
    """env: variables beside those of the test."""
    return CliRunner().invoke(cli, [str(a) for a in arguments], env=env, prog_name="imgsvc")
