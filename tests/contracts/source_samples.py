"""For each source a place that holds `ROWS`. The contract in test_sources.py runs over them.

A newcomer adds a function and a line in `SAMPLES`, under its name; it starts a real server where there is one to start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import BigInteger, Column, Double, MetaData, String, Table, create_engine

from rowsmith.recipe_data import DataSection
from tests.s3 import S3Server
from tests.servers import MariaServer, PostgresServer, free_port
from tests.web import Answer, Asked, WebServer

ROWS = pl.DataFrame(
    {
        "id": [1, 2, 3, 4],
        "name": ["Zoë", None, 'it\'s; "quoted", so', "x"],
        "amount": [0.5, None, -2.25, 1e9],
    }
)
FIFTH = pl.DataFrame({"id": [5], "name": ["e"], "amount": [5.0]})
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
    add: Callable[[], object] | None = None
    internal: tuple[str, ...] = ()


def dataframe(request: pytest.FixtureRequest, folder: Path) -> Sample:
    return Sample(origin=ROWS, missing=pl.DataFrame())


def files(request: pytest.FixtureRequest, folder: Path) -> Sample:
    place = folder / "parts"
    place.mkdir()
    ROWS.write_csv(place / "1.csv")
    return Sample(
        origin=place,
        missing=folder / "none.csv",
        add=lambda: FIFTH.write_csv(place / "2.csv"),
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


def sqlite(request: pytest.FixtureRequest, folder: Path) -> Sample:
    path = folder / "rows.db"
    _fill(f"sqlite:///{path}")
    return Sample(
        origin=path,
        missing="sqlite:///none.db",
        options=reading(cursor="id"),
        add=lambda: _fill(f"sqlite:///{path}", FIFTH),
    )


def postgresql(request: pytest.FixtureRequest, folder: Path) -> Sample:
    server: PostgresServer = request.getfixturevalue("postgresql")
    url = server.new_database()
    inside = url.replace("postgresql://", "postgresql+psycopg://")
    _fill(inside)
    return Sample(
        origin=server.over_the_network(url),
        missing=f"postgresql://reader:${{SECRET}}@127.0.0.1:{free_port()}/none",
        options=reading(cursor="id"),
        add=lambda: _fill(inside, FIFTH),
    )


def database(request: pytest.FixtureRequest, folder: Path) -> Sample:
    server: MariaServer = request.getfixturevalue("mariadb")
    address = server.new_database()
    login = f"mysql+pymysql://root@/{address.rpartition('/')[2]}?unix_socket={server.socket}"
    _fill(login)
    return Sample(
        origin=address,
        missing=f"mysql://rowsmith:${{SECRET}}@127.0.0.1:{free_port()}/none",
        options=reading(cursor="id"),
        add=lambda: _fill(login, FIFTH),
    )


def reading(**incremental: str) -> DataSection:
    return DataSection.model_validate({"sql": {"table": "rows_of_it"}, "incremental": incremental})


def _fill(url: str, rows: pl.DataFrame = ROWS) -> None:
    """Put rows into the table rows_of_it, which comes to be with the first."""
    engine = create_engine(url)
    table = Table(
        "rows_of_it",
        MetaData(),
        Column("id", BigInteger, primary_key=True),
        Column("name", String(100)),
        Column("amount", Double),
    )
    with engine.begin() as connection:
        table.create(connection, checkfirst=True)
        connection.execute(table.insert(), rows.to_dicts())
    engine.dispose()


def objects(request: pytest.FixtureRequest, folder: Path) -> Sample:
    pytest.importorskip("obstore")
    import obstore

    server = S3Server().__enter__()
    request.addfinalizer(lambda: server.__exit__(None, None, None))
    bucket = server.bucket("rows")
    obstore.put(bucket, "parts/1.csv", ROWS.write_csv().encode())
    storage = {"endpoint": server.url, "region": "us-east-1", "key_id": "tester", "secret_key": "${SECRET}"}
    return Sample(
        origin="s3://rows/parts/",
        missing="s3://rows/none.csv",
        options=DataSection.model_validate({"storage": storage}),
        internal=("127.0.0.1",),
        add=lambda: obstore.put(bucket, "parts/2.csv", b"id,name,amount\n5,e,5.0\n"),
    )


def dlt_resource(request: pytest.FixtureRequest, folder: Path) -> Sample:
    dlt = pytest.importorskip("dlt")
    resource = dlt.resource(lambda: iter(ROWS.to_dicts()), name="rows")
    return Sample(origin=resource, missing=dlt.resource(lambda: iter([]), name="none"))


SAMPLES: dict[str, Callable[[pytest.FixtureRequest, Path], Sample]] = {
    "dlt": dlt_resource,
    "dataframe": dataframe,
    "postgresql": postgresql,
    "sqlite": sqlite,
    "database": database,
    "http": http,
    "objects": objects,
    "files": files,
}
