"""What a format is."""

from __future__ import annotations

from typing import Protocol

from rowsmith.ingestion.sources.local_file import LocalFile
from rowsmith.ingestion.sources.protocol import Table
from rowsmith.recipe_data import DataSection


class Format(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str:
        """As a message says it: "CSV"."""
        ...

    @property
    def extensions(self) -> tuple[str, ...]:
        """Lower case, with the dot."""
        ...

    @property
    def is_text(self) -> bool:
        """Text has no mark of its own at its head, and is recognised by its name, or by how it begins."""
        ...

    def recognises(self, head: bytes) -> bool:
        """Whether a file that begins so is one of this format."""
        ...

    def open(self, file: LocalFile, options: DataSection) -> Table:
        """Raises SourceError for a file that cannot be read, RecipeError for options that make no sense."""
        ...
