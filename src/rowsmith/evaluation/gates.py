"""Gates: what stands between a version and the alias `champion`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from rowsmith.evaluation.intervals import Bootstrap, percentile_interval, plain, statistic
from rowsmith.evaluation.metrics import get_metric
from rowsmith.evaluation.score import Evaluation
from rowsmith.recipe import GatesSection
from rowsmith.types import Array, Finding, Interval, JsonObject, Metric, Scores2D, Severity, Task, Vector

MIN_CLAIM = 0.95
DUMMY = "dummy"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same rows. `improvement` is how much better the challenger is, in the metric's own unit;
    negative is worse. `worse_probability` is the share of resamples in which the challenger was worse; None where
    the metric is not defined on these rows."""

    metric: str
    rows: int
    challenger: float | None
    champion: float | None
    improvement: float | None
    interval: Interval | None
    worse_probability: float | None
    confidence: float
    resamples: int

    def to_dict(self) -> JsonObject:
        interval = self.interval
        return asdict(self) | {"interval": [interval.low, interval.high] if interval else None}


@dataclass(frozen=True, slots=True)
class GateResult:
    """One gate: a code, whether it opened, and why in a sentence."""

    code: str
    passed: bool
    message: str
    evidence: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GateReport:
    """`passed` when every gate opened."""

    results: tuple[GateResult, ...]

    @property
    def passed(self) -> bool:
        return all(result.passed for result in self.results)

    @property
    def refusals(self) -> tuple[GateResult, ...]:
        return tuple(result for result in self.results if not result.passed)

    def to_dict(self) -> JsonObject:
        return {"passed": self.passed, "results": [asdict(result) for result in self.results]}


def compare(
    truth: Array,
    challenger: Scores2D,
    champion: Scores2D,
    metric: Metric,
    *,
    thresholds: tuple[float, float] = (0.5, 0.5),
    weights: Vector | None = None,
    groups: Array | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Paired bootstrap of two models over the same rows.

    `thresholds` are those of the event, the challenger's first; `groups` are codes of rows that belong together.
    The interval holds `confidence` of the resampled improvements.
    """
    outputs = challenger.shape[1]
    bootstrap = Bootstrap.over(len(truth), classes=outputs, weights=weights, groups=groups, seed=seed)
    predicted = [
        metric.predicted(scores, threshold)
        for scores, threshold in zip((challenger, champion), thresholds, strict=True)
    ]
    values = [metric.function(truth, answer, weights) for answer in predicted]
    rows = bootstrap.rows
    deviations = bootstrap.ask([statistic(metric, truth[rows], answer[rows]) for answer in predicted])
    improvement = metric.error(values[1]) - metric.error(values[0])
    moved = metric.error(1.0) * (deviations[:, 1] - deviations[:, 0])
    defined = moved[np.isfinite(moved)]
    known = math.isfinite(improvement) and len(defined) > 0
    return Comparison(
        metric=metric.name,
        rows=len(truth),
        challenger=plain(values[0]),
        champion=plain(values[1]),
        improvement=plain(improvement),
        interval=percentile_interval(improvement, moved, confidence),
        worse_probability=float(np.mean(improvement + defined < 0)) if known else None,
        confidence=confidence,
        resamples=bootstrap.resamples,
    )


def judge(
    evaluation: Evaluation, findings: Sequence[Finding], comparison: Comparison | None, gates: GatesSection
) -> GateReport:
    """Every gate that is set. `comparison` is None where there is no champion to compare with."""
    results = [_no_error_finding(findings)]
    if gates.better_than_baseline:
        results.append(_better_than_baseline(evaluation))
    if comparison is not None:
        results.append(_not_worse_than_champion(comparison, gates.confidence))
    if gates.max_group_gap is not None:
        results.append(_group_gap(evaluation, gates.max_group_gap))
    return GateReport(tuple(results))


def _no_error_finding(findings: Sequence[Finding]) -> GateResult:
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    message = "The checks of the data found no error."
    if errors:
        message = "The checks of the data found: " + "; ".join(finding.title.rstrip(".") for finding in errors) + "."
    return GateResult("no_error_finding", not errors, message, {"findings": [finding.code for finding in errors]})


def _better_than_baseline(evaluation: Evaluation) -> GateResult:
    """Better than no model beyond chance, and not worse than the simple model beyond chance.

    A good simple model may be matched and not beaten, on a small test part more so: that alone is no reason to
    be left without a champion.
    """
    title = _title(evaluation)
    score = evaluation.score_of()
    if math.isnan(score):
        message = (
            f"{title} is not defined on the {evaluation.rows:,} test rows, so nothing shows that the model is any good."
        )
        return GateResult("better_than_baseline", False, message)
    lines, passed = [], True
    for name, against in evaluation.against.items():
        line, opened = _against_baseline(name, against, evaluation.score_of(system=name))
        lines.append(line)
        passed = passed and opened
    message = f"{title} is {score:.4g}: " + "; ".join(lines) + "."
    return GateResult("better_than_baseline", passed, message, {"against": evaluation.against})


def _against_baseline(name: str, against: JsonObject, score: float) -> tuple[str, bool]:
    worse, improvement = against["worse_probability"], against["improvement"]
    who = "answering the same every time" if name == DUMMY else f"the simple {name} model"
    if worse is None:
        return f"it cannot be compared with {who}", True
    if improvement > 0 and worse <= 1 - MIN_CLAIM:
        return f"better than {who} ({score:.4g})", True
    if worse >= MIN_CLAIM:
        return f"worse than {who} ({score:.4g})", False
    return f"not to be told from {who} ({score:.4g}) on so few rows", name != DUMMY


def _not_worse_than_champion(comparison: Comparison, confidence: float) -> GateResult:
    metric = get_metric(comparison.metric)
    worse = comparison.worse_probability
    evidence = comparison.to_dict()
    if worse is None or comparison.improvement is None:
        message = f"{metric.title} is not defined on the {comparison.rows:,} rows that both models can be judged by."
        return GateResult("not_worse_than_champion", False, message, evidence)
    scores = f"{metric.title} {comparison.challenger:.4g} against {comparison.champion:.4g}"
    refused = comparison.improvement < 0 and worse >= confidence
    verdict = "Worse than the champion beyond chance" if refused else "Not worse than the champion beyond chance"
    chance = f"worse in {worse:.0%} of resamples (refused from {confidence:.0%})"
    message = f"{verdict}: {scores} on the same {comparison.rows:,} rows; {chance}."
    return GateResult("not_worse_than_champion", not refused, message, evidence)


def _group_gap(evaluation: Evaluation, limit: float) -> GateResult:
    """The gap of the main score between groups; for numbers as a share of the overall score, which has a unit."""
    unit = abs(evaluation.score_of()) if evaluation.task == Task.REGRESSION else 1.0
    gaps = {
        item["column"]: gap["difference"] / unit if unit else math.inf
        for item in evaluation.fairness
        for gap in item["gaps"]
        if gap["name"] == "score"
    }
    title = _title(evaluation)
    if not gaps:
        return GateResult("group_gap", True, "No sensitive column has two groups large enough to compare.")
    widest = max(gaps, key=lambda column: gaps[column])
    passed = gaps[widest] <= limit
    share = " of the overall score" if unit != 1.0 else ""
    message = f'{title} differs by {gaps[widest]:.3g}{share} between the groups of "{widest}"; {limit:.3g} is allowed.'
    return GateResult("group_gap", passed, message, {"gaps": gaps, "allowed": limit})


def _title(evaluation: Evaluation) -> str:
    return next(str(item["title"]) for item in evaluation.metrics if item["name"] == evaluation.metric)
