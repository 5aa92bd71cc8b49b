"""Workflows join the stages. Each file reads as its own table of contents."""
