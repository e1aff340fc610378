"""rq-dashboard as it may be shown: it can not unpickle, asks for a password, and changes nothing unless told.

    karl dashboard rq                     on one's own machine (karl/cli/dashboard.py)
    python dashboard.py                   in its image (deploy/Dockerfile), told by environment variables

The file stands alone: nothing of KARL is imported here, so that the image needs nothing of it.

Invariants:
- Nothing is unpickled: RQ's default serializer is JSON in this process. rq-dashboard's own `--json` is not
  enough, since its pages of jobs and workers read jobs with the default.
- Every request needs the password and a Host that is ours, so no page of another site can ask, whatever name
  it gives this machine. Read-only, nothing but GET is answered, and no GET changes anything.
- What a job says of itself is text on every page: rq-dashboard puts some of it into its pages as HTML.
"""

from __future__ import annotations

import hmac
import logging
import os
import secrets
import socket
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import rq_dashboard.web
from flask import Flask, Response, g, request
from redis.exceptions import NoPermissionError, RedisError
from rq.exceptions import NoSuchJobError
from rq.serializers import DefaultSerializer, JSONSerializer
from rq_dashboard import default_settings
from werkzeug.exceptions import HTTPException
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

if TYPE_CHECKING:
    from redis import Redis

# Whatever in RQ is not told which serializer to use takes this class: it must not be able to unpickle.
DefaultSerializer.dumps = JSONSerializer.dumps
DefaultSerializer.loads = JSONSerializer.loads

_log = logging.getLogger("karl")

USER = "karl"
#: Names of this machine that a page's address may begin with.
HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})

#: In a page's template, what puts a job's words in as HTML, and what puts them in as text.
_AS_TEXT = (("<%= d.", "<%- d."), ("<%= JSON.stringify(", "<%- JSON.stringify("))
#: What a page shows for changing jobs.
_CHANGING = (
    "#empty-btn,#compact-btn,#requeue-all-btn,#requeue-job-btn,#delete-job-btn,"
    "[data-role^=requeue],[data-role^=delete],[data-role^=cancel]"
)


class Shown(NamedTuple):
    """How it is shown: the password, under which hosts, and whether jobs may be changed."""

    password: str
    hosts: Collection[str] = HOSTS
    writable: bool = False


def app(redis: Redis, shown: Shown) -> Flask:
    """Make the application over a client of the jobs' server. One for a process: its library has one, too."""
    made = Flask("rq_dashboard")
    made.config.from_object(default_settings)
    made.config["RQ_DASHBOARD_REDIS_URL"] = ("the jobs",)  # what a page names: a URL is nobody's business
    made.config["RQ_DASHBOARD_DISABLE_DELETE"] = not shown.writable
    made.config["DEPRECATED_OPTIONS"] = []
    rq_dashboard.web.config.serializer = JSONSerializer
    # It would connect anew for each request, without our timeouts.
    rq_dashboard.web.from_url = lambda *_words, **_more: (None, redis)
    made.before_request(lambda: _checked(shown))
    made.after_request(lambda response: _confined(response, shown))
    made.register_error_handler(Exception, _said)
    made.register_blueprint(rq_dashboard.web.blueprint)
    rq_dashboard.web.setup_rq_connection(made)
    return made


def server(made: Flask, host: str, port: int) -> BaseWSGIServer:
    """Listen; the caller lets it serve. Raises OSError."""
    with socket.create_server((host, port)) as taken:  # by itself it ends the process where that fails
        return make_server(host, port, made, threaded=True, request_handler=_Quiet, fd=taken.fileno())


class _Quiet(WSGIRequestHandler):
    """Says nothing of requests, and no more of itself than it must."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing: being asked is no news."""

    def version_string(self) -> str:
        """Say no more than the product's name."""
        return "karl"


def _checked(shown: Shown) -> Response | None:
    """Let a request through, or answer it."""
    host = _host_of(f"//{request.host}")
    if host not in shown.hosts:
        return Response("Not a name of this dashboard.\n", 421, mimetype="text/plain")
    known = request.authorization
    given = (known.username or "", known.password or "") if known and known.type == "basic" else ("", "")
    if not (_same(given[0], USER) & _same(given[1], shown.password)):
        asked = {"WWW-Authenticate": 'Basic realm="jobs", charset="UTF-8"'}
        return Response("Password?\n", 401, asked, mimetype="text/plain")
    if request.method in {"GET", "HEAD"}:
        if str(request.endpoint).endswith("requeue_all"):
            return _refused("No GET changes anything here.")
    elif not shown.writable:
        return _refused("Jobs are only shown here: `karl jobs` changes them.")
    elif (origin := request.headers.get("Origin")) and urlsplit(origin).netloc != request.host:
        return _refused("Not asked by a page of this dashboard.")
    g.nonce = secrets.token_urlsafe(16)
    return None


def _refused(why: str) -> Response:
    return Response(f"{why}\n", 403, mimetype="text/plain")


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())


def _host_of(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _confined(response: Response, shown: Shown) -> Response:
    """Let a page run its own scripts alone, load nothing from elsewhere, and stand in no other page."""
    nonce = g.get("nonce", "")
    if response.mimetype == "text/html" and nonce:
        page = response.get_data(as_text=True)
        for html, text in _AS_TEXT:
            page = page.replace(html, text)
        page = page.replace("<script", f'<script nonce="{nonce}"')
        if not shown.writable:
            page = page.replace("</head>", f"<style>{_CHANGING}{{display:none!important}}</style></head>")
        response.set_data(page)
    script = f"'nonce-{nonce}' 'unsafe-eval'" if nonce else "'none'"  # its templates are made into functions
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src {script}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    return response


def _said(error: Exception) -> Response | HTTPException:
    """Answer what went wrong, without a word of where in the code."""
    if isinstance(error, HTTPException):
        return error
    if isinstance(error, NoSuchJobError):
        return Response("There is no such job any more.\n", 404, mimetype="text/plain")
    if isinstance(error, NoPermissionError):
        return Response("This user of Redis may not do that.\n", 403, mimetype="text/plain")
    if isinstance(error, RedisError):
        return Response("The Redis of the jobs does not answer.\n", 503, mimetype="text/plain")
    _log.error("dashboard: %a: %s: %a", request.path, type(error).__name__, str(error))
    return Response("Something in this can not be read.\n", 500, mimetype="text/plain")


def main() -> None:
    """Serve as the image does: what it needs to know stands in the environment, and secrets nowhere else."""
    from redis import Redis  # noqa: PLC0415 - `karl dashboard` brings a client of its own

    password = os.environ.get("DASHBOARD_PASSWORD", "")
    if len(password) < 16:
        sys.exit("dashboard: DASHBOARD_PASSWORD needs 16 characters or more")
    hosts = HOSTS | set(filter(None, os.environ.get("DASHBOARD_HOSTS", "").split(",")))
    url = os.environ["DASHBOARD_REDIS_URL"]
    redis = Redis.from_url(url, protocol=2, socket_connect_timeout=5, socket_timeout=20)
    made = app(redis, Shown(password, hosts))
    # In a container, whose port is published on 127.0.0.1 alone.
    with server(made, os.environ.get("DASHBOARD_BIND", "0.0.0.0"), 9181) as listening:  # noqa: S104
        listening.serve_forever()


if __name__ == "__main__":
    main()
