from __future__ import annotations

import json
from dataclasses import replace

import pytest

from rowsmith.monitoring.decide import Level, Verdict, decide
from rowsmith.monitoring.drift import Drift, Measured, Part
from rowsmith.monitoring.live_scores import WindowScore
from rowsmith.monitoring.window_report import WindowReport
from rowsmith.types import ColumnKind

CALM = WindowReport("2024-01-01T00:00:00", "2024-01-02T00:00:00", 500, 0, True, (), ())


def drift(
    test: str, *, column: str = "load", part: Part = "feature", invalid: float = 0.0, quiet: bool = False
) -> Drift:
    tested = Measured(test, 0.0 if quiet else 0.5, 0.2, 1e-9, True, 1e-8)
    return Drift(
        column=column,
        part=part,
        kind=ColumnKind.NUMBER,
        aspect="value",
        rows=500,
        judged=True,
        drifted=tested.is_drift,
        test=test,
        effect=tested.effect,
        threshold=0.2,
        p_value=1e-8,
        sentence=f"{column}: a sentence",
        missing=0.4,
        missing_reference=0.1,
        unseen=0.2,
        invalid=invalid,
        natural=False,
        tests=(tested,),
        bars=(),
    )


WORSE = WindowScore("roc_auc", False, 0.7, None, 200, 0.8, 1e-6, True)
GUESS = replace(WORSE, estimated=True)
FINE = replace(WORSE, worse=False)


@pytest.mark.parametrize(
    ("window", "level", "codes"),
    [
        (CALM, Level.OK, ["all_well"]),
        (replace(CALM, scores=(WORSE,)), Level.ACT, ["score_worse"]),
        (replace(CALM, scores=(GUESS,)), Level.ACT, ["estimate_worse"]),
        (replace(CALM, scores=(FINE, GUESS)), Level.OK, ["all_well"]),
        (replace(CALM, drift=(drift("missing_share"),)), Level.ACT, ["missing_values"]),
        (replace(CALM, drift=(drift("psi", quiet=True, invalid=0.02),)), Level.ACT, ["invalid_values"]),
        (replace(CALM, drift=(drift("psi", quiet=True, invalid=0.001),)), Level.OK, ["all_well"]),
        (replace(CALM, drift=(drift("unseen_share"),)), Level.WARN, ["unseen_levels"]),
        (replace(CALM, drift=(drift("psi"),)), Level.WARN, ["feature_drift"]),
        (replace(CALM, drift=(replace(drift("psi"), natural=True),)), Level.OK, ["all_well"]),
        (replace(CALM, drift=(drift("psi", part="prediction"),)), Level.WARN, ["prediction_drift"]),
        (replace(CALM, drift=(drift("psi", part="label"),)), Level.WARN, ["label_drift"]),
        (
            replace(CALM, drift=(drift("psi"), drift("psi", part="prediction"))),
            Level.ACT,
            ["prediction_drift", "feature_drift"],
        ),
        (
            replace(CALM, drift=(drift("psi"), drift("psi", part="prediction")), scores=(FINE,)),
            Level.WARN,
            ["feature_drift", "prediction_drift"],
        ),
        (replace(CALM, requests=1000, errors=60), Level.ACT, ["errors"]),
        (replace(CALM, requests=1000, errors=20), Level.WARN, ["errors"]),
        (replace(CALM, requests=1000, errors=9), Level.OK, ["all_well"]),
        (replace(CALM, judged=False, drift=(drift("psi"),)), Level.OK, ["not_judged"]),
    ],
)
def test_what_is_seen_decides(window: WindowReport, level: Level, codes: list[str]) -> None:
    verdict = decide([window])
    assert verdict.level is level
    assert [reason.code for reason in verdict.reasons] == codes
    assert all(reason.message for reason in verdict.reasons)
    assert level is Level.OK or all(reason.advice for reason in verdict.reasons)


def test_the_newest_window_that_can_be_judged_decides() -> None:
    troubled = replace(CALM, scores=(WORSE,))
    newest = replace(CALM, start="2024-01-02T00:00:00", judged=False)
    assert decide([troubled, CALM]).level is Level.OK
    verdict = decide([CALM, troubled, newest])
    assert (verdict.level, verdict.window) == (Level.ACT, CALM.start)


def test_errors_of_the_newest_window_count_even_where_it_is_too_small_to_judge() -> None:
    newest = replace(CALM, rows=0, judged=False, requests=7, errors=7)
    assert decide([CALM, newest]).level is Level.ACT


def test_nothing_seen() -> None:
    verdict = decide([])
    assert (verdict.level, verdict.reasons[0].code) == (Level.OK, "nothing_seen")


def test_a_reason_names_the_columns_and_what_to_do() -> None:
    [reason] = decide([replace(CALM, drift=(drift("missing_share", column="DepTime"),))]).reasons
    assert reason.columns == ("DepTime",)
    assert reason.message == "DepTime: 40.0% are missing, 10.0% in training"
    assert reason.advice == 'check the source of the column "DepTime"'


def test_exit_codes_for_cron() -> None:
    assert [level.exit_code for level in (Level.OK, Level.WARN, Level.ACT)] == [0, 0, 5]


def test_json_and_back() -> None:
    verdict = decide([replace(CALM, scores=(WORSE,), drift=(drift("psi"),))])
    data = json.loads(json.dumps(verdict.to_dict()))
    assert data["exit_code"] == 5
    assert Verdict.from_dict(data) == verdict
