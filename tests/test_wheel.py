"""The wheel holds exactly our three packages, with their data files."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = Path(out).glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_its_top_level_is_karl_producers_and_workers(names: set[str]) -> None:
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"karl", "producers", "workers"}


def test_it_carries_the_redaction_rules_and_the_type_markers(names: set[str]) -> None:
    assert {
        "producers/redaction_rules.toml",
        "karl/py.typed",
        "producers/py.typed",
        "workers/py.typed",
    } <= names


def test_importing_the_package_loads_no_third_party_module() -> None:
    program = (
        "import sys; before = set(sys.modules); import karl; "
        "new = {m.split('.')[0] for m in set(sys.modules) - before}; "
        "print(sorted(m for m in new if m not in sys.stdlib_module_names and m != 'karl'))"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


def test_asking_for_help_loads_neither_redis_nor_rich_nor_sqlite() -> None:
    program = (
        "import sys; from karl.cli.main import cli; "
        "cli(['--help'], standalone_mode=False); "
        "print([m for m in ('redis', 'rich', 'sqlite3', 're2') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert out.strip().endswith("[]")
