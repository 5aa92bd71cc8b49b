"""Held answers: made, and sent once the log has what they say, by whoever brought it there.

A WSGI application answers when it returns, so a thread of each request would have to wait for the disk: two switches of
threads and a turn at the interpreter's lock, which cost about as much as the prediction. Under granian an answer is
sent by an object that any thread may call. Here something stands before that object, which waits where an answer is
pending, and the thread of the request is free for the next. Another server has no such object, and its threads wait.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from rowsmith.serving.errors import problem_of, reply_of
from rowsmith.serving.logs import REQUEST_ID, about
from rowsmith.serving.pending import Pending
from rowsmith.serving.steps import LISTENER

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

HELD = "rowsmith.held"
"""Of an answer that may be held, in the WSGI environment."""
MOST_BYTES = 16 << 10
HEAD_OF_BODY = frozenset({"Content-Type", "Content-Length", "Content-Encoding"})

Headers: TypeAlias = list[tuple[str, str]]


def may_be_held(environ: WSGIEnvironment, size: int) -> bool:
    """Of an answer of so many bytes. As many may wait for a slow disk as there are connections, so they have to be
    small, and what they answer, too; all others keep their turn (see turns.py) while they wait. While somebody listens
    to the steps of a request, it waits itself."""
    asked = environ.get("CONTENT_LENGTH", "")
    is_small = size <= MOST_BYTES and asked.isdecimal() and int(asked) <= MOST_BYTES
    return is_small and HELD in environ and LISTENER.get() is None


class Held:
    """Stands before the object of granian that sends the answer to a request."""

    __slots__ = ("_asked", "_protocol", "_request_id", "before", "pending")

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self.pending: Pending | None = None
        """What the answer waits for, where it does."""
        self.before: Callable[[int], object] | None = None
        """Told the status of an answer that had to wait, right before it is sent: who has it finds it counted."""

    def hold(self, pending: Pending, asked: str) -> None:
        """The answer to what was `asked` (method and path) waits; it is not sent yet."""
        self.pending, self._asked, self._request_id = pending, asked, REQUEST_ID.get()

    def response_bytes(self, status: int, headers: Headers, body: bytes) -> None:
        pending, self.pending = self.pending, None
        if pending is None:
            self._protocol.response_bytes(status, headers, body)
            return
        try:
            pending.settle_later(partial(self._send, status, headers, body))
        except Exception as problem:
            # The edge of the server, as in hot.py: whatever is raised becomes a problem document.
            self._send(status, headers, body, problem)

    def response_iter(self, status: int, headers: Headers, body: Any) -> None:
        self._protocol.response_iter(status, headers, body)

    def _send(self, status: int, headers: Headers, body: bytes, problem: Exception | None) -> None:
        if problem is not None:
            with about(self._request_id):
                reply = reply_of(problem_of(problem, self._asked))
            status, body = reply.status, reply.body
            headers = [item for item in headers if item[0] not in HEAD_OF_BODY]
            headers += [("Content-Type", reply.content_type), ("Content-Length", str(len(body))), *reply.headers]
        before, self.before = self.before, None
        try:
            if before is not None:
                before(status)
        finally:
            self._protocol.response_bytes(status, headers, body)


def hold_answers() -> None:
    """From now on granian's worker in this process lets answers be held."""
    from granian.server import mp

    wrap: Callable[..., Any] | None = getattr(mp, "_wsgi_call_wrap", None)
    if wrap is not None:
        mp._wsgi_call_wrap = partial(_holding, wrap)  # type: ignore[attr-defined]


def _holding(wrap: Callable[..., Any], *args: Any) -> Callable[[Any, dict[str, Any]], Any]:
    run = wrap(*args)

    def answer(protocol: Any, environ: dict[str, Any]) -> Any:
        held = environ[HELD] = Held(protocol)
        return run(held, environ)

    return answer
