"""Client: fetches over HTTP, politely and without trust in what answers.

Every connection goes where the guard has looked (see `guard.py`). Redirects are followed by hand, so that each is
looked at, and credentials stay with the host they were meant for. What fails for a moment is tried again.
"""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING

import certifi
import httpx

from rowsmith.errors import RecipeError, SourceError, StorageError
from rowsmith.ingestion.sources.address import shown
from rowsmith.ingestion.sources.http.guard import Guard
from rowsmith.ingestion.sources.local_file import LocalFile, TemporaryFile
from rowsmith.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator

USER_AGENT = f"rowsmith/{__version__} (reads tables; httpx)"
MAX_REDIRECTS = 10
MAX_WAIT = 120.0
FIRST_WAIT = 0.5
RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
SLOWEST = 100
"""Bytes a second: what comes slower than this over a whole `timeout` has stalled."""
CHUNK_BYTES = 1 << 17
MEMORY_BYTES = 1 << 20
MAX_TOLD = 200


@dataclass(frozen=True)
class Manners:
    """How to behave: seconds to wait for an answer, how often to try again, requests a second (None: no limit), the
    most bytes of all answers together (unpacked), a file with certificates to trust besides the usual ones."""

    timeout: float = 30.0
    retries: int = 4
    rate: float | None = None
    max_bytes: int = 10_000_000_000
    certificates: Path | None = None


@dataclass(frozen=True)
class Fetched:
    """An answer. `url` is where it came from after redirects; `status` is 200 to 299, or 304. `name` is for people, and
    `extension` that of the unpacked file. A small body is in memory, a large one on disk."""

    url: str
    status: int
    headers: httpx.Headers
    size: int
    in_memory: bytes | None
    on_disk: TemporaryFile | None

    @property
    def name(self) -> str:
        return shown(self.url)

    @property
    def extension(self) -> str:
        return LocalFile.at(Path(httpx.URL(self.url).path)).extension

    @property
    def media_type(self) -> str:
        return str(self.headers.get("content-type", "")).partition(";")[0].strip().lower()

    def content(self) -> bytes:
        """As it was sent: unpacked where the answer says that it is packed, not where its file is."""
        if self.in_memory is not None:
            return self.in_memory
        return self.file().path.read_bytes()

    def file(self) -> LocalFile:
        """As a file on disk. Raises StorageError where there is no room."""
        keeper = self.on_disk
        if keeper is None:
            keeper = TemporaryFile()
            with _room(keeper):
                keeper.path.write_bytes(self.in_memory or b"")
        return LocalFile(self.name, keeper.path, self.extension, keeper=keeper)


