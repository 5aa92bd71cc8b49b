"""How long the first answer takes, and how large an installation is.

    python benchmarks/startup.py [--runs 11]

Prints the median of fresh processes beside what we promise, and the size of Rowsmith with everything that its
default install brings along.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

from rowsmith.workflows.pins import needed_distributions

COMMANDS = {
    "import rowsmith": ([sys.executable, "-c", "import rowsmith"], 0.2),
    "rowsmith --help": ([sys.executable, "-m", "rowsmith", "--help"], 0.3),
    "python -c pass": ([sys.executable, "-c", "pass"], None),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=11, help="fresh processes for each figure")
    runs = parser.parse_args().runs
    print(f"{'command':<20} {'median':>9} {'fastest':>9} {'promised':>9}")
    for name, (command, promised) in COMMANDS.items():
        seconds = [measure(command) for _ in range(runs)]
        limit = f"{promised:.1f} s" if promised else ""
        print(f"{name:<20} {statistics.median(seconds):>7.3f} s {min(seconds):>7.3f} s {limit:>9}")
    sizes = install_sizes()
    print(f"\ninstalled: {sum(sizes.values()) / 1e6:,.0f} MB in {len(sizes)} distributions; the largest:")
    for name, size in sorted(sizes.items(), key=lambda item: -item[1])[:8]:
        print(f"  {name:<20} {size / 1e6:>7,.0f} MB")


def measure(command: list[str]) -> float:
    """Wall seconds of one fresh process."""
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def install_sizes() -> dict[str, int]:
    """Bytes on disk of Rowsmith and of each distribution that its default install needs."""
    sizes: dict[str, int] = {}
    for name, distribution in needed_distributions("rowsmith").items():
        paths = [Path(str(distribution.locate_file(file))) for file in distribution.files or ()]
        sizes[name] = sum(path.stat().st_size for path in paths if path.is_file())
    return sizes


if __name__ == "__main__":
    main()
