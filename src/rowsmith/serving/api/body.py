"""JSON bodies, read strictly: one meaning for every reader, or refused."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import orjson
from flask import request

from rowsmith.serving.errors import Problem
from rowsmith.types import JsonObject

# A row in rows is three levels deep. More is no row, and would exhaust the stack of whatever walks through it.
MAX_DEPTH = 32
STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def read_object(members: Sequence[str], *, max_bytes: int) -> JsonObject:
    """The body as an object with some of `members` and no other. Raises Problem.

    Not JSON by RFC 8259 (NaN, comments, trailing commas, endless nesting, bad UTF-8) is refused, and so is an object
    that names a member twice, of which readers keep different ones.
    """
    if request.mimetype != "application/json":
        received = request.mimetype or "none"
        raise Problem(
            "wrong-content-type",
            f"the content type is {received[:100]}; it must be application/json",
            headers={"Accept": "application/json"},
        )
    request.max_content_length = max_bytes
    body = request.get_data(cache=False)
    if request.content_length is not None and len(body) < request.content_length:
        raise Problem("malformed-request", "the body ended before the length that was promised")
    if request.content_length is None and len(body) >= max_bytes:
        # A body that comes in chunks has no length to refuse it by, and is cut off at the limit.
        raise Problem("too-large", f"the body is larger than {max_bytes >> 20} MB")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as problem:
        raise Problem("malformed-request", f"the body is not JSON: {problem}") from problem
    if not isinstance(document, dict):
        raise Problem("invalid-request", f"the body must be an object with {_any_of(members)}, not {kind_of(document)}")
    if pairs_in_text(body) != pairs_in(document):
        raise Problem("malformed-request", f"an object names a member twice: {', '.join(_repeated(body))}")
    if strangers := sorted(document.keys() - set(members)):
        errors = [
            shape_fault(f"/{name}", f"there is no member {name[:100]!r} here", allowed=", ".join(members))
            for name in strangers
        ]
        raise Problem("invalid-request", f"the body must be an object with {_any_of(members)} alone", errors=errors)
    return document


def shape_fault(pointer: str, detail: str, *, allowed: str) -> JsonObject:
    return {"code": "wrong_shape", "pointer": pointer, "detail": detail, "allowed": allowed}


def kind_of(value: Any) -> str:
    """What JSON calls a value."""
    if value is None:
        return "null"
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "an array",
        dict: "an object",
    }
    return names[type(value)]


def pairs_in_text(body: bytes) -> int:
    """The number of `name: value` pairs in valid JSON: colons outside of strings. Much cheaper than a second parser."""
    if b"\\" in body:
        return STRING.sub(b"", body).count(b":")
    # Without a backslash every quote opens or closes a string, so every other piece lies outside.
    return b"".join(body.split(b'"')[::2]).count(b":")


def pairs_in(value: Any) -> int:
    """The number of pairs that the parser kept. Raises Problem for what nests deeper than any request has to."""
    pairs, level = 0, [value]
    for _ in range(MAX_DEPTH):
        pairs += sum([len(item) for item in level if type(item) is dict])
        level = [
            inner
            for item in level
            for inner in (item.values() if type(item) is dict else item)
            if type(inner) in (dict, list)
        ]
        if not level:
            return pairs
    raise Problem("malformed-request", f"the body is nested deeper than {MAX_DEPTH} levels")


def _repeated(body: bytes) -> list[str]:
    found: list[str] = []

    def notice(pairs: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in pairs]
        found.extend(sorted({name[:100] for name in names if names.count(name) > 1}))

    json.loads(body, object_pairs_hook=notice)
    return found[:10]


def _any_of(members: Sequence[str]) -> str:
    return " or ".join(f'"{name}"' for name in members)
