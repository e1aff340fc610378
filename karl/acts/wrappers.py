"""Programs that only run another one, here or elsewhere: how to find the command inside."""

from __future__ import annotations

import re
from typing import NamedTuple

from karl.acts.programs import valued_of


class Wrapper(NamedTuple):
    """How to find the command inside one that runs it: flags with a value, and words before the command.

    `words` are the sub-words that make it a wrapper; without them the program is itself.
    """

    words: tuple[str, ...] = ()
    valued: frozenset[str] = frozenset()
    skipped: int = 0
    #: The command follows this word, where it is there.
    after: str | None = None
    #: It runs in another place: folders there are not those here.
    elsewhere: bool = False


def _valued(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DOCKER_EXEC = Wrapper(
    ("exec",), _valued("-e --env -u --user -w --workdir --env-file --index"), 1, elsewhere=True
)
_DOCKER_RUN = Wrapper(
    ("run",),
    _valued(
        """-e --env -u --user -w --workdir --env-file -v --volume --name --network --net --entrypoint -p
        --publish -m --memory --cpus --platform --mount --gpus --hostname -h --add-host --label -l --cap-add
        --security-opt --shm-size --ulimit --pull --ipc --tmpfs"""
    ),
    1,
    elsewhere=True,
)
_UV_RUN = Wrapper(
    ("run",),
    _valued(
        """--with --python -p --extra --group --project --directory --env-file --with-requirements
        --with-editable --package --index-url --only-group --no-group --index --config-file"""
    ),
)
_CONDA_RUN = Wrapper(("run",), _valued("-n --name -p --prefix --cwd"))

WRAPPERS: dict[str, tuple[Wrapper, ...]] = {
    "sudo": (Wrapper(valued=_valued("-u --user -g --group -C -h -p -U -D --chdir")),),
    "doas": (Wrapper(valued=_valued("-u -C")),),
    "timeout": (Wrapper(valued=_valued("-s --signal -k --kill-after"), skipped=1),),
    "gtimeout": (Wrapper(valued=_valued("-s --signal -k --kill-after"), skipped=1),),
    "time": (Wrapper(valued=_valued("-f --format -o --output")),),
    "gtime": (Wrapper(valued=_valued("-f --format -o --output")),),
    "env": (Wrapper(valued=_valued("-u --unset -C --chdir")),),
    "nice": (Wrapper(valued=_valued("-n --adjustment")),),
    "ionice": (Wrapper(valued=_valued("-c -n")),),
    "nohup": (Wrapper(),),
    "setsid": (Wrapper(),),
    "stdbuf": (Wrapper(valued=_valued("-o -e -i")),),
    "unbuffer": (Wrapper(),),
    "chronic": (Wrapper(),),
    "xvfb-run": (Wrapper(valued=_valued("-s --server-args -n --server-num")),),
    "caffeinate": (Wrapper(valued=_valued("-t -w")),),
    "exec": (Wrapper(valued=_valued("-a")),),
    "command": (Wrapper(),),
    "builtin": (Wrapper(),),
    "eatmydata": (Wrapper(),),
    "catchsegv": (Wrapper(),),
    "faketime": (Wrapper(skipped=1),),
    "taskset": (Wrapper(valued=_valued("-p"), skipped=1),),
    "numactl": (Wrapper(),),
    "strace": (Wrapper(valued=_valued("-e -o -p -s")),),
    "ltrace": (Wrapper(valued=_valued("-e -o -p -s")),),
    "valgrind": (Wrapper(),),
    "gosu": (Wrapper(skipped=1),),
    "su-exec": (Wrapper(skipped=1),),
    "chroot": (Wrapper(skipped=1, elsewhere=True),),
    "flock": (Wrapper(valued=_valued("-w -E"), skipped=1),),
    "watch": (Wrapper(valued=_valued("-n --interval -d")),),
    "arch": (Wrapper(),),
    "uv": (_UV_RUN, Wrapper(("tool", "run"), _valued("--from --with --python -p"))),
    "uvx": (Wrapper(valued=_valued("--from --with --python -p")),),
    "pipx": (Wrapper(("run",), _valued("--spec --python")),),
    "poetry": (Wrapper(("run",)),),
    "pipenv": (Wrapper(("run",)),),
    "pdm": (Wrapper(("run",), _valued("-p --project")),),
    "hatch": (
        Wrapper(("run",), _valued("-e --env -p --project")),
        Wrapper(("env", "run"), _valued("-e --env")),
    ),
    "rye": (Wrapper(("run",)),),
    "conda": (_CONDA_RUN,),
    "mamba": (_CONDA_RUN,),
    "micromamba": (_CONDA_RUN,),
    "pixi": (Wrapper(("run",), _valued("-e --environment --manifest-path")),),
    "npx": (Wrapper(valued=_valued("-p --package -c --call -w --workspace")),),
    "pnpx": (Wrapper(),),
    "bunx": (Wrapper(valued=_valued("-p --package")),),
    "npm": (
        Wrapper(("exec",), _valued("-p --package -c --call -w --workspace")),
        Wrapper(("x",), _valued("-p --package")),
    ),
    "pnpm": (Wrapper(("exec",)), Wrapper(("dlx",), _valued("--package"))),
    "yarn": (Wrapper(("exec",)), Wrapper(("dlx",), _valued("-p --package"))),
    "bun": (Wrapper(("x",)),),
    "bundle": (Wrapper(("exec",)),),
    "nix": (
        Wrapper(("develop",), after="-c"),
        Wrapper(("develop",), after="--command"),
        Wrapper(("shell",), after="-c"),
        Wrapper(("shell",), after="--command"),
    ),
    "nix-shell": (),
    "wsl": (Wrapper(valued=_valued("-d --distribution -u --user --cd"), elsewhere=True),),
    "devenv": (Wrapper(("shell",)),),
    "devbox": (Wrapper(("run",), after="--"),),
    "direnv": (Wrapper(("exec",), skipped=1),),
    "mise": (Wrapper(("exec",), after="--"), Wrapper(("x",), after="--")),
    "asdf": (Wrapper(("exec",)),),
    "rbenv": (Wrapper(("exec",)),),
    "pyenv": (Wrapper(("exec",)),),
    "nvm": (Wrapper(("exec",), skipped=1),),
    "rustup": (Wrapper(("run",), skipped=1),),
    "dotenv": (Wrapper(("run",)), Wrapper(valued=_valued("-e -f -c"))),
    "dotenvx": (Wrapper(("run",), after="--"),),
    "doppler": (Wrapper(("run",), after="--"),),
    "op": (Wrapper(("run",), after="--"),),
    "cross-env": (Wrapper(),),
    "docker": (
        _DOCKER_EXEC,
        _DOCKER_RUN,
        _DOCKER_EXEC._replace(words=("compose", "exec")),
        _DOCKER_RUN._replace(words=("compose", "run")),
        _DOCKER_EXEC._replace(words=("container", "exec")),
    ),
    "podman": (_DOCKER_EXEC, _DOCKER_RUN),
    "nerdctl": (_DOCKER_EXEC, _DOCKER_RUN),
    "docker-compose": (_DOCKER_EXEC, _DOCKER_RUN),
    "kubectl": (Wrapper(("exec",), after="--", elsewhere=True),),
    "oc": (Wrapper(("exec",), after="--", elsewhere=True),),
    "lxc": (Wrapper(("exec",), after="--", elsewhere=True),),
    "devcontainer": (
        Wrapper(("exec",), _valued("--workspace-folder --config --container-id"), elsewhere=True),
    ),
    "ddev": (Wrapper(("exec",)),),
    "lando": (Wrapper(),),
    "sail": (Wrapper(),),
    "xargs": (
        Wrapper(
            valued=_valued("-I -n -P -L -d -a -E -s --max-args --max-procs --delimiter --replace --arg-file")
        ),
    ),
    "parallel": (Wrapper(valued=_valued("-j --jobs -a")),),
    "coverage": (
        Wrapper(("run",), _valued("--source --rcfile --include --omit --data-file --context --concurrency")),
    ),
    "kernprof": (Wrapper(),),
    "c8": (Wrapper(),),
    "nyc": (Wrapper(),),
    "py-spy": (Wrapper(("record",), after="--"),),
}

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=")
#: With these a program speaks of itself; or what it runs goes on behind it, and ends who knows how.
_ASKS = frozenset({"--help", "--version"})
_DETACHED = re.compile(r"--detach$|-[it]*d[it]*$")
_PLACED = frozenset({"-w", "--workdir", "-C", "--chdir", "--directory", "--cwd"})
_FETCHING = frozenset({"npx", "uvx", "bunx", "pnpx", "pipx"})
#: Flags whose value is a text for a shell.
_TEXTS = {"env": "-S", "nix-shell": "--run", "npx": "-c", "npm": "-c"}


class Inner(NamedTuple):
    """What a program runs: words or a text; in which folder, and whether that is another machine's."""

    words: list[str]
    text: str | None = None
    folder: str | None = None
    elsewhere: bool = False


def inner_of(name: str, words: list[str]) -> Inner | None:
    """Give what a command runs in its place; null for one that does its own work."""
    if name == "command" and words[1:2] in (["-v"], ["-V"]):
        return None
    flag = _TEXTS.get(name)
    if flag is not None and flag in words[:-1] and (name != "npm" or words[1] == "exec"):
        return Inner([], words[words.index(flag) + 1])
    for wrapper in WRAPPERS.get(name, ()):
        size = len(wrapper.words)
        found, places = leading(name, words, size) if size else ([], [])
        if tuple(found) != wrapper.words:
            continue
        rest = words[places[-1] + 1 :] if size else words[1:]
        if wrapper.after is None:
            inner = _inner(wrapper, rest)
        elif wrapper.after in rest:
            inner = Inner(rest[rest.index(wrapper.after) + 1 :], elsewhere=wrapper.elsewhere)
        else:
            continue
        return inner._replace(words=_named(name, inner.words)) if inner.words else None
    return None


def leading(program: str, words: list[str], size: int) -> tuple[list[str], list[int]]:
    """Give a command's first words that are no flags, `size` at most, and their places."""
    found: list[str] = []
    places: list[int] = []
    valued, skip = valued_of(program), False
    for place, word in enumerate(words[1:], 1):
        if skip:
            skip = False
        elif word in valued:
            skip = True
        elif not word.startswith("-"):
            found.append(word)
            places.append(place)
            if len(found) == size:
                break
        elif word == "--":
            break
    return found, places


def _named(name: str, command: list[str]) -> list[str]:
    """Give the command under the name that it has where it runs."""
    first = command[0]
    if name == "coverage":
        return command[1:] if first == "-m" else ["python", *command]
    if name == "hatch" and ":" in first:
        return [first.split(":", 1)[1], *command[1:]]
    if name in _FETCHING and "@" in first[1:]:
        return [first[0] + first[1:].split("@", 1)[0], *command[1:]]
    return command


def _inner(wrapper: Wrapper, rest: list[str]) -> Inner:
    """Give the wrapped command and the folder that a flag names for it."""
    folder: str | None = None
    skipped = wrapper.skipped
    at = 0
    while at < len(rest):
        word = rest[at]
        if word == "--" and not skipped:
            at += 1
            break
        if word == "-m" and "--rcfile" in wrapper.valued:
            break  # coverage's: the module is the command
        if word.startswith("-") and len(word) > 1:
            if word in _ASKS or (wrapper.elsewhere and _DETACHED.match(word) and word not in wrapper.valued):
                return Inner([])
            if word in wrapper.valued:
                at += 1
                folder = rest[at] if word in _PLACED and at < len(rest) else folder
        elif not _ASSIGNMENT.match(word):
            if not skipped:
                break
            skipped -= 1
        at += 1
    return Inner(rest[at:], None, folder, wrapper.elsewhere)
