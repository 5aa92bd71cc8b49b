"""JSON bodies, read strictly: one meaning for every reader, or refused."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson
from werkzeug.sansio.utils import get_content_length

from rowsmith.serving.compressed import expand
from rowsmith.serving.errors import Problem, too_large
from rowsmith.serving.exchange import JSON_TYPE
from rowsmith.types import JsonObject

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

# A row in rows is three levels deep. More is no row, and would exhaust the stack of whatever walks through it.
MAX_DEPTH = 32
MOST_DIGITS = 18
CONSTANTS = (b"NaN", b"Infinity")
STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def read_object(environ: WSGIEnvironment, members: Sequence[str], *, max_bytes: int) -> JsonObject:
    """The body as an object with some of `members` and no other. Raises Problem.

    Not JSON by RFC 8259 (NaN, comments, trailing commas, endless nesting, bad UTF-8) is refused, and so is an object
    that names a member twice, of which readers keep different ones.
    """
    require_type(environ, JSON_TYPE)
    return object_in(read_bytes(environ, max_bytes=max_bytes), members)


def object_in(body: bytes, members: Sequence[str]) -> JsonObject:
    """The same for a body that was read."""
    document = parse(body)
    if not isinstance(document, dict):
        raise Problem("invalid-request", f"the body must be an object with {_any_of(members)}, not {kind_of(document)}")
    if strangers := sorted(document.keys() - set(members)):
        errors = [
            shape_fault(f"/{name}", f"there is no member {name[:100]!r} here", allowed=", ".join(members))
            for name in strangers
        ]
        raise Problem("invalid-request", f"the body must be an object with {_any_of(members)} alone", errors=errors)
    return document


def require_type(environ: WSGIEnvironment, *allowed: str) -> str:
    """The content type, where it is one of these. Raises Problem."""
    received = media_type(environ)
    if received not in allowed:
        raise Problem(
            "wrong-content-type",
            f"the content type is {received[:100] or 'none'}; it must be {' or '.join(allowed)}",
            headers={"Accept": ", ".join(allowed)},
        )
    return received


def media_type(environ: WSGIEnvironment) -> str:
    """The content type without its parameters, in lower case."""
    received: str = environ.get("CONTENT_TYPE", "")
    return received if received == JSON_TYPE else received.partition(";")[0].strip().lower()


def parse(body: bytes) -> Any:
    """The value of a JSON text. Raises Problem."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as problem:
        raise Problem("malformed-request", f"the body is not JSON: {problem}") from problem
    return _one_meaning(document, body)


def parse_with_nan(body: bytes) -> Any:
    """The same, but NaN, Infinity and -Infinity are numbers, as in what Python and pandas write. Raises Problem."""
    if not any(name in body for name in CONSTANTS):
        return parse(body)
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as problem:
        raise Problem("malformed-request", "the body is not JSON") from problem
    return _one_meaning(document, body)


def _one_meaning(document: Any, body: bytes) -> Any:
    kept = pairs_in(document, body)
    # A pair has a colon, so that as many colons as pairs leave nothing to look for; texts with colons are looked into.
    if body.count(b":") != kept and pairs_in_text(body) != kept:
        raise Problem("malformed-request", f"an object names a member twice: {', '.join(_repeated(body))}")
    return document


def read_bytes(environ: WSGIEnvironment, *, max_bytes: int) -> bytes:
    """The body. Raises Problem."""
    promised = _promised(environ)
    if promised is not None and promised > max_bytes:
        raise too_large(max_bytes)
    # One byte more than is allowed tells what is too large; a body that comes in chunks has no length to refuse it by.
    body: bytes = environ["wsgi.input"].read(max_bytes + 1 if promised is None else promised)
    if promised is not None and len(body) < promised:
        raise Problem("malformed-request", "the body ended before the length that was promised")
    if len(body) > max_bytes:
        raise too_large(max_bytes)
    encoding = environ.get("HTTP_CONTENT_ENCODING")
    return body if encoding is None else expand(body, encoding, max_bytes=max_bytes)


def _promised(environ: WSGIEnvironment) -> int | None:
    """The length of the body, where the caller said it."""
    given = environ.get("CONTENT_LENGTH", "")
    is_plain = given.isascii() and given.isdecimal() and len(given) <= MOST_DIGITS
    if is_plain and "HTTP_TRANSFER_ENCODING" not in environ:
        return int(given)  # what the other would say, too, at a fifth of the price
    return get_content_length(given, environ.get("HTTP_TRANSFER_ENCODING"))


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


def pairs_in(value: Any, body: bytes) -> int:
    """The number of pairs that the parser kept. Raises Problem for what nests deeper than any request has to.

    Once as many objects and arrays were seen as the body has brackets, there is nothing more to look into.
    """
    pairs, level = 0, [value] if type(value) in (dict, list) else []
    brackets = body.count(b"{") + body.count(b"[")
    for _ in range(MAX_DEPTH):
        pairs += sum([len(item) for item in level if type(item) is dict])
        brackets -= len(level)
        if not brackets:
            return pairs
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
