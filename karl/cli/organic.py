"""How much evidence there is to decide about promotion by: `karl organic-status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from karl.cli.main import pass_settings
from karl.cli.moments import DAY_MS, moment, now_ms
from karl.cli.render import one_line, print_json
from karl.settings import Settings

if TYPE_CHECKING:
    from karl.figures.routing.organic import Organic

_BAR = 40


@click.command("organic-status")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def organic_status(settings: Settings, *, as_json: bool) -> None:
    """Show how many predictions are evidence, and when there will be enough to decide about promotion.

    Evidence is what `karl promote` goes by: a live prediction of the router in use, made before anybody knew,
    of a prompt that asked for a skill without naming it, in a turn that has closed and that no router
    touched. Replayed and synthetic ones never are. KARL_ROUTING_MIN_RECORDS says how many it takes. The date
    follows from the last two weeks' rate, with its interval.

    Example: karl organic-status
    """
    from karl.figures.routing.organic import organic_of  # noqa: PLC0415 - `--help` needs no database
    from karl.views.routing import Routed  # noqa: PLC0415
    from workers.evidence import gather  # noqa: PLC0415
    from workers.promotion import report_on  # noqa: PLC0415

    now = now_ms()
    with Routed(settings.views) as views:
        report = report_on(views, settings)
        found = gather(views, settings.ledger, report.policy, report.since_ms)
    made = organic_of(found.evidence, found.left_out, settings.routing_min_records, now)
    if not report.policy.router:
        click.echo(
            "karl: no router is in use, and nothing speaks for none; `karl bootstrap` trains one", err=True
        )
    if as_json:
        print_json({"router": report.policy.router or None, "since_ms": report.since_ms, "organic": made})
    else:
        _print(made, report.since_ms, now)


def _print(made: Organic, since_ms: int, now: int) -> None:
    filled = _BAR if made.count >= made.needed else _BAR * made.count // made.needed
    bar = "#" * filled + "." * (_BAR - filled)
    click.echo(f"[{bar}] {made.count:,} of {made.needed:,} that promotion takes")
    if since_ms:
        click.echo(f"since routing was taken back, {moment(since_ms)}")
    click.echo(f"{made.sessions:,} sessions, {made.skills:,} skills; and {made.none:,} that asked for none")
    for what, counts in (("agent", made.agents), ("truth", made.truths), ("not counted", made.left_out)):
        if counts:
            named = ", ".join(f"{one_line(name, 32)} {count:,}" for name, count in counts.items())
            click.echo(f"{what if what == 'not counted' else 'by ' + what}: {named}")
    if not made.count:
        return
    lately = "in the last day" if made.days < 1.5 else f"in the last {made.days:.0f} days"
    if made.per_day is None:
        click.echo(f"{made.recent:,} {lately}: too few for a rate")
    else:
        low, rate, high = made.per_day
        click.echo(f"{rate:.1f} a day ({low:.1f}-{high:.1f}) {lately}")
    if made.count >= made.needed:
        click.echo("enough; `karl promote` says what else promotion takes")
    elif made.days_left is not None:
        best, so, worst = (moment(now + int(days * DAY_MS))[:10] for days in made.days_left)
        click.echo(f"{made.needed - made.count:,} are missing: at that rate until {so} ({best} to {worst})")
