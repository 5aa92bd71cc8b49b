"""Commands and code to copy, ready to run against this server."""

from __future__ import annotations

import json
import pprint
import shlex

from rowsmith.types import JsonObject

PREDICT = "api/v1/predict"


def curl(host_url: str, body: JsonObject, path: str = PREDICT) -> str:
    """A curl command for a POSIX shell. `host_url` ends in a slash."""
    text = shlex.quote(json.dumps(body, ensure_ascii=False))
    return f"curl {shlex.quote(host_url + path)} \\\n  -H 'Content-Type: application/json' \\\n  -d {text}"


def python(host_url: str, body: JsonObject, path: str = PREDICT) -> str:
    """The same with Python's standard library alone."""
    value = pprint.pformat(body, sort_dicts=False, width=76)
    return (
        "import json, urllib.request\n\n"
        f"body = {value}\n"
        f"request = urllib.request.Request(\n    {host_url + path!r},\n    json.dumps(body).encode(),\n"
        '    {"Content-Type": "application/json"},\n)\n'
        "print(json.load(urllib.request.urlopen(request)))"
    )
