"""Faults of databases in our words. Servers and drivers say the same in many ways; the first line that fits tells."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from rowsmith.errors import SourceError

# What the message of a driver says (or its code), what that means, and what to do.
FAULTS: tuple[tuple[str, str, str], ...] = (
    (
        r"certificate verify failed|certificate.{0,80}(not match|verif|self.signed|expired)|root certificate file",
        "the certificate of the server does not verify",
        "give the authority that signed it (sslrootcert=FILE for PostgreSQL, ssl_ca=FILE for MariaDB), or ask whose "
        "server answers there",
    ),
    (
        r"not support SSL|SSL connection is required|SSL is required|no encryption",
        "the server and this address do not agree about encryption",
        "set sslmode in the address as the server wants it",
    ),
    (
        r"password authentication failed|no password supplied|Access denied for user|\(1045|28P01|28000",
        "the database refused this user or this password",
        "check both; the password comes from ${VARIABLE} or ${file:PATH} in the address",
    ),
    (r"database \"?[^\"]*\"? does not exist|Unknown database|3D000", "there is no such database", "check its name"),
    (
        r"read.only transaction|data-modifying statement|25006|\(1792|readonly database|attempt to write",
        "this query writes, and Rowsmith changes nothing in a database",
        "write what is to be read as a SELECT without functions that write",
    ),
    (
        r"relation \"[^\"]*\" does not exist|doesn't exist|no such table|42P01",
        "there is no such table",
        "check its name, and its schema: --table SCHEMA.TABLE",
    ),
    (
        r"permission denied|command denied|42501",
        "this user may not read that",
        "have it granted SELECT, or use another",
    ),
    (
        r"column .* does not exist|Unknown column|no such column|42703",
        "there is no such column",
        "check the names in the query",
    ),
    (r"statement timeout|max_statement_time|57014", "the server stopped the query: it took too long", "ask for less"),
    (
        r"server closed the connection|Lost connection|terminating connection|connection.{0,40}(reset|lost|closed)"
        r"|gone away|57P0\d|no COPY in progress|EOF detected|Broken pipe|PGRES_COPY_OUT|unexpected EOF",
        "the connection was lost while rows were read; nothing of them is kept",
        "run the same again when the server is back",
    ),
    (
        r"Connection refused|Can't connect|could not connect|translate host name|Name or service not known"
        r"|No such file or directory|timeout expired|timed out|Is the server running|Failed to connect",
        "no database answers there",
        "check the host and the port, and whether the server runs",
    ),
    (r"syntax error|error in your SQL syntax|42601", "the database does not understand this query", "mend the query"),
)


def translated(message: str, *, where: str, tables: Sequence[str] = (), wanted: str = "") -> SourceError:
    """`message` is what the driver said, its secrets taken out. `tables` are those that exist, for a better hint."""
    said = " ".join(message.split())
    for pattern, what, next_step in FAULTS:
        if re.search(pattern, said, re.IGNORECASE):
            if what == "there is no such table" and tables:
                next_step = _near(wanted, tables)
            return SourceError(what, where=where, received=said, next_step=next_step)
    return SourceError("the database refused", where=where, received=said, next_step="mend what it complains about")


def _near(wanted: str, tables: Sequence[str]) -> str:
    close = difflib.get_close_matches(wanted, tables, n=3, cutoff=0.6)
    listed = ", ".join(close or tables[:10])
    return f"tables like it: {listed}" if close else f"there are: {listed}"
