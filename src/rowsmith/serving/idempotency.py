"""Idempotency keys: a request that is repeated with its key is answered as it was the first time.

As in draft-ietf-httpapi-idempotency-key-header-07. What is done under a key here may be done twice without harm (see
`PredictionLog.label`); the key is for callers who want the very answer again, and shows where one is used twice.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rowsmith.serving.errors import Problem
from rowsmith.serving.exchange import Reply
from rowsmith.serving.gate import CALLER
from rowsmith.serving.services import Services
from rowsmith.storage.replays import Replay, find_replay, keep_replay

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

MAX_KEY = 200
REPLAYED = ("Idempotency-Replayed", "true")


def once(site: Services, environ: WSGIEnvironment, body: bytes, answer: Callable[[], Reply]) -> Reply:
    """The answer, or the one that was given before. Only answers that were given well are kept. Raises Problem."""
    given = environ.get("HTTP_IDEMPOTENCY_KEY")
    if given is None:
        return answer()
    if not 0 < len(given) <= MAX_KEY or not given.isascii() or not given.isprintable() or " " in given:
        raise Problem("invalid-request", f"an Idempotency-Key has 1 to {MAX_KEY} printable characters without blanks")
    if site.project.is_empty:
        return answer()
    caller = environ[CALLER].name
    key = hashlib.sha256(f"{environ['PATH_INFO']}\0{caller}\0{given}".encode()).hexdigest()
    fingerprint = hashlib.sha256(body).hexdigest()
    database, now = site.project.database, time.time()
    before = find_replay(database, key, now=now)
    if before is not None:
        if before.fingerprint != fingerprint:
            raise Problem("key-reused", "this Idempotency-Key came with another body before")
        return Reply(before.answer.encode(), headers=(REPLAYED,))
    reply = answer()
    keep_replay(database, key, Replay(fingerprint, reply.body.decode()), now=now)
    return reply
