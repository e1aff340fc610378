"""What the demo's agent does: four sessions on the scratch repository, each for something that goes wrong.

1. unfinished   starts to work and is never heard of again: silence closes its turn
2. corrected    a failing test, a fix, a secret in a tool's output; then "No, I meant ..." and a second fix
3. delegated    subagents search, one while the agent edits, then two at once
4. interrupted  the user cuts a call off and asks something else; a command fails with exit code 2
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from karl.demo.agent import Actor, Errand, ScriptedAgent
from karl.demo.hooks import Hooks
from karl.demo.progress import Progress
from karl.demo.scratch import EXACT, FIRST, LOOSE, MEANT, WRONG, python, test_command
from karl.demo.tools import ToolFailed

#: The prompt that says the turn before it was not what was wanted.
CORRECTION = "No, I meant that the discount comes off before the tax is added."


@dataclass(frozen=True, slots=True)
class Sessions:
    """The ids of the four sessions."""

    unfinished: str
    corrected: str
    delegated: str
    interrupted: str


def tell(hooks: Hooks, workdir: Path, sessions: Sessions, progress: Progress) -> None:
    """Play the whole story. Raises ToolFailed when a tool does not do what the script counts on."""

    def agent(session: str) -> ScriptedAgent:
        return ScriptedAgent(hooks, workdir, session, on_step=progress.now)

    # First, because its silence has to last: the others work meanwhile.
    progress.chapter("a session that breaks off in the middle of a turn")
    _unfinished(agent(sessions.unfinished))
    progress.chapter("a failing test, a fix, and a user who had meant something else")
    _corrected(agent(sessions.corrected))
    progress.chapter("subagents that search while the agent edits")
    _delegated(agent(sessions.delegated))
    progress.chapter("a call that is cut off, and a command that fails")
    _interrupted(agent(sessions.interrupted))


def _unfinished(agent: ScriptedAgent) -> None:
    agent.start()
    agent.prompt("Write down what this shop does.")
    path = str(agent.workdir / "orders.py")
    agent.main.call("Read", file_path=path)
    agent.main.call("Write", file_path=str(agent.workdir / "notes.txt"), content="orders.py: bills\n")


def _corrected(agent: ScriptedAgent) -> None:
    main, prices, test = agent.main, str(agent.workdir / "prices.py"), str(agent.workdir / "test_prices.py")
    agent.start()
    agent.prompt("Orders with a discount cost more than without. Find out why and fix it.")
    main.call("Read", file_path=prices)
    _must_fail(main, test_command())
    main.call("Bash", command="tail -n 20 shop.log", description="Look at the log")
    main.call("Edit", file_path=prices, old_string=WRONG, new_string=FIRST)
    main.call("Bash", command=test_command(), description="Run the tests")
    agent.stop("The discount was added instead of taken off. The test passes now.")
    agent.prompt(CORRECTION)
    main.call("Read", file_path=test)
    main.call("Edit", file_path=test, old_string=LOOSE, new_string=EXACT)
    _must_fail(main, test_command())
    main.call("Edit", file_path=prices, old_string=FIRST, new_string=MEANT)
    main.call("Bash", command=test_command(), description="Run the tests")
    agent.stop("The discount comes off first, then the tax is added: 100 less 10 is 108 with tax.")
    agent.end()


def _delegated(agent: ScriptedAgent) -> None:
    main, prices, orders = agent.main, str(agent.workdir / "prices.py"), str(agent.workdir / "orders.py")
    agent.start()
    agent.prompt("Give the functions of the shop type hints.")
    searching = main.launch(Errand("List the functions", "List all functions of the shop.", _list_functions))
    main.call("Read", file_path=prices)
    main.call(
        "Edit",
        file_path=prices,
        old_string="def total(prices, discount=0):",
        new_string="def total(prices: list[float], discount: float = 0) -> float:",
    )
    searching.result()
    main.delegate(
        Errand("Find the callers", "Who calls total, and with what?", _find_callers),
        Errand("Find the tax", "Who reads the tax rate?", _find_tax),
    )
    main.call("Read", file_path=orders)
    main.call(
        "Edit", file_path=orders, old_string="def bill(order):", new_string="def bill(order: dict) -> str:"
    )
    main.call("Bash", command=test_command(), description="Run the tests")
    agent.stop("total and bill have type hints now; the tests pass.")
    agent.end()


def _list_functions(child: Actor) -> str:
    found = child.call("Grep", pattern=r"^def ", output_mode="content")
    child.call("Read", file_path=str(child.workdir / "report.py"))
    return f"There are {found['numLines']} functions."


def _find_callers(child: Actor) -> str:
    found = child.call("Grep", pattern=r"prices\.total\(", output_mode="content")
    child.call("Read", file_path=str(child.workdir / "orders.py"))
    return f"{found['numLines']} lines call total."


def _find_tax(child: Actor) -> str:
    found = child.call("Grep", pattern=r"\bTAX\b")
    return f"The tax rate is read in {', '.join(found['filenames'])}."


def _interrupted(agent: ScriptedAgent) -> None:
    main = agent.main
    agent.start()
    agent.prompt("How long does a bill of a million orders take?")
    main.call("Read", file_path=str(agent.workdir / "orders.py"))
    # The user presses Esc: the agent's hooks hear nothing more of this call, nor of this turn.
    main.announce("Bash", command=f"{python()} -c 'import time; time.sleep(600)'", description="Measure")
    agent.prompt("Leave the measurement. Which module reads the archive of old orders?")
    _must_fail(main, "grep -n archive archive.py", "Exit code 2")
    main.call("Grep", pattern="archive")
    agent.stop("None does: there is no archive in this shop.")
    agent.end()


def _must_fail(main: Actor, command: str, how: str = "Exit code") -> None:
    """Run a command that has to fail. Raises ToolFailed when it does not, or not so."""
    try:
        main.call("Bash", command=command)
    except ToolFailed as failure:
        if str(failure).startswith(how):
            return
        raise
    raise ToolFailed(f"`{command}` was expected to fail, and did not")