@dataclass
class Client:
    """`headers` go to the host of the first request alone; `wait` sleeps."""

    guard: Guard
    manners: Manners
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    wait: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.monotonic
    _sessions: dict[tuple[str, str, int], tuple[httpx.Client, list[str]]] = field(default_factory=dict, repr=False)
    _home: tuple[str, str, int] | None = None
    _bytes: int = 0
    _pause: float = 0.0
    _last: float = -MAX_WAIT

    def close(self) -> None:
        for session, _ in self._sessions.values():
            session.close()
        self._sessions.clear()

    def get(self, url: str, *, headers: Mapping[str, str] | None = None) -> Fetched:
        """Raises SourceError for anything but an answer of 2xx, or of 304 where `headers` ask for it."""
        visited = [url]
        while True:
            answer = self._persist(url, headers or {})
            if isinstance(answer, Fetched):
                return answer
            url = answer
            if url in visited or len(visited) > MAX_REDIRECTS:
                raise SourceError(
                    "this address leads in a circle" if url in visited else f"more than {MAX_REDIRECTS} redirects",
                    where=shown(visited[0]),
                    received=" → ".join(shown(step) for step in [*visited, url][-4:]),
                    next_step="open it in a browser, and name the address that it ends at; it may ask for a login",
                )
            visited.append(url)

    def text_or_none(self, url: str) -> str | None:
        """A small text that may not be there. Raises SourceError where the server fails."""
        try:
            return self.get(url).content().decode("utf-8", errors="replace")
        except NotThere:
            return None

    def slow_down(self, seconds: float) -> None:
        """At least so many seconds between two requests from now on."""
        self._pause = max(self._pause, min(seconds, MAX_WAIT))

    def _persist(self, url: str, headers: Mapping[str, str]) -> Fetched | str:
        """An answer, or the address of a redirect; tried again while that may help."""
        for attempt in range(self.manners.retries + 1):
            last = attempt == self.manners.retries
            try:
                return self._once(url, headers)
            except _TryAgain as problem:
                pause = problem.wait if problem.wait is not None else FIRST_WAIT * 2**attempt * random.uniform(0.8, 1.2)
                if last or pause > MAX_WAIT:
                    raise problem.error(url, attempt + 1, pause if pause > MAX_WAIT else None) from problem.__cause__
                self.wait(pause)
        raise AssertionError("the last attempt returns or raises")

    def _once(self, url: str, headers: Mapping[str, str]) -> Fetched | str:
        target, origin = _target(url)
        self._home = self._home or origin
        own = self.headers if origin == self._home else {}
        session, numbers = self._session(origin)
        self._keep_pace()
        host = f"[{target.host}]" if ":" in target.host else target.host
        port = f":{target.port}" if target.port else ""
        everything = {"user-agent": USER_AGENT, **own, **headers, "host": host + port}
        with _translated(url):
            answer = _send(session, target, numbers, everything)
            try:
                return self._answer(url, target, answer)
            finally:
                answer.close()

    def _answer(self, url: str, target: httpx.URL, answer: httpx.Response) -> Fetched | str:
        status = answer.status_code
        if status in REDIRECTS and "location" in answer.headers:
            return str(target.join(answer.headers["location"]))
        if status in RETRIED:
            raise _TryAgain(_reason(answer), _retry_after(answer.headers.get("retry-after", "")))
        if status != 304 and not 200 <= status < 300:
            raise _refused(url, answer)
        return self._received(url, answer)

    def _received(self, url: str, answer: httpx.Response) -> Fetched:
        begin, size = self.now(), 0
        chunks: list[bytes] = []
        keeper: TemporaryFile | None = None
        for chunk in answer.iter_bytes(CHUNK_BYTES):
            chunks.append(chunk)
            size += len(chunk)
            seconds = self.now() - begin
            if self._bytes + size > self.manners.max_bytes:
                raise _too_large(url, self.manners.max_bytes)
            if seconds > self.manners.timeout and size < SLOWEST * seconds:
                raise _TryAgain(f"it stalled: {size} bytes in {seconds:.0f} seconds")
            if size > MEMORY_BYTES:
                keeper = keeper or TemporaryFile()
                _append(keeper, chunks)
        self._bytes += size
        content = None if keeper else b"".join(chunks)
        if keeper:
            _append(keeper, chunks)
        return Fetched(url, answer.status_code, answer.headers, size, content, keeper)

    def _session(self, origin: tuple[str, str, int]) -> tuple[httpx.Client, list[str]]:
        """One for each origin, bound to the addresses that the guard has seen."""
        if origin not in self._sessions:
            scheme, host, port = origin
            numbers = self.guard.addresses(host, port)
            session = httpx.Client(
                verify=_trust(self.manners.certificates)
                if scheme == "https"
                else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
                timeout=self.manners.timeout,
                follow_redirects=False,
                trust_env=False,
            )
            self._sessions[origin] = session, numbers
        return self._sessions[origin]

    def _keep_pace(self) -> None:
        pause = max(self._pause, 1 / self.manners.rate if self.manners.rate else 0.0)
        if not pause:
            return
        now = self.now()
        if now < self._last + pause:
            self.wait(self._last + pause - now)
        self._last = max(now, self._last + pause)


def _append(keeper: TemporaryFile, chunks: list[bytes]) -> None:
    with _room(keeper), keeper.path.open("ab") as file:
        file.writelines(chunks)
    chunks.clear()


@contextmanager
def _room(keeper: TemporaryFile) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise StorageError(
            f"there is no room for what is fetched: {problem.strerror}",
            where=str(keeper.path.parent),
            next_step="set TMPDIR to a folder with more room; nothing was kept",
        ) from problem


class NotThere(SourceError):
    """The server says that there is nothing at this address."""


