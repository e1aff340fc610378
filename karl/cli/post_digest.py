"""`karl post-digest`: what `karl health-digest` says, sent to a webhook."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from karl.cli.figures_asked import BY, asked, chosen, end_of, left_out
from karl.cli.main import pass_settings
from karl.cli.render import one_line, plain, print_json
from karl.cli.routed_asked import digest
from karl.errors import SettingsError
from karl.settings import Settings

if TYPE_CHECKING:
    from karl.figures.attention import Finding, Lately
    from karl.figures.routing.digest import Digest
    from karl.intervals import Mean, Share


@click.command("post-digest")
@click.option(
    "--days", type=click.IntRange(1, 3660), default=7, show_default=True, help="Days that count as lately."
)
@BY
@click.option(
    "--form",
    type=click.Choice(("auto", "discord", "slack", "json")),
    default="auto",
    show_default=True,
    help="What the webhook takes; auto: by its host, else plain JSON.",
)
@click.option("--if-worse", is_flag=True, help="Send nothing unless something got worse.")
@click.option("--dry-run", is_flag=True, help="Print what would be sent, and send nothing.")
@asked
@pass_settings
def post_digest(
    settings: Settings,
    *,
    days: int,
    by: Any,
    form: Any,
    if_worse: bool,
    dry_run: bool,
    version: str | None,
    as_json: bool,
    **filters: Any,
) -> None:
    """Send what `karl health-digest` says to a webhook: KARL_WEBHOOK_URL.

    It is sent to Discord, to Slack, or as plain JSON ({"text", "digest"}). A server that is busy or does not
    answer is asked three times; exit code 1 when it did not take it. Names of agents, skills and projects are
    in it, and no prompt. Nothing is sent anywhere unless somebody runs this.

    Example: karl post-digest --days 1 --if-worse
    """
    from karl.cli.people import without_secrets  # noqa: PLC0415 - `--help` needs no rules, no database
    from workers.webhook import body_of, check, form_of, post  # noqa: PLC0415

    url = settings.webhook_url
    if not url and not dry_run:
        raise SettingsError("KARL_WEBHOOK_URL is not set; --dry-run shows what would be sent")
    host = check(url) if url else ""
    lately, findings, routing, data = _digest(settings, days, by, version, filters)
    text = without_secrets("\n".join(_lines(days, lately, findings, routing)))
    worse = any(one.kind == "worse" for one in findings)
    shape = form_of(url) if form == "auto" else form
    body = body_of(shape, text, data)
    said: dict[str, Any] = {"form": shape, "sent": False, "worse": worse}
    if dry_run:
        print_json({**said, "body": body} if as_json else body)
        return
    if if_worse and not worse:
        _say(said, "nothing got worse: nothing was sent", as_json=as_json)
        return
    status = post(url, body, time.sleep)
    _say({**said, "sent": True, "status": status}, f"sent to {host}: status {status}", as_json=as_json)


def _say(data: dict[str, Any], text: str, *, as_json: bool) -> None:
    if as_json:
        print_json(data)
    else:
        click.echo(plain(text))


def _digest(
    settings: Settings, days: int, by: Any, version: str | None, filters: dict[str, Any]
) -> tuple[list[Lately], list[Finding], Digest | None, dict[str, Any]]:
    """Make the figures of `karl health-digest`, and its document."""
    import msgspec  # noqa: PLC0415

    from karl.figures.attention import findings_of, lately_of  # noqa: PLC0415
    from karl.figures.health import health_of  # noqa: PLC0415
    from karl.views.figures import Figures  # noqa: PLC0415

    with Figures(settings.views) as views:
        found = chosen(views, settings, version, filters)
    lately = lately_of(found, days, end_of(filters))
    findings = findings_of(found, lately, health_of(found, by), by)
    routing = digest(settings, filters)
    shown = {"version": found.version, **left_out(found), "agents": lately, "findings": findings}
    data: dict[str, Any] = msgspec.to_builtins({**shown, "routing": routing})
    return lately, findings, routing, data


def _lines(
    days: int, lately: Sequence[Lately], findings: Sequence[Finding], routing: Digest | None
) -> list[str]:
    lines = [f"KARL, last {days} day{'s' * (days != 1)}"]
    lines += [
        f"{one_line(one.agent, 40)}: {one.turns:,} turns, reward {_mean(one.reward)} "
        f"(before {_mean(one.before_reward)}), calls failed {_share(one.failed)}, "
        f"turns corrected {_share(one.corrected)}"
        for one in lately
    ]
    worse = [one for one in findings if one.kind == "worse"]
    lines += [f"worse: {_who(one)}{plain(one.what)} ({one.command})" for one in worse]
    if lately and not worse:
        lines.append("nothing got worse that can be told from chance")
    if not lately:
        lines.append("no turn was recorded and scored")
    lines += [f"hint: {_who(one)}{plain(one.what)} ({one.command})" for one in findings if one.kind == "hint"]
    if routing is not None:
        lines.append(f"routing ({routing.mode}): {routing.asked:,} prompts asked for a skill")
    return lines


def _who(one: Finding) -> str:
    return "" if one.agent is None else f"{one_line(one.agent, 40)}: "


def _mean(one: Mean) -> str:
    return "-" if one.mean is None else f"{one.mean:.3f}"


def _share(one: Share) -> str:
    return "-" if one.share is None else f"{one.share:.1%}"
