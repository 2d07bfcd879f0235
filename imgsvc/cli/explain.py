"""What a person is told when a command fails, and the exit code for it."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from imgsvc.cli.exits import UNREACHABLE, WRONG
from imgsvc.client import ApiError, ServerUnreachable
from imgsvc.domain.names import without_controls
from imgsvc.errors import Fault, ImgsvcError, RequestError

MAX_FAULTS_SHOWN = 20

_PASSING = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


def code_of(error: ImgsvcError) -> int:
    if isinstance(error, ServerUnreachable):
        return UNREACHABLE
    if isinstance(error, ApiError) and (
        error.status in _PASSING or error.status >= 500 or error.code == "http_404"
    ):
        return UNREACHABLE
    return WRONG


def explain(error: ImgsvcError) -> str:
    """What went wrong and what may help, as lines for stderr."""
    lines = f"Error: {error.message}".splitlines()
    if isinstance(error, ServerUnreachable):
        lines.append("Start one with `imgsvc serve`, or name another with --server.")
    faults = _faults(error)
    lines += [f"  {_describe(fault)}" for fault in faults[:MAX_FAULTS_SHOWN]]
    if len(faults) > MAX_FAULTS_SHOWN:
        lines.append(f"  … and {len(faults) - MAX_FAULTS_SHOWN} more")
    if isinstance(error, ApiError):
        if error.retry_after_s is not None:
            lines.append(f"Try again in {error.retry_after_s} s.")
        if error.status == HTTPStatus.UNAUTHORIZED:
            lines.append("Give an API key in IMGSVC_API_KEY, or with --api-key-file.")
    return "\n".join(without_controls(line) for line in lines)


def _faults(error: ImgsvcError) -> Sequence[Fault]:
    """Wrong places of a request, wherever it was judged, without a first one that the message
    names.
    """
    found: Sequence[Fault] = ()
    if isinstance(error, ApiError):
        found = error.errors
    elif isinstance(error, RequestError):
        found = error.faults
    return found[1:] if found and found[0].detail in error.message else found


def _describe(fault: Fault) -> str:
    """With the place, unless the text names it."""
    place = fault.pointer.rpartition("/")[2]
    return (
        fault.detail
        if place and place in fault.detail
        else f"{fault.pointer or '/'}: {fault.detail}"
    )
