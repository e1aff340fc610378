"""Commands that change files: editors of streams, copies, moves, removals, patches, downloads."""

from __future__ import annotations

import re

from karl.acts.looking import named_files
from karl.acts.patches import patched
from karl.acts.running import interpreter
from karl.acts.unchanged import sed_changes_nothing
from karl.acts.versions import git_steps, other_steps
from karl.acts.words import FILES_MAX, Words, files_of, flags

_PERL_IN_PLACE = re.compile(r"-(?!-)[^eE\s]*i")
_PERL_INLINE = re.compile(r"-\w*[eE]$")
_SED_IN_PLACE = re.compile(r"-(?!-)[a-df-zA-Z]*i|--in-place")
_SED_SCRIPT_NEXT = re.compile(r"-(?!-)\w*[ef]$|--(?:expression|file)$")
_SED_SCRIPT_HERE = re.compile(r"-e.|--(?:expression|file)=", re.DOTALL)
_COPY_VALUED = flags("-t --target-directory -S --suffix -m -o -g --mode -e --exclude")
_PATCH_VALUED = flags("-d -i --input -o --output -F -B --directory")
_TOUCH_VALUED = flags("-d -t -r -s --size -m")


def sed(it: Words) -> None:
    """Read a sed: it shows files, or with `-i` edits them."""
    in_place = scripted = skip = False
    files: list[str] = []
    scripts: list[str] = []
    for arg in it.args:
        if skip:
            skip = False
            scripts.append(arg)
        elif not arg.startswith("-") or arg == "-":
            files.append(arg)
        else:
            in_place = in_place or _SED_IN_PLACE.match(arg) is not None
            skip = _SED_SCRIPT_NEXT.match(arg) is not None
            scripted = scripted or skip or _SED_SCRIPT_HERE.match(arg) is not None
    if files[:1] == [""]:
        del files[0]  # the empty suffix that BSD's sed wants behind -i
    paths = [path for path in (files if scripted else files[1:]) if path != "-"]
    scripts = scripts if scripted else files[:1]
    if (
        in_place
        and scripts
        and (all(map(sed_changes_nothing, scripts)) or ("-n" in it.args and scripts == ["p"]))
    ):
        return
    if in_place and not paths:
        it.add("edit")  # the files come through a pipe
    it.each("edit" if in_place else "read", paths)


def perl(it: Words) -> None:
    """Read a perl: an edit in place, a filter, a script."""
    inline = next((at for at, arg in enumerate(it.args) if _PERL_INLINE.match(arg)), None)
    if inline is None:
        interpreter(it)
        return
    files = files_of(it.args[inline + 2 :], frozenset({"-e"}))
    if any(map(_PERL_IN_PLACE.match, it.args)):
        it.each("edit", files)
        if not files:
            it.add("edit")
    elif files:
        it.each("read", files)
    else:
        it.add("run")
        it.scripted(it.args[inline + 1] if inline + 1 < len(it.args) else "", [])


def tee(it: Words) -> None:
    """Read a tee: it writes what comes through."""
    if "-a" in it.args and it.fed == "":
        return
    for path in files_of(it.args)[:FILES_MAX]:
        if path.startswith("/dev/"):
            continue
        step = it.step("edit", path)
        step.body, step.appends = it.fed, "-a" in it.args
        step.added = it.fed.count("\n") if it.fed else 0
        it.walk.add(step)


def copy(it: Words) -> None:
    """Read a cp, mv and their like: the target is written, what is moved is gone."""
    files = files_of(it.args, _COPY_VALUED)
    target = next(
        (it.args[at + 1] for at, arg in enumerate(it.args[:-1]) if arg in ("-t", "--target-directory")), None
    )
    if target is None:
        if len(files) < 2:
            return
        target = files.pop()
    into = len(files) > 1 or target.endswith(("/", "/.")) or target in (".", "..")
    for path in files[:FILES_MAX]:
        if it.name == "mv":
            it.add("delete", path)
        name = path.rstrip("/").rsplit("/", 1)[-1]
        step = it.step("edit", f"{target.rstrip('/')}/{name}" if into else target)
        step.script, step.args = "copy", (it.walk.place(path),)
        it.walk.add(step)


