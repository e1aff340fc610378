"""Every command, once: its name, the group it is listed under, whether it changes anything, where it is.

Help, completion and docs/commands.md are made from this table; a module is imported only when one of
its commands runs, so `karl --help` stays cheap.
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One command. `name` has a space where the command is part of a group (`hooks install`)."""

    name: str
    group: str
    reads: bool
    where: str
    help: str


#: The groups in the order in which help lists them, with a heading each.
GROUPS = {
    "start": "Start here",
    "capture": "Capture",
    "look": "Look",
    "reward": "Reward",
    "routing": "Routing",
    "export": "Export",
    "ledger": "Ledger",
    "jobs": "Jobs",
    "line": "The line's processes",
    "settings": "Settings",
}

COMMANDS = (
    Row("demo", "start", False, "karl.cli.start:demo", "Run a scripted agent through the whole line."),
    Row("up", "start", False, "karl.cli.start:up", "Run the whole line on this machine."),
    Row("hooks install", "capture", False, "karl.cli.hooks:install", "Record an agent: add KARL's hook to its settings."),
    Row("hooks uninstall", "capture", False, "karl.cli.hooks:uninstall", "Take KARL's hook out again."),
    Row("hooks status", "capture", True, "karl.cli.hooks:status", "Say where the hook is installed and whether it works."),
    Row("enable", "capture", False, "karl.cli.hooks:enable", "Record again after `karl disable`."),
    Row("disable", "capture", False, "karl.cli.hooks:disable", "Stop recording on this machine; settings stay as they are."),
    Row("import claude", "capture", False, "karl.cli.imports:claude", "Read Claude Code's transcripts."),
    Row("import codex", "capture", False, "karl.cli.imports:codex", "Read Codex's session files."),
    Row("import copilot", "capture", False, "karl.cli.imports:copilot", "Read Copilot CLI's session files."),
    Row("import atif", "capture", False, "karl.cli.imports:atif", "Read trajectories in ATIF."),
    Row("import gateway", "capture", False, "karl.cli.capture:import_gateway", "Read a gateway's event files, once or as they grow."),
    Row("import hooks", "capture", False, "karl.cli.capture:import_hooks", "Read files of raw hook payloads."),
    Row("ship", "line", False, "karl.cli.line:ship", "Send this machine's events to the stream."),
    Row("worker sessions", "line", False, "karl.cli.line:sessions", "Build sessions from events, score them, hand them on."),
    Row("worker ledger", "line", False, "karl.cli.line:ledger", "Write the ledger; a second one stands by."),
    Row("worker views", "line", False, "karl.cli.line:views", "Keep the views up to date with the ledger."),
    Row("worker jobs", "line", False, "karl.cli.line:jobs", "Work on the jobs of one queue."),
    Row("worker follow", "line", False, "karl.cli.replica:follow", "Keep a copy of the ledger of another machine."),
    Row("status", "look", True, "karl.cli.look:status", "Show what the line holds and whether it moves."),
    Row("doctor", "look", False, "karl.cli.doctor:doctor", "Look at every link of the line, and send an event through."),
    Row("sessions", "look", True, "karl.cli.look:sessions", "List sessions, newest first."),
    Row("show", "look", True, "karl.cli.look:show", "Show one session or trajectory: turns, calls, signals."),
    Row("explain", "look", True, "karl.cli.explain:explain", "Explain a score: signals, components, the calls behind them."),
    Row("replay", "look", True, "karl.cli.replay:replay", "Step through a trajectory, in the terminal or as a page."),
    Row("tail", "look", True, "karl.cli.tail:tail", "Show the last records of the ledger; -f goes on."),
    Row("dead-letters list", "look", True, "karl.cli.dead_letters:list_", "List what could not be understood, with the reason."),
    Row("dead-letters show", "look", True, "karl.cli.dead_letters:show", "Show one dead letter whole."),
    Row("dead-letters replay", "look", False, "karl.cli.dead_letters:replay", "Send dead letters on their way again."),
    Row("dead-letters drop", "look", False, "karl.cli.dead_letters:drop", "Delete dead letters for good."),
    Row("report", "reward", True, "karl.cli.figures_report:report", "Show all figures on one page."),
    Row("trend", "reward", True, "karl.cli.figures:trend", "Show how rewards went day by day, and whether they rise or fall."),
    Row("quality", "reward", True, "karl.cli.figures:quality", "Grade turns against their own agent's."),
    Row("health", "reward", True, "karl.cli.figures:health", "Show how agents do, and each with each skill, and where it goes."),
    Row("difficulty", "reward", True, "karl.cli.figures:difficulty", "Show which tasks are hard for an agent."),
    Row("diversity", "reward", True, "karl.cli.figures_read:diversity", "Show how varied the work of agents is."),
    Row("fingerprint", "reward", True, "karl.cli.figures_read:fingerprint", "Show how agents work, and whether they work as before."),
    Row("health-digest", "reward", True, "karl.cli.figures_report:health_digest", "Say how agents did lately, and what got worse."),
    Row("log-trend", "reward", True, "karl.cli.figures:log_trend", "Show today's figures; nothing has to be logged."),
    Row("annotate", "reward", False, "karl.cli.annotate:annotate", "Say how a turn went, as a record that refers to it."),
    Row("outcomes scan", "reward", False, "karl.cli.outcomes:scan", "Find in a git repository what became of turns."),
    Row("outcomes list", "reward", True, "karl.cli.outcomes:list_", "List what is known of how turns went, and who said so."),
    Row("reward-calibration", "reward", True, "karl.cli.figures:reward_calibration", "Show whether rewards can be read as chances."),
    Row("reward evaluate", "reward", True, "karl.cli.reward:evaluate", "Hold the reward against runs whose outcome is known."),
    Row("reward calibrate", "reward", False, "karl.cli.reward_learning:calibrate", "Learn from known outcomes what a score means."),
    Row("reward ablate", "reward", True, "karl.cli.reward_learning:ablate", "Leave each signal out, and see what becomes of the ranking."),
    Row("routing evaluate", "routing", True, "karl.cli.routing:evaluate", "Hold routing against prompts that somebody labelled."),
    Row("export", "export", False, "karl.cli.export:export", "Write trajectories for trainers and other tools."),
    Row("verify", "ledger", True, "karl.cli.ledger:verify", "Check every byte of the ledger; say what, where and how much."),
    Row("rebuild", "ledger", False, "karl.cli.ledger:rebuild", "Make the views anew from the ledger."),
    Row("backfill", "ledger", False, "karl.cli.backfill:backfill", "Score anew what is in the ledger, as new records."),
    Row("erase", "ledger", False, "karl.cli.erase:erase", "Make content of sessions, or of a time, unrecoverable."),
    Row("archive", "ledger", False, "karl.cli.retention:archive", "Compress what of the ledger is old; it reads as before."),
    Row("integrity", "ledger", True, "karl.cli.retention:integrity", "Look whether what the trajectories say makes sense."),
    Row("dedup", "ledger", False, "karl.cli.retention:dedup", "Find trajectories that are there more than once."),
    Row("normalize", "ledger", True, "karl.cli.ledger:normalize", "Read records of older forms as schema v2."),
    Row("replica status", "ledger", True, "karl.cli.replica:status", "Show how far a copy of the ledger is, and who follows."),
    Row("replica promote", "ledger", False, "karl.cli.replica:promote", "Make a copy the ledger, when its source is lost."),
    Row("jobs list", "jobs", True, "karl.cli.jobs:list_", "List the queues, and the jobs that run, wait or have failed."),
    Row("jobs show", "jobs", True, "karl.cli.jobs:show", "Show one job whole: how far it is, what it gave, why it failed."),
    Row("jobs run", "jobs", False, "karl.cli.jobs:run", "Put a job into its queue, and wait for it."),
    Row("jobs retry", "jobs", False, "karl.cli.jobs:retry", "Put a job that failed into its queue again."),
    Row("jobs cancel", "jobs", False, "karl.cli.jobs:cancel", "Take a job out of its queue, or have it ended."),
    Row("config", "settings", True, "karl.cli.settings:config", "List every setting with its value and meaning."),
    Row("help", "settings", True, "karl.cli.settings:help_", "List all commands in groups."),
)  # fmt: skip
