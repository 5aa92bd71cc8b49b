"""Turns: so many requests are worked on at once, while any number of them waits for the rest of its body.

The server runs the application in a thread before a body has come, and reading blocks that thread for as long as the
caller likes. With a few threads, a few callers who send a byte a second would keep everybody else out. So there is a
thread for each connection, and what was few threads is few turns: who waits for a body has given his up.
"""

from __future__ import annotations

from collections.abc import Iterable
from queue import Empty, SimpleQueue
from typing import IO, TYPE_CHECKING

from rowsmith.serving.errors import Problem
from rowsmith.serving.slow_bodies import SlowBodies

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

LARGE_BYTES = 1 << 20
"""A body of which more is asked for than this (as of one whose length nobody promised) is one of a few at a time."""
WAIT_SECONDS = 5.0


class Turns:
    """Wraps an application: `number` requests are worked on at once, and `large` large bodies are held."""

    def __init__(self, application: WSGIApplication, number: int, slow_bodies: SlowBodies, *, large: int) -> None:
        self._application = application
        self.slow_bodies = slow_bodies
        self.turns = _places(number)
        self.large = _places(large)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        self.turns.get()
        body = Body(environ["wsgi.input"], environ.get("REMOTE_ADDR", ""), self)
        environ["wsgi.input"] = body
        try:
            return self._application(environ, start_response)
        finally:
            body.end()
            self.turns.put(None)


class Body:
    """A request's body (`wsgi.input`, of which the application only reads), waited for out of turn."""

    __slots__ = ("_address", "_asked", "_held", "_stream")

    def __init__(self, stream: IO[bytes], address: str, held: Turns) -> None:
        self._stream = stream
        self._address = address
        self._held = held
        self._asked = 0

    def read(self, size: int) -> bytes:
        """Raises Problem where the caller is too slow, or there is no place for a large body."""
        held, was_small = self._held, self._asked <= LARGE_BYTES
        held.turns.put(None)
        try:
            if was_small and self._asked + size > LARGE_BYTES:
                _take(held.large)
            self._asked += size
            wait = held.slow_bodies.begin(self._address)
            piece = self._stream.read(size)
            if held.slow_bodies.end(wait) and len(piece) < size:
                raise Problem("too-slow", "the body did not come in time")
            return piece
        finally:
            held.turns.get()

    def end(self) -> None:
        """After the request."""
        if self._asked > LARGE_BYTES:
            self._held.large.put(None)


def _take(places: SimpleQueue[None]) -> None:
    try:
        places.get(timeout=WAIT_SECONDS)
    except Empty:
        raise Problem("busy", "too many large bodies are being read", headers={"Retry-After": "5"}) from None


def _places(number: int) -> SimpleQueue[None]:
    places: SimpleQueue[None] = SimpleQueue()
    for _ in range(number):
        places.put(None)
    return places
