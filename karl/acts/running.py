"""Commands that run something: interpreters, modules, scripts of the work, programs by the table."""

from __future__ import annotations

import re

from karl.acts.programs import Known, is_runner, known, words_of
from karl.acts.steps import HIDDEN, Step
from karl.acts.table import ENDS_WELL, INSTALLERS, OF_FILES
from karl.acts.words import ARGS_MAX, Words, files_of, flags

#: Interpreters, by the kind of script that they run.
INTERPRETERS = {
    **dict.fromkeys(flags("node nodejs deno bun tsx ts-node"), "js"),
    "ruby": "rb",
    "perl": "pl",
    "php": "php",
    "Rscript": "r",
    "lua": "lua",
    "julia": "jl",
}
#: Their flags that a script's text follows.
_INLINE = {
    "js": flags("-e --eval -p --print -pe"),
    "rb": flags("-e"),
    "pl": flags("-e -E"),
    "php": flags("-r"),
    "r": flags("-e"),
    "lua": flags("-e"),
    "jl": flags("-e -E"),
}
#: Languages whose tests are run by a text: what stands in it.
_TESTS_INLINE = {
    "r": re.compile(r"\b(?:devtools::(?:test|check)|testthat::test_\w+|tinytest::\w+|rcmdcheck)\b"),
    "jl": re.compile(r"\bPkg\.test\("),
}
_BY_ENDING = {
    "py": "python",
    "sh": "sh",
    "bash": "sh",
    **dict.fromkeys(("js", "mjs", "cjs", "ts"), "js"),
    "rb": "rb",
    "pl": "pl",
    "php": "php",
}
_SCRIPT_NAME = re.compile(r".+\.(?:py|sh|bash|js|mjs|cjs|ts|rb|pl|php)$")
_PROGRAM = re.compile(r"[^\s*?<>|&;$`'\"(){}\\]{1,400}$")
#: A word that names a file or a folder, maybe a test in it.
_TARGET = re.compile(r"[^\s*=]*/[^\s*=]*$|[^\s*=:]+\.\w{1,5}(?:::.*)?$", re.DOTALL)
_PY_VALUED = flags("-W -X --check-hash-based-pycs")
_NODE_VALUED = flags("-r --require --import --loader --env-file --experimental-loader")
_ASKS = flags("--help --version")
_RENDER_VALUED = flags("-b -M -d -c -t -D -A -j -w")
#: Modules that run another script, under some watch of their own.
_WATCHING = frozenset({"pdb", "cProfile", "profile", "timeit", "trace"})


def python(it: Words) -> None:
    """Read a Python interpreter: a text, a module, a script, or what comes in."""
    args, at = it.args, 0
    while at < len(args) and args[at].startswith("-") and args[at] != "-":
        flag = args[at]
        if flag[1:2] in ("c", "m"):
            rest = args[at + 1 :] if len(flag) == 2 else [flag[2:], *args[at + 1 :]]
            _text(it, rest) if flag[1] == "c" else _module(it, rest)
            return
        if flag in ("-V", "--version", "-h", "--help"):
            return
        at += 2 if flag in _PY_VALUED else 1
    if at < len(args) and args[at] != "-":
        script_file(it, args[at], args[at + 1 :], "python")
    elif it.fed is not None or at < len(args):
        _text(it, [it.fed or "", *args[at + 1 :]])


def _text(it: Words, args: list[str]) -> None:
    it.add("run")
    if args:
        it.scripted(args[0], args[1:])


def _module(it: Words, args: list[str]) -> None:
    """Read `python -m module`: as the program of that name."""
    if not args:
        return
    module, rest = args[0].removesuffix(".__main__"), args[1:]
    if module == "coverage" and rest[:1] == ["run"]:
        it.args = [arg for arg in rest[1:] if not arg.startswith("--") and arg not in ("-p", "-a")]
        python(it)
    elif module == "json.tool":
        it.each("read", files_of(rest)[:1])
    elif module in _WATCHING:
        files = files_of(rest, flags("-c -o -s -m -n -r"))
        it.add("run", files[0] if files else None)
    elif module == "django" and rest[:1] == ["test"]:
        it.walk.add(_check(it, Known("test", "django test")))
    else:
        it.name, it.args = module, rest
        program(it, module)


