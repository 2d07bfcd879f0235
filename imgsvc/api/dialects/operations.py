"""What two of the dialects share: one operation with a size and a format, as a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imgsvc.api.forms import Receiver
from imgsvc.errors import Fault, InvalidRecipe, InvalidRequest
from imgsvc.intake.faults import MAX_FAULTS, pointer_to
from imgsvc.intake.spec import JobSpec

MODES = {"resize": "force", "thumbnail": "fit"}
"""Mode of each operation: `resize` keeps no ratio and enlarges, `thumbnail` does neither."""

OPERATION_FIELDS = frozenset({"operation", "width", "height", "output_format"})

_FIELD_OF = {
    "/recipe/variants/0/width": "/width",
    "/recipe/variants/0/height": "/height",
    "/recipe/variants/0/format": "/output_format",
}
_SAME_FORMATS = {"jpg": "jpeg", "tif": "tiff"}


async def describe_operation(receiver: Receiver, fields: Mapping[str, Any], name: str) -> None:
    """Ask for one variant, called `name`; without an operation it keeps its size.

    Raises InvalidRequest.
    """
    operation = read_operation(fields) if "operation" in fields else None
    variant: dict[str, Any] = {"name": name}
    for side in ("width", "height"):
        if (value := fields.get(side)) is not None:
            variant[side] = _read_side(side, value)
    if operation is not None:
        variant["mode"] = MODES[operation]
        if operation == "resize":
            variant["enlarge"] = True  # of one side, too, which goes by the rules of `fit`
        if not variant.keys() & {"width", "height"}:
            raise InvalidRequest.at("/width", "width, height or both are needed")
    if (format_ := fields.get("output_format")) is not None:
        variant["format"] = _read_format(format_)
    try:
        await receiver.describe(JobSpec(recipe={"variants": [variant]}))
    except InvalidRecipe as exc:
        faults = tuple(Fault(_FIELD_OF.get(f.pointer, f.pointer), f.detail) for f in exc.faults)
        where = f" at {faults[0].pointer}: {faults[0].detail}" if faults else ""
        raise InvalidRequest(f"The operation is not valid{where}", faults) from exc


def read_operation(fields: Mapping[str, Any]) -> str:
    """Raises InvalidRequest."""
    operation = fields.get("operation")
    if not isinstance(operation, str) or operation not in MODES:
        raise InvalidRequest.at("/operation", f"must be one of {', '.join(MODES)}")
    return operation


def refuse_unknown(fields: Mapping[str, Any], known: frozenset[str]) -> None:
    """Raises InvalidRequest for fields that the dialect does not have."""
    if faults := find_unknown(fields, known):
        raise InvalidRequest(f"{min(fields.keys() - known)}: unknown field.", faults)


def find_unknown(fields: Mapping[str, Any], known: frozenset[str]) -> tuple[Fault, ...]:
    unknown = sorted(fields.keys() - known)[:MAX_FAULTS]
    return tuple(Fault(pointer_to([name]), "Unknown field.") for name in unknown)


def _read_format(value: Any) -> Any:
    """What is no text is left for validation to refuse."""
    return _SAME_FORMATS.get(value.lower(), value.lower()) if isinstance(value, str) else value


def _read_side(side: str, value: Any) -> int:
    """A number, or as forms send it, its digits."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidRequest.at(f"/{side}", "a whole number of pixels")
    return value
