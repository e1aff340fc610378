"""The documentation says what is there: links, commands, settings, errors, keys and kinds of records."""

from __future__ import annotations

import inspect
import re
import tomllib
from dataclasses import fields
from typing import get_args

import msgspec
import pytest

from karl import errors
from karl.cli.main import load
from karl.cli.table import COMMANDS
from karl.jobs.table import JOBS, QUEUES
from karl.retired import RETIRED
from karl.schema.event import Event
from karl.schema.learning import (
    AdapterBody,
    ArmRun,
    ClaimBody,
    EvaluationBody,
    ExportBody,
    HoldoutBody,
    Manifest,
    SyntheticBody,
    TrainingBody,
)
from karl.schema.record import (
    AnnotationBody,
    CalibrationBody,
    ErasedBody,
    ErasureBody,
    EventsBody,
    RecordKind,
    Score,
    ScoreBody,
    TrajectoryBody,
)
from karl.schema.routing import (
    ExemplarBody,
    RouterBody,
    RoutingBody,
    Rule,
    ShadowBody,
    SkillEntry,
    SkillsBody,
)
from karl.settings import Settings, variable
from karl.stream import keys
from tests.conftest import ROOT

PAGES = sorted(p for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")])
TEXTS = {page.relative_to(ROOT).as_posix(): page.read_text() for page in PAGES}


@pytest.mark.parametrize("name", TEXTS)
def test_every_link_within_the_repository_leads_somewhere(name: str) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", TEXTS[name])
    assert [link for link in links if not (ROOT / name).parent.joinpath(link).exists()] == []


@pytest.mark.parametrize("name", TEXTS)
def test_every_file_of_ours_that_a_page_names_exists(name: str) -> None:
    named = re.findall(r"`((?:karl|workers|producers|tests|benchmarks)/[\w./-]*\w)[`:]", TEXTS[name])
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", TEXTS)
def test_every_command_that_a_page_names_exists(name: str) -> None:
    known = {row.name for row in COMMANDS} | {row.name.split()[0] for row in COMMANDS}
    named = re.findall(
        r"`karl ((?!--|up\.)[a-z]+(?:-[a-z]+)*(?: (?:install|uninstall|status|hooks|sessions|ledger|views))?)",
        TEXTS[name],
    )
    assert [command for command in named if command not in known and command.split()[0] not in known] == []


#: What is typed or started: blocks of commands on pages, and the files that start processes.
DEPLOYED = sorted(p for p in [ROOT / "docker-compose.yml", *ROOT.glob("deploy/**/*")] if p.is_file())
TYPED = {
    **{
        name: "\n".join(re.findall(r"```(?:sh|console|yaml)\n(.*?)```", text, re.DOTALL))
        for name, text in TEXTS.items()
    },
    **{path.relative_to(ROOT).as_posix(): path.read_text() for path in DEPLOYED},
}


@pytest.mark.parametrize("name", TYPED)
def test_every_command_that_is_typed_or_started_exists_with_its_options(name: str) -> None:
    rows = {tuple(row.name.split()): row for row in COMMANDS}
    typed = re.findall(
        r"(?:(?<![\w./-])|(?<=/bin/))(?<!COPY )(?:karl|--rm ops) ([a-z][^\n#|;&)\"`<]*)",
        TYPED[name],
    )
    for line in typed:
        words = [word.rstrip(".,:") for word in line.split()]
        row = rows.get(tuple(words[:2])) or rows.get(tuple(words[:1]))
        assert row is not None, f"there is no command `karl {line}`"
        options = {option for param in load(row).params for option in (*param.opts, *param.secondary_opts)}
        asked = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert asked <= options | {"--help"}, f"`karl {line}` has options that there are not"


@pytest.mark.parametrize("name", TEXTS)
def test_every_setting_that_a_page_names_exists(name: str) -> None:
    known = {variable(item.name) for item in fields(Settings)}
    if name == "docs/settings.md":
        known |= set(RETIRED)
    named = set(re.findall(r"\bKARL_[A-Z0-9_]+[A-Z0-9]\b(?!_?\*)", TEXTS[name])) - {"KARL_REWARD_W"}
    assert named <= known


def test_every_error_is_in_the_tree_of_its_module() -> None:
    classes = [
        item for _, item in inspect.getmembers(errors, inspect.isclass) if item.__module__ == errors.__name__
    ]
    assert [item.__name__ for item in classes if item.__name__ not in (errors.__doc__ or "")] == []


def test_every_redis_key_is_in_the_list_of_its_module() -> None:
    made = [
        keys.events_key(5), keys.records_key(5), keys.dead_key(5), keys.lease_key(5), keys.session_key(5, "{s}"),
        keys.seen_key(5, "{s}"), keys.LEDGER_LEASE, keys.LEDGER_TERM, keys.LEDGER_WAKE, keys.WORKERS, keys.NODES,
        keys.LEDGER_HEAD, keys.LEDGER_FOLLOWERS, keys.USUAL, keys.CALIBRATIONS, keys.ROUTING_CLAIM,
        keys.ADAPTERS_CLAIM, keys.HOLDOUT_CLAIM, keys.adapter_key("{h}"), keys.run_key("{r}"),
    ]  # fmt: skip
    listed = keys.__doc__ or ""
    assert [name for name in made if name.replace("{5}", "{p}") not in listed] == []


def test_every_kind_of_record_is_in_the_ledgers_format() -> None:
    page = TEXTS["docs/ledger-format.md"]
    assert [kind for kind in get_args(RecordKind) if f"`{kind}`" not in page] == []


@pytest.mark.parametrize(
    "body",
    [
        TrajectoryBody,
        EventsBody,
        AnnotationBody,
        ScoreBody,
        CalibrationBody,
        ErasureBody,
        ErasedBody,
        Event,
        Score,
        SkillsBody,
        SkillEntry,
        Rule,
        ExemplarBody,
        RouterBody,
        RoutingBody,
        ShadowBody,
        HoldoutBody,
        ExportBody,
        Manifest,
        TrainingBody,
        EvaluationBody,
        ArmRun,
        AdapterBody,
        ClaimBody,
        SyntheticBody,
    ],
)
def test_every_member_of_a_record_is_in_the_ledgers_format(body: type) -> None:
    page = TEXTS["docs/ledger-format.md"]
    assert [item.name for item in msgspec.structs.fields(body) if f"`{item.name}`" not in page] == []


def test_every_proof_that_the_guarantees_name_exists_and_every_mark_has_one() -> None:
    page = TEXTS["docs/guarantees.md"]
    proofs = dict(re.findall(r"^\[\^([a-z]+)\]: (.*)$", page, re.MULTILINE))
    marks = re.findall(r"\[\^([a-z]+)\](?!:)", page)
    assert set(marks) == set(proofs)
    for proof in proofs.values():
        file, *tests = re.findall(r"`([^`]+)`", proof)
        text = (ROOT / file).read_text()
        assert [name for name in tests if f"def {name}(" not in text] == [], file


def test_every_job_and_every_queue_is_on_its_page() -> None:
    page = TEXTS["docs/jobs.md"]
    assert [row.name for row in (*JOBS, *QUEUES) if f"\n| `{row.name}` |" not in page] == []


def test_every_room_is_on_the_code_map() -> None:
    page = TEXTS["docs/ARCHITECTURE.md"]
    rooms = [f"{one.parent.relative_to(ROOT)}/" for one in ROOT.glob("karl/*/__init__.py")]
    modules = [f"karl/{one.name}" for one in ROOT.glob("karl/[!_]*.py")]
    assert [name for name in ("producers/", "workers/", *rooms, *modules) if f"`{name}`" not in page] == []


def test_the_architecture_draws_the_layers_that_are_proven() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(one["layers"] for one in contracts if one["type"] == "layers")
    assert "\n".join(layers) in TEXTS["docs/ARCHITECTURE.md"]


def test_every_page_of_the_documentation_is_named_in_the_readme() -> None:
    assert [name for name in TEXTS if name.startswith("docs/") and name not in TEXTS["README.md"]] == []
