"""The page: one file, nothing loaded, nothing recorded runs; whole for a reader without JavaScript."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import stat
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from karl.errors import KarlError, Refused
from karl.replay import page as pages
from karl.replay.explained import explain
from karl.replay.page import page, put
from karl.views.detail import detail
from karl.views.queries import Views
from tests.replay.turns import HOSTILE, data, hostile, told

CHROMIUM = shutil.which("chromium")
VOID = {"meta", "input", "img", "br", "link"}


class Seen(HTMLParser):
    """What a browser would see: elements with their attributes, and the texts outside style and script."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.raw: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if self.open[-1:] in (["script"], ["style"]):
            self.raw.setdefault(self.open[-1], []).append(data)
        else:
            self.texts.append(data)

    def values(self, name: str) -> list[str]:
        return [attrs[name] or "" for _, attrs in self.elements if name in attrs]


def made(folder: Path) -> bytes:
    with Views(folder / "views" / "views.sqlite") as views:
        (session,) = views.sessions()
        turns = [detail(views, folder / "ledger", turn.id) for turn in views.turns(session.session)]
    return page([(turn, explain(turn, folder / "ledger")) for turn in turns])


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> str:
    return made(data(tmp_path_factory.mktemp("good"), told())).decode()


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> str:
    return made(data(tmp_path_factory.mktemp("bad"), hostile())).decode()


def test_nothing_is_loaded_and_only_what_stands_in_the_page_may_run(good: str) -> None:
    seen = Seen(good)
    assert seen.open == []
    assert not {"link", "img", "iframe", "object", "embed", "base", "form"} & {
        tag for tag, _ in seen.elements
    }
    assert not seen.values("src")
    assert all(link.startswith("#") for link in seen.values("href"))
    (policy,) = (attrs["content"] for tag, attrs in seen.elements if attrs.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    for kind in ("script", "style"):
        (text,) = seen.raw[kind]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy


def test_it_can_be_read_from_top_to_bottom_without_the_script(good: str) -> None:
    seen = Seen(good)
    text = " ".join(" ".join(seen.texts).split())
    for part in ("Add a Login page", "pytest -q", "failed, exit 2", "1 failed", "found x.py", "Explore",
                 "The page is there.", "logout page", "correction detected: yes", "verification"):  # fmt: skip
        assert part in text
    lines = re.findall(r'<span class="(in|out|same|at)">([^<]*)\n', good)
    assert lines[:4] == [("at", "@@ -8 +9 @@"), ("same", " same"), ("out", "-out"), ("in", "+in")]
    assert [tag for tag, _ in seen.elements if tag in ("h1", "h2")] == ["h1", "h2", "h2"]
    (player,) = (attrs for _, attrs in seen.elements if attrs.get("id") == "player")
    assert "hidden" in player


def test_every_link_leads_somewhere_and_names_are_used_once(good: str) -> None:
    seen = Seen(good)
    ids = seen.values("id")
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in seen.values("href")} <= set(ids)
    assert {name for value in seen.values("aria-labelledby") for name in value.split()} <= set(ids)
    buttons = [attrs for tag, attrs in seen.elements if tag == "button"]
    assert all(attrs.get("title") and attrs.get("type") == "button" for attrs in buttons)


def test_what_was_recorded_stays_text(bad: str) -> None:
    seen = Seen(bad)
    assert seen.open == []
    assert len(seen.raw["script"]) == 1
    assert "img" not in {tag for tag, _ in seen.elements}
    assert not [name for _, attrs in seen.elements for name in attrs if name.startswith("on")]
    assert not seen.values("style")
    assert "document.title='owned'" in " ".join(seen.texts)
    assert "{{ 7 * 7 }}" in " ".join(seen.texts)
    assert not re.search(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]", bad
    )


def test_the_same_facts_give_the_same_bytes(tmp_path: Path) -> None:
    assert made(data(tmp_path / "a", told())) == made(data(tmp_path / "b", told()))


def test_long_texts_are_cut_in_their_middle_and_a_page_that_stays_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = told()
    script.prompt("begin " + "x" * 50_000 + " end")
    script.stop()
    folder = data(tmp_path, script)
    text = made(folder).decode()
    assert "x end" in text
    assert "characters are left out here" in text
    assert "x" * 20_000 not in text
    size = len(text)
    monkeypatch.setattr(pages, "PAGE_MAX", size - 10_000)
    assert len(made(folder)) < size - 10_000
    monkeypatch.setattr(pages, "PAGE_MAX", 1000)
    with pytest.raises(KarlError, match="one trajectory at a time"):
        made(folder)


def test_a_page_is_written_whole_privately_and_over_nothing(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    put(path, b"one", replace=False)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(Refused, match="--force"):
        put(path, b"two", replace=False)
    assert path.read_bytes() == b"one"
    put(path, b"two", replace=True)
    assert path.read_bytes() == b"two"
    with pytest.raises(KarlError, match="can not be written"):
        put(tmp_path / "no" / "page.html", b"", replace=False)
    assert [one.name for one in tmp_path.iterdir()] == ["page.html"]


def test_what_is_no_file_is_not_replaced_by_a_page(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Refused, match="no file that could be replaced"):
        put(tmp_path / "pipe", b"", replace=True)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium here")
@pytest.mark.parametrize("which", ["good", "bad"])
def test_in_a_browser_our_script_runs_and_nothing_else(
    which: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    assert CHROMIUM is not None
    path = tmp_path / "page.html"
    path.write_text(request.getfixturevalue(which))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/profile",
               "--dump-dom", path.as_uri()]  # fmt: skip
    ran = subprocess.run(command, capture_output=True, timeout=60, check=False, text=True)
    if ran.returncode or not ran.stdout.startswith("<!DOCTYPE"):
        pytest.skip(f"chromium does not run here: {ran.stderr[-200:]}")
    seen = Seen(ran.stdout)
    (player,) = (attrs for _, attrs in seen.elements if attrs.get("id") == "player")
    assert "hidden" not in player
    title = re.search("<title>(.*?)</title>", ran.stdout, re.DOTALL)
    assert title is not None
    assert title[1].startswith("KARL: ")


def test_the_hostile_text_of_these_tests_is_hostile() -> None:
    assert {"\x1b", "\x07", "\r", "\x08", "\x9b", "\x00", "\u202e", "\u2066"} <= set(HOSTILE)
