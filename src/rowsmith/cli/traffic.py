"""traffic: which share of a model's requests a challenger sees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rowsmith.cli.options import HERE, ConfigOption, DebugOption, JsonOption, ProjectOption, open_here, who

if TYPE_CHECKING:
    from rowsmith.registry.traffic import RuleKind
    from rowsmith.workflows.project import Project

TRAFFIC_HELP = """Try a version on real requests before it is champion, or beside it.

`shadow`: it answers every request too, for the log alone. `canary`: it answers a few, and is taken back by itself when
it does worse beyond chance. `split`: it answers half of them until the evidence says which is better. `show` tells what
has been seen so far; `stop` ends it.

One rule at a time; every running server follows within a second, and a promotion or a rollback ends it."""

ChallengerArgument = Annotated[str, typer.Argument(metavar="VERSION", help="The challenger: a number, or `latest`.")]
ByOption = Annotated[
    str,
    typer.Option(
        "--by",
        metavar="COLUMN",
        help="Split by this column, so that a customer always meets the same version. A request's header Rowsmith-Key "
        "goes before it.",
        show_default="the whole row",
    ),
]
AlphaOption = Annotated[
    float, typer.Option("--alpha", metavar="A", help="The chance of a false alarm over the whole life of the rule.")
]
SlowOption = Annotated[
    float | None,
    typer.Option(
        "--slow-ms",
        metavar="MS",
        help="An answer after more than this counts as slow.",
        show_default="twice what 99 % of the champion's took lately",
    ),
]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept with the event.")]


def _percent(default: str) -> Any:
    return typer.Option("--percent", metavar="P", help=f"The challenger's share of the requests. Usual: {default}.")


def show(
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """The rule in force, what the challenger has shown beside the champion, and what was done before.

    Look as often as you like: the figures stay valid however often one looks.

    [dim]Example:[/] rowsmith traffic show
    """
    from rowsmith.cli import traffic_views
    from rowsmith.cli.output import answer
    from rowsmith.workflows.traffic import show as work

    answer(work(open_here(project, config)).to_dict(), traffic_views.shown, as_json=as_json)


def shadow(
    version: ChallengerArgument,
    percent: Annotated[float, _percent("100")] = 100.0,
    by: ByOption = "",
    alpha: AlphaOption = 0.05,
    reason: ReasonOption = "",
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Let a version answer the same requests behind the champion: only the log sees its answers.

    It never slows or fails a request: what it cannot keep up with is dropped and counted.

    [dim]Example:[/] rowsmith traffic shadow 4
    """
    rule = {"share": percent / 100, "key": by, "alpha": alpha, "reason": reason}
    _begin(open_here(project, config), "shadow", version, rule, as_json=as_json)


def canary(
    version: ChallengerArgument,
    percent: Annotated[float, _percent("5")] = 5.0,
    by: ByOption = "",
    slow_ms: SlowOption = None,
    alpha: AlphaOption = 0.05,
    reason: ReasonOption = "",
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Let a version answer a few requests, and take it back when it does worse than the champion beyond chance.

    Errors, slow answers and, as true outcomes come, losses are compared every few seconds by the servers themselves.
    Call it again with a larger share to go on: who had the challenger keeps it.

    [dim]Example:[/] rowsmith traffic canary 4 --percent 5 --by customer_id
    """
    rule = {"share": percent / 100, "key": by, "slow_ms": slow_ms, "alpha": alpha, "reason": reason}
    _begin(open_here(project, config), "canary", version, rule, as_json=as_json)


def split(
    version: ChallengerArgument,
    percent: Annotated[float, _percent("50")] = 50.0,
    by: ByOption = "",
    slow_ms: SlowOption = None,
    alpha: AlphaOption = 0.05,
    reason: ReasonOption = "",
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Let a version answer a share of the requests until the evidence says which of the two is better (an A/B test).

    Nothing is decided by itself: `rowsmith traffic show` says when the evidence suffices.

    [dim]Example:[/] rowsmith traffic split 4 --by customer_id
    """
    rule = {"share": percent / 100, "key": by, "slow_ms": slow_ms, "alpha": alpha, "reason": reason}
    _begin(open_here(project, config), "split", version, rule, as_json=as_json)


def stop(
    reason: ReasonOption = "",
    project: ProjectOption = HERE,
    config: ConfigOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Let the champion answer alone again.

    [dim]Example:[/] rowsmith traffic stop --reason "seen enough"
    """
    from rowsmith.cli import traffic_views
    from rowsmith.cli.output import answer
    from rowsmith.workflows.traffic import stop as work

    event = work(open_here(project, config), reason=reason, actor=who("rowsmith traffic stop"))
    answer(event.to_dict(), traffic_views.changed, as_json=as_json)


TRAFFIC = (show, shadow, canary, split, stop)


def _begin(project: Project, kind: RuleKind, version: str, rule: dict[str, Any], *, as_json: bool) -> None:
    from rowsmith.cli import traffic_views
    from rowsmith.cli.output import answer
    from rowsmith.workflows.traffic import begin

    event = begin(project, kind, version, **rule, actor=who(f"rowsmith traffic {kind}"))
    answer(event.to_dict(), traffic_views.changed, as_json=as_json)
