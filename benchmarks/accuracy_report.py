"""The tables and the bars of the accuracy benchmark."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from math import exp, log
from statistics import mean, median
from typing import Any

Records = list[dict[str, Any]]
FLOOR = 1e-6
PEER, BAGGED = "autogluon_medium", "autogluon"
COSTS = {
    "fit s": "fit_seconds",
    "peak MB": "peak_mb",
    "artifact MB": "artifact_mb",
    "load s": "load_seconds",
    "row ms": "row_ms",
    "p99 ms": "row_p99_ms",
    "rows/s": "rows_per_second",
    "learners": "learners",
}


def report(records: Records, name: str) -> None:
    """Scores of all systems, costs of ours, and the bars. Folds and seeds are averaged; only common folds count."""
    errors = errors_of(records, name)
    systems = sorted({r["system"] for r in records}, key=lambda s: (s != name, s))
    print_table(["table", *systems, f"{name} / best peer"], list(score_rows(records, errors, systems, name)))
    print_table(["table", *COSTS, "single / all"], list(cost_rows([r for r in records if r["system"] == name])))
    for line in bars(records, errors, systems, name):
        print(line)


def errors_of(records: Records, name: str) -> dict[str, dict[str, float]]:
    """Mean error of each system on each table, over the folds that Rowsmith ran and the system ran too."""
    found: dict[str, dict[str, dict[int, list[float]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for r in records:
        if r["score"] is not None:
            found[r["dataset"]][r["system"]][r["fold"]].append(error(r["metric"], r["score"]))
    means: dict[str, dict[str, float]] = {}
    for table, systems in found.items():
        ours = set(systems.get(name, {}))
        means[table] = {
            system: mean(mean(folds[fold]) for fold in ours)
            for system, folds in systems.items()
            if ours and ours <= set(folds)
        }
        if not means[table].get(name):
            continue
        for system, folds in systems.items():  # a peer that ran fewer folds is compared on those
            if system not in means[table] and (common := ours & set(folds)):
                ratio = mean(mean(folds[f]) for f in common) / mean(mean(systems[name][f]) for f in common)
                means[table][system] = ratio * means[table][name]
    return means


def error(metric: str, score: float) -> float:
    return max(1 - score if metric == "roc_auc" else score, FLOOR)


def score_rows(
    records: Records, errors: dict[str, dict[str, float]], systems: list[str], name: str
) -> Iterable[list[str]]:
    metrics = {r["dataset"]: r["metric"] for r in records}
    for table, found in errors.items():
        peers = [value for system, value in found.items() if system != name]
        ratio = f"{found[name] / min(peers):.4f}" if peers and name in found else ""
        auc = metrics[table] == "roc_auc"
        cells = [f"{1 - found[s] if auc else found[s]:.5f}" if s in found else "" for s in systems]
        yield [table, *cells, ratio]


def cost_rows(records: Records) -> Iterable[list[str]]:
    by_table: dict[str, Records] = defaultdict(list)
    for r in records:
        by_table[r["dataset"]].append(r)
    for table, found in by_table.items():
        cells = [
            _cell(max if key in ("fit_seconds", "peak_mb") else median, [r.get(key) for r in found])
            for key in COSTS.values()
        ]
        alone = [
            error(r["metric"], r["single_score"]) / error(r["metric"], r["score"])
            for r in found
            if r.get("single_score") is not None
        ]
        yield [table, *cells, f"{mean(alone):.4f}" if alone else ""]


def _cell(summary: Any, values: list[Any]) -> str:
    known = [value for value in values if value is not None]
    return f"{summary(known):,.3f}".rstrip("0").rstrip(".") if known else ""


def bars(records: Records, errors: dict[str, dict[str, float]], systems: list[str], name: str) -> Iterable[str]:
    ours = {table: found for table, found in errors.items() if name in found}
    yield f"tables: {len(ours)}"
    ranks: dict[str, list[float]] = defaultdict(list)
    for found in ours.values():
        for system, value in found.items():
            others = list(found.values())
            ranks[system].append(1 + sum(o < value for o in others) + (others.count(value) - 1) / 2)
    yield "mean rank: " + ", ".join(f"{s} {mean(ranks[s]):.2f} ({len(ranks[s])})" for s in systems if ranks[s])
    for peer in (PEER, BAGGED):
        pairs = [(found[name], found[peer]) for found in ours.values() if peer in found]
        if pairs:
            wins = sum(mine < theirs for mine, theirs in pairs)
            yield f"lower error than {peer}: {wins} of {len(pairs)} ({wins / len(pairs):.0%})"
            yield f"geometric mean of error over {peer}: {_geometric(a / b for a, b in pairs):.4f}"
    with_peers = [found for found in ours.values() if len(found) > 1]
    if with_peers:
        ratios = {t: f[name] / min(v for s, v in f.items() if s != name) for t, f in ours.items() if len(f) > 1}
        yield f"geometric mean of error over the best peer of each table: {_geometric(ratios.values()):.4f}"
        yield f"  the same as a median: {median(ratios.values()):.4f}"
    mine = [r for r in records if r["system"] == name]
    for peer in (PEER, BAGGED):
        rates = list(_rates(records, name, peer))
        if rates:
            yield f"rows a second over {peer}, median and least: {median(rates):.1f}, {min(rates):.1f}"
    yield f"longest fit: {max((r['fit_seconds'] for r in mine if 'fit_seconds' in r), default=0):.1f} s"
    yield f"failed: {sum(r['score'] is None for r in mine)}"


def _rates(records: Records, name: str, peer: str) -> Iterable[float]:
    """Of a batch; a peer's record tells the seconds for its test rows, a quarter of those it trained on."""
    for ours in records:
        for theirs in records:
            same = (ours["dataset"], ours["fold"]) == (theirs["dataset"], theirs["fold"])
            if same and ours["system"] == name and theirs["system"] == peer and theirs.get("predict_seconds"):
                yield ours["rows_per_second"] * theirs["predict_seconds"] / (theirs["rows"] / (5 - 1))


def _geometric(ratios: Iterable[float]) -> float:
    return exp(mean(log(ratio) for ratio in ratios))


def print_table(header: list[str], rows: list[list[str]]) -> None:
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    for row in [header, ["-" * width for width in widths], *rows]:
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")
    print()
