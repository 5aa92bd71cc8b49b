"""Object storage: S3 and what speaks like it, Google Cloud Storage, Azure.

`connection.py` opens a bucket and says what its errors mean, `store.py` reads of it, `keys.py` says which objects an
address means, `tables.py` makes a table of each. They are loaded when such an address is read, and no sooner.
"""

from rowsmith.ingestion.sources.objects.source import Objects

__all__ = ["Objects"]
