"""Routers trained from the ledger, and their versions."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
import msgspec

from karl.cli.job_done import HERE, done
from karl.cli.main import pass_settings
from karl.cli.people import user_at
from karl.cli.render import measuring, plain, print_json
from karl.settings import Settings

if TYPE_CHECKING:
    from workers.doors import Doors

_LABEL_MAX = 100

ENCODER = click.option("--encoder", default="", metavar="NAME", help="Another encoder than the usual one.")
SEED = click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**31), help="Of chance.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_TRAINING = (
    click.option("--dry-run", is_flag=True, help="Keep nothing; say what would be made."),
    click.option("--force", is_flag=True, help="Use it also where it may be worse than the one in use."),
    ENCODER,
    SEED,
    click.option("--label", default="", metavar="NAME", help="A name to have it again by."),
    HERE,
    _JSON,
)


def _training(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a training."""
    for option in reversed(_TRAINING):
        command = option(command)
    return command


@click.command()
@_training
@pass_settings
def bootstrap(settings: Settings, *, as_json: bool, here: bool, **how: Any) -> None:
    """Train the first router: from what skills say of themselves, and from prompts that used them.

    Skills are those that `karl skills scan` read; prompts are those of the ledger whose skill is known
    (`karl exemplars`). With a router in use it does what `karl centroids` does. Run it where the ledger is.
    The job runs in the queue `centroids`; where nobody works on that, in this process. Ctrl-C ends the
    waiting, not the job.
    """
    _train(settings, "bootstrap", (), how, here=here, as_json=as_json)


@click.command()
@_training
@pass_settings
def centroids(settings: Settings, *, as_json: bool, here: bool, **how: Any) -> None:
    """Train a router anew from all that is known today, measure it, and use it if it is not worse.

    Of each skill the latest fifth of the prompts is held out to measure it, and the one in use, both trained
    without them; then it is trained with all. It is used where the lower bound of the difference is above
    -0.02; below 400 held-out prompts, which can not show that, where the difference is not below 0. Ends
    with 1 when it was not put to use.
    """
    _train(settings, "centroids", (), how, here=here, as_json=as_json)


@click.command(name="rebuild-centroid")
@click.argument("skill")
@_training
@pass_settings
def rebuild_centroid(settings: Settings, *, skill: str, as_json: bool, here: bool, **how: Any) -> None:
    """Choose the exemplars of one skill anew; the other skills keep those of the router in use."""
    _train(settings, "rebuild", (skill,), how, here=here, as_json=as_json)


@click.command(name="auto-refresh")
@click.option("--force", is_flag=True, help="Train also where no refresh is due.")
@HERE
@_JSON
@pass_settings
def auto_refresh(settings: Settings, *, force: bool, here: bool, as_json: bool) -> None:
    """Train a router anew if one is due: KARL_ROUTING_REFRESH_H hours after the last training.

    It is due at once where prompts that the one in use was trained with were erased. It is used if it is
    not worse, as with `karl centroids`. Safe to run at any time; `karl cron` does.
    """
    _train(settings, "refresh", (), {"due": force}, here=here, as_json=as_json)


@click.command(name="centroid-snapshot")
@click.option("--label", default="", metavar="NAME", help="The name; the time of day when not given.")
@_JSON
@pass_settings
def centroid_snapshot(settings: Settings, *, label: str, as_json: bool) -> None:
    """Give the router in use a name, to have it again by. Every router that was trained is kept anyway."""
    from datetime import UTC, datetime  # noqa: PLC0415

    from workers.rollback import snapshot  # noqa: PLC0415 - Redis and SQLite load when needed

    if len(label) > _LABEL_MAX:
        raise click.UsageError(f"a label has at most {_LABEL_MAX} characters")
    name = label or datetime.now(UTC).strftime("%Y%m%d_%H%M%S")
    with _doors(settings, "keeping") as doors:
        body = snapshot(doors, name, person=user_at(settings))
    if as_json:
        print_json({"router": body.id, "label": body.label})
    else:
        click.echo(f"{body.id[:12]} is called {plain(body.label)} from now on")


@click.command(name="centroid-versions")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="Versions at most.")
@_JSON
@pass_settings
def centroid_versions(settings: Settings, *, limit: int, as_json: bool) -> None:
    """List the routers that were trained, the newest first, with what is left of their sources."""
    from karl.cli.centroids_shown import show_versions  # noqa: PLC0415 - SQLite loads when needed
    from workers.versions import versions  # noqa: PLC0415

    found = versions(settings, limit)
    if as_json:
        print_json(found)
    else:
        show_versions(found)


@click.command(name="centroid-rollback")
@click.argument("version")
@click.option("--reason", default="", metavar="TEXT", help="Why, for whoever reads it later.")
@click.option("--force", is_flag=True, help="Use its file also where prompts in it were erased since.")
@_JSON
@pass_settings
def centroid_rollback(settings: Settings, *, version: str, reason: str, force: bool, as_json: bool) -> None:
    """Use an earlier router again: VERSION is its id, the beginning of it, or its label.

    Where its file is gone it is trained again from what it was trained with, and it is said whether the
    bytes are the same. What was erased does not come back: such a version is refused.
    """
    from karl.cli.job_done import one_thread  # noqa: PLC0415

    one_thread()  # before numpy, which what follows brings
    from karl.cli.centroids_shown import show_rolled_back  # noqa: PLC0415 - SQLite loads when needed
    from workers.rollback import rollback  # noqa: PLC0415

    with _doors(settings, "rolling back") as doors:
        found = rollback(doors, version, person=user_at(settings), reason=reason, force=force)
    if as_json:
        print_json(found)
    else:
        show_rolled_back(found)


def _train(
    settings: Settings,
    why: str,
    skills: tuple[str, ...],
    how: dict[str, Any],
    *,
    here: bool,
    as_json: bool,
) -> None:
    """Have the job done, and show what came of it; exit 1 where what was made is not used."""
    from karl.cli.centroids_shown import show_report  # noqa: PLC0415 - what one command needs
    from karl.cli.job_done import one_thread  # noqa: PLC0415

    one_thread()
    from workers.centroids import Report  # noqa: PLC0415

    dry_run = how.pop("dry_run", False)
    arguments = {
        "why": why,
        "skills": list(skills),
        "apply": not dry_run,
        "person": user_at(settings),
        **how,
    }
    report = msgspec.convert(done(settings, "centroids", arguments, here=here), Report)
    if as_json:
        print_json(report)
    else:
        show_report(report)
    sys.exit(1 if report.due and report.recorded and not report.used else 0)


@contextmanager
def _doors(settings: Settings, what: str) -> Iterator[Doors]:
    from workers.doors import Doors, untold  # noqa: PLC0415 - Redis loads when needed
    from workers.line import on_line  # noqa: PLC0415

    with on_line(settings, "karl-centroids") as redis, measuring(what) as progress:
        yield Doors(settings, redis, progress or untold)
