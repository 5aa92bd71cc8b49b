"""Tables of the database, as the newest migration leaves them. Text columns that hold JSON say so."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Double, Index, LargeBinary, MetaData, Table, Text

metadata = MetaData()

migrations = Table(
    "rowsmith_migrations",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("title", Text, nullable=False),
    Column("applied", Text, nullable=False),
)

versions = Table(
    "rowsmith_versions",
    metadata,
    Column("name", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("created", Text, nullable=False),
    Column("snapshot_id", Text, nullable=False),
    Column("recipe_hash", Text, nullable=False),
    Column("artifact_hash", Text, nullable=False),
    Column("metric", Text, nullable=False),
    Column("score", Double),
    Column("lineage", Text, nullable=False, comment="JSON"),
)

ledger = Table(
    "rowsmith_ledger",
    metadata,
    Column("name", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("action", Text, nullable=False),
    Column("from_number", BigInteger),
    Column("to_number", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("evidence", Text, nullable=False, comment="JSON"),
    Column("created", Text, nullable=False),
)

traffic = Table(
    "rowsmith_traffic",
    metadata,
    Column("name", Text, primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("champion", BigInteger),
    Column("challenger", BigInteger),
    Column("rule", Text, nullable=False, comment="JSON"),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("evidence", Text, nullable=False, comment="JSON"),
    Column("created", Text, nullable=False),
)

keys = Table(
    "rowsmith_keys",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("digest", Text, nullable=False, comment="SHA-256 of the key, which is kept nowhere"),
    Column("rate", BigInteger, comment="requests a minute; none is no limit of its own"),
    Column("expires", BigInteger, comment="microseconds since 1970, UTC"),
    Column("created", BigInteger, nullable=False, comment="microseconds since 1970, UTC"),
    Column("created_by", Text, nullable=False),
    Column("revoked", BigInteger, comment="microseconds since 1970, UTC"),
    Column("last_used", BigInteger, comment="microseconds since 1970, UTC"),
    Index("rowsmith_keys_digest", "digest", unique=True),
)

audit = Table(
    "rowsmith_audit",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("time", BigInteger, nullable=False, comment="microseconds since 1970, UTC"),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("details", Text, nullable=False, comment="JSON"),
)

# A line stands for one row, or for all rows that were asked about together: then `rows` says how many, and `content`
# holds what was asked and answered (see monitoring/log_table.py).
predictions = Table(
    "rowsmith_predictions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("version", BigInteger),
    Column("time", BigInteger, nullable=False, comment="microseconds since 1970, UTC"),
    Column("inputs", Text, comment="JSON, as received"),
    Column("answer", Text, comment="JSON"),
    Column("latency_ms", Double),
    Column("source", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("role", Text, nullable=False, comment="as whom the version answered"),
    Column("experiment", BigInteger, comment="the position of the traffic rule in force"),
    Column("unit", Text, comment="hash of what the rule split traffic by"),
    Column("shadow_of", Text, comment="the prediction that the caller got instead"),
    Column("archive", BigInteger, comment="the file that inputs and answer, or the content, were moved to"),
    Column("rows", BigInteger, comment="how many this line stands for; none where it is one by itself"),
    Column("content", LargeBinary, comment="Arrow IPC: inputs and answers of all rows of this line"),
    Column("erased", Text, comment="JSON: the numbers of rows that were taken out of the content"),
    Index("rowsmith_predictions_name_time", "name", "time"),
)

log_files = Table(
    "rowsmith_log_files",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("path", Text, nullable=False, comment="relative to the folder of the log"),
    Column("sha256", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("first", BigInteger, nullable=False, comment="microseconds since 1970, UTC"),
    Column("last", BigInteger, nullable=False, comment="microseconds since 1970, UTC"),
    Column("rows", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
)

outcomes = Table(
    "rowsmith_outcomes",
    metadata,
    Column("prediction_id", Text, primary_key=True),
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    Column("outcome", Text, nullable=False, comment="JSON; the highest revision counts"),
    Column("actor", Text, nullable=False),
    Column("time", BigInteger, nullable=False, comment="microseconds since 1970, UTC"),
    Column("entry", Text, nullable=False, comment="the line of the prediction, which may stand for others too"),
    Index("rowsmith_outcomes_entry", "entry", "revision"),
)

replays = Table(
    "rowsmith_replays",
    metadata,
    Column("key", Text, primary_key=True, comment="hash of the address, the caller and the caller's key"),
    Column("fingerprint", Text, nullable=False, comment="hash of the request"),
    Column("answer", Text, nullable=False, comment="JSON"),
    Column("time", BigInteger, nullable=False, comment="seconds since 1970, UTC"),
    Index("rowsmith_replays_time", "time"),
)
