"""What one command of a shell does: files that it reads, writes, moves or removes, checks, version control.

Each reader takes the words of a command (the program first) and adds steps to the walk that met it. A
program that nobody knows is `run`; one that only prints, waits or asks the system adds nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Protocol

from karl.acts.aci import ACI, aci_steps
from karl.acts.patches import patched
from karl.acts.programs import is_python, is_runner, known, words_of
from karl.acts.scripts import touched
from karl.acts.steps import HIDDEN, Step
from karl.acts.table import INSTALLERS
from karl.acts.versions import git_steps

#: Files that one command names, at most.
_FILES_MAX = 16

#: Programs that change nothing, read no file of the work and check nothing.
_QUIET = frozenset(
    """echo printf pwd sleep wait kill pkill killall true false test [ [[ : date whoami hostname uname id env printenv which type
    whereis hash alias unalias ulimit umask jobs fg bg disown trap shift read let unset history clear reset tput stty ps top
    free df du uptime lsof netstat ss ping dig nslookup host ifconfig ip arch nproc getconf locale tty seq yes basename dirname
    realpath readlink mktemp mkdir rmdir chmod chown chgrp ln sync return exit break continue shopt source . set export cd
    open xdg-open say man help info apropos tldr logger wall who w last groups crontab systemctl service launchctl dmesg vmstat
    iostat mount umount bc expr factor cal numfmt pgrep pidof lscpu lsblk sysctl md5sum sha1sum sha256sum shasum cksum stat file
    submit exit_forfeit exit_context exit_cost wc cmp nvm deactivate activate tee-null column tr rev fold fmt expand paste join comm shuf split""".split()
)  # fmt: skip
#: Programs that show files given as words; flags whose value is the next word.
_SHOWS: dict[str, frozenset[str]] = {
    "cat": frozenset(), "tac": frozenset(), "head": frozenset({"-n", "-c", "--lines", "--bytes"}), "tail": frozenset({"-n", "-c", "--lines", "--bytes"}), "less": frozenset(), "more": frozenset(),
    "nl": frozenset({"-b", "-s", "-w", "-v", "-n", "-i"}), "bat": frozenset({"-r", "--line-range", "-l", "--language", "--style"}), "batcat": frozenset({"-r", "--line-range", "-l", "--style"}), "od": frozenset({"-t", "-N", "-j", "-A"}),
    "xxd": frozenset({"-l", "-s"}), "hexdump": frozenset({"-n", "-s", "-e"}), "strings": frozenset({"-n"}), "zcat": frozenset(), "gunzip": frozenset(), "cut": frozenset({"-d", "-f", "-c", "-b"}), "sort": frozenset({"-k", "-t", "-o"}), "uniq": frozenset({"-f", "-s"}),
    "view": frozenset(), "vimdiff": frozenset(), "diff": frozenset({"-U", "-C", "--label", "-x", "--exclude", "-I"}), "colordiff": frozenset(), "sdiff": frozenset(), "glow": frozenset(), "mdcat": frozenset(), "pygmentize": frozenset({"-l", "-f"}), "type": frozenset(),
}  # fmt: skip
#: Programs that look for something: flags with a value.
_GREPS = frozenset({"grep", "egrep", "fgrep", "zgrep", "rg", "ag", "ack", "ugrep", "ripgrep", "pcregrep"})
_GREP_VALUED = frozenset(
    {
        "-A",
        "-B",
        "-C",
        "-m",
        "-e",
        "-f",
        "--include",
        "--exclude",
        "--exclude-dir",
        "-g",
        "--glob",
        "-t",
        "--type",
        "-T",
        "-d",
        "-D",
        "-M",
        "--max-count",
        "--iglob",
        "--type-not",
        "-j",
        "--max-depth",
        "--context",
        "--regexp",
        "-O",
    }
)
_RECURSIVE = re.compile(r"-\w*[rR]\w*$|--recursive$|--dereference-recursive$")
_LISTS = frozenset({"ls", "tree", "dir", "exa", "eza", "lsd", "vdir"})
_RUBY_LIKE = {
    "node": "js",
    "nodejs": "js",
    "deno": "js",
    "bun": "js",
    "tsx": "js",
    "ts-node": "js",
    "ruby": "rb",
    "perl": "pl",
    "php": "php",
    "Rscript": "r",
    "lua": "lua",
    "julia": "jl",
}
_INLINE = {
    "js": ("-e", "--eval", "-p", "--print", "-pe"),
    "rb": ("-e",),
    "pl": ("-e", "-E"),
    "php": ("-r",),
    "r": ("-e",),
    "lua": ("-e",),
    "jl": ("-e", "-E"),
}
_FILE_WORD = re.compile(r"[^\s*?<>|&;$`'\"(){}\\]{1,400}$")
_SCRIPT_NAME = re.compile(r".+\.(?:py|sh|bash|js|mjs|cjs|ts|rb|pl|php)$")
_BACKUP = re.compile(r"-\w*i")
_BY_ENDING = {
    "py": "python",
    "sh": "sh",
    "bash": "sh",
    "js": "js",
    "mjs": "js",
    "cjs": "js",
    "ts": "js",
    "rb": "rb",
    "pl": "pl",
    "php": "php",
}
_PY_VALUED = frozenset({"-W", "-X", "--check-hash-based-pycs"})
_NODE_VALUED = frozenset({"-r", "--require", "--import", "--loader", "--env-file", "--experimental-loader"})


class Walk(Protocol):
    """What a reader of commands needs of the walk."""

    def add(self, step: Step) -> None:
        """Take a step in."""

    def place(self, path: str) -> str:
        """Give a path as seen from where the text began."""

    def within(self, text: str, end: int) -> None:
        """Walk a text that stands in another."""


class Words:
    """The command as its readers see it."""

    __slots__ = ("args", "end", "fed", "name", "piped", "walk")

    def __init__(self, walk: Walk, words: list[str], end: int, *, piped: bool, fed: str | None) -> None:
        self.walk, self.end, self.piped, self.fed = walk, end, piped, fed
        self.name = words[0].rsplit("/", 1)[-1]
        self.args = words[1:]

    def add(self, does: str, path: str | None = None, **more: object) -> None:
        """Add a step of this command; `path` is as the command has it."""
        place = self.walk.place(path) if path else None
        self.walk.add(Step(does, place, self.end, program=self.name, **more))  # type: ignore[arg-type]

    def each(self, does: str, paths: Iterable[str]) -> None:
        """Add a step for each path, up to a bound."""
        for number, path in enumerate(paths):
            if number >= _FILES_MAX:
                break
            self.add(does, path)


def read(walk: Walk, words: list[str], end: int, *, piped: bool, fed: str | None) -> None:
    """Add what a command does. `piped` says that it reads another's output, `fed` is that text where known."""
    it = Words(walk, words, end, piped=piped, fed=fed)
    name = it.name
    if name in _QUIET and not words[0].startswith(("./", "bin/", "script/", "scripts/")):
        return
    reader = _READERS.get(name)
    if reader is not None:
        reader(it)
    elif name in _SHOWS:
        it.each("read", _files(it.args, _SHOWS[name]))
    elif name in _GREPS:
        _grep(it)
    elif name in _LISTS:
        paths = _files(it.args, frozenset({"-I", "-L", "--ignore"}))
        it.each("list", paths or ["."])
    elif is_python(name):
        _python(it)
    elif name in ACI and "/" not in words[0]:
        for step in aci_steps(words, end, walk.place):
            walk.add(step)
    else:
        _program(it, words[0])


_SSH_VALUED = frozenset("-b -c -D -E -e -F -I -i -J -L -l -m -O -o -p -Q -R -S -W -w".split())


def ssh_command(words: list[str]) -> str | None:
    """Give what ssh runs on the other side; null when it only goes there."""
    at = 1
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] in _SSH_VALUED else 1
    rest = words[at + 1 :]
    return " ".join(rest) if rest else None


def _files(args: list[str], valued: frozenset[str] = frozenset()) -> list[str]:
    """Give the words that are files: no flags, no flags' values."""
    files: list[str] = []
    skip = done = False
    for arg in args:
        if skip:
            skip = False
        elif done or not arg.startswith("-"):
            if arg and not arg.startswith(("&", ">")):
                files.append(arg)
        elif arg == "--":
            done = True
        elif arg in valued:
            skip = True
    return files


# --- looking ---


def _grep(it: Words) -> None:
    files = _files(it.args, _GREP_VALUED)
    given = any(
        arg in ("-e", "-f", "--regexp", "--files") or arg.startswith(("--regexp=", "--file="))
        for arg in it.args
    )
    paths = files if given else files[1:]
    if paths:
        it.each("search", paths)
    elif not it.piped and (
        it.name not in ("grep", "egrep", "fgrep", "zgrep") or any(map(_RECURSIVE.match, it.args))
    ):
        it.add("search", ".")


def _find(it: Words) -> None:
    paths: list[str] = []
    for arg in it.args:
        if arg.startswith(("-", "(", "!")):
            break
        paths.append(arg)
    it.each("search", paths or ["."])
    if "-delete" in it.args:
        it.add("delete", _name_sought(it.args))
    for at, arg in enumerate(it.args):
        if arg in ("-exec", "-execdir", "-ok"):
            _nested(it, it.args[at + 1 :])
            break


def _name_sought(args: list[str]) -> str | None:
    """Give the pattern of names that a find looks for: it says what kind of files are meant."""
    return next(
        (args[at + 1] for at, arg in enumerate(args[:-1]) if arg in ("-name", "-iname", "-path")), None
    )


def _fd(it: Words) -> None:
    valued = frozenset({"-e", "--extension", "-E", "--exclude", "-t", "--type", "-d", "--max-depth", "-g"})
    it.each("search", _files(it.args, valued)[1:] or ["."])
    for flag in ("-x", "--exec", "-X", "--exec-batch"):
        if flag in it.args:
            _nested(it, it.args[it.args.index(flag) + 1 :])


def _nested(it: Words, words: list[str]) -> None:
    """Read the command that another runs on the files that it found: which, nobody knows."""
    end = next((at for at, word in enumerate(words) if word in (";", "+")), len(words))
    inner = [word for word in words[:end] if word not in ("{}", "{}+")]
    if inner and inner[0].rsplit("/", 1)[-1] in ("bash", "sh") and "-c" in inner[:-1]:
        it.walk.within(inner[inner.index("-c") + 1], HIDDEN)
    elif inner:
        name = inner[0].rsplit("/", 1)[-1]
        if name == "rm":
            it.add("delete", _name_sought(it.args))
        elif name in ("sed", "perl") and any(map(_BACKUP.match, inner[1:])):
            it.add("edit", _name_sought(it.args))
        elif name not in _SHOWS and name not in _GREPS:
            read(it.walk, inner, HIDDEN, piped=True, fed=None)


def _awk(it: Words) -> None:
    files = _files(it.args, frozenset({"-F", "-v", "-f", "-i", "--assign", "--field-separator"}))
    paths = files if "-f" in it.args else files[1:]
    in_place = any(
        one == "-i" and other == "inplace" for one, other in zip(it.args, it.args[1:], strict=False)
    )
    it.each("edit" if in_place else "read", [path for path in paths if "=" not in path])


def _jq(it: Words) -> None:
    it.each("read", _files(it.args, frozenset({"--arg", "--argjson", "--indent", "-f"}))[1:])


# --- changing files ---


def _sed(it: Words) -> None:
    in_place = suffix = False
    scripted = False
    files: list[str] = []
    skip = False
    for arg in it.args:
        if skip:
            skip = False
        elif arg in ("-e", "--expression", "-f", "--file"):
            scripted = skip = True
        elif arg.startswith("--in-place") or (
            arg.startswith("-") and not arg.startswith("--") and "i" in arg[1:].split("e")[0]
        ):
            in_place = True
            suffix = suffix or arg == "-i"
            scripted = scripted or (
                arg.startswith("-") and not arg.startswith("--") and arg.endswith("e") and arg != "-e"
            )
            skip = scripted and arg.endswith("e") and not arg.startswith("--")
        elif arg.startswith(("--expression=", "--file=")) or (arg.startswith("-e") and len(arg) > 2):
            scripted = True
        elif not arg.startswith("-") or arg == "-":
            files.append(arg)
        elif arg.endswith("e") and not arg.startswith("--") and len(arg) > 2:
            scripted = skip = True
    if suffix and len(files) > 1 and files[0] == "" or (files and files[0] == ""):
        files = files[1:]  # the empty suffix that BSD's sed wants
    paths = [path for path in (files if scripted else files[1:]) if path and path != "-"]
    if in_place and not paths:
        it.add("edit")  # the files come through a pipe
    it.each("edit" if in_place else "read", paths)


def _perl(it: Words) -> None:
    in_place = any(
        arg.startswith("-") and not arg.startswith("--") and _BACKUP.match(arg.split("e")[0])
        for arg in it.args
    )
    inline = next((at for at, arg in enumerate(it.args) if re.fullmatch(r"-\w*[eE]", arg)), None)
    if inline is None:
        if any(map(re.compile(r"-\w*c$").match, it.args)):
            it.add("check", check="build")
            return
        _interpreter(it)
        return
    rest = _files(it.args[inline + 2 :], frozenset({"-e"}))
    if in_place:
        it.each("edit", rest) if rest else it.add("edit")
        return
    it.each("read", rest)
    if not rest:
        it.add("run")
        _scripted(it, it.args[inline + 1] if inline + 1 < len(it.args) else "", [])


def _tee(it: Words) -> None:
    for path in _files(it.args)[:_FILES_MAX]:
        if not path.startswith("/dev/"):
            fed = it.fed
            it.add("edit", path, body=fed, appends="-a" in it.args, added=fed.count("\n") if fed else 0)


def _copy(it: Words) -> None:
    files = _files(
        it.args,
        frozenset(
            {"-t", "--target-directory", "-S", "--suffix", "-m", "-o", "-g", "--mode", "-e", "--exclude"}
        ),
    )
    target = next(
        (it.args[at + 1] for at, arg in enumerate(it.args[:-1]) if arg in ("-t", "--target-directory")), None
    )
    if target is None:
        if len(files) < 2:
            return
        target, files = files[-1], files[:-1]
    for path in files[:_FILES_MAX]:
        if it.name == "mv":
            it.add("delete", path)
        into = len(files) > 1 or target.endswith(("/", "/.")) or target in (".", "..")
        name = path.rstrip("/").rsplit("/", 1)[-1]
        it.add(
            "edit",
            f"{target.rstrip('/')}/{name}" if into else target,
            script="copy",
            args=(it.walk.place(path),),
        )


def _remove(it: Words) -> None:
    it.each("delete", [path for path in _files(it.args) if not path.endswith((".pyc", "__pycache__"))])


def _touch(it: Words) -> None:
    it.each("edit", _files(it.args, frozenset({"-d", "-t", "-r", "-s", "--size", "-m"})))


def _dd(it: Words) -> None:
    it.each("edit", [arg[3:] for arg in it.args if arg.startswith("of=") and not arg.startswith("of=/dev/")])
    it.each("read", [arg[3:] for arg in it.args if arg.startswith("if=") and not arg.startswith("if=/dev/")])


def _ed(it: Words) -> None:
    files = [path for path in _files(it.args, frozenset({"-c", "+"})) if not path.startswith("+")]
    it.each("edit", files[:1] if it.name in ("ed", "ex") else files)


def _patch(it: Words) -> None:
    dry = "--dry-run" in it.args
    valued = frozenset({"-d", "-i", "--input", "-o", "--output", "-F", "-B", "--directory"})
    files = _files(it.args, valued)
    source = next((it.args[at + 1] for at, arg in enumerate(it.args[:-1]) if arg in ("-i", "--input")), None)
    if dry:
        return
    if files:
        it.add("edit", files[0])
    elif it.fed is not None:
        add_patched(it, it.fed, strip=next((arg for arg in it.args if re.fullmatch(r"-p\d", arg)), "-p0"))
    else:
        it.add("edit", script="patch", args=(it.walk.place(source),) if source else ())


def add_patched(it: Words, text: str, strip: str = "-p1") -> None:
    """Add the files that a patch's text touches; for one that nobody can read, an edit of nobody knows what."""
    files = patched(text)
    for each in files[:_FILES_MAX]:
        if each.became == "deleted":
            it.add("delete", each.path)
            continue
        if each.moved_to:
            it.add("delete", each.path)
        it.add("edit", each.moved_to or each.path, added=each.added, removed=each.removed)
    if not files and text.strip():
        it.add("edit")


def _apply_patch(it: Words) -> None:
    add_patched(it, it.fed or " ".join(it.args))


def _fetch(it: Words) -> None:
    it.add("run")
    flags = ("-o", "--output") if it.name == "curl" else ("-O", "--output-document")
    for at, arg in enumerate(it.args[:-1]):
        if arg in flags and not it.args[at + 1].startswith(("/dev/", "-")):
            it.add("edit", it.args[at + 1])


def _git(it: Words) -> None:
    for step in git_steps(it.args, it.end, it.walk.place, it.fed):
        it.walk.add(step)


# --- running ---


def _python(it: Words) -> None:
    args = it.args
    at = 0
    while at < len(args):
        arg = args[at]
        if arg == "-c":
            it.add("run")
            if at + 1 < len(args):
                _scripted(it, args[at + 1], args[at + 2 :])
            return
        if arg == "-m":
            _module(it, args[at + 1 :])
            return
        if arg.startswith("-c") and not arg.startswith("--") and len(arg) > 2:
            it.add("run")
            _scripted(it, arg[2:], args[at + 1 :])
            return
        if arg.startswith("-m") and len(arg) > 2:
            _module(it, [arg[2:], *args[at + 1 :]])
            return
        if arg in ("-V", "--version", "-h", "--help"):
            return
        if arg in _PY_VALUED:
            at += 1
        elif arg == "-" or not arg.startswith("-"):
            break
        at += 1
    else:
        if it.fed is not None:
            it.add("run")
            _scripted(it, it.fed, [])
        return
    if args[at] == "-":
        it.add("run")
        if it.fed is not None:
            _scripted(it, it.fed, args[at + 1 :])
        return
    _script_file(it, args[at], args[at + 1 :], "python")


def _module(it: Words, args: list[str]) -> None:
    """Read `python -m module`: as the program of that name."""
    if not args:
        return
    module, rest = args[0], args[1:]
    if module == "coverage" and rest[:1] == ["run"]:
        inner = [arg for arg in rest[1:] if not arg.startswith("--")]
        if inner[:1] in (["-m"], ["-p"], ["-a"]):
            inner = inner[1:]
        if inner[:1] == ["-m"]:
            inner = inner[1:]
        it.name = "python"
        _module(it, inner) if inner and not inner[0].endswith(".py") else read(
            it.walk, ["python", *inner], it.end, piped=it.piped, fed=it.fed
        )
        return
    if module == "json.tool":
        it.each("read", _files(rest)[:1])
        return
    if module in (
        "pip",
        "ensurepip",
        "venv",
        "virtualenv",
        "pdb",
        "timeit",
        "cProfile",
        "http.server",
        "site",
        "trace",
    ):
        if module in ("pdb", "cProfile", "timeit", "trace"):
            script = _files(rest, frozenset({"-c", "-o", "-s", "-m", "-n", "-r"}))
            it.add("run", script[0] if script else None)
            return
        it.name = module
        _program(it, module) if module != "pip" else _install(it, rest)
        return
    it.args = rest
    it.name = module.rsplit(".", 1)[0] if module.endswith(".__main__") else module
    if found := known(it.name, rest):
        it.walk.add(Step("check", None, it.end, found.check, found.name))
    elif it.name == "django" and rest[:1] == ["test"]:
        it.walk.add(Step("check", None, it.end, "test", "django test"))
    elif not {"--version", "--help", "-h"}.intersection(rest):
        it.add("run")


def _install(it: Words, args: list[str]) -> None:
    if any(word in INSTALLERS["pip"] for word in args[:3]):
        it.add("install")


def _script_file(it: Words, path: str, args: list[str], script: str) -> None:
    """Read a script that is run by its file: a runner of tests that is known, or a script as any."""
    name = path.rsplit("/", 1)[-1]
    found = known(name, args) or (known(path, args) if "/" in path else None)
    if name in ("manage.py", "setup.py"):
        word = next((arg for arg in args if not arg.startswith("-")), "")
        if found is None and word in ("develop", "install"):
            it.add("install")
            return
        if found is None and {"--help", "--version"}.intersection(args):
            return
    if found is None and is_runner(path) and not {"--help", "-h", "--version"}.intersection(args):
        it.walk.add(
            Step("check", it.walk.place(path), it.end, "test", name, script=script, args=tuple(args[:16]))
        )
        return
    if found is not None:
        it.walk.add(
            Step(
                "check",
                it.walk.place(path) if "/" in path else None,
                it.end,
                found.check,
                found.name,
                script=script,
            )
        )
        return
    it.add("run", path, script=script, args=tuple(args[:16]))


def _scripted(it: Words, text: str, args: list[str]) -> None:
    """Add what a script that stands in the command does to files."""
    add_touched(it.walk, text, tuple(args[:16]), it.end, it.name)


def add_touched(walk: Walk, text: str, args: tuple[str, ...], end: int, program: str) -> None:
    """Add what a script's text does to files."""
    for action, path in touched(text, args):
        if action == "shell":
            if path:
                walk.within(path, HIDDEN)
        else:
            walk.add(Step(action, walk.place(path) if path else None, end, program=program))


def _interpreter(it: Words) -> None:
    """Read a run of JavaScript, Ruby, PHP and their like."""
    script = _RUBY_LIKE[it.name]
    if found := known(it.name, it.args):
        it.walk.add(Step("check", None, it.end, found.check, found.name))
        return
    if {"--version", "--help", "-v", "-h"}.intersection(it.args[:1]):
        return
    flags = _INLINE[script]
    inline = next((at for at, arg in enumerate(it.args) if arg in flags), None)
    if inline is not None:
        it.add("run")
        _scripted(it, it.args[inline + 1] if inline + 1 < len(it.args) else "", it.args[inline + 2 :])
        return
    files = _files(it.args, _NODE_VALUED)
    if it.name in ("deno", "bun") and files[:1] in (["run"], ["x"]):
        files = files[1:]
    if not files:
        if it.fed is not None:
            it.add("run")
            _scripted(it, it.fed, [])
        return
    _script_file(it, files[0], files[1:], script)


def _program(it: Words, word: str) -> None:
    """Read a program by the table: a check, an installer, a script of the work, or a run of something."""
    name, args = it.name, it.args
    found = known(name, args)
    if found is None and "/" in word:
        tail = "/".join(word.rsplit("/", 2)[-2:])
        found = known(tail, args)
    if found is not None:
        path = (
            it.walk.place(word)
            if word.startswith(("./", "../", "bin/", "tests/")) or _SCRIPT_NAME.match(word)
            else None
        )
        it.walk.add(
            Step(
                "check",
                path,
                it.end,
                found.check,
                found.name,
                script=_BY_ENDING.get(name.rsplit(".", 1)[-1], "sh") if path else None,
            )
        )
        return
    installs = INSTALLERS.get(name)
    if installs is not None:
        words = words_of(name, args)
        if not words and name in ("yarn", "bundle") and not args:
            it.add("install")
            return
        if not installs or any(each in installs for each in words[:2]):
            it.add("install")
            return
    if {"--version", "--help", "-V", "version"}.intersection(args[:1]):
        return
    if word.startswith(("./", "../", "/", "~")) or "/" in word or _SCRIPT_NAME.match(word):
        kind = _BY_ENDING.get(name.rsplit(".", 1)[-1], "sh")
        _script_file(it, word, args, kind)
        return
    if _FILE_WORD.match(word):
        it.add("run")


def _shell_script(it: Words) -> None:
    """Read `bash script.sh`: `bash -c` was walked before."""
    if "-n" in it.args:
        it.add("check", check="build")
        return
    files = _files(it.args, frozenset({"-o", "+o"}))
    if files:
        _script_file(it, files[0], files[1:], "sh")


_READERS: dict[str, Callable[[Words], None]] = {
    "sed": _sed, "gsed": _sed, "perl": _perl, "awk": _awk, "gawk": _awk, "mawk": _awk, "nawk": _awk, "jq": _jq, "yq": _jq, "find": _find, "gfind": _find, "fd": _fd, "fdfind": _fd, "tee": _tee,
    "cp": _copy, "mv": _copy, "install": _copy, "rsync": _copy, "scp": _copy, "rm": _remove, "unlink": _remove, "trash": _remove, "shred": _remove, "touch": _touch, "truncate": _touch, "dd": _dd,
    "ed": _ed, "ex": _ed, "vim": _ed, "vi": _ed, "nvim": _ed, "nano": _ed, "emacs": _ed, "patch": _patch, "gpatch": _patch, "apply_patch": _apply_patch, "applypatch": _apply_patch, "curl": _fetch, "wget": _fetch, "git": _git,
    "node": _interpreter, "nodejs": _interpreter, "deno": _interpreter, "bun": _interpreter, "tsx": _interpreter, "ts-node": _interpreter, "ruby": _interpreter, "php": _interpreter, "Rscript": _interpreter, "lua": _interpreter, "julia": _interpreter,
    **dict.fromkeys(("bash", "sh", "zsh", "dash", "ksh", "ash"), _shell_script),
}  # fmt: skip
