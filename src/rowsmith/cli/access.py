"""keys and audit: who may use a server, and who changed what."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from rowsmith.cli.options import (
    HERE,
    ConfigOption,
    DebugOption,
    JsonOption,
    ProjectOption,
    open_here,
    who,
)

KEYS_HELP = """The keys that a server asks for: make, list and revoke them.

A key has a role. `predict` asks for predictions and reports outcomes; `operate` also sees reports, monitoring and
metrics, promotes and rolls back; `admin` may do everything. Programs send a key in the header
`Authorization: Bearer KEY`; people sign in with one."""


def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is: a person or a program.")],
    role: Annotated[str, typer.Option("--role", metavar="ROLE", help="predict, operate or admin.")] = "predict",
    rate: Annotated[
        int | None,
        typer.Option("--rate", metavar="N", help="Requests a minute.", show_default="ROWSMITH_RATE_LIMIT"),
    ] = None,
    days: Annotated[
        float | None, typer.Option("--days", metavar="N", help="Ends after so many days.", show_default="never")
    ] = None,
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Make a key. It is shown once, and only its hash is kept: put it where secrets are kept right away.

    A running server knows it within a second.

    [dim]Example:[/] rowsmith keys create checkout-service --role predict --rate 6000
    """
    from rowsmith.access.keys import KeyRole, KeyStore
    from rowsmith.cli import access_views, documents
    from rowsmith.cli.output import answer

    store = KeyStore(open_here(project, config).database)
    lifetime = None if days is None else timedelta(days=days)
    key, secret = store.create(name, KeyRole.of(role), actor=who("rowsmith keys create"), rate=rate, lifetime=lifetime)
    answer({**documents.of_key(key), "key": secret}, access_views.key_made, as_json=as_json)


def list_(
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """All keys there were, with role, limit and last use (to some seconds). None of them can be shown again.

    [dim]Example:[/] rowsmith keys list
    """
    from rowsmith.access.keys import KeyStore
    from rowsmith.cli import access_views, documents
    from rowsmith.cli.output import answer

    opened = open_here(project, config)
    found = () if opened.is_empty else KeyStore(opened.database).list()
    answer({"keys": [documents.of_key(key) for key in found]}, access_views.keys, as_json=as_json)


def revoke(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The name or the number of a key (not the key itself).")],
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """End a key. A running server refuses it, and whoever signed in with it, within a second.

    [dim]Example:[/] rowsmith keys revoke checkout-service
    """
    from rowsmith.access.keys import KeyStore
    from rowsmith.cli import access_views, documents
    from rowsmith.cli.output import answer
    from rowsmith.errors import NotFoundError

    opened = open_here(project, config)
    if opened.is_empty:
        raise NotFoundError("there is no key here", where=str(opened.root))
    ended = KeyStore(opened.database).revoke(key, actor=who("rowsmith keys revoke"))
    answer(documents.of_key(ended), access_views.key_revoked, as_json=as_json)


def audit(
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="The latest so many lines.")] = 100,
    action: Annotated[
        str, typer.Option("--action", metavar="A", help="Of one action alone, such as `promote` or `keys.create`.")
    ] = "",
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Who changed what, and when: promotions and rollbacks, keys, traffic, settings of servers. No line can be changed.

    [dim]Example:[/] rowsmith audit --action promote
    """
    from rowsmith.cli import access_views, documents
    from rowsmith.cli.output import answer
    from rowsmith.storage.audit import lines

    opened = open_here(project, config)
    found = () if opened.is_empty else lines(opened.database, action=action, limit=limit)
    answer({"lines": [documents.of_audit_line(line) for line in found]}, access_views.audit_lines, as_json=as_json)


list_.__name__ = "list"
KEYS = (create, list_, revoke)
