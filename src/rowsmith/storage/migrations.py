"""Migrations: how the database came to its present form, one numbered step after the other.

A step that was released is never edited; a change of the tables is a new step at the end of `MIGRATIONS` and
the same change in tables.py (a test compares the two on both databases).
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from rowsmith.errors import StorageError
from rowsmith.storage.tables import migrations

# Any constant will do, as long as all processes lock the same one ("rows" in ASCII).
POSTGRESQL_LOCK = 0x726F7773


@dataclass(frozen=True, slots=True)
class Migration:
    """One step. `statements` run on every database, then those of the database at hand."""

    number: int
    title: str
    statements: tuple[str, ...]
    sqlite: tuple[str, ...] = ()
    postgresql: tuple[str, ...] = ()


def _append_only_sqlite(table: str, same_key: str, said: str) -> tuple[str, ...]:
    return (
        f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} BEGIN SELECT RAISE(ABORT, '{said}'); END",
        f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} BEGIN SELECT RAISE(ABORT, '{said}'); END",
        # INSERT OR REPLACE deletes without firing the trigger above.
        f"""
        CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table}
        WHEN EXISTS (SELECT 1 FROM {table} WHERE {same_key}) BEGIN SELECT RAISE(ABORT, '{said}'); END
        """,
    )


def _append_only_postgresql(table: str, function: str, said: str) -> tuple[str, ...]:
    return (
        f"""
        CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION '{said}'; END $$
        """,
        f"""
        CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
        FOR EACH STATEMENT EXECUTE FUNCTION {function}()
        """,
    )


REGISTRY = Migration(
    1,
    "model versions and the ledger of champions",
    statements=(
        """
        CREATE TABLE rowsmith_versions (
            name TEXT NOT NULL,
            number BIGINT NOT NULL,
            created TEXT NOT NULL,
            snapshot_id TEXT NOT NULL,
            recipe_hash TEXT NOT NULL,
            artifact_hash TEXT NOT NULL,
            metric TEXT NOT NULL,
            score DOUBLE PRECISION,
            lineage TEXT NOT NULL,
            PRIMARY KEY (name, number)
        )
        """,
        """
        CREATE TABLE rowsmith_ledger (
            name TEXT NOT NULL,
            position BIGINT NOT NULL,
            action TEXT NOT NULL CHECK (action IN ('promote', 'rollback')),
            from_number BIGINT,
            to_number BIGINT NOT NULL,
            actor TEXT NOT NULL,
            reason TEXT NOT NULL,
            evidence TEXT NOT NULL,
            created TEXT NOT NULL,
            PRIMARY KEY (name, position),
            FOREIGN KEY (name, from_number) REFERENCES rowsmith_versions (name, number),
            FOREIGN KEY (name, to_number) REFERENCES rowsmith_versions (name, number)
        )
        """,
    ),
    sqlite=_append_only_sqlite(
        "rowsmith_ledger", "name = NEW.name AND position = NEW.position", "the ledger is append-only"
    ),
    postgresql=_append_only_postgresql("rowsmith_ledger", "rowsmith_refuse_change", "the ledger is append-only"),
)

PREDICTION_LOG = Migration(
    2,
    "the prediction log and true outcomes",
    statements=(
        """
        CREATE TABLE rowsmith_predictions (
            id TEXT NOT NULL PRIMARY KEY,
            name TEXT NOT NULL,
            version BIGINT,
            time BIGINT NOT NULL,
            inputs TEXT,
            answer TEXT,
            latency_ms DOUBLE PRECISION,
            source TEXT NOT NULL,
            status TEXT NOT NULL,
            code TEXT NOT NULL
        )
        """,
        "CREATE INDEX rowsmith_predictions_name_time ON rowsmith_predictions (name, time)",
        """
        CREATE TABLE rowsmith_outcomes (
            prediction_id TEXT NOT NULL,
            revision BIGINT NOT NULL,
            outcome TEXT NOT NULL,
            actor TEXT NOT NULL,
            time BIGINT NOT NULL,
            PRIMARY KEY (prediction_id, revision),
            FOREIGN KEY (prediction_id) REFERENCES rowsmith_predictions (id) ON DELETE CASCADE
        )
        """,
    ),
)

TRAFFIC = Migration(
    3,
    "rules of traffic, and who answered in which role",
    statements=(
        """
        CREATE TABLE rowsmith_traffic (
            name TEXT NOT NULL,
            position BIGINT NOT NULL,
            kind TEXT NOT NULL,
            champion BIGINT,
            challenger BIGINT,
            rule TEXT NOT NULL,
            actor TEXT NOT NULL,
            reason TEXT NOT NULL,
            evidence TEXT NOT NULL,
            created TEXT NOT NULL,
            PRIMARY KEY (name, position),
            FOREIGN KEY (name, champion) REFERENCES rowsmith_versions (name, number),
            FOREIGN KEY (name, challenger) REFERENCES rowsmith_versions (name, number)
        )
        """,
        "ALTER TABLE rowsmith_predictions ADD COLUMN role TEXT NOT NULL DEFAULT 'champion'",
        "ALTER TABLE rowsmith_predictions ADD COLUMN experiment BIGINT",
        "ALTER TABLE rowsmith_predictions ADD COLUMN unit TEXT",
        "ALTER TABLE rowsmith_predictions ADD COLUMN shadow_of TEXT",
    ),
    sqlite=_append_only_sqlite(
        "rowsmith_traffic", "name = NEW.name AND position = NEW.position", "the events of traffic are append-only"
    ),
    postgresql=_append_only_postgresql(
        "rowsmith_traffic", "rowsmith_refuse_traffic_change", "the events of traffic are append-only"
    ),
)

ACCESS = Migration(
    4,
    "API keys, and a line for every change",
    statements=(
        """
        CREATE TABLE rowsmith_keys (
            number BIGINT NOT NULL PRIMARY KEY,
            name TEXT NOT NULL,
            role TEXT NOT NULL,
            digest TEXT NOT NULL,
            rate BIGINT,
            expires BIGINT,
            created BIGINT NOT NULL,
            created_by TEXT NOT NULL,
            revoked BIGINT,
            last_used BIGINT
        )
        """,
        "CREATE UNIQUE INDEX rowsmith_keys_digest ON rowsmith_keys (digest)",
        """
        CREATE TABLE rowsmith_audit (
            position BIGINT NOT NULL PRIMARY KEY,
            time BIGINT NOT NULL,
            actor TEXT NOT NULL,
            action TEXT NOT NULL,
            subject TEXT NOT NULL,
            details TEXT NOT NULL
        )
        """,
    ),
    sqlite=_append_only_sqlite("rowsmith_audit", "position = NEW.position", "the audit is append-only"),
    postgresql=_append_only_postgresql("rowsmith_audit", "rowsmith_refuse_audit_change", "the audit is append-only"),
)

LOG_FILES = Migration(
    5,
    "files that older entries of the prediction log are moved to",
    statements=(
        """
        CREATE TABLE rowsmith_log_files (
            number BIGINT NOT NULL PRIMARY KEY,
            path TEXT NOT NULL,
            sha256 TEXT NOT NULL,
            name TEXT NOT NULL,
            first BIGINT NOT NULL,
            last BIGINT NOT NULL,
            rows BIGINT NOT NULL,
            bytes BIGINT NOT NULL
        )
        """,
        "ALTER TABLE rowsmith_predictions ADD COLUMN archive BIGINT",
    ),
)

REPLAYS = Migration(
    6,
    "answers to requests with an idempotency key",
    (
        """
        CREATE TABLE rowsmith_replays (
            key TEXT NOT NULL PRIMARY KEY,
            fingerprint TEXT NOT NULL,
            answer TEXT NOT NULL,
            time BIGINT NOT NULL
        )
        """,
        "CREATE INDEX rowsmith_replays_time ON rowsmith_replays (time)",
    ),
)

TABLES_OF_ROWS = Migration(
    7,
    "lines of the prediction log that stand for many rows",
    statements=("ALTER TABLE rowsmith_predictions ADD COLUMN rows BIGINT",),
    # SQLite cannot take a foreign key away, so the outcomes move to a table without it.
    sqlite=(
        "ALTER TABLE rowsmith_predictions ADD COLUMN content BLOB",
        "ALTER TABLE rowsmith_predictions ADD COLUMN erased TEXT",
        """
        CREATE TABLE rowsmith_outcomes_by_entry (
            prediction_id TEXT NOT NULL,
            revision BIGINT NOT NULL,
            outcome TEXT NOT NULL,
            actor TEXT NOT NULL,
            time BIGINT NOT NULL,
            entry TEXT NOT NULL,
            PRIMARY KEY (prediction_id, revision),
            FOREIGN KEY (entry) REFERENCES rowsmith_predictions (id) ON DELETE CASCADE
        )
        """,
        """
        INSERT INTO rowsmith_outcomes_by_entry
        SELECT prediction_id, revision, outcome, actor, time, prediction_id FROM rowsmith_outcomes
        """,
        "DROP TABLE rowsmith_outcomes",
        "ALTER TABLE rowsmith_outcomes_by_entry RENAME TO rowsmith_outcomes",
        "CREATE INDEX rowsmith_outcomes_entry ON rowsmith_outcomes (entry, revision)",
    ),
    postgresql=(
        "ALTER TABLE rowsmith_predictions ADD COLUMN content BYTEA",
        "ALTER TABLE rowsmith_predictions ADD COLUMN erased TEXT",
        "ALTER TABLE rowsmith_outcomes ADD COLUMN entry TEXT",
        "UPDATE rowsmith_outcomes SET entry = prediction_id",
        "ALTER TABLE rowsmith_outcomes ALTER COLUMN entry SET NOT NULL",
        "ALTER TABLE rowsmith_outcomes DROP CONSTRAINT rowsmith_outcomes_prediction_id_fkey",
        """
        ALTER TABLE rowsmith_outcomes
        ADD FOREIGN KEY (entry) REFERENCES rowsmith_predictions (id) ON DELETE CASCADE
        """,
        "CREATE INDEX rowsmith_outcomes_entry ON rowsmith_outcomes (entry, revision)",
    ),
)

MIGRATIONS: tuple[Migration, ...] = (
    REGISTRY,
    PREDICTION_LOG,
    TRAFFIC,
    ACCESS,
    LOG_FILES,
    REPLAYS,
    TABLES_OF_ROWS,
)


def is_current(connection: Connection) -> bool:
    """Whether the database has every step. Raises StorageError for one that is ahead of this release."""
    return _applied(connection) == len(MIGRATIONS)


def migrate(connection: Connection, *, now: str) -> None:
    """Apply the missing steps, in the caller's transaction and under a lock that lets one process in at a time."""
    on_postgresql = connection.dialect.name == "postgresql"
    if on_postgresql:
        connection.execute(select(func.pg_advisory_xact_lock(POSTGRESQL_LOCK)))
    migrations.create(connection, checkfirst=True)
    for step in MIGRATIONS[_applied(connection) :]:
        for statement in (*step.statements, *(step.postgresql if on_postgresql else step.sqlite)):
            connection.exec_driver_sql(statement)
        connection.execute(migrations.insert().values(number=step.number, title=step.title, applied=now))


def _applied(connection: Connection) -> int:
    if not connection.dialect.has_table(connection, migrations.name):
        return 0
    number = connection.scalar(select(func.max(migrations.c.number))) or 0
    if number > len(MIGRATIONS):
        raise StorageError(
            "this database was written by a newer release of Rowsmith",
            received=f"database version {number}",
            allowed=f"up to {len(MIGRATIONS)}",
            next_step="upgrade Rowsmith here, or name another database",
        )
    return int(number)
