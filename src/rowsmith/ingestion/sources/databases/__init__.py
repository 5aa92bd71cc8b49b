"""Databases: what the sources for PostgreSQL, for other servers and for SQLite files have in common."""
