"""Skills and slash commands in folders: `SKILL.md` in folders of their own, `NAME.md` as commands."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

from karl.errors import Unreadable
from karl.skills.entry import Of, entry
from karl.skills.files import FILE_MAX, Folder, Walk, read_text
from karl.skills.front_matter import FrontMatter, read_front_matter
from karl.skills.told import Problem, Told

_SKILL = "skill.md"
#: Below a skill there are its papers, and in these folders, skills that came along.
_WITHIN_SKILL = frozenset({"skills", ".claude", ".agents"})
#: Files beside commands that are none.
_PAPERS = frozenset({"readme.md", "changelog.md", "license.md", "agents.md", "claude.md"})


def read_skill(path: Path, *, otherwise: str, of: Of, is_command: bool = False) -> Told:
    """Read a skill from its file; a command is called like its file, whatever it says. Raises Unreadable."""
    text = read_text(path)
    front = _toml(text.text) if path.suffix.lower() == ".toml" else read_front_matter(text.text)
    fields = front.fields
    if is_command:
        fields = {name: value for name, value in fields.items() if name.lower() != "name"}
    told = entry(fields, front.body, otherwise=otherwise, of=of, digest=text.digest, where=str(path))
    why = [*front.problems]
    if text.is_cut:
        why.append(f"the file has more than {FILE_MAX:,} bytes; its beginning was read")
    return told._replace(problems=(*(Problem(str(path), one) for one in why), *told.problems))


def _toml(text: str) -> FrontMatter:
    """Read a command that is TOML: what it asks for is its `prompt`. Raises Unreadable."""
    try:
        fields = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise Unreadable(f"it is not TOML ({error})") from None
    prompt = fields.pop("prompt", "")
    return FrontMatter(fields, prompt if isinstance(prompt, str) else "")


def read_in(walk: Walk, path: Path, otherwise: str, of: Of, *, is_command: bool = False) -> Iterator[Told]:
    """Read a skill, or a command, that a walk came to; what can not be read is a problem of the walk."""
    try:
        yield read_skill(path, otherwise=otherwise, of=of, is_command=is_command)
    except Unreadable as error:
        walk.problems.append(Problem(str(path), f"it can not be read: {error.reason}", lost=True))


def skills_below(walk: Walk, of: Of) -> Iterator[Told]:
    """Read the skills of a folder and of those below it. Problems with files and folders go to the walk."""
    for folder in walk.folders(_onward):
        name = _file_of(folder)
        if name:
            yield from read_in(walk, folder.path / name, name_of(folder.path), of)


def commands_below(walk: Walk, of: Of) -> Iterator[Told]:
    """Read slash commands: each Markdown or TOML file is one, `sub:name` where it is in a folder `sub`.

    A folder with a `SKILL.md` is a skill of that name.
    """
    for folder in walk.folders(_onward):
        above = folder.path.relative_to(walk.root).parts
        if name := _file_of(folder):
            yield from read_in(walk, folder.path / name, ":".join(above) or name_of(folder.path), of)
            continue
        for file in folder.files:
            if file.lower().endswith((".md", ".toml")) and file.lower() not in _PAPERS:
                path = folder.path / file
                yield from read_in(walk, path, ":".join([*above, path.stem]), of, is_command=True)


def skill_in(walk: Walk, of: Of) -> Iterator[Told]:
    """Read the skill that a walk's folder is, if it is one, and no other."""
    folder = walk.look(walk.root)
    if folder is not None and (name := _file_of(folder)):
        yield from read_in(walk, folder.path / name, name_of(folder.path), of)


def name_of(folder: Path) -> str:
    """Give the name of a folder, however it was written."""
    return folder.name if folder.name not in ("", "..") else folder.resolve().name


def _onward(folder: Folder) -> tuple[str, ...]:
    if _file_of(folder):
        return tuple(name for name in folder.folders if name in _WITHIN_SKILL)
    return folder.folders


def _file_of(folder: Folder) -> str:
    """Name the file that makes a folder a skill's."""
    return min((name for name in folder.files if name.lower() == _SKILL), default="")
