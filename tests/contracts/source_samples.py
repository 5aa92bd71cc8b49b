"""For each source a place that holds `ROWS`. The contract in test_sources.py runs over them.

A newcomer adds a function and a line in `SAMPLES`, under its name; it starts a real server where there is one to start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest

from rowsmith.recipe import DataSection
from tests.web import Answer, Asked, WebServer

ROWS = pl.DataFrame(
    {
        "id": [1, 2, 3, 4],
        "name": ["Zoë", None, 'it\'s; "quoted", so', "x"],
        "amount": [0.5, None, -2.25, 1e9],
    }
)
SECRET = "hush/p@ss word"


@dataclass(frozen=True)
class Sample:
    """`origin` and `options` lead to `ROWS`; `missing` leads nowhere. `SECRET` is behind ${SECRET} in `environment`.

    `add` puts one more row, id 5, into the place; None where rows cannot come to be there.
    """

    origin: object
    missing: object
    options: DataSection = field(default_factory=DataSection)
    environment: Mapping[str, str] = field(default_factory=lambda: {"SECRET": SECRET})
    add: Callable[[], None] | None = None


def dataframe(request: pytest.FixtureRequest, folder: Path) -> Sample:
    return Sample(origin=ROWS, missing=pl.DataFrame())


def files(request: pytest.FixtureRequest, folder: Path) -> Sample:
    place = folder / "parts"
    place.mkdir()
    ROWS.write_csv(place / "1.csv")
    return Sample(
        origin=place,
        missing=folder / "none.csv",
        add=lambda: pl.DataFrame({"id": [5], "name": ["e"], "amount": [5.0]}).write_csv(place / "2.csv"),
    )


def http(request: pytest.FixtureRequest, folder: Path) -> Sample:
    """An API that wants a token, and that calls the state of its rows by their number."""
    rows = ROWS.to_dicts()

    def answer(asked: Asked) -> Answer:
        if asked.headers.get("authorization") != f"Bearer {SECRET}":
            return Answer({"detail": "no such token"}, 401)
        version = f'"{len(rows)}"'
        return (
            Answer(rows, headers={"ETag": version})
            if asked.headers.get("if-none-match") != version
            else Answer(status=304)
        )

    server = WebServer({"/rows": answer}).__enter__()
    request.addfinalizer(lambda: server.__exit__(None, None, None))
    return Sample(
        origin=f"{server.url}/rows",
        missing=f"{server.url}/none",
        options=DataSection.model_validate({"http": {"bearer": "${SECRET}"}}),
        add=lambda: rows.append({"id": 5, "name": "e", "amount": 5.0}),
    )


SAMPLES: dict[str, Callable[[pytest.FixtureRequest, Path], Sample]] = {
    "dataframe": dataframe,
    "http": http,
    "files": files,
}
