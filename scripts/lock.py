"""Remake requirements.txt, the hash-pinned lock of the default install, from pyproject.toml.

    pip install uv
    python scripts/lock.py              # keeps the versions that still fit
    python scripts/lock.py --upgrade    # takes the newest ones

The lock is universal: one file for every platform and every Python that pyproject.toml allows, with the
hashes of all published files. It names no package index, so that it installs from whichever one is configured.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "requirements.txt"
HEADER = """\
# What `pip install .` installs, pinned and hashed for every platform.
# Made from pyproject.toml by scripts/lock.py; not to be edited by hand.
"""
OPTIONS = ("--universal", "--python-version", "3.11", "--generate-hashes", "--no-header", "--no-config", "--quiet")


def main() -> None:
    command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", *OPTIONS, *sys.argv[1:]]
    done = subprocess.run([*command, "--output-file", str(LOCK)], cwd=ROOT, check=False)
    if done.returncode:
        sys.exit("the lock was not made; is uv installed (pip install uv)?")
    LOCK.write_text(HEADER + LOCK.read_text(encoding="utf-8").removeprefix(HEADER), encoding="utf-8")


if __name__ == "__main__":
    main()
