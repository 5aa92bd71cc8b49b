"""The report: a reference, and the rows that came since, become one plain record with a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import polars as pl

from rowsmith.monitoring.decide import Verdict, decide
from rowsmith.monitoring.drift import judge_window
from rowsmith.monitoring.looking import look
from rowsmith.monitoring.observations import Observations, is_known, true_outcomes
from rowsmith.monitoring.reference import Reference
from rowsmith.monitoring.scoring import Scorer
from rowsmith.monitoring.window_report import Latency, WindowReport
from rowsmith.monitoring.windows import NO_WINDOWS, Windows, cut, naive_utc
from rowsmith.recipe import MonitorSection
from rowsmith.schema import Schema
from rowsmith.types import JsonObject, Metric, Rows

FORMAT = 1


@dataclass(frozen=True, slots=True)
class MonitorReport:
    """`created` is ISO 8601 in UTC. `length` is that of a window, None for rows without a time; `untimed` rows lie in
    no window. `calibration_error` says how far off the probabilities were on the reference, 0 to 1 (None where
    that is unknown): an estimated score is no better than that.
    """

    created: str
    reference_rows: int
    rows: int
    untimed: int
    length: str | None
    min_rows: int
    windows: tuple[WindowReport, ...]
    verdict: Verdict
    calibration_error: float | None = None

    def to_dict(self) -> JsonObject:
        return {
            "format": FORMAT,
            "created": self.created,
            "reference_rows": self.reference_rows,
            "rows": self.rows,
            "untimed": self.untimed,
            "length": self.length,
            "min_rows": self.min_rows,
            "calibration_error": self.calibration_error,
            "verdict": self.verdict.to_dict(),
            "windows": [window.to_dict() for window in self.windows],
        }

    @classmethod
    def from_dict(cls, data: JsonObject) -> MonitorReport:
        kept = {name: value for name, value in data.items() if name != "format"}
        windows = tuple(WindowReport.from_dict(item) for item in data["windows"])
        return cls(**{**kept, "verdict": Verdict.from_dict(data["verdict"]), "windows": windows})


def monitor(
    reference: Reference,
    observations: Observations,
    schema: Schema,
    *,
    metrics: Sequence[Metric] = (),
    options: MonitorSection | None = None,
    seed: int = 0,
    now: datetime | None = None,
) -> MonitorReport:
    """Everything about the observed rows, window by window, oldest first.

    `reference` comes with the version that answered (see `build_reference`), `schema` is that model's own. Values that
    cannot be read count as missing and are reported as invalid; nothing is refused. `metrics` are scored where outcomes
    are known and estimated where they are not. `now` (UTC) is what the report says it was made at.
    """
    options = options or MonitorSection()
    windows, failed = _cut(observations, options)
    if not len(observations) and not len(failed):
        windows = NO_WINDOWS
    truth = true_outcomes(observations, schema)
    seen = look(reference, observations, truth, schema, windows)
    scorer = Scorer(reference, observations.answers, truth, schema, metrics, min_rows=options.min_rows, seed=seed)
    labelled = is_known(truth) if truth is not None else np.zeros(len(observations), dtype=np.bool_)
    reports: list[WindowReport] = []
    for number, rows in enumerate(_rows_of(windows)):
        start, end = windows.starts[number], windows.ends[number]
        reports.append(
            WindowReport(
                start=start.isoformat() if start else None,
                end=end.isoformat() if end else None,
                rows=len(rows),
                labelled=int(labelled[rows].sum()),
                judged=len(rows) >= options.min_rows,
                drift=judge_window(seen[number], threshold=options.drift_threshold, min_rows=options.min_rows),
                scores=scorer.window(rows),
                **_service(observations, rows, np.flatnonzero(failed == number)),
            )
        )
    return MonitorReport(
        created=(now or datetime.now(UTC)).isoformat(timespec="seconds"),
        reference_rows=reference.rows,
        rows=len(observations),
        untimed=int((windows.index < 0).sum()),
        length=windows.length,
        min_rows=options.min_rows,
        windows=tuple(reports),
        verdict=decide(reports),
        calibration_error=reference.calibration.error if reference.calibration else None,
    )


def _cut(observations: Observations, options: MonitorSection) -> tuple[Windows, Rows]:
    """The windows of the rows, and the window of each failure: where all failed there may be no rows."""
    rows, times, failures = len(observations), observations.times, observations.failures
    if failures is None or times is None:
        return cut(times, rows, length=options.window, min_rows=options.min_rows), np.zeros(0, dtype=np.int64)
    both = pl.concat([naive_utc(times).alias("time"), naive_utc(failures["time"]).alias("time")])
    windows = cut(both, len(both), length=options.window, min_rows=options.min_rows)
    return Windows(windows.index[:rows], windows.starts, windows.ends, windows.length), windows.index[rows:]


def _rows_of(windows: Windows) -> list[Rows]:
    """The positions of the rows of each window."""
    order = np.argsort(windows.index, kind="stable")
    limits = np.searchsorted(windows.index[order], np.arange(len(windows) + 1))
    return [order[a:b] for a, b in pairwise(limits)]


def _service(observations: Observations, rows: Rows, failed: Rows) -> JsonObject:
    """Requests, errors and latency of a window, as far as they are known. `failed` are positions of failures."""
    known: JsonObject = {}
    if observations.failures is not None:
        known["errors"] = int(observations.failures["errors"].gather(failed).sum())
        known["requests"] = len(rows) + known["errors"]
    if observations.latency_ms is not None:
        latency = observations.latency_ms.gather(rows).drop_nulls().to_numpy()
        if len(latency):
            known["latency_ms"] = Latency(*np.percentile(latency, [50, 95, 99]).tolist())
    return known
