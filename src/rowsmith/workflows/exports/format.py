"""What a format to export to is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rowsmith.registry.versions import Version
from rowsmith.types import JsonObject
from rowsmith.workflows.project import Project


@dataclass(frozen=True, slots=True)
class Format:
    """`write(project, version, place)` fills a folder that is empty, or writes one file in one step.

    It answers what is worth saying, as JSON, `next_step` being a command to go on with. `file_name` is where it goes
    unless told, with {name} and {number} of the version in it.
    """

    name: str
    sentence: str
    file_name: str
    write: Callable[[Project, Version, Path], JsonObject]
    is_folder: bool = True
