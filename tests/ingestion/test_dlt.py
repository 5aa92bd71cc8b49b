from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest

from rowsmith.errors import SourceError
from rowsmith.ingestion.sources import read_frame

dlt = pytest.importorskip("dlt")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is reported to anybody: no connection can be made."""

    def refuse(*_: Any) -> None:
        raise AssertionError("a connection was made")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_rows_that_are_nested() -> None:
    def people() -> Iterator[Any]:
        yield [{"id": 1, "at": {"city": "Oslo"}}, {"id": 2, "tags": ["a"]}]
        yield {"id": 2.5}

    assert read_frame(dlt.resource(people)).to_dict(as_series=False) == {
        "id": [1.0, 2.0, 2.5],
        "at.city": ["Oslo", None, None],
        "tags": [None, '["a"]', None],
    }


def test_resources_that_are_transformed_and_tables() -> None:
    def doubled(item: dict[str, int]) -> Iterator[Any]:
        yield {"x": item["x"] * 2}

    assert read_frame(dlt.resource([{"x": 1}, {"x": 2}], name="numbers") | dlt.transformer(doubled))["x"].to_list() == [
        2,
        4,
    ]
    pa = pytest.importorskip("pyarrow")
    arrow = dlt.resource([pa.table({"x": [1, 2]})], name="arrow")
    assert read_frame(arrow).equals(pl.DataFrame({"x": [1, 2]}))


def test_sources() -> None:
    def orders_and_people() -> Any:
        return [dlt.resource([{"a": 1}], name="orders"), dlt.resource([{"b": 1}], name="people")]

    shop = dlt.source(orders_and_people)
    with pytest.raises(SourceError, match=r"2 resources.*orders, people.*with_resources"):
        read_frame(shop())
    assert read_frame(shop().with_resources("people")).columns == ["b"]


def test_a_connector_that_fails() -> None:
    def broken() -> Iterator[Any]:
        yield {"a": 1}
        raise RuntimeError("quota is used up")

    with pytest.raises(SourceError, match="quota is used up"):
        read_frame(dlt.resource(broken))
    with pytest.raises(SourceError, match="no rows"):
        read_frame(dlt.resource([], name="nothing"))
