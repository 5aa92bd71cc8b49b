from __future__ import annotations

from datetime import datetime
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from rowsmith.monitoring.correction import benjamini_hochberg
from rowsmith.monitoring.drift import Drift
from rowsmith.monitoring.observations import from_table
from rowsmith.monitoring.reference import Reference
from rowsmith.monitoring.report import monitor
from rowsmith.recipe import MonitorSection
from tests.monitoring.world import World

OPTIONS = MonitorSection(window="month")


def drift_of(reference: Reference, world: World, table: pl.DataFrame) -> dict[tuple[str, str], Drift]:
    observations = from_table(table, world.answers(table), world.schema)
    [window] = monitor(reference, observations, world.schema, options=OPTIONS).windows
    return {(item.column, item.aspect): item for item in window.drift}


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_correction_for_many_columns_is_that_of_scipy(p_values: list[float]) -> None:
    values = np.array(p_values)
    assert benjamini_hochberg(values) == pytest.approx(false_discovery_control(values), abs=1e-12)


def test_correction_of_nothing_is_nothing() -> None:
    assert benjamini_hochberg(np.zeros(0)).shape == (0,)


@pytest.mark.parametrize("rows", [50, 100, 400, 1000])
def test_new_rows_of_the_same_world_raise_no_alarm(yes_no: World, yes_no_reference: Reference, rows: int) -> None:
    """10 things are watched in each of 40 windows; a wrong alarm in more than 2 windows would be too many."""
    alarms = 0
    for seed in range(40):
        found = drift_of(yes_no_reference, yes_no, yes_no.rows(rows, seed=seed))
        alarms += any(item.drifted for item in found.values() if not item.natural)
    assert alarms <= 2


@pytest.mark.parametrize(("rows", "shift"), [(100, 1.0), (400, 0.7), (5000, 0.6)])
def test_a_shifted_feature_and_what_follows_from_it_have_drifted(
    yes_no: World, yes_no_reference: Reference, rows: int, shift: float
) -> None:
    """Shifting a normal distribution by 0.5 deviations is a stability index of about 0.25."""
    world = yes_no.shifted(shift)
    for seed in range(5):
        found = drift_of(yes_no_reference, world, world.rows(rows, seed=seed))
        drifted = {column for (column, _), item in found.items() if item.drifted and not item.natural}
        assert "load" in drifted
        assert drifted <= {"load", "prediction", "outcome"}


def test_the_effect_says_how_far(yes_no: World, yes_no_reference: Reference) -> None:
    effects = []
    for shift in (0.0, 0.25, 0.5, 1.0):
        world = yes_no.shifted(shift)
        effects.append(drift_of(yes_no_reference, world, world.rows(5000))["load", "value"].effect or 0.0)
    assert effects == sorted(effects)
    assert effects[0] < 0.01
    assert effects[2] == pytest.approx(0.25, abs=0.05)


def test_the_sentence_says_what_happened(yes_no: World, yes_no_reference: Reference) -> None:
    world = yes_no.shifted(1.0)
    found = drift_of(yes_no_reference, world, world.rows(3000))
    sentence = found["load", "value"].sentence
    assert sentence.startswith("load: PSI ")
    assert "above 0.2: higher than in training (median " in sentence
    assert found["doors", "value"].sentence == "doors: PSI 0.00, not above 0.2"
    assert found["prediction", "label"].sentence.startswith("prediction: PSI")
    assert (
        '"no" went from' in found["prediction", "label"].sentence
        or '"yes" went from' in found["prediction", "label"].sentence
    )


def test_a_later_date_is_drift_that_is_only_natural(yes_no: World, yes_no_reference: Reference) -> None:
    found = drift_of(yes_no_reference, yes_no, yes_no.rows(500, start=datetime(2024, 6, 1)))
    when = found["when", "value"]
    assert (when.drifted, when.natural) == (True, True)
    assert "later than in training (median 2024-06-" in when.sentence


def test_few_rows_are_not_judged(yes_no: World, yes_no_reference: Reference) -> None:
    world = yes_no.shifted(3.0)
    load = drift_of(yes_no_reference, world, world.rows(49))["load", "value"]
    assert (load.judged, load.drifted, load.tests, load.effect) == (False, False, (), None)
    assert load.sentence == "load: not judged, 49 rows are fewer than 50"


