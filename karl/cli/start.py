"""Where a newcomer starts: the demo, and the whole line on one machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from karl.cli.main import pass_settings
from karl.settings import Settings


@click.command()
@click.option("--quiet", is_flag=True, help="Say only what is wrong.")
@click.option("--supervised", is_flag=True, hidden=True, help="End when stdin closes.")
@pass_settings
def up(settings: Settings, *, quiet: bool, supervised: bool) -> None:
    """Run the whole line on this machine: server, shipper, workers, views. Ctrl-C stops it cleanly.

    Without KARL_REDIS_URL it starts a server of its own in the data folder. A process that dies is
    started again.
    """
    from workers.supervise import up as run  # noqa: PLC0415 - loads with the command only

    sys.exit(run(settings, os.environ, quiet=quiet, supervised=supervised))


@click.command()
@click.option("--keep", type=click.Path(path_type=Path), help="Keep the demo's data in this folder.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def demo(*, keep: Path | None, as_json: bool) -> None:
    """Run a small scripted agent on a scratch repository through the whole line, and show the result.

    The agent's tools, its hooks and the line's processes are real; no network and no other agent is
    needed. Your own settings and data are not touched.
    """
    from karl.cli.demo_shown import show  # noqa: PLC0415
    from karl.demo.run import run  # noqa: PLC0415

    report = run(keep)
    show(report, as_json=as_json)
    sys.exit(0 if report.ok else 1)
