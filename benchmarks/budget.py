"""Whether the budget is kept: wall time of `rowsmith.train` on made tables of growing size, and what came of it.

    python benchmarks/budget.py [--rows 10000,100000,1000000] [--columns 30] [--seconds 10]

One fresh process a table, so that imports and the start of workers count. The last column is the rank correlation
of the predictions with the truth on rows that the model has not seen: a model came out, and it has learned.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

CHILD = """
import sys, time
import numpy as np, polars as pl
from scipy.stats import spearmanr
rows, columns, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
rng = np.random.default_rng(0)
X = rng.normal(size=(rows + 5000, columns)).astype(np.float32)
y = X[:, 0] * X[:, 1] + np.abs(X[:, 2]) + rng.normal(size=len(X))
frame = pl.DataFrame({f"x{i}": X[:, i] for i in range(columns)}).with_columns(pl.Series("y", y))
begin = time.monotonic()
import rowsmith
model = rowsmith.train(frame[:rows], "y", seconds=seconds, holdout=0)
wall = time.monotonic() - begin
rank = spearmanr(model.predict(frame[rows:].drop("y")).to_numpy(), y[rows:]).statistic
print(wall, rank, len(model.members))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="10000,100000,1000000")
    parser.add_argument("--columns", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=10)
    args = parser.parse_args()
    print(f"{'rows':>10} {'budget s':>9} {'wall s':>8} {'ratio':>6} {'learners':>9} {'rank corr.':>11}")
    for rows in args.rows.split(","):
        command = [sys.executable, "-c", CHILD, rows, str(args.columns), str(args.seconds)]
        answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        wall, rank, members = float(answer[0]), float(answer[1]), int(answer[2])
        print(f"{int(rows):10,} {args.seconds:9.1f} {wall:8.2f} {wall / args.seconds:6.2f} {members:9} {rank:11.3f}")


if __name__ == "__main__":
    main()