def script_file(it: Words, path: str, args: list[str], script: str) -> None:
    """Read a script that is run by its file: a runner of tests that is known, or a script as any."""
    name = path.rsplit("/", 1)[-1]
    found = known(name, args) or (known("/".join(path.rsplit("/", 2)[-2:]), args) if "/" in path else None)
    asks = not _ASKS.isdisjoint(args) or "-h" in args
    if found is None and name in ("manage.py", "setup.py"):
        if {"develop", "install"}.intersection(args[:2]):
            it.add("install")
            return
        if asks:
            return
    if found is None and is_runner(path) and not asks:
        found = Known("test", name)
    step = _check(it, found, path) if found else it.step("run", path)
    fed = it.fed.split(None, 1)[:1] if it.fed else []  # its first word may say what it is used for
    step.script, step.args = script, (*args[:ARGS_MAX], *fed)
    it.walk.add(step)


def interpreter(it: Words) -> None:
    """Read a run of JavaScript, Ruby, PHP and their like."""
    script = INTERPRETERS[it.name]
    if found := known(it.name, it.args):
        it.walk.add(_check(it, found))
        return
    if {"--version", "--help", "-v", "-h"}.intersection(it.args[:1]):
        return
    inline = next((at for at, arg in enumerate(it.args) if arg in _INLINE[script]), None)
    if (
        inline is not None
        and (tests := _TESTS_INLINE.get(script))
        and tests.search(" ".join(it.args[inline + 1 :]))
    ):
        it.walk.add(_check(it, Known("test", it.name)))
        return
    if inline is not None:
        _text(it, it.args[inline + 1 :])
        return
    files = files_of(it.args, _NODE_VALUED)
    if it.name in ("deno", "bun") and files[:1] in (["run"], ["x"]):
        del files[0]
    if files:
        script_file(it, files[0], files[1:], script)
    elif it.fed is not None:
        _text(it, [it.fed])


def shell_script(it: Words) -> None:
    """Read `bash script.sh`; a `bash -c` was walked before."""
    files = files_of(it.args, frozenset({"-o", "+o"}))
    if "-n" in it.args[: it.args.index(files[0]) if files else None]:
        if files:  # what comes in is nothing of the work
            it.walk.add(_check(it, Known("build", f"{it.name} -n"), files[0]))
    elif files:
        script_file(it, files[0], files[1:], "sh")


def program(it: Words, word: str) -> None:
    """Read a program by the table: a check, an installer, a script of the work, or a run of something."""
    found = known(it.name, it.args)
    if it.name in ("npm", "pnpm", "yarn") and it.args[:2] == ["pkg", "set"]:
        it.add("edit", "package.json")
    elif found is not None and not _is_path(word):
        it.walk.add(_check(it, found))
    elif _installs(it):
        it.add("install")
    elif _is_path(word):
        script_file(it, word, it.args, _BY_ENDING.get(it.name.rsplit(".", 1)[-1], "sh"))
    elif (
        _ASKS.isdisjoint(it.args)
        and it.args[:1] not in (["-V"], ["version"], ["help"])
        and _PROGRAM.match(word)
    ):
        it.add("run")


def _is_path(word: str) -> bool:
    """Say whether a command is the work's own: of its folders, and no program's of an environment."""
    if "/" not in word:
        return _SCRIPT_NAME.match(word) is not None
    return (
        "/bin/" not in word or _SCRIPT_NAME.match(word) is not None or "/" not in word.removeprefix("./bin/")
    )


def _check(it: Words, found: Known, path: str | None = None) -> Step:
    """Make the step of a check; its path is the work's own runner, else what it looks at, else its folder."""
    about = path or (_looked_at(it, found) if it.name in OF_FILES else None)
    place = it.walk.place(about) if about else _folder(it)
    hides = not ENDS_WELL.isdisjoint(it.args) or (it.name in ("make", "gmake") and "-i" in it.args)
    return Step("check", place, HIDDEN if hides else it.end, found.check, found.name)


def _looked_at(it: Words, found: Known) -> str | None:
    """Give the one file or folder that a check is about; null for several, or for all there is."""
    lead = sum(not word.startswith("-") for word in found.name.split()) - 1
    words = words_of(it.name, it.args)[lead:]
    if it.name == "sphinx-build":
        return next(iter(files_of(it.args, _RENDER_VALUED)), None)
    paths = [word for word in words if _TARGET.match(word)]
    return paths[0].partition("::")[0] if len(paths) == 1 else None


def _folder(it: Words) -> str | None:
    """Give the folder that a check runs in, where the command went there; of another host, none."""
    here = it.walk.place(".")
    return here if here != "." and not it.walk.elsewhere else None


def _installs(it: Words) -> bool:
    installs = INSTALLERS.get(it.name)
    if installs is None:
        return False
    words = words_of(it.name, it.args)
    if not words:
        return not installs or (it.name in ("yarn", "bundle") and not it.args)
    return not installs or not installs.isdisjoint(words[:2])
