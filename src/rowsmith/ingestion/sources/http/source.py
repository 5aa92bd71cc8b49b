"""Http: rows at an address of the web: a file, an API that answers page by page, a web page."""

from __future__ import annotations

from rowsmith.ingestion.sources.address import scheme_of
from rowsmith.ingestion.sources.protocol import Context, Opened
from rowsmith.recipe_data import DataSection


class Http:
    """Rows at http:// and https:// addresses."""

    name = "http"

    def accepts(self, origin: object) -> bool:
        return scheme_of(origin) in ("http", "https")

    def open(self, origin: object, options: DataSection, context: Context) -> Opened | None:
        """Everything is fetched here, for types are settled over all pages; what does not fit in memory waits on disk.

        The mark is the ETag or the date of a source that answers in one piece, or the greatest value of the cursor
        column where `since_param` says how newer rows are asked for.
        """
        from rowsmith.ingestion.sources.http.visit import Visit

        visit = Visit.plan(str(origin), options, context)
        try:
            return visit.opened()
        finally:
            visit.client.close()
