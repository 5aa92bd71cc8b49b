"""Keeping: where the parts and manifests of snapshots lie. One port (`protocol.py`), in a folder or in a bucket."""