@pytest.mark.parametrize("column", ["load", "city", "night", "note"])
def test_values_that_went_missing(yes_no: World, yes_no_reference: Reference, column: str) -> None:
    table = yes_no.rows(400)
    gone = table.with_columns(pl.when(pl.int_range(400) % 2 == 0).then(pl.col(column)).alias(column))
    observations = from_table(gone, yes_no.answers(gone), yes_no.schema)
    windows = monitor(yes_no_reference, observations, yes_no.schema, options=OPTIONS).windows
    [item] = [item for item in windows[0].drift if item.column == column and item.aspect != "known_words"]
    assert (item.drifted, item.test, item.missing) == (True, "missing_share", 0.5)
    assert "50.0% are missing, 0.0% in training" in item.sentence


def test_a_column_that_is_no_longer_there(yes_no: World, yes_no_reference: Reference) -> None:
    table = yes_no.rows(300)
    observations = from_table(table.drop("city"), yes_no.answers(table), yes_no.schema)
    windows = monitor(yes_no_reference, observations, yes_no.schema, options=OPTIONS).windows
    [city] = [item for item in windows[0].drift if item.column == "city"]
    assert (city.drifted, city.missing, city.bars) == (True, 1.0, ())


def test_levels_that_training_did_not_see(yes_no: World, yes_no_reference: Reference) -> None:
    table = yes_no.rows(400).with_columns(city=pl.when(pl.int_range(400) < 60).then(pl.lit("Ås")).otherwise("city"))
    city = drift_of(yes_no_reference, yes_no, table)["city", "value"]
    assert city.unseen == pytest.approx(0.15)
    assert {test.test for test in city.tests if test.is_drift} == {"psi", "unseen_share"}


def test_texts_of_other_words_and_other_lengths(yes_no: World, yes_no_reference: Reference) -> None:
    strange = yes_no.rows(300).with_columns(note=pl.lit("unheard of tidings from afar tonight"))
    found = drift_of(yes_no_reference, yes_no, strange)
    assert found["note", "known_words"].drifted
    assert "less familiar than in training" in found["note", "known_words"].sentence
    longer = yes_no.rows(300).with_columns(note=pl.concat_str("note", pl.lit(" "), "note"))
    found = drift_of(yes_no_reference, yes_no, longer)
    assert found["note", "length"].drifted
    assert "longer than in training" in found["note", "length"].sentence
    assert not found["note", "known_words"].drifted


def test_little_histograms_are_aligned_and_complete(yes_no: World, yes_no_reference: Reference) -> None:
    found = drift_of(yes_no_reference, yes_no, yes_no.rows(500))
    for item in found.values():
        if item.natural:
            continue
        assert sum(bar.reference for bar in item.bars) == pytest.approx(1)
        assert sum(bar.window for bar in item.bars) == pytest.approx(1)
        labels = [bar.label for bar in item.bars]
        assert len(set(labels)) == len(labels)
    assert [bar.label for bar in found["doors", "value"].bars] == ["1", "2", "3", "4", "5"]
    assert {bar.label for bar in found["city", "value"].bars} == {"Bergen", "Oslo", "Tromsø", "Voss"}
    bars = found["load", "value"].bars
    assert len(bars) == 10
    assert all(left.high == right.low for left, right in pairwise(bars))


def test_values_outside_the_range_have_bars_of_their_own(yes_no: World, yes_no_reference: Reference) -> None:
    doors = (
        pl.when(pl.int_range(200) < 20).then(0).when(pl.int_range(200) < 50).then(9).otherwise("doors").alias("doors")
    )
    found = drift_of(yes_no_reference, yes_no, yes_no.rows(200).with_columns(doors))
    bars = found["doors", "value"].bars
    assert [bar.label for bar in bars] == ["below 1", "1", "2", "3", "4", "5", "above 5"]
    assert (bars[0].low, bars[0].window, bars[-1].high, bars[-1].window) == (None, 0.1, None, 0.15)
