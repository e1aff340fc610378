"""Commands that look: show files, search in them, find and list them."""

from __future__ import annotations

import re
from collections.abc import Callable

from karl.acts.steps import HIDDEN
from karl.acts.words import Words, files_of, flags

#: What reads one more command that a find runs on what it found.
Reads = Callable[[Words, list[str]], None]

_LINES = flags("-n -c --lines --bytes")
_NO_LINES = re.compile(r"(?:^| )(?:-[nc] ?0|-0|--(?:lines|bytes)=0)(?: |$)")
_DIFF = flags("-U -C --label -x --exclude -I")
#: Programs that show files given as words, and their flags whose value is the next word.
SHOWS: dict[str, frozenset[str]] = {
    **dict.fromkeys(flags("cat tac less more zcat gunzip view glow mdcat"), frozenset()),
    **dict.fromkeys(("head", "tail"), _LINES),
    **dict.fromkeys(("diff", "colordiff", "sdiff", "vimdiff"), _DIFF),
    **dict.fromkeys(("bat", "batcat"), flags("-r --line-range -l --language --style --theme")),
    "nl": flags("-b -s -w -v -n -i"),
    "od": flags("-t -N -j -A"),
    "xxd": flags("-l -s"),
    "hexdump": flags("-n -s -e"),
    "strings": flags("-n"),
    "cut": flags("-d -f -c -b"),
    "sort": flags("-k -t -o"),
    "uniq": flags("-f -s"),
    "pygmentize": flags("-l -f"),
}
GREPS = flags("grep egrep fgrep zgrep rg ag ack ugrep ripgrep pcregrep")
#: Those of them that read their input when no file is named.
_OF_INPUT = frozenset({"grep", "egrep", "fgrep", "zgrep", "pcregrep"})
_GREP_VALUED = flags(
    """-A -B -C -m -e -f --include --exclude --exclude-dir -g --glob -t --type -T -d -D -M --max-count --iglob
    --type-not -j --max-depth --context --regexp -O"""
)
_RECURSIVE = re.compile(r"-\w*[rR]\w*$|--recursive$|--dereference-recursive$")
LISTS = flags("ls tree dir exa eza lsd vdir")
_PATTERN = re.compile(r"[*?\[]")
_FD_VALUED = flags("-e --extension -E --exclude -t --type -d --max-depth -g")


def show(it: Words) -> None:
    """Read `cat FILE` and its like."""
    if it.name in ("head", "tail") and _NO_LINES.search(" ".join(it.args[:4])):
        return
    it.each("read", [path for path in files_of(it.args, SHOWS[it.name]) if path != "/dev/null"])


def listing(it: Words) -> None:
    """Read `ls` and its like."""
    it.each("list", files_of(it.args, frozenset({"-I", "-L", "--ignore"})) or ["."])


def grep(it: Words) -> None:
    """Read a search in files; one in the output of another command looks at no file."""
    files = files_of(it.args, _GREP_VALUED)
    given = any(
        arg in ("-e", "-f", "--regexp", "--files") or arg.startswith(("--regexp=", "--file="))
        for arg in it.args
    )
    paths = files if given else files[1:]
    if paths:
        it.each("search", paths)
    elif not it.piped and (it.name not in _OF_INPUT or any(map(_RECURSIVE.match, it.args))):
        it.add("search", ".")


def find(it: Words, reads: Reads) -> None:
    """Read a find, and what it does to what it found."""
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
            _nested(it, it.args[at + 1 :], reads)
            break


def fd(it: Words, reads: Reads) -> None:
    """Read an fd, as a find."""
    it.each("search", files_of(it.args, _FD_VALUED)[1:] or ["."])
    for flag in ("-x", "--exec", "-X", "--exec-batch"):
        if flag in it.args:
            _nested(it, it.args[it.args.index(flag) + 1 :], reads)


def awk(it: Words) -> None:
    """Read an awk: its program first, unless that stands in a file."""
    files = files_of(it.args, frozenset({"-F", "-v", "-f", "-i", "--assign", "--field-separator"}))
    paths = files if "-f" in it.args else files[1:]
    in_place = "inplace" in it.args and it.args[it.args.index("inplace") - 1] == "-i"
    it.each("edit" if in_place else "read", [path for path in paths if "=" not in path])


def jq(it: Words) -> None:
    """Read a jq: its filter first."""
    in_place = it.name == "yq" and not {"-i", "--inplace"}.isdisjoint(it.args)
    it.each(
        "edit" if in_place else "read",
        files_of(it.args, frozenset({"--arg", "--argjson", "--indent", "-f"}))[1:],
    )


def shell_content(it: Words) -> None:
    """Read PowerShell's Get-Content and Select-String, which name files by a flag, or last."""
    searches = it.name.lower() == "select-string"
    files = named_files(it.args)
    it.each(
        "search" if searches else "read",
        files[1:] if searches and "-pattern" not in map(str.lower, it.args) else files,
    )


def named_files(args: list[str]) -> list[str]:
    """Give the files that a command of PowerShell names: by a flag that says so, or without one."""
    files: list[str] = []
    flag = ""
    for arg in args:
        if arg.startswith("-"):
            flag = arg.lower()
        elif flag in ("", "-path", "-literalpath", "-filepath", "-raw", "-force", "-nonewline", "-append"):
            files.extend(part for part in arg.split(",") if part)
            flag = ""
        else:
            flag = ""
    return files


def _name_sought(args: list[str]) -> str | None:
    """Give the pattern of names that a find looks for: it says what kind of files are meant."""
    return next(
        (args[at + 1] for at, arg in enumerate(args[:-1]) if arg in ("-name", "-iname", "-path")), None
    )


def _nested(it: Words, words: list[str], reads: Reads) -> None:
    """Read the command that another runs on the files that it found: which, nobody knows."""
    end = next((at for at, word in enumerate(words) if word in (";", "+")), len(words))
    inner = [word for word in words[:end] if word not in ("{}", "{}+")]
    if not inner:
        return
    name = inner[0].rsplit("/", 1)[-1]
    sought, folder = _name_sought(it.args), it.args[0] if it.args else ""
    if name in SHOWS and sought and not _PATTERN.search(sought) and not folder.startswith("-"):
        it.add("read", f"{folder}/{sought}")
    elif name in ("bash", "sh") and "-c" in inner[:-1]:
        it.walk.within(inner[inner.index("-c") + 1], HIDDEN)
    elif name == "rm":
        it.add("delete", _name_sought(it.args))
    elif name in ("sed", "perl") and any(re.match(r"-\w*i", word) for word in inner[1:]):
        it.add("edit", _name_sought(it.args))
    elif name not in SHOWS and name not in GREPS:
        reads(it, inner)
