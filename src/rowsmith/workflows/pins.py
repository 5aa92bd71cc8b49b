"""Pins: what is installed here, as requirements that install the same again."""

from __future__ import annotations

import importlib.metadata
import json

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def pins(*more: str) -> list[str]:
    """Rowsmith and everything that its default install needs, and `more` distributions, each at its version here."""
    return [_pin(*item) for item in needed_distributions("rowsmith", *more).items()]


def needed_distributions(*names: str) -> dict[str, importlib.metadata.Distribution]:
    """These and everything that their default install needs, as far as it is installed here, by canonical name."""
    wanted = [Requirement(name) for name in names]
    found: dict[str, importlib.metadata.Distribution] = {}
    seen: set[str] = set()
    while wanted:
        requirement = wanted.pop()
        distribution = _installed(requirement.name)
        if distribution is None or str(requirement) in seen:
            continue
        seen.add(str(requirement))
        found[canonicalize_name(requirement.name)] = distribution
        needs = [Requirement(line) for line in distribution.requires or ()]
        wanted += [need for need in needs if _applies(need, requirement.extras)]
    return dict(sorted(found.items()))


def _applies(need: Requirement, extras: set[str]) -> bool:
    """Whether a distribution that was asked for with these extras needs this on this machine."""
    return need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *extras))


def _pin(name: str, distribution: importlib.metadata.Distribution) -> str:
    """By version; Rowsmith itself by commit where it was installed from version control (PEP 610)."""
    direct = json.loads(distribution.read_text("direct_url.json") or "{}") if name == "rowsmith" else {}
    if version_control := direct.get("vcs_info"):
        return f"{name} @ {version_control['vcs']}+{direct['url']}@{version_control['commit_id']}"
    return f"{name}=={distribution.version}"


def _installed(name: str) -> importlib.metadata.Distribution | None:
    try:
        return importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None
