"""Refining and resolving over a ledger: what is proposed, and what is sent when it proves right."""

from __future__ import annotations

from karl.jobs import table
from karl.routing.refine import Proposal
from karl.schema.routing import RankedSkill, ShadowBody, ShadowSource
from karl.views.sources import Sources
from tests.centroids.conftest import PROMPTS, Scene
from workers import refine as refining
from workers.exemplars import name_of
from workers.records import ROUTING, Outgoing, send
from workers.refine import refine
from workers.resolve import resolve


def test_where_nothing_is_confused_nothing_is_kept_and_nothing_sent(trained: Scene) -> None:
    before = trained.line.records("exemplar")
    report = refine(table.Refine(apply=True, rounds=3), trained.doors())
    assert (report.changes, report.records, report.trained) == (0, 0, None)
    assert len(report.rounds) == 1
    assert (report.prompts, report.held_out) == (21, 3)
    assert trained.line.records("exemplar") == before


def test_what_is_kept_becomes_exemplars_that_every_later_router_knows(trained: Scene) -> None:
    pieces = {one.text: one for one in trained.material().chosen().pieces}
    dropped, border = (pieces[PROMPTS["deploy"][0]], pieces[PROMPTS["invoice"][1]])
    kept = [
        Proposal("drop", "deploy", "invoice", (dropped,)),
        Proposal("contrast", "invoice", "deploy", (border,)),
    ]
    assert refining._send(kept, trained.doors(), "ann") == 2
    trained.move()
    after = {one.text: one for one in trained.material().chosen().pieces}
    assert dropped.text not in after
    assert (after[border.text].kind, after[border.text].skill) == ("contrast", "invoice")
    assert trained.train(force=True).prompts["contrast"] == 1


def predicted(trained: Scene, session: str, said: str, *, source: ShadowSource = "live") -> ShadowBody:
    """A prediction about a turn's prompt."""
    events = {
        event["session"]: event["id"]
        for record in trained.line.records("trajectory")
        for event in record["events"]
        if event["kind"] == "UserPromptSubmit"
    }
    return ShadowBody(
        event=events[session], session=session, fleet="default", node="n1", agent="claude-code", project="p",
        time_ms=1, made_ms=2, source=source, ranked=(RankedSkill(said, 0.6),), router="r", takes=True,
    )  # fmt: skip


def test_pairs_come_from_live_predictions_and_real_prompts_of_both_sides_are_marked(trained: Scene) -> None:
    wrong = [predicted(trained, f"s-deploy-{at}", "invoice") for at in (1, 2)]
    right = [predicted(trained, f"s-deploy-{at}", "deploy") for at in (3, 4)]
    once = [predicted(trained, "s-translate-1", "deploy")]
    send(trained.redis, [Outgoing("shadow", ROUTING, one) for one in (*wrong, *right, *once)], trained.move)
    trained.move()
    report = resolve(trained.doors(), top=5, apply=False, person="ann")
    (pair,) = report.pairs
    assert (report.source, pair.skill, pair.other, pair.errors, report.records) == (
        "live",
        "deploy",
        "invoice",
        2,
        0,
    )
    assert {one.text for one in pair.prompts if one.skill == "deploy"} == set(PROMPTS["deploy"][1:3])
    assert {one.text for one in pair.prompts if one.skill == "invoice"} <= set(PROMPTS["invoice"])
    assert not trained.line.records("exemplar")


def test_marking_is_done_once_and_is_no_evidence(trained: Scene) -> None:
    wrong = [predicted(trained, f"s-deploy-{at}", "invoice") for at in (1, 2)]
    send(trained.redis, [Outgoing("shadow", ROUTING, one) for one in wrong], trained.move)
    trained.move()
    first = resolve(trained.doors(), top=5, apply=True, person="ann")
    trained.move()
    assert first.records == 5
    records = trained.line.records("exemplar")
    assert {(one["skill"], one["contrast"]) for one in records} == {
        ("deploy", "invoice"),
        ("invoice", "deploy"),
    }
    assert all(one["of"].startswith("traj_") for one in records)
    with Sources(trained.settings.views) as views:
        assert len(list(views.shadows())) == 2
    assert resolve(trained.doors(), top=5, apply=True, person="ann").records == 0
    marked = [one for one in trained.material().chosen().pieces if one.kind == "contrast"]
    assert {name_of(one) for one in marked} == {one["id"] for one in records}


def test_replayed_predictions_make_no_pair(trained: Scene) -> None:
    wrong = [predicted(trained, f"s-deploy-{at}", "invoice", source="replayed") for at in (1, 2)]
    send(trained.redis, [Outgoing("shadow", ROUTING, one) for one in wrong], trained.move)
    trained.move()
    assert resolve(trained.doors(), top=5, apply=False, person="ann").source == "crossed"
