"""The contract of a source. Runs over `SOURCES`, with the place that source_samples.py has for each."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from rowsmith.conform.plain import final_type
from rowsmith.errors import RecipeError, SourceError
from rowsmith.ingestion.sources import SOURCES, Context, Secrets, Source, read_batches, read_frame, read_new
from rowsmith.ingestion.sources.protocol import Opened
from tests.contracts.source_samples import ROWS, SAMPLES, SECRET, Sample


def test_every_source_has_a_sample() -> None:
    assert [kind.name for kind in SOURCES] == list(SAMPLES)


@pytest.fixture(params=SOURCES, ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Source:
    found: Source = request.param
    return found


@pytest.fixture
def sample(kind: Source, request: pytest.FixtureRequest, tmp_path: Path) -> Sample:
    return SAMPLES[kind.name](request, tmp_path)


def context(sample: Sample, since: dict[str, object] | None = None) -> Context:
    return Context(Secrets(sample.environment), since=since, internal=sample.internal)


def test_it_accepts_its_own_and_is_the_first_to(kind: Source, sample: Sample) -> None:
    assert kind.name.islower()
    assert next(other for other in SOURCES if other.accepts(sample.origin)) is kind
    assert not kind.accepts(42)


def test_it_gives_the_rows(kind: Source, sample: Sample) -> None:
    assert read_frame(sample.origin, sample.options, context(sample)).equals(ROWS)


def test_batches_have_the_types_that_were_said_before(kind: Source, sample: Sample) -> None:
    reading = read_batches(sample.origin, sample.options, context(sample))
    batches = list(reading.batches)
    assert all(batch.schema == {n: final_type(t) for n, t in reading.columns.items()} for batch in batches)
    assert reading.expected_rows is None or reading.expected_rows == pytest.approx(ROWS.height, rel=1)


def test_wider_types_are_obeyed(kind: Source, sample: Sample) -> None:
    opened = kind.open(sample.origin, sample.options, context(sample))
    assert isinstance(opened, Opened)
    text = dict.fromkeys(ROWS.columns, pl.String())
    assert pl.concat(opened.table.batches(text))["id"].to_list() == ["1", "2", "3", "4"]


def test_what_it_says_of_itself_is_plain_json_without_secrets(kind: Source, sample: Sample) -> None:
    reading = read_batches(sample.origin, sample.options, context(sample))
    list(reading.batches)
    said = json.dumps([reading.facts, reading.description, reading.mark()])
    assert reading.description and "format" in reading.facts
    for spelling in (SECRET, "hush", "ss word", "ss%20word"):
        assert spelling not in said


def test_a_place_that_is_not_there_is_told_with_a_next_step(kind: Source, sample: Sample) -> None:
    with pytest.raises((SourceError, RecipeError)) as caught:
        read_frame(sample.missing, sample.options, context(sample))
    assert caught.value.next_step
    assert "hush" not in str(caught.value) + repr(caught.value.__cause__)


def test_nothing_new_then_something_new(kind: Source, sample: Sample) -> None:
    reading = read_batches(sample.origin, sample.options, context(sample))
    list(reading.batches)
    mark = reading.mark()
    if mark is None:
        pytest.skip("this source cannot tell what is new")
    mark = json.loads(json.dumps(mark))
    again = read_new(sample.origin, sample.options, context(sample, mark))
    assert again is None or not (new := list(again.batches)) or pl.concat(new).height < ROWS.height
    if sample.add is None:
        return
    sample.add()
    more = read_new(sample.origin, sample.options, context(sample, mark))
    assert more is not None
    assert 5 in pl.concat(more.batches)["id"]
    assert more.mark() != mark
