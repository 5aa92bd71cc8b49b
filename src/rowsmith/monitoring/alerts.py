"""Alerts: tell someone what the monitoring found, and tell it once.

A sink is where alerts go; a small JSON state remembers what was told before.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import smtplib
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from rowsmith.errors import RowsmithError, SettingsError, StorageError
from rowsmith.monitoring.decide import Level, Verdict
from rowsmith.types import JsonObject

TIMEOUT_SECONDS = 10.0
REPEAT_AFTER = timedelta(days=7)
PAUSES_SECONDS = (5.0, 30.0, 300.0)
"""Before a sink that did not take an alert is told again."""
logger = logging.getLogger("rowsmith.alerts")


@dataclass(frozen=True, slots=True)
class Alert:
    """What to tell. `model` names the model, `time` is ISO 8601 in UTC; the rest is the verdict's."""

    model: str
    time: str
    verdict: Verdict

    @property
    def title(self) -> str:
        words = {Level.OK: "all is well again", Level.WARN: "worth a look", Level.ACT: "action is needed"}
        return f"Rowsmith, {self.model}: {words[self.verdict.level]}"

    @property
    def text(self) -> str:
        reasons = self.verdict.reasons
        lines = [f"- {reason.message}" + (f" -> {reason.advice}" if reason.advice else "") for reason in reasons]
        return "\n".join([self.title, *lines])

    @property
    def fingerprint(self) -> str:
        """The same for the same findings, whatever the figures: level, codes and columns."""
        found = sorted((reason.code, reason.columns) for reason in self.verdict.reasons if reason.level is not Level.OK)
        return hashlib.sha256(json.dumps([self.verdict.level.value, found]).encode()).hexdigest()

    def to_dict(self) -> JsonObject:
        verdict = self.verdict.to_dict()
        return {"model": self.model, "time": self.time, "title": self.title, "text": self.text, "verdict": verdict}


class Sink(Protocol):
    """Where alerts go."""

    def send(self, alert: Alert) -> None:
        """Raises RowsmithError when the alert did not get there."""
        ...


class NoSink:
    """For those who do not want to be told."""

    def send(self, alert: Alert) -> None:
        return None


class LogSink:
    """A line in the log of the process, under the name rowsmith.alerts."""

    def send(self, alert: Alert) -> None:
        logger.log(logging.INFO if alert.verdict.level is Level.OK else logging.WARNING, "%s", alert.text)


@dataclass(frozen=True, slots=True)
class FileSink:
    """A file with one JSON object a line; each alert is on the disk when `send` returns."""

    path: Path

    def send(self, alert: Alert) -> None:
        line = json.dumps(alert.to_dict(), ensure_ascii=False) + "\n"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as problem:
            raise StorageError(f"the alert could not be written: {problem.strerror}", where=str(self.path)) from problem


@dataclass(frozen=True, slots=True)
class WebhookSink:
    """An HTTP POST of the alert as JSON. `text` is where chat services look for the message."""

    url: str
    timeout: float = TIMEOUT_SECONDS

    def send(self, alert: Alert) -> None:
        body = json.dumps(alert.to_dict()).encode()
        headers = {"Content-Type": "application/json", "User-Agent": "rowsmith"}
        request = urllib.request.Request(self.url, data=body, headers=headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=self.timeout) as answer:
                answer.read(1)
        except urllib.error.HTTPError as problem:
            with problem:
                raise _undelivered(self.url, f"the answer was {problem.code} {problem.reason}") from problem
        except (OSError, ValueError) as problem:
            raise _undelivered(self.url, str(getattr(problem, "reason", problem))) from problem


@dataclass(frozen=True, slots=True)
class MailSink:
    """An e-mail over SMTP; with a user and a password the connection is encrypted first (STARTTLS)."""

    host: str
    port: int
    sender: str
    recipients: tuple[str, ...]
    user: str = ""
    password: str = ""
    timeout: float = TIMEOUT_SECONDS

    def send(self, alert: Alert) -> None:
        message = EmailMessage()
        message["Subject"], message["From"], message["To"] = alert.title, self.sender, ", ".join(self.recipients)
        message.set_content(alert.text)
        try:
            with smtplib.SMTP(self.host, self.port, timeout=self.timeout) as server:
                if self.user:
                    server.starttls()
                    server.login(self.user, self.password)
                server.send_message(message)
        except (OSError, smtplib.SMTPException) as problem:
            raise _undelivered(f"smtp://{self.host}:{self.port}", str(problem)) from problem


