"""What pydantic finds wrong, in words that name no class and no language."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

UNKNOWN_FIELD = "unknown field"

_WORDS = {
    "extra_forbidden": UNKNOWN_FIELD,
    "missing": "this field is required",
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "string_type": "must be a string",
    "path_type": "must be a path",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "greater_than": "must be more than {gt:.15g}",
    "greater_than_equal": "must be at least {ge:.15g}",
    "less_than_equal": "must be at most {le:.15g}",
    "string_too_long": "must have at most {max_length} characters",
    "string_too_short": "must have {min_length} or more characters",
    "too_short": "must have {min_length} or more entries",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
}
"""By type of error, to be filled in with its context."""


def put_plainly(error: ErrorDetails) -> str:
    """What is wrong at one place, as the end of a sentence; our own words stay as they are.

    error: with its context.
    """
    if words := _WORDS.get(error["type"]):
        return words.format_map(error.get("ctx", {}))
    return error["msg"].removeprefix("Value error, ")
