"""What one command of a shell does: its program says who reads it.

A program that nobody knows is `run`; one that only prints, waits or asks the system adds nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from karl.acts import changing, looking, running
from karl.acts.aci import ACI, aci_steps
from karl.acts.programs import is_python
from karl.acts.steps import HIDDEN
from karl.acts.versions import OTHERS
from karl.acts.words import Walk, Words, flags

#: Programs that change nothing, read no file of the work and check nothing.
_QUIET = flags(
    """
    echo printf pwd sleep wait kill pkill killall true false test [ [[ : date whoami hostname uname id env
    printenv which type whereis hash alias unalias ulimit umask jobs fg bg disown trap shift read let unset
    history clear reset tput stty ps top free df du uptime lsof netstat ss ping dig nslookup host ifconfig ip
    arch nproc getconf locale tty seq yes basename dirname realpath readlink mktemp mkdir rmdir chmod chown
    chgrp sync return exit break continue shopt source . set export cd open xdg-open say man help info
    apropos tldr logger wall who w last groups crontab systemctl service launchctl dmesg vmstat iostat mount
    umount bc expr factor cal numfmt pgrep pidof lscpu lsblk sysctl md5sum sha1sum sha256sum shasum cksum
    stat file submit exit_forfeit exit_context exit_cost wc cmp nvm deactivate activate column tr rev fold
    fmt expand paste join comm shuf split command
    """
)
_FED_SHELLS = frozenset({"", "bash", "bash -s", "bash -ls", "sh", "sh -s"})
_SSH_VALUED = flags("-b -c -D -E -e -F -I -i -J -L -l -m -O -o -p -Q -R -S -W -w")


def read(walk: Walk, words: list[str], end: int, *, piped: bool, fed: str | None) -> None:
    """Add what a command does; `piped` and `fed` are as those of Words."""
    it = Words(walk, words, end, piped=piped, fed=fed)
    name = it.name
    is_own = words[0].startswith(("./", "bin/", "script/", "scripts/"))
    reader = _READERS.get(name) or (_READERS.get(name.lower()) if "-" in name else None)
    if reader is not None:
        reader(it)
    elif is_python(name) or (name.startswith("$") and _takes_python(it.args)):
        running.python(it)
    elif name in ACI and not is_own:
        for step in aci_steps(words, end, walk.place):
            walk.add(step)
    elif is_own or (name not in _QUIET and not name.startswith("-")):
        running.program(it, words[0])


def _takes_python(args: list[str]) -> bool:
    """Say whether what a variable names is a Python interpreter, by the words that it gets."""
    return args[:1] == ["-m"] or (bool(args) and args[0].endswith(".py"))


def _read_found(it: Words, words: list[str]) -> None:
    read(it.walk, words, HIDDEN, piped=True, fed=None)


def ssh_command(words: list[str], fed: str | None) -> str | None:
    """Give what ssh runs on the other side, `fed` to its shell or as words; null when it only goes there."""
    at = 1
    while at < len(words) and words[at].startswith("-"):
        at += 2 if words[at] in _SSH_VALUED else 1
    rest = words[at + 1 :]
    command = " ".join(rest)
    return fed or command or None if command in _FED_SHELLS else command


_READERS: dict[str, Callable[[Words], None]] = {
    **dict.fromkeys(looking.SHOWS, looking.show),
    **dict.fromkeys(looking.GREPS, looking.grep),
    **dict.fromkeys(looking.LISTS, looking.listing),
    **dict.fromkeys(running.INTERPRETERS, running.interpreter),
    **dict.fromkeys(("awk", "gawk", "mawk", "nawk"), looking.awk),
    **dict.fromkeys(("jq", "yq"), looking.jq),
    **dict.fromkeys(("find", "gfind"), partial(looking.find, reads=_read_found)),
    **dict.fromkeys(("fd", "fdfind"), partial(looking.fd, reads=_read_found)),
    **dict.fromkeys(("sed", "gsed"), changing.sed),
    **dict.fromkeys(("cp", "mv", "install", "rsync", "scp", "gcp", "gmv"), changing.copy),
    **dict.fromkeys(("rm", "unlink", "trash", "shred"), changing.remove),
    **dict.fromkeys(("touch", "truncate"), changing.touch),
    **dict.fromkeys(("ed", "ex", "vim", "vi", "nvim", "nano", "emacs"), changing.editor),
    **dict.fromkeys(("patch", "gpatch"), changing.patch),
    **dict.fromkeys(("apply_patch", "applypatch"), changing.apply_patch),
    **dict.fromkeys(("curl", "wget"), changing.fetch),
    **dict.fromkeys(("bash", "sh", "zsh", "dash", "ksh", "ash"), running.shell_script),
    **dict.fromkeys(("get-content", "gc", "select-string"), looking.shell_content),
    **dict.fromkeys(("set-content", "add-content", "out-file", "sponge"), changing.written),
    "remove-item": changing.remove,
    "perl": changing.perl,
    "ruby": changing.ruby,
    "sd": changing.replacer,
    "tee": changing.tee,
    "dd": changing.dd,
    "ln": changing.link,
    "git": changing.git,
    **dict.fromkeys(OTHERS, changing.other_versions),
}