def open_sink(target: str) -> Sink:
    """The sink that a setting names. Raises SettingsError.

    Empty text: nobody is told. `log`: a line in the log. `file:PATH`: JSON lines. `https://...` or `http://...`: a
    webhook. `smtp://[user:password@]host[:port]?from=ADDRESS&to=ADDRESS[,ADDRESS]`: an e-mail.
    """
    scheme = "" if not target else "log" if target == "log" else target.partition(":")[0].lower()
    if scheme not in SINKS:
        raise SettingsError(
            "alerts cannot be sent there",
            received=_without_secret(target),
            allowed="log, file:PATH, https://... or smtp://host?from=...&to=...",
        )
    return SINKS[scheme](target)


def _mail_sink(target: str) -> MailSink:
    parts = urlsplit(target)
    query = parse_qs(parts.query)
    if not parts.hostname or not query.get("from") or not query.get("to"):
        raise SettingsError(
            "an e-mail needs a host, from and to",
            received=_without_secret(target),
            allowed="smtp://host:587?from=me@example.com&to=you@example.com",
        )
    return MailSink(
        host=parts.hostname,
        port=parts.port or (587 if parts.username else 25),
        sender=query["from"][0],
        recipients=tuple(address.strip() for address in query["to"][0].split(",")),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )


SINKS: dict[str, Callable[[str], Sink]] = {
    "": lambda target: NoSink(),
    "log": lambda target: LogSink(),
    "file": lambda target: FileSink(Path(target.partition(":")[2])),
    "http": WebhookSink,
    "https": WebhookSink,
    "smtp": _mail_sink,
}


@dataclass(frozen=True, slots=True)
class Delivery:
    """`state` is to be kept and handed in next time. `told` is False where there was nothing new, or nobody was
    reached; `failures` say which sinks did not take the alert.
    """

    state: JsonObject
    told: bool
    failures: tuple[str, ...] = ()


def deliver(
    alert: Alert, sinks: Sequence[Sink], state: JsonObject, now: datetime, repeat_after: timedelta = REPEAT_AFTER
) -> Delivery:
    """Tell every sink about something new, or about something old that was last told `repeat_after` ago.

    News are other findings than last time (not other figures), and that all is well again. An alert that no sink took
    is tried again next time; a sink that fails stops neither the others nor the monitoring.
    """
    if not _is_news(alert, state, now, repeat_after):
        return Delivery(state, told=False)
    failures = tuple(_send(alert, sinks).values())
    if sinks and len(failures) == len(sinks):
        return Delivery(state, told=False, failures=failures)
    new: JsonObject = {"level": alert.verdict.level.value, "fingerprint": alert.fingerprint, "told": now.isoformat()}
    return Delivery(new, told=bool(sinks), failures=failures)


def tell(alert: Alert, sinks: Sequence[Sink], pauses: Sequence[float] = PAUSES_SECONDS) -> tuple[str, ...]:
    """Tell every sink of something that happened once. Those that do not take it are told again after each pause.

    The answer says why the last ones never took it.
    """
    left = list(sinks)
    failures = _send(alert, left)
    for pause in pauses:
        if not failures:
            break
        time.sleep(pause)
        left = [left[number] for number in failures]
        failures = _send(alert, left)
    return tuple(failures.values())


def _send(alert: Alert, sinks: Sequence[Sink]) -> dict[int, str]:
    """Why which of the sinks, by number, did not take it."""
    failures: dict[int, str] = {}
    for number, sink in enumerate(sinks):
        try:
            sink.send(alert)
        except RowsmithError as problem:
            failures[number] = str(problem)
    return failures


def _is_news(alert: Alert, state: JsonObject, now: datetime, repeat_after: timedelta) -> bool:
    if alert.verdict.level is Level.OK:
        return bool(state.get("level", Level.OK.value) != Level.OK.value)
    if state.get("fingerprint") != alert.fingerprint:
        return True
    return now >= datetime.fromisoformat(state["told"]) + repeat_after


def _undelivered(where: str, why: str) -> RowsmithError:
    return RowsmithError(f"the alert was not delivered: {why}", where=_without_secret(where))


def _without_secret(url: str) -> str:
    """A webhook's path and query, and a user's password, are as good as a key: only the start of a URL is shown."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}/..." if parts.netloc else url
