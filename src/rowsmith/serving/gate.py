"""Gate: who asks, whether they may, and whether they ask too often.

It works on the WSGI environment alone, so that whatever answers a request, Flask or not, can pass it first.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from werkzeug.http import parse_cookie

from rowsmith.access.keyring import Keyring
from rowsmith.access.keys import Key, KeyRole
from rowsmith.serving.addresses import is_loopback
from rowsmith.serving.cross_origin import is_named
from rowsmith.serving.errors import Problem
from rowsmith.serving.rate_limits import WINDOW_SECONDS, RateLimiter
from rowsmith.serving.sessions import COOKIE, Sessions

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

CALLER = "rowsmith.caller"
HEADERS = "rowsmith.headers"
"""Headers that the answer gets; a list of pairs in the WSGI environment."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
FOREIGN_SITES = frozenset({"cross-site", "same-site"})
OWN_SITES = frozenset({"same-origin", "none"})
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="rowsmith"'}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request. `by_session` says that a browser sent a cookie along, rather than a program a key."""

    name: str
    role: KeyRole
    by_session: bool = False


ANYONE = Caller("anyone on this machine", KeyRole.ADMIN)
STRANGER = Caller("nobody", KeyRole.PREDICT)


class Gate:
    """The one place that lets a request in. `rate` is the limit of keys without one of their own; 0 is none.
    Pages of the sites in `origins` may ask for what machines ask for."""

    def __init__(
        self,
        *,
        ask_for_keys: bool,
        keyring: Keyring,
        sessions: Sessions,
        limiter: RateLimiter,
        rate: int = 0,
        origins: Collection[str] = (),
    ) -> None:
        self.asks_for_keys = ask_for_keys
        self.keyring = keyring
        self.sessions = sessions
        self._limiter = limiter
        self._rate = rate
        self._origins = origins

    def admit(self, environ: WSGIEnvironment, needed: KeyRole | None) -> Caller:
        """Let a request in that needs a role (None: no key). Raises Problem: 401, 403, 429, 503."""
        self._refuse_foreign(environ)
        if not self.asks_for_keys:
            caller = ANYONE
        elif needed is None:
            caller = STRANGER
        else:
            caller = self._known(environ, needed)
        environ[CALLER] = caller
        return caller

    def close(self) -> None:
        self.keyring.close()
        self._limiter.close()

    def _refuse_foreign(self, environ: WSGIEnvironment) -> None:
        """A server without keys answers only to the names of loopback: a foreign name that was made to resolve to
        127.0.0.1 (DNS rebinding) is refused. And no page of another site makes a browser change something here."""
        if not self.asks_for_keys and not names_loopback(environ.get("HTTP_HOST", "")):
            raise Problem("foreign-request", "this server answers to localhost only")
        foreign = environ["REQUEST_METHOD"] not in SAFE_METHODS and environ.get("HTTP_SEC_FETCH_SITE") in FOREIGN_SITES
        if foreign and not (self._origins and is_named(environ, self._origins)):
            raise Problem("foreign-request", "this request was made by a page of another site")

    def _known(self, environ: WSGIEnvironment, needed: KeyRole) -> Caller:
        if not self.keyring.is_known:
            raise Problem("store-unavailable", "the keys cannot be read", headers={"Retry-After": "5"})
        secret = _bearer(environ.get("HTTP_AUTHORIZATION", ""))
        key = self.keyring.find(secret) if secret else self._of_session(environ)
        if key is None:
            said = "this key is unknown, was revoked or has ended" if secret else "no key came with this request"
            raise Problem("key-required", said, headers=CHALLENGE)
        self._limit(environ, key)
        if key.role < needed:
            raise Problem("not-permitted", f"this needs the role {needed.label}; the key has the role {key.role.label}")
        return Caller(f"key {key.name}", key.role, by_session=not secret)

    def _of_session(self, environ: WSGIEnvironment) -> Key | None:
        if COOKIE not in environ.get("HTTP_COOKIE", ""):
            return None
        number = self.sessions.key_number(parse_cookie(environ).get(COOKIE, ""))
        if number is None:
            return None
        if environ["REQUEST_METHOD"] not in SAFE_METHODS and not _from_own_page(environ):
            raise Problem("foreign-request", "a change by a signed-in browser must come from a page of this server")
        return self.keyring.numbered(number)

    def _limit(self, environ: WSGIEnvironment, key: Key) -> None:
        """Headers as in draft-ietf-httpapi-ratelimit-headers-10."""
        rate = key.rate or self._rate
        if not rate:
            return
        verdict = self._limiter.take(key.number, rate)
        wait = math.ceil(verdict.reset_seconds)
        environ[HEADERS] = [
            ("RateLimit-Policy", f'"key";q={rate};w={WINDOW_SECONDS:.0f}'),
            ("RateLimit", f'"key";r={verdict.remaining};t={wait}'),
        ]
        if not verdict.allowed:
            raise Problem(
                "too-many-requests",
                f"this key may make {rate} requests a minute",
                headers={"Retry-After": str(max(wait, 1))},
            )


def _bearer(header: str) -> str:
    scheme, _, secret = header.partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else ""


def _from_own_page(environ: WSGIEnvironment) -> bool:
    """What a browser says of where a request comes from; one that says nothing is not believed."""
    site = environ.get("HTTP_SEC_FETCH_SITE")
    if site is not None:
        return site in OWN_SITES
    origin = environ.get("HTTP_ORIGIN", "")
    return bool(origin) and urlsplit(origin).netloc == environ.get("HTTP_HOST")


@lru_cache(maxsize=256)
def names_loopback(host: str) -> bool:
    """Of a Host header, with a port or without."""
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False
