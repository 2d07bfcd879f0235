"""Values as a query writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping


def as_query(values: Mapping[str, object]) -> dict[str, str]:
    """Text for each value, JSON for what is neither a text nor a number; None is left out."""
    return {name: _text(value) for name, value in values.items() if value is not None}


def _text(value: object) -> str:
    """JSON has `true` where Python has `True`."""
    return value if isinstance(value, str) else json.dumps(value)
