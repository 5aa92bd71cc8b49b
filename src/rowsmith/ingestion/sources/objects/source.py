"""Objects: rows kept in object storage, as one object, a glob of them, or everything under a prefix."""

from __future__ import annotations

from rowsmith.ingestion.sources.address import scheme_of
from rowsmith.ingestion.sources.protocol import Context, Opened
from rowsmith.recipe_data import DataSection

SCHEMES = ("s3", "gs", "az")


class Objects:
    """Rows at s3://, gs:// and az:// addresses."""

    name = "objects"

    def accepts(self, origin: object) -> bool:
        return scheme_of(origin) in SCHEMES

    def open(self, origin: object, options: DataSection, context: Context) -> Opened | None:
        """The mark is what the store says of each object. Those that came since it are new; where one of the old
        changed, all of it is."""
        from rowsmith.ingestion.sources.objects.tables import open_objects

        return open_objects(str(origin), options, context)
