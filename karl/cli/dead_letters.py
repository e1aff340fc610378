"""Dead letters: what could not be understood, and why."""

from __future__ import annotations

from itertools import islice

import click

from karl.cli.main import pass_settings
from karl.cli.render import one_line, print_json, print_table
from karl.settings import Settings


@click.command(name="list")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="Dead letters at most.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the data whole.")
@pass_settings
def list_(settings: Settings, *, limit: int, as_json: bool) -> None:
    """List what could not be understood, oldest first in each partition, with the reason.

    Secrets were taken out before it came here. Bytes that are no text are shown as escapes.
    """
    from karl.stream import dead_letters  # noqa: PLC0415 - Redis loads when it is asked
    from karl.stream.connect import connect  # noqa: PLC0415
    from karl.stream.server import line_url  # noqa: PLC0415

    redis = connect(line_url(settings.redis_url, settings.data_dir))
    letters = [
        {**letter._asdict(), "data": letter.data.decode("utf-8", "backslashreplace")}
        for letter in islice(dead_letters.read(redis), limit)
    ]
    redis.close()
    if as_json:
        print_json(letters)
    elif letters:
        rows = [(x["id"], x["where"], one_line(x["reason"], 60), one_line(x["data"], 60)) for x in letters]
        print_table(("id", "refused by", "reason", "data"), rows)
    else:
        click.echo("There are no dead letters.")