def link(it: Words) -> None:
    """Read an ln: it makes its last word, or a name in this folder."""
    files = files_of(it.args, frozenset({"-t", "-S"}))
    if files:
        step = it.step("edit", files[-1] if len(files) > 1 else files[0].rstrip("/").rsplit("/", 1)[-1])
        step.added = 1
        it.walk.add(step)


def remove(it: Words) -> None:
    """Read an rm."""
    it.each("delete", files_of(it.args))


def touch(it: Words) -> None:
    """Read a touch or a truncate: one by nothing leaves a file as it is, one to nothing empties it."""
    sizes = " ".join(it.args[:8]) if it.name == "truncate" else ""
    if re.search(r"(?:-s|--size)[ =]?[+-]0\b", sizes):
        return
    if re.search(r"(?:-s|--size)[ =]?0\b", sizes):
        it.each("delete", files_of(it.args, _TOUCH_VALUED))
        return
    it.each("edit", files_of(it.args, _TOUCH_VALUED))


def replacer(it: Words) -> None:
    """Read an sd: what it looks for, what it puts there, and the files."""
    it.each("edit", files_of(it.args, frozenset({"-n", "-f"}))[2:])


def written(it: Words) -> None:
    """Read what writes its input to the file that it names: a sponge, PowerShell's Set-Content."""
    it.each("edit", named_files(it.args)[:1])


def ruby(it: Words) -> None:
    """Read a ruby: an edit in place as perl's, else a script."""
    (perl if any(map(_PERL_IN_PLACE.match, it.args[:3])) else interpreter)(it)


def dd(it: Words) -> None:
    """Read a dd: `if=` is read, `of=` written."""
    if "if=/dev/null" in it.args:
        paths = [arg[3:] for arg in it.args if arg.startswith("of=") and "conv=notrunc" not in it.args]
        it.each("delete", paths)
        return
    for sign, does in (("if=", "read"), ("of=", "edit")):
        paths = [arg[3:] for arg in it.args if arg.startswith(sign) and not arg.startswith(f"{sign}/dev/")]
        it.each(does, paths)  # type: ignore[arg-type]


def editor(it: Words) -> None:
    """Read an editor that is given a file."""
    it.each("edit", [path for path in files_of(it.args, frozenset({"-c"})) if not path.startswith("+")][:1])


def patch(it: Words) -> None:
    """Read a patch: the file that it names, or those of its text; turned round, it takes them back."""
    if "--dry-run" in it.args:
        return
    if not {"-R", "--reverse"}.isdisjoint(it.args):
        it.each("revert", files_of(it.args, _PATCH_VALUED)[:1] or [""])
        return
    files = files_of(it.args, _PATCH_VALUED)
    source = next((it.args[at + 1] for at, arg in enumerate(it.args[:-1]) if arg in ("-i", "--input")), None)
    if files:
        it.add("edit", files[0])
    elif it.fed is not None:
        add_patched(it, it.fed)
    else:
        step = it.step("edit")
        step.script, step.args = "patch", (it.walk.place(source),) if source else ()
        it.walk.add(step)


def apply_patch(it: Words) -> None:
    """Read Codex's apply_patch, its patch as an input or as a word."""
    add_patched(it, it.fed or " ".join(it.args))


def add_patched(it: Words, text: str) -> None:
    """Add the files of a patch's text."""
    files = patched(text)
    for each in files[:FILES_MAX]:
        if each.became == "deleted" or each.moved_to:
            it.add("delete", each.path)
        if each.became != "deleted":
            step = it.step("edit", each.moved_to or each.path)
            step.added, step.removed, step.old, step.new = each.added, each.removed, each.old, each.new
            it.walk.add(step)


def fetch(it: Words) -> None:
    """Read a download: a run, and the file that it writes."""
    it.add("run")
    names = ("-o", "--output") if it.name == "curl" else ("-O", "--output-document")
    for at, arg in enumerate(it.args[:-1]):
        if arg in names and not it.args[at + 1].startswith(("/dev/", "-")):
            it.add("edit", it.args[at + 1])


def other_versions(it: Words) -> None:
    """Read a version control that is no git."""
    for step in other_steps(it.name, it.args, it.end, it.walk.place):
        it.walk.add(step)


def git(it: Words) -> None:
    """Read a git."""
    for step in git_steps(it.args, it.end, it.walk.place, it.fed):
        it.walk.add(step)
