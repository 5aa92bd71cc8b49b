"""The report: one HTML file that needs nothing else, not even scripts or a network.

The document it is made from is plain JSON with these keys; all but `title` and `evaluation` may be missing:

- `title`: a line of text.
- `evaluation`: `Evaluation.to_dict()`.
- `gates`: `GateReport.to_dict()`; `champion`: {"before", "reason"}.
- `recipe`, `schema`, `findings`, `leaderboard`: the `to_dict()` of those (a list of them for the last two).
- `lineage`: facts about how the model came to be; shown as they are.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from rowsmith.evaluation.report.content import content_of

__all__ = ["content_security_policy", "render_report"]

TEMPLATES = Path(__file__).parent / "templates"


def render_report(document: Mapping[str, Any]) -> str:
    """The document as HTML. Every text in it is escaped, and the page's own policy forbids scripts and requests."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("report.html.jinja")
    return template.render(content_of(document), style=_style(), policy=content_security_policy())


def content_security_policy() -> str:
    """What a report may do, for the header of a server that shows it: its own style sheet and nothing else."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


@cache
def _style() -> str:
    return (TEMPLATES / "report.css").read_text(encoding="utf-8")
