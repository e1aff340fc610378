"""How the evaluation of a reward is shown to a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from karl.cli.render import plain, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from karl.evaluation.ablation import Ablation
    from karl.evaluation.assess import FeatureReport, SetReport
    from karl.evaluation.calibrate import AgentReport
    from karl.evaluation.ranking import Estimate
    from karl.schema.record import CalibrationBody


def show_set(report: SetReport, *, components: bool, plot: bool) -> None:
    """Show one set: what it is, the scores beside each other, the differences, the signals."""
    _heading(report)
    _scores(report)
    _learned(report)
    _features("signal", report.signals)
    if components:
        _features("component", report.components)
    if plot:
        _plots(report)
    click.echo()


def show_learned(reports: Sequence[AgentReport], *, unreadable: int) -> None:
    """Show what was learned of each agent, and of the weights where there are any."""
    if not reports:
        click.echo("no turns whose outcome is known")
    rows = []
    for report in reports:
        learned = report.learned
        rows.append(
            (
                report.agent,
                report.runs,
                f"{report.resolved / report.runs:.0%}",
                _within(learned.fixed_auroc) if learned else "-",
                _signed(learned.auroc_gain) if learned else "-",
                _signed(learned.brier_gain) if learned else "-",
                f"{learned.truth.ece:.3f}" if learned and learned.truth else "-",
                "yes" if learned and learned.beats else "no",
            )
        )
    if rows:
        columns = (
            "agent",
            "turns",
            "done",
            "AUROC, fixed weights",
            "learned over it",
            "Brier",
            "ECE",
            "used",
        )
        print_table(columns, rows, whole=("agent",))
    for report in reports:
        click.echo(f"{plain(report.agent)}: {plain(report.why)}")
        if report.record:
            _terms(report.record)
    if unreadable:
        click.echo(f"{unreadable:,} could not be read", err=True)


def _terms(record: CalibrationBody) -> None:
    """Show a model as a formula that a person can follow."""
    known = ", ".join(f"{plain(by)} {count:,}" for by, count in sorted(record.known.items()))
    terms = [
        f"{weight:.2f} x ({plain(name)} - {record.middle.get(name, 0.0):.2f})"
        for name, weight in sorted(record.terms.items(), key=lambda term: -term[1])
    ]
    click.echo(f"  log odds = {' + '.join([f'{record.intercept:.2f}', *terms])}")
    click.echo(f"  outcomes known from: {known}")


def show_ablation(one: Ablation) -> None:
    """Show what each signal does to the ranking of one set, or of one agent."""
    click.echo(click.style(f"{plain(one.of)}, version {plain(one.version)}: {one.runs:,} turns", bold=True))
    rows = [
        (
            left.signal,
            f"{left.weight:.2f}",
            f"{left.observed:.0%}",
            "-" if left.rank_correlation is None else f"{left.rank_correlation:.3f}",
            f"{left.top:.0%}",
            f"{left.top_tenth:.0%}",
            _signed(left.auroc_change),
        )
        for left in one.signals
    ]
    heads = ("without", "weight", "observed", "rank correlation", "top 20", "top tenth", "AUROC changes by")
    print_table(heads, rows)
    click.echo()


def _heading(report: SetReport) -> None:
    share = f"{report.base_rate:.0%}"
    click.echo(click.style(plain(report.set), bold=True))
    click.echo(
        f"{report.runs:,} runs of {report.instances:,} tasks, {report.resolved:,} got it done ({share}); "
        f"{report.delivered_runs:,} changed a source file ({report.delivered_resolved:,} got it done); "
        f"{report.pairs:,} pairs of one task"
    )
    if len(report.agents) > 1:
        agents = ", ".join(f"{plain(agent)} {count:,}" for agent, count in report.agents.items())
        click.echo(f"agents: {agents}")


def _scores(report: SetReport) -> None:
    rows = []
    for name, score in report.scores.items():
        less = report.differences.get(name)
        truth = score.truth
        rows.append(
            (
                name,
                _within(score.auroc),
                _within(score.delivered),
                *((_within(score.within_agent),) if len(report.agents) > 1 else ()),
                *((_within(score.win_rate),) if report.pairs else ()),
                _signed(less.auroc) if less else "",
                f"{truth.brier.value:.3f}" if truth else "",
                f"{truth.ece:.3f}" if truth else "",
            )
        )
    learned = report.learned
    if learned and learned.truth:
        rows.append(_learned_row(report))
    print_table(_columns(report), rows, whole=("score",))


def _columns(report: SetReport) -> list[str]:
    several = ["within one agent"] if len(report.agents) > 1 else []
    pairs = ["same task"] if report.pairs else []
    return [
        "score",
        "AUROC",
        "of those delivered",
        *several,
        *pairs,
        f"{report.reward} over it",
        "Brier",
        "ECE",
    ]


def _learned_row(report: SetReport) -> tuple[str, ...]:
    learned = report.learned
    assert learned is not None and learned.truth is not None  # noqa: PT018 - the caller looked
    blank = ("",) * ((len(report.agents) > 1) + bool(report.pairs))
    return (
        f"learned ({learned.folds}-fold)",
        _within(learned.auroc),
        "",
        *blank,
        "",
        f"{learned.truth.brier.value:.3f}",
        f"{learned.truth.ece:.3f}",
    )


def _learned(report: SetReport) -> None:
    base = next((score.truth for score in report.scores.values() if score.truth), None)
    if base:
        click.echo(f"always saying {report.base_rate:.0%}: Brier {base.constant:.3f}, AUROC 0.5")
    learned = report.learned
    if learned is None:
        click.echo("learned: too few runs of either outcome to learn from")
        return
    _elsewhere(report)
    verdict = "would be applied" if learned.beats else "would not be applied"
    floor = (
        f"; ECE of a perfect forecast on so few runs: {learned.truth.perfect:.3f}" if learned.truth else ""
    )
    click.echo(f"learned {verdict}: {learned.why}{floor}")


def _elsewhere(report: SetReport) -> None:
    found = report.elsewhere
    if found is not None and found.ece is not None:
        auroc = _within(found.auroc)
        click.echo(f"learned from the other {found.sets} sets alone: AUROC {auroc}, ECE {found.ece:.3f}")


def _features(what: str, features: list[FeatureReport]) -> None:
    rows = [(one.name, f"{one.observed:.0%}", f"{one.mean:.3f}", _within(one.auroc)) for one in features]
    print_table((what, "observed", "mean", "AUROC"), rows)


def _plots(report: SetReport) -> None:
    from karl.cli.figures_held import draw_reliability  # noqa: PLC0415 - loaded when something is drawn

    truths = {name: score.truth for name, score in report.scores.items() if score.truth}
    if report.learned and report.learned.truth:
        truths["learned"] = report.learned.truth
    for name, truth in truths.items():
        click.echo(f"\n{name}: what was said (across), how often it was so (up)")
        draw_reliability(truth)


def _within(one: Estimate | None) -> str:
    if one is None:
        return "-"
    return f"{one.value:.3f}" + ("" if one.low is None else f" [{one.low:.3f}, {one.high:.3f}]")


def _signed(one: Estimate | None) -> str:
    if one is None:
        return "-"
    return f"{one.value:+.3f}" + ("" if one.low is None else f" [{one.low:+.3f}, {one.high:+.3f}]")
