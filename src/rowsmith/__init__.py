"""Rowsmith: from rows to a running, watched, documented model."""
