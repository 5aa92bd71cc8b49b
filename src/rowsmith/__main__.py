"""`python -m rowsmith` is `rowsmith`."""

from __future__ import annotations

from rowsmith.cli import main

if __name__ == "__main__":
    main()
