"""Load by wrk: bodies sent in turn, and what came of it."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SCRIPT = """
local bodies = {}
for path in io.lines("%(list)s") do
  local file = assert(io.open(path, "rb"))
  bodies[#bodies + 1] = file:read("*a")
  file:close()
end
local headers = {%(headers)s}
local turn = 0
request = function()
  turn = turn %% #bodies + 1
  return wrk.format("POST", "%(path)s", headers, bodies[turn])
end
%(delay)s
done = function(summary, latency, requests)
  local errors = summary.errors
  print(string.format(
    'RESULT {"requests": %%d, "us": %%d, "p50": %%f, "p99": %%f, "failed": %%d}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
"""


DELAY = """
delay = function() return math.floor(math.random() * 2 * %f + math.random()) end
"""
"""wrk takes whole milliseconds."""


@dataclass(frozen=True, slots=True)
class Load:
    """Milliseconds, and requests a second. `failed` are those without an answer, or with another than 2xx."""

    p50: float
    p99: float
    rate: float
    failed: int


def apply(
    address: str,
    path: str,
    bodies: Sequence[bytes],
    *,
    connections: int,
    seconds: float,
    headers: Mapping[str, str],
    pause: float = 0.0,
) -> Load:
    """Send the bodies in turn over so many connections, each of which waits between an answer and its next request.

    `pause` is the mean of these waits in milliseconds; they are uniform between 0 and its double. They count for the
    rate, and not for the times of the answers.
    """
    with tempfile.TemporaryDirectory() as folder:
        places = []
        for number, body in enumerate(bodies):
            place = Path(folder) / f"{number}.body"
            place.write_bytes(body)
            places.append(str(place))
        listing, script = Path(folder) / "bodies", Path(folder) / "load.lua"
        listing.write_text("\n".join(places))
        lua_headers = ", ".join(f'["{name}"] = "{value}"' for name, value in headers.items())
        script.write_text(
            SCRIPT % {"list": listing, "headers": lua_headers, "path": path, "delay": DELAY % pause if pause else ""}
        )
        threads = min(connections, 2)
        command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "20s", "-s", str(script)]
        done = subprocess.run([*command, address], capture_output=True, text=True, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    found = json.loads(line.removeprefix("RESULT "))
    rate = found["requests"] / (found["us"] / 1e6)
    return Load(found["p50"] / 1e3, found["p99"] / 1e3, rate, found["failed"])
