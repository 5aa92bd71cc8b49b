"""Object storage: S3 and what speaks like it, Google Cloud Storage, Azure.

`store.py` opens a store and translates its errors, `keys.py` says which objects an address means, `tables.py` makes a
table of each. They are loaded when such an address is read, and no sooner.
"""

from rowsmith.ingestion.sources.objects.source import Objects

__all__ = ["Objects"]
