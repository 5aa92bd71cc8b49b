"""Ingestion: from a source to a snapshot, its schema, what looks odd about it, and the split into parts."""
