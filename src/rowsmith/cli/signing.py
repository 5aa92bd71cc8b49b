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
    from rowsmith.workflows.sign import vouch

    opened = open_here(project, config)
    done = vouch(opened, version, key=key, new_key=new_key, public_key=check, actor=who("rowsmith sign"))
    document = {
        "name": done.version.name,
        "version": done.version.number,
        "signed": done.is_new,
        "public_key": str(done.public_key),
    }
    answer(document, access_views.signed, as_json=as_json)
