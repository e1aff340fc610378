"""`karl metrics`: all figures of this machine, as Prometheus reads them."""

from __future__ import annotations

import click

from karl.cli.main import pass_settings
from karl.cli.render import print_json
from karl.replay.harmless import harmless
from karl.settings import Settings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_settings
def metrics(settings: Settings, *, as_json: bool) -> None:
    """Print all figures of this machine's processes in the text form of Prometheus.

    Where KARL_METRICS_PORT is set, each process of `karl up` is asked at its port, and its figures have the
    label `process`; `karl_process_tells` says who answered. Besides, and where nobody tells, what ledger and
    views know: `karl_kept_*`. To be scraped, a process's own port is better; this is for a cron job and
    node_exporter's text files, or for looking. docs/metrics.md says what each process's figures mean, the
    page itself says it of all.

    Example: karl metrics > /var/lib/node_exporter/karl.prom
    """
    from karl.metrics.gathered import text_of  # noqa: PLC0415 - the library loads when it is needed
    from workers.metrics import gathered  # noqa: PLC0415

    families = gathered(settings)
    if as_json:
        print_json(
            [
                {"name": sample.name, "type": family.type, "labels": sample.labels, "value": sample.value}
                for family in families
                for sample in family.samples
            ]
        )
    else:
        # Line ends are Prometheus' own; within a label's value they are escaped already.
        click.echo("\n".join(map(harmless, text_of(families).split("\n"))), nl=False)
    if not settings.metrics_port:
        click.echo("karl: KARL_METRICS_PORT is not set: no process tells its figures", err=True)
