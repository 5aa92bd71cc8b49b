"""The version itself, to be taken into another project's store."""

from __future__ import annotations

from pathlib import Path

from rowsmith.registry.versions import Version
from rowsmith.types import JsonObject
from rowsmith.workflows.carried import carry
from rowsmith.workflows.exports.format import Format
from rowsmith.workflows.project import Project


def write(project: Project, version: Version, place: Path) -> JsonObject:
    place.rmdir()  # it is empty; the copy makes it
    carry(project, version, place)
    return {"next_step": "rowsmith adopt {out} --promote"}


FOLDER = Format("folder", "The version as it is, for `rowsmith adopt` elsewhere.", "{name}-{number}", write)
