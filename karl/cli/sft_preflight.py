"""Whether a node can train: `karl sft-preflight`."""

from __future__ import annotations

import sys
from typing import Any

import click
import msgspec

from karl.cli.job_done import done
from karl.cli.main import pass_settings
from karl.cli.render import plain, print_json
from karl.cli.sft import how_to_start, nodes_of
from karl.cli.sft_shown import print_findings
from karl.errors import Refused
from karl.learning.findings import Finding
from karl.settings import Settings


@click.command(name="sft-preflight")
@click.option("--model", metavar="NAME", default="", help="Model to try it with. [KARL_TRAIN_MODEL]")
@click.option("--here", is_flag=True, help="Look at this machine, whoever works on the queue.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def sft_preflight(settings: Settings, *, model: str, here: bool, as_json: bool) -> None:
    """Say whether the node that trains can: device, versions, disk, memory, and two iterations of training.

    The worker of the queue `train` looks at its own node. A tiny model is trained, and the base model where
    the node has it. Exits with 1 when something keeps it from training.
    """
    if not here and not _served(settings):
        raise Refused(f"nobody trains now: {how_to_start(settings)}; or look at this machine with --here")
    report = done(settings, "preflight", {"model": model or settings.train_model}, here=here)
    if as_json:
        print_json(report)
    else:
        _print(report)
    sys.exit(0 if report["ready"] else 1)


def _served(settings: Settings) -> bool:
    from workers.line import on_jobs  # noqa: PLC0415 - Redis loads when it is asked

    with on_jobs(settings, "karl-preflight") as rq:
        return nodes_of(rq).served


def _print(report: dict[str, Any]) -> None:
    print_findings(msgspec.convert(report["findings"], list[Finding]))
    node = plain(report["node"])
    click.echo(f"{node} can train" if report["ready"] else f"{node} can not train yet")
