"""Provenance: with which code, libraries, machine and seed something was made. Facts only, no secrets, no host name."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rowsmith.types import JsonObject
from rowsmith.version import __version__

PACKAGES = (
    "catboost",
    "fairlearn",
    "lightgbm",
    "narwhals",
    "numpy",
    "optuna",
    "pandas",
    "polars",
    "rowsmith",
    "scikit-learn",
    "scipy",
    "xgboost-cpu",
    "xgboost",
)
"""The packages that decide what a model's numbers are; those not installed are left out."""

GIT_SECONDS = 10
HIDDEN = "***"
SECRET_WORD = r"[\w.-]*(?:password|passwd|secret|token|api[_-]?key|credential|access[_-]?key)[\w.-]*"
SECRET_OPTION = re.compile(rf"-{{0,2}}{SECRET_WORD}", re.IGNORECASE)
SECRET_VALUE = re.compile(rf"({SECRET_WORD}\s*[=:]\s*)[^\s&]+", re.IGNORECASE)
URL_PASSWORD = re.compile(r"(\w[\w+.-]*://[^\s/:@]*:)[^\s/]*@")


def gather(
    *,
    seed: int,
    project: Path | None = None,
    command: Sequence[str] | None = None,
    source_date_epoch: int | None = None,
) -> JsonObject:
    """What a model's lineage says about how it was made, as JSON.

    `project` is the folder whose git commit is noted; `command` the command line (this process's when None), without
    what looks like a secret; `source_date_epoch` the seconds since 1970 that stand for now. Never fails: what cannot
    be found out is None. Keys: created, rowsmith, seed, code (commit, dirty), python, platform, machine (architecture,
    processor, cores, memory_mb), packages, command.
    """
    now = datetime.now(UTC) if source_date_epoch is None else datetime.fromtimestamp(source_date_epoch, UTC)
    return {
        "created": now.isoformat(timespec="seconds"),
        "rowsmith": __version__,
        "seed": seed,
        "code": _code(project) if project is not None else None,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
        "machine": _machine(),
        "packages": _packages(),
        "command": without_secrets(sys.argv if command is None else command),
    }


def without_secrets(command: Sequence[str]) -> str:
    """The command line as one text, the program by its name alone; passwords and the like are ***."""
    words = [Path(word).name if place == 0 else word for place, word in enumerate(command)]
    shown: list[str] = []
    for place, word in enumerate(words):
        if place > 1 and words[place - 1].startswith("-") and SECRET_OPTION.fullmatch(words[place - 1]):
            word = HIDDEN
        word = URL_PASSWORD.sub(rf"\g<1>{HIDDEN}@", word)
        shown.append(SECRET_VALUE.sub(rf"\g<1>{HIDDEN}", word))
    return " ".join(shown)


def _code(project: Path) -> JsonObject | None:
    """Commit of the project's git repository, and whether files differ from it; None outside of one."""
    commit = _git(project, "rev-parse", "HEAD")
    changes = _git(project, "status", "--porcelain", "--untracked-files=no")
    if commit is None:
        return None
    return {"commit": commit, "dirty": None if changes is None else changes != ""}


def _git(folder: Path, *arguments: str) -> str | None:
    # GIT_DIR and the like, set where a git hook runs us, would name another repository.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=GIT_SECONDS,
            env=environment,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _machine() -> JsonObject:
    return {
        "architecture": platform.machine(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_mb": _memory_mb(),
    }


def _processor() -> str | None:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or None
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1] if found else platform.processor() or None


def _memory_mb() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    except (AttributeError, OSError, ValueError):
        return None


def _packages() -> dict[str, str]:
    versions: dict[str, str] = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
