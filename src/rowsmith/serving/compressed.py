"""Compression of bodies, in and out: gzip, deflate and zstd."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import zstandard
from flask import Flask

from rowsmith.serving.errors import Problem, too_large

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
ZSTD = "zstd"
SMALLEST = 1024
"""Bytes below which compression costs more than it saves."""
LARGEST = 64 << 20
GZIP_LEVEL = 5
ZSTD_LEVEL = 3
COMPRESSIBLE = (
    "application/json",
    "application/problem+json",
    "application/vnd.apache.arrow.stream",
    "application/openmetrics-text",
    "text/",
)


def expand(body: bytes, encoding: str, *, max_bytes: int) -> bytes:
    """A request's body as it was before it was compressed. Raises Problem, also for one that expands without end."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    try:
        if name == ZSTD:
            expanded = _from_zstd(body, max_bytes)
        elif name in WINDOWS:
            expanded = _from_zlib(body, WINDOWS[name], max_bytes)
        else:
            raise Problem("wrong-encoding", f"the content encoding is {name[:50]!r}; it may be gzip, deflate or zstd")
    except (zlib.error, zstandard.ZstdError, EOFError) as problem:
        raise Problem("malformed-request", f"the body is not {name}, or ends early") from problem
    if len(expanded) > max_bytes:
        raise too_large(max_bytes)
    return expanded


def _from_zlib(body: bytes, window: int, max_bytes: int) -> bytes:
    """At most one byte more than is allowed."""
    stream = zlib.decompressobj(window)
    expanded = stream.decompress(body, max_bytes + 1)
    if len(expanded) <= max_bytes and not stream.eof:
        raise EOFError
    return expanded


def _from_zstd(body: bytes, max_bytes: int) -> bytes:
    # A window as large as the limit is all that a frame can need.
    decompressor = zstandard.ZstdDecompressor(max_window_size=max(max_bytes, 1 << 23))
    whole = io.BytesIO()
    with decompressor.stream_reader(body, read_across_frames=True) as reader:
        while len(piece := reader.read(1 << 20)):
            whole.write(piece)
            if whole.tell() > max_bytes:
                break
    if not whole.tell() and body:
        raise EOFError
    return whole.getvalue()


def register(app: Flask) -> None:
    """Answers are compressed where the caller takes that and it pays."""
    app.wsgi_app = _compressing(app.wsgi_app)  # type: ignore[assignment, method-assign]


def _compressing(application: WSGIApplication) -> WSGIApplication:
    def compressing(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        accepted = environ.get("HTTP_ACCEPT_ENCODING")
        encoding = choose(accepted) if accepted else ""
        if not encoding:
            return application(environ, start_response)
        begun: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            begun[:] = [status, headers, *error]
            return _write

        body = application(environ, start)
        status, headers, *error = begun
        if not _pays(environ, status, dict(headers)):
            start_response(status, headers, *error)
            return body
        content = b"".join(body)
        getattr(body, "close", lambda: None)()
        if len(content) >= SMALLEST:
            content = compress(content, encoding)
            headers = [(name, value) for name, value in headers if name.lower() not in ("content-length", "etag")]
            headers += [("Content-Length", str(len(content))), ("Content-Encoding", encoding)]
        start_response(status, [*headers, ("Vary", "Accept-Encoding")], *error)
        return [content]

    return compressing


def _write(_: bytes) -> object:
    raise NotImplementedError("nothing here writes before it answers")


def _pays(environ: WSGIEnvironment, status: str, headers: Mapping[str, str]) -> bool:
    """Files of /static are sent piece by piece, and a range of one must stay what it is."""
    length = headers.get("Content-Length", "")
    return (
        environ["REQUEST_METHOD"] != "HEAD"
        and status[:3] not in ("204", "206", "304")
        and "Content-Encoding" not in headers
        and headers.get("Content-Type", "").startswith(COMPRESSIBLE)
        and length.isdigit()
        and SMALLEST <= int(length) <= LARGEST
    )


@lru_cache(maxsize=256)
def choose(accepted: str) -> str:
    """The best encoding that an Accept-Encoding header takes; empty for none."""
    shares: dict[str, float] = {}
    for item in accepted.split(","):
        name, _, rest = item.partition(";")
        weight = rest.strip().removeprefix("q=")
        try:
            shares[name.strip().lower()] = float(weight) if rest else 1.0
        except ValueError:
            continue
    for encoding in (ZSTD, "gzip"):
        if shares.get(encoding, shares.get("*", 0.0)) > 0:
            return encoding
    return ""


def compress(content: bytes, encoding: str) -> bytes:
    if encoding == ZSTD:
        return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(content)
    packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, WINDOWS["gzip"])
    return packer.compress(content) + packer.flush()
