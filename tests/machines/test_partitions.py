"""Machines that can not reach each other for a while: everything arrives all the same, once, in order."""

from __future__ import annotations

import signal
from pathlib import Path

from karl.stream import keys
from karl.stream.connect import GONE_S
from tests.conftest import wait_until
from tests.machines.network import Network
from tests.machines.team import AGENTS, WORKERS, Team


def test_an_agents_machine_that_is_cut_off_keeps_its_events_and_the_others_go_on(team: Team) -> None:
    hooked, _ = team.sessions("hooked")
    team.network.cut("agents-1")
    team.hook({"session_id": hooked, "hook_event_name": "UserPromptSubmit", "prompt": "Do it"})
    team.turns("cut")
    team.until(lambda: team.ledgered("cut") == 8, "the other machine's turn is in the ledger")
    assert team.spooled("agents-1") == 9
    team.network.heal()
    team.until(lambda: not team.spooled("agents-1"), "it is shipped")
    team.say([{"session_id": hooked, "hook_event_name": "Stop"}])
    team.settle()
    assert team.ledgered("cut") == 16
    assert team.broken() == []


def test_what_a_worker_sends_late_after_its_partitions_went_to_another_changes_nothing(team: Team) -> None:
    mine = team.session_of("workers-1")
    team.say([{"session_id": mine, "hook_event_name": "UserPromptSubmit", "prompt": "Do it"}])
    team.until(lambda: not any(map(team.spooled, AGENTS)), "the prompt is shipped")
    stale = team.log("sessions-1").count("taken over")
    # It still hears the server, so it folds the turn; what it hands on waits in its own kernel.
    team.network.way("workers-1", "server", cut=True)
    team.say([{"session_id": mine, "hook_event_name": "Stop"}])
    team.until(lambda: team.holder(mine) == "workers-2", "the other worker has the partition")
    team.until(
        lambda: any(one["body"].get("session") == mine for one in team.lines()), "it has closed the turn"
    )
    team.network.heal()
    team.until(lambda: team.log("sessions-1").count("taken over") > stale, "what comes late is refused")
    team.settle()
    assert team.broken() == []


def test_a_writer_that_is_cut_off_gives_way_to_its_standby_and_terms_only_grow(team: Team) -> None:
    writer, other = team.writers()
    before = team.term()
    team.network.cut(writer)
    team.turns("standby")
    team.until(lambda: team.ledgered("standby") == 16, "the standby writes")
    assert (team.writers(), team.term() > before) == ((other, writer), True)
    team.network.heal()
    team.settle()
    assert team.broken() == []


def test_with_both_writers_cut_off_records_wait_and_one_comes_back_with_a_larger_term(team: Team) -> None:
    before = team.term()
    for node in ("ledger", "standby"):
        team.network.cut(node)
    team.turns("alone")
    team.until(lambda: team.redis.get(keys.LEDGER_LEASE) is None, "the lease has run out")
    team.until(lambda: not any(map(team.spooled, AGENTS)), "events go on into the streams")
    assert team.ledgered("alone") == 0
    team.network.heal()
    team.settle()
    assert team.term() > before
    assert team.broken() == []


def test_a_copy_of_the_ledger_on_another_machine_is_whole_again_after_a_cut(team: Team) -> None:
    writer, _ = team.writers()
    team.follow(writer)
    team.until(team.copied, "the copy is whole")
    team.network.cut("gpu")
    team.turns("copied")
    team.settle()
    assert not team.copied()
    team.network.heal()
    team.until(team.copied, "the copy is whole again")
    team.network.send_signal("follower", signal.SIGTERM)
    team.until(lambda: team.network.codes()["follower"] == 0, "the follower ends")
    assert team.broken() == []


def test_what_is_under_way_while_the_network_is_slow_and_loses_packets_arrives_once_in_order(
    team: Team,
) -> None:
    lost = team.network.counted().get("lost", 0)
    team.network.everywhere(loss=0.2, delay_s=0.01, rate=200_000)
    for number in range(3):
        team.turns(f"lossy-{number}")
    team.until(lambda: team.network.counted()["lost"] > lost + 60, "packets are lost")
    team.network.heal()
    team.settle()
    assert team.broken() == []


def test_every_process_notices_a_server_that_is_gone_without_a_word_and_comes_back(team: Team) -> None:
    team.start("sender")
    team.await_said("sender", "ok")
    before = {name: team.log(name).count(sign) for name, sign in SIGNS.items()}
    team.network.cut("server")
    team.kill_server()
    team.turns("meanwhile")
    for name, sign in SIGNS.items():
        team.await_said(name, sign, before[name] + 1, within_s=2.5 * GONE_S)
    well = team.log("reader").count("ok")
    team.start_server()
    team.network.heal()
    team.await_said("reader", "ok", well + 1)
    team.settle()
    assert team.ledgered("meanwhile") == 16
    assert team.broken() == []


#: What each process says when it has noticed that the server is gone.
SIGNS = {
    "ship-1": "events stay in the spool",
    "ship-2": "events stay in the spool",
    **{f"sessions-{number}": "trying again" for number, _ in enumerate(WORKERS, 1)},
    "writer": "trying again",
    "standby": "trying again",
    "reader": "down after",
    "sender": "down after",
}


def test_nothing_is_left_of_machines_whose_holder_dies(team: Team, tmp_path: Path) -> None:
    before = set(Path("/sys/class/net").iterdir())
    network = Network(["a"])
    asleep = network.start("sleeper", "a", ["/bin/sleep", "1000"], {}, tmp_path / "log")
    network.kill()
    wait_until(lambda: not Path(f"/proc/{asleep}").exists(), "what ran there is dead")
    assert set(Path("/sys/class/net").iterdir()) == before
