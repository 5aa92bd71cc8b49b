"""Decide: from what the newest window shows to what a person should do, with the reasons.

| seen in the newest window that could be judged | level | what to do |
|---|---|---|
| scores of labelled rows are worse than on the sealed test part, beyond chance | act | retrain |
| scores estimated without labels are worse, beyond chance, and none is measured | act | label rows, retrain |
| missing values of a feature became more or fewer | act | check the source of the column |
| 1 % of a feature's values or more cannot be read | act | check the source of the column |
| 5 % of the requests or more failed | act | look at the errors |
| the predictions and a feature have drifted, and no labels show that scores hold | act | label rows |
| a feature, the predictions or the labels have drifted | warn | watch, label rows |
| more levels of a feature than before that training did not see | warn | retrain to learn them |
| 1 % of the requests or more failed | warn | look at the errors |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from rowsmith.monitoring.live_scores import WindowScore
from rowsmith.monitoring.window_report import WindowReport
from rowsmith.types import JsonObject

INVALID_SHARE = 0.01
WARN_ERRORS = 0.01
ACT_ERRORS = 0.05
EXIT_ACT = 5


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    ACT = "act"

    @property
    def exit_code(self) -> int:
        """What a command that watches ends with, for cron: 0, or 5 when something has to be done."""
        return EXIT_ACT if self is Level.ACT else 0


SEVERITY = {Level.OK: 0, Level.WARN: 1, Level.ACT: 2}


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that was seen. `code` is for machines; `columns` are those at fault, `advice` what to do next."""

    code: str
    level: Level
    message: str
    advice: str = ""
    columns: tuple[str, ...] = ()

    def to_dict(self) -> JsonObject:
        return {**asdict(self), "level": self.level.value, "columns": list(self.columns)}


@dataclass(frozen=True, slots=True)
class Verdict:
    """`window` is the start of the window judged (ISO 8601), None where there was none or it has no time."""

    level: Level
    reasons: tuple[Reason, ...]
    window: str | None = None

    @property
    def exit_code(self) -> int:
        return self.level.exit_code

    def to_dict(self) -> JsonObject:
        reasons = [reason.to_dict() for reason in self.reasons]
        return {"level": self.level.value, "exit_code": self.exit_code, "window": self.window, "reasons": reasons}

    @classmethod
    def from_dict(cls, data: JsonObject) -> Verdict:
        reasons = (
            Reason(**{**item, "level": Level(item["level"]), "columns": tuple(item["columns"])})
            for item in data["reasons"]
        )
        return cls(Level(data["level"]), tuple(reasons), data["window"])


def decide(windows: Sequence[WindowReport]) -> Verdict:
    """The verdict on the newest window that could be judged, and on the errors of the newest of all."""
    if not windows:
        return Verdict(Level.OK, (Reason("nothing_seen", Level.OK, "there was nothing to look at"),))
    reasons = list(_errors(windows[-1]))
    newest = next((window for window in reversed(windows) if window.judged), None)
    if newest is None:
        message = "no window holds enough rows to be judged"
        reasons.append(Reason("not_judged", Level.OK, message, "wait for more rows, or choose longer windows"))
    else:
        reasons += [*_scores(newest), *_sources(newest), *_drift(newest)]
    if not reasons:
        reasons = [Reason("all_well", Level.OK, "nothing has drifted and no score is worse than at training")]
    reasons.sort(key=lambda reason: -SEVERITY[reason.level])
    return Verdict(reasons[0].level, tuple(reasons), newest.start if newest else None)


def _errors(window: WindowReport) -> list[Reason]:
    share = window.error_share
    if share < WARN_ERRORS:
        return []
    level = Level.ACT if share >= ACT_ERRORS else Level.WARN
    return [Reason("errors", level, f"{share:.1%} of the requests failed", "look at the errors in the prediction log")]


def _scores(window: WindowReport) -> list[Reason]:
    measured = {score.metric for score in window.scores if not score.estimated}
    worse = [score for score in window.scores if score.worse]
    live = _changes([score for score in worse if not score.estimated])
    guessed = _changes([score for score in worse if score.estimated and score.metric not in measured])
    reasons: list[Reason] = []
    if live:
        reasons.append(Reason("score_worse", Level.ACT, f"worse than chance explains: {live}", "retrain on newer rows"))
    if guessed:
        advice = "label rows of this window to see whether it is true, then retrain"
        reasons.append(Reason("estimate_worse", Level.ACT, f"expected to be worse: {guessed}", advice))
    return reasons


def _changes(scores: Sequence[WindowScore]) -> str:
    return "; ".join(f"{score.metric} {score.value:.4g}, was {score.reference:.4g} at training" for score in scores)


def _sources(window: WindowReport) -> list[Reason]:
    reasons: list[Reason] = []
    for item in window.drift:
        if item.part != "feature" or item.aspect == "known_words":
            continue
        loud = {test.test for test in item.tests if test.is_drift}
        advice = f'check the source of the column "{item.column}"'
        if "missing_share" in loud:
            message = f"{item.column}: {item.missing:.1%} are missing, {item.missing_reference:.1%} in training"
            reasons.append(Reason("missing_values", Level.ACT, message, advice, (item.column,)))
        if window.judged and item.invalid >= INVALID_SHARE:
            message = f"{item.column}: {item.invalid:.1%} of the values cannot be read"
            reasons.append(Reason("invalid_values", Level.ACT, message, advice, (item.column,)))
        if "unseen_share" in loud:
            message = f"{item.column}: {item.unseen:.1%} of the rows have a level that training did not see"
            reasons.append(Reason("unseen_levels", Level.WARN, message, "retrain to learn them", (item.column,)))
    return reasons


def _drift(window: WindowReport) -> list[Reason]:
    moved = [item for item in window.drifted if any(test.is_drift and test.test == "psi" for test in item.tests)]
    by_part = {part: [item for item in moved if item.part == part] for part in ("feature", "prediction", "label")}
    has_live = any(not score.estimated for score in window.scores)
    unproven = bool(by_part["feature"] and by_part["prediction"]) and not has_live
    reasons: list[Reason] = []
    for part, items in by_part.items():
        if not items:
            continue
        columns = tuple(dict.fromkeys(item.column for item in items))
        message = "; ".join(item.sentence for item in items)
        if part == "prediction" and unproven:
            reasons.append(Reason("prediction_drift", Level.ACT, message, ADVICE_UNPROVEN, columns))
        else:
            reasons.append(Reason(f"{part}_drift", Level.WARN, message, ADVICE[part], columns))
    return reasons


ADVICE_UNPROVEN = "label rows of this window: what is asked and what is answered both changed, and no score is known"
ADVICE = {
    "feature": "watch the scores; retrain when they fall, or when the change is here to stay",
    "prediction": "label rows of this window to see whether the answers are still right",
    "label": "retrain: what is to be predicted has changed",
}
