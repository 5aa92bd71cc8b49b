"""What is read over HTTP: APIs, files at an address, tables on web pages.

`guard.py` says which addresses may be connected to, `client.py` fetches politely, `paging.py` goes from page to page,
`pages.py` finds tables in HTML, and `visit.py` puts them together. It is loaded when an address is read, and no sooner.
"""

from rowsmith.ingestion.sources.http.source import Http

__all__ = ["Http"]
