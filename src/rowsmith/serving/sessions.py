"""Sessions: a signed cookie that says with which key somebody signed in, and until when.

Nothing is kept on the server. The cookie ends with its key: when that is revoked, so is every session that it began.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable

COOKIE = "rowsmith_session"
SESSION_SECONDS = 12 * 3600


class Sessions:
    """`secret` answers the key of the signature; it is asked for when the first session is looked at."""

    def __init__(self, secret: Callable[[], bytes]) -> None:
        self._find = secret
        self._secret: bytes | None = None

    def begin(self, key_number: int, now: float | None = None) -> str:
        """The value of the cookie. Raises StorageError where there is no secret to sign with."""
        ends = int(time.time() if now is None else now) + SESSION_SECONDS
        said = f"{key_number}.{ends}"
        return f"{said}.{self._sign(said)}"

    def key_number(self, cookie: str, now: float | None = None) -> int | None:
        """The number of the key that a session began with; None for one that has ended or was never begun here."""
        said, _, signature = cookie.rpartition(".")
        if not hmac.compare_digest(self._sign(said).encode(), signature.encode()):
            return None
        number, _, ends = said.partition(".")
        return int(number) if int(ends) > (time.time() if now is None else now) else None

    def _sign(self, said: str) -> str:
        if self._secret is None:
            self._secret = self._find()
        digest = hmac.digest(self._secret, b"rowsmith session\0" + said.encode(errors="replace"), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).decode()
