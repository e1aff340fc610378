"""Where everything stands: `karl dashboard` as text or JSON, `karl dashboard rq` the jobs in a browser."""

from __future__ import annotations

import click

from karl.cli.main import pass_settings
from karl.cli.render import print_json
from karl.errors import Refused
from karl.settings import Settings


@click.group(invoke_without_command=True)
@click.option(
    "--days", type=click.IntRange(1, 3660), default=7, show_default=True, help="Days that count as lately."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def dashboard(ctx: click.Context, *, days: int, as_json: bool) -> None:
    """Show where everything stands: the line, jobs, agents lately, routing, training.

    What can not be told is null in the JSON, and a hint on stderr says why. `karl dashboard rq` shows the
    jobs in a browser.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(_stand, days=days, as_json=as_json)


@pass_settings
def _stand(settings: Settings, *, days: int, as_json: bool) -> None:
    from karl.cli.dashboard_page import page, print_page  # noqa: PLC0415 - it loads all that it looks at

    made = page(settings, days)
    if as_json:
        print_json(made.document())
    else:
        print_page(made, days)


@dashboard.command(name="rq")
@click.option(
    "--port", default=9181, show_default=True, type=click.IntRange(0, 65_535), help="0 for any free one."
)
@click.option("--writable", is_flag=True, help="Let jobs be deleted and put into their queues again.")
@click.option("--allow-host", "hosts", multiple=True, metavar="NAME", help="Another name of it; repeatable.")
@click.option("--new-password", is_flag=True, help="Make another password, and show it.")
@pass_settings
def rq(settings: Settings, *, port: int, writable: bool, hosts: tuple[str, ...], new_password: bool) -> None:
    """Show queues, jobs and workers in a browser, at 127.0.0.1, until Ctrl-C.

    The user is `karl`. The password is KARL_DASHBOARD_PASSWORD, else one that is made the first time, shown
    once, and kept in the data folder. Without --writable it changes nothing.
    """
    try:
        from karl.jobs import dashboard as browser  # noqa: PLC0415 - Flask comes with an extra, for who looks
    except ModuleNotFoundError as error:
        raise Refused("the dashboard is not installed: pip install 'karl-ledger[dashboard]'") from error
    from karl.process import leaving_in_order  # noqa: PLC0415
    from karl.tokens import token_of  # noqa: PLC0415
    from workers.line import on_jobs  # noqa: PLC0415

    kept = settings.data_dir / "dashboard.password"
    if new_password and not settings.dashboard_password:
        kept.unlink(missing_ok=True)
    first = not settings.dashboard_password and not kept.exists()
    password = token_of(settings.dashboard_password, "KARL_DASHBOARD_PASSWORD", kept)
    with on_jobs(settings, "karl-dashboard") as redis:
        redis.ping()
        app = browser.app(redis, browser.Shown(password, browser.HOSTS | set(hosts), writable))
        try:
            made = browser.server(app, "127.0.0.1", port)
        except OSError as error:
            raise Refused(f"port {port} can not be had: {error.strerror}; --port 0 takes any") from error
        with made as server, leaving_in_order():
            click.echo(f"http://127.0.0.1:{server.port}/  user {browser.USER}")
            click.echo(f"password {password}" if first else f"password as in {_where(settings)}")
            click.echo("jobs may be changed there" if writable else "jobs are only shown (--writable)")
            server.serve_forever()


def _where(settings: Settings) -> str:
    if settings.dashboard_password:
        return "KARL_DASHBOARD_PASSWORD"
    return f"{settings.data_dir / 'dashboard.password'}; --new-password makes another"
