"""sign: vouch for a version with a key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rowsmith.cli.options import (
    HERE,
    ConfigOption,
    DebugOption,
    JsonOption,
    ProjectOption,
    VersionArgument,
    open_here,
    who,
)


def sign(
    version: VersionArgument = "latest",
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="The private key (Ed25519, PEM) to sign with.")
    ] = None,
    new_key: Annotated[
        Path | None,
        typer.Option("--new-key", metavar="FILE", help="Make a key in FILE (and FILE.pub) and sign with it."),
    ] = None,
    check: Annotated[
        Path | None, typer.Option("--check", metavar="FILE", help="Sign nothing: check against this public key.")
    ] = None,
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Vouch for a version: its model and the code of your own that runs before it.

    Where ROWSMITH_TRUSTED_KEYS names public keys, versions that none of them vouches for are not loaded or promoted.

    [dim]Example:[/] rowsmith sign 4 --key ~/keys/release.pem
    """
    from rowsmith.cli import access_views
    from rowsmith.cli.output import answer
    from rowsmith.errors import UsageError
    from rowsmith.registry.signature import make_key
    from rowsmith.workflows import sign as work

    given = [option for option in (key, new_key, check) if option is not None]
    if len(given) != 1:
        raise UsageError("give one of --key FILE, --new-key FILE and --check FILE")
    opened = open_here(project, config)
    if check is not None:
        found = opened.version(version)
        work.check(opened, found, (check,))
    else:
        if new_key is not None:
            opened.version(version)
            make_key(new_key)
        found = work.sign(opened, version, given[0], actor=who("rowsmith sign"))
    document = {
        "name": found.name,
        "version": found.number,
        "signed": check is None,
        "public_key": str(check or f"{given[0]}.pub"),
    }
    answer(document, access_views.signed, as_json=as_json)
