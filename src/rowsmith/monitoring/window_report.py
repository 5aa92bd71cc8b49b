"""WindowReport: everything that was seen in one window. Plain data."""

from __future__ import annotations

from dataclasses import dataclass

from rowsmith.monitoring.drift import Drift
from rowsmith.monitoring.live_scores import WindowScore
from rowsmith.types import JsonObject


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds that half, 95 % and 99 % of the requests took at most."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class WindowReport:
    """`start` and `end` (exclusive) are ISO 8601 in UTC, None for rows without a time.

    `rows` were answered, `labelled` of them have a true outcome by now. `requests` and `errors` count what was asked
    and what was refused or failed (None where only scored rows are known). `judged` is whether there were enough rows
    to speak of drift.
    """

    start: str | None
    end: str | None
    rows: int
    labelled: int
    judged: bool
    drift: tuple[Drift, ...]
    scores: tuple[WindowScore, ...]
    requests: int | None = None
    errors: int | None = None
    latency_ms: Latency | None = None

    @property
    def title(self) -> str:
        return self.start or "all rows"

    @property
    def error_share(self) -> float:
        return (self.errors or 0) / self.requests if self.requests else 0.0

    @property
    def drifted(self) -> tuple[Drift, ...]:
        """What has drifted, without the dates that move on by themselves."""
        return tuple(item for item in self.drift if item.drifted and not item.natural)

    def to_dict(self) -> JsonObject:
        latency = self.latency_ms
        return {
            "start": self.start,
            "end": self.end,
            "rows": self.rows,
            "labelled": self.labelled,
            "judged": self.judged,
            "requests": self.requests,
            "errors": self.errors,
            "latency_ms": {"p50": latency.p50, "p95": latency.p95, "p99": latency.p99} if latency else None,
            "drift": [item.to_dict() for item in self.drift],
            "scores": [item.to_dict() for item in self.scores],
        }

    @classmethod
    def from_dict(cls, data: JsonObject) -> WindowReport:
        return cls(
            **{
                **data,
                "latency_ms": Latency(**data["latency_ms"]) if data["latency_ms"] else None,
                "drift": tuple(Drift.from_dict(item) for item in data["drift"]),
                "scores": tuple(WindowScore.from_dict(item) for item in data["scores"]),
            }
        )
