"""The hook: one POSIX shell command line that hands an agent's event to a folder on local disk.

With live routing, the line for prompts asks a local endpoint (karl.live) once the event is in the folder.

The line stands whole in the agent's settings, so a removed KARL leaves a harmless no-op and no broken path.
It starts one process besides the shell (`cat`), because the agent waits for it at every tool call.

Invariants:
- It prints nothing and exits 0, whatever happens to it: no folder, no permission, no space, no stdin. The
  line that asks prints what it was answered with, whole, or nothing, and waits for ASK_S at most.
- One event is one file, `<agent>.<pid>` and as many `-` as are needed for a free name. The shell's noclobber
  creates the name in one step, so parallel hooks never share a file, not even hooks of two containers.
- The file is a whole JSON object or a beginning of one: no proper prefix of an object parses, so the reader
  can tell an event from a half-written one without a rename (which would be a second process).
- No network, no interpreter, nothing of KARL's but the folder, and the socket of who is asked.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

#: Grows with every change of the line, so that an installer can tell an old one.
VERSION = 1

#: What an agent may be called: it is the first half of a file name.
AGENT_NAME = r"[a-z0-9][a-z0-9_-]{0,31}"

#: Seconds that an agent waits for the skill of a prompt, at most.
ASK_S = 0.05

_AGENT = re.compile(AGENT_NAME)
_OURS = re.compile(r"\s*: karl-hook (\d{1,9});")
_OUR_URL = re.compile(rf"http://127\.0\.0\.1:\d{{1,5}}/v1/events/{AGENT_NAME}\?karl-hook=\d{{1,9}}")

# Why each piece is as it is:
# case       KARL_DISABLE means the same as in `karl.settings`; anything unclear switches the hook off.
# umask      events hold what the user typed and read; nobody else on the machine may see them.
# set -C     noclobber: `>` on a taken name fails, in one system call.
# true >     tries the name alone, so a failing `cat` (full disk) is never mistaken for a taken name. `true`
#            is no special builtin: a failed redirection does not end the shell.
# [ -e ]     asked before as well: noclobber lets `>` open a pipe, which would wait for a reader for ever.
# exit 0     when the name is free and can not be made all the same: there is no folder, or no permission.
# LC_ALL=C   saves `cat` from loading a locale, up to a tenth of the whole.
# ||:        lets the line pass where the environment switches the shell's errexit on.
# 2>         also takes what the shell says of failed redirections and killed children.
_LINE = (
    ": karl-hook {version};s={spool};"
    "case ${{KARL_DISABLE:-0}} in 0|[Ff][Aa][Ll][Ss][Ee]|[Nn][Oo]|[Oo][Ff][Ff])"
    '[ -e "$s/off" ]||[ -e "$s/full" ]||{{ '
    'umask 077;set -C;f="$s/{agent}.$$";'
    'while [ -e "$f" ]|| ! true >"$f";do [ -e "$f" ]||exit 0;f="$f-";done;'
    'LC_ALL=C {cat} >>"$f"||:; {ask}'
    "}} 2>/dev/null;esac;exit 0"
)

# -q         first, or curl reads its owner's settings.
# [ -S ]     where nobody listens, no process is started.
# <"$f"      the event as it was left; the shipper may have taken it already, and then nothing is asked.
# -f         prints nothing of an answer that is none.
_ASK = (
    "[ -S {route} ]&&LC_ALL=C {curl} -qsf -m {wait} --noproxy '*' --unix-socket {route} "
    '-H Expect: --data-binary @- http://karl/v1/route/{agent} <"$f"||:; '
)


class Asked(NamedTuple):
    """Who is asked for the skill of a prompt: the socket's path, and that of curl; both absolute."""

    route: Path
    curl: str


def hook_command(spool: Path, agent: str, cat: str = "/bin/cat", asked: Asked | None = None) -> str:
    """Give the command line that an agent runs once per event, with the payload on stdin.

    `spool` is the absolute folder of the events, `agent` a name of lower-case letters, digits, `-` and `_`,
    `cat` an absolute path, which saves the search of PATH; with `asked` the line is one for prompts, and
    prints what is answered. Raises ValueError when one of them does not fit.
    """
    if _AGENT.fullmatch(agent) is None:
        raise ValueError(f"an agent's name is lower-case letters, digits, - and _, at most 32; not {agent!r}")
    paths = {"spool folder": str(spool), "path of cat": cat}
    if asked:
        paths |= {"socket of routing": str(asked.route), "path of curl": asked.curl}
    for name, path in paths.items():
        if not path.startswith("/"):
            raise ValueError(f"the {name} must be an absolute path; not {path!r}")
        if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in path):
            # Lone surrogates are how Python carries bytes that are no UTF-8.
            raise ValueError(f"the {name} can not be written into JSON settings: {path!r}")
    ask = ""
    if asked:
        route, curl = shlex.quote(str(asked.route)), shlex.quote(asked.curl)
        ask = _ASK.format(route=route, curl=curl, wait=ASK_S, agent=agent)
    return _LINE.format(
        version=VERSION, spool=shlex.quote(str(spool)), agent=agent, cat=shlex.quote(cat), ask=ask
    )


def hook_url(port: int, agent: str) -> str:
    """Give the address that an agent posts its events to. Raises ValueError for a bad name."""
    if _AGENT.fullmatch(agent) is None:
        raise ValueError(f"an agent's name is lower-case letters, digits, - and _, at most 32; not {agent!r}")
    return f"http://127.0.0.1:{port}/v1/events/{agent}?karl-hook={VERSION}"


def is_ours(command: object) -> bool:
    """Say whether a command line of an agent's settings, or an address there, is the hook, in any version."""
    return isinstance(command, str) and bool(_OURS.match(command) or _OUR_URL.fullmatch(command))
