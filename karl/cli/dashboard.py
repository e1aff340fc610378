"""Dashboards in a browser: `karl dashboard rq` shows the jobs."""

from __future__ import annotations

import click

from karl.cli.main import pass_settings
from karl.errors import Refused
from karl.settings import Settings


@click.command()
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
        from karl.jobs import dashboard  # noqa: PLC0415 - Flask comes with an extra, for who looks
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
        app = dashboard.app(redis, dashboard.Shown(password, dashboard.HOSTS | set(hosts), writable))
        try:
            made = dashboard.server(app, "127.0.0.1", port)
        except OSError as error:
            raise Refused(f"port {port} can not be had: {error.strerror}; --port 0 takes any") from error
        with made as server, leaving_in_order():
            click.echo(f"http://127.0.0.1:{server.port}/  user {dashboard.USER}")
            click.echo(f"password {password}" if first else f"password as in {_where(settings)}")
            click.echo("jobs may be changed there" if writable else "jobs are only shown (--writable)")
            server.serve_forever()


def _where(settings: Settings) -> str:
    if settings.dashboard_password:
        return "KARL_DASHBOARD_PASSWORD"
    return f"{settings.data_dir / 'dashboard.password'}; --new-password makes another"
