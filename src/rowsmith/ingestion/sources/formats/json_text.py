"""JSON text to Python values."""

from __future__ import annotations

import json
from typing import Any

import orjson


def parse_json(text: bytes) -> Any:
    """Raises ValueError. Accepts NaN and Infinity, which are no JSON but are written by many programs."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        if b"NaN" not in text and b"Infinity" not in text:
            raise
        return json.loads(text)
