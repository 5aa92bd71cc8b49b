"""For tools that look for a setup.py. Everything that there is to say stands in pyproject.toml."""

from setuptools import setup

setup()