class _TryAgain(Exception):
    """`wait` is how many seconds the server asks for, None where it does not say."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait = wait

    def error(self, url: str, attempts: int, asked: float | None) -> SourceError:
        if asked is not None:
            return SourceError(
                f"{self.reason}, and asks to wait {asked:.0f} seconds",
                where=shown(url),
                next_step="try again then, or ask for less at a time (rate under [data.http])",
            )
        return SourceError(
            f"{self.reason}, {attempts} times in a row" if attempts > 1 else self.reason,
            where=shown(url),
            next_step="try again later; nothing was kept. retries and timeout under [data.http] say how patient to be",
        )


def _send(session: httpx.Client, target: httpx.URL, numbers: list[str], headers: Mapping[str, str]) -> httpx.Response:
    """The next number is tried where one does not answer; the one that does is the first from then on."""
    for left in range(len(numbers) - 1, -1, -1):
        request = session.build_request(
            "GET", target.copy_with(host=numbers[0]), headers=headers, extensions={"sni_hostname": target.host}
        )
        try:
            return session.send(request, stream=True)
        except httpx.ConnectError as problem:
            if not left or "CERTIFICATE" in str(problem).upper():
                raise
            numbers.append(numbers.pop(0))
    raise AssertionError("a host has at least one address")


def require_web(url: str) -> None:
    """Raises SourceError for an address that no request can be made of."""
    _target(url)


def _target(url: str) -> tuple[httpx.URL, tuple[str, str, int]]:
    try:
        target = httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as problem:
        raise SourceError(
            f"this is no address: {problem}", where=shown(url), next_step="look for a slip of the pen in it"
        ) from problem
    if target.scheme not in ("http", "https") or not target.host:
        raise SourceError(
            "this address is not one of the web",
            where=shown(url),
            allowed="http:// and https://",
            next_step="a redirect or a link to anything else is not followed",
        )
    return target, (target.scheme, target.host, target.port or {"http": 80, "https": 443}[target.scheme])


def _trust(certificates: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    if certificates is not None:
        try:
            context.load_verify_locations(certificates)
        except (OSError, ssl.SSLError) as problem:
            raise RecipeError(
                f"the file of certificates cannot be read: {problem.strerror or problem}",
                where="data.http.certificates",
                received=str(certificates),
                allowed="certificates in PEM form",
            ) from problem
    return context


@contextmanager
def _translated(url: str) -> Iterator[None]:
    try:
        yield
    except httpx.TimeoutException as problem:
        raise _TryAgain("there was no answer in time") from problem
    except httpx.ConnectError as problem:
        if "CERTIFICATE" in str(problem).upper():
            raise SourceError(
                f"the certificate of this server cannot be trusted: {_tail(str(problem))}",
                where=shown(url),
                next_step="if it is your own server, name its authority with certificates under [data.http]",
            ) from problem
        raise _TryAgain(f"there is no connection: {_tail(str(problem))}") from problem
    except httpx.DecodingError as problem:
        raise SourceError(
            "the answer is packed wrongly",
            where=shown(url),
            received=_tail(str(problem)),
            next_step="try again; if it stays so, the server is at fault",
        ) from problem
    except httpx.TransportError as problem:
        raise _TryAgain(f"the connection broke: {_tail(str(problem))}") from problem


def _refused(url: str, answer: httpx.Response) -> SourceError:
    steps = {
        401: "give credentials: bearer, basic or headers under [data.http]",
        403: "the credentials do not allow it, or it wants some: bearer, basic or headers under [data.http]",
        404: "look at the address: there is nothing there",
        410: "look at the address: there is nothing there any more",
        413: "ask for less at a time: page_size under [data.http]",
        414: "ask with fewer parameters",
    }
    kind = NotThere if answer.status_code in (404, 410) else SourceError
    return kind(
        f"the server refuses: {_reason(answer)}",
        where=shown(url),
        received=_told(answer),
        next_step=steps.get(answer.status_code, "look at what the server says about this address"),
    )


def _told(answer: httpx.Response) -> str:
    """The beginning of what a refusal says. HTML tells a browser something, and a reader of errors nothing."""
    if "html" in answer.headers.get("content-type", ""):
        return ""
    try:
        begin = next(answer.iter_bytes(CHUNK_BYTES), b"")
    except httpx.HTTPError:
        return ""
    return " ".join(begin.decode(errors="replace").split())[:MAX_TOLD]


def _reason(answer: httpx.Response) -> str:
    return f"{answer.status_code} {answer.reason_phrase}".strip()


def _retry_after(text: str) -> float | None:
    """Seconds, or a date, as RFC 9110 has it."""
    if text.strip().isdigit():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return max((moment.replace(tzinfo=moment.tzinfo or UTC) - datetime.now(UTC)).total_seconds(), 0.0)


def _too_large(url: str, limit: int) -> SourceError:
    return SourceError(
        f"this is more than {limit / 1e6:,.0f} MB",
        where=shown(url),
        next_step="set max_mb under [data.http] if it is meant to be that large; nothing was kept",
    )


def _tail(text: str) -> str:
    """The end of what a library says, which is the cause."""
    return text.rsplit("] ", 1)[-1].strip() or "it says nothing"
