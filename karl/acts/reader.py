"""The reader of acts: feed it a turn's calls in order, and it says what each of them did.

Invariants:
- Pure, and never raises: inputs and outputs come from other programs and may be anything.
- What a call means may hang on earlier calls of the turn (a script that was written and is run later, the
  file that is open, the folder of the work), so one reader reads one turn, in order.
- What it remembers is bounded, whatever the turn does.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from karl.acts.aci import EDITORS, OPEN_FILE, WINDOWED, aci_block, opened, window_command, window_said
from karl.acts.checked import results_of
from karl.acts.faults import NEVER, Result
from karl.acts.folders import Folders
from karl.acts.outputs import command_of, edit_said, exit_said, output_text
from karl.acts.patches import patched
from karl.acts.paths import role
from karl.acts.plan import plan_of, script_plan
from karl.acts.steps import AS_CALL, IF_OK, Plan, Step, ended
from karl.acts.tools import tool_steps
from karl.schema.act import Act, Doing

#: Raised by one whenever the same call would give other acts.
READER = 1

#: Texts that the turn wrote, kept for when they are run: how many, and of which size.
_WRITTEN_MAX = 64
_BODY_MAX = 65_536
_EDITED_MAX = 256
#: Steps of such a text that are told.
_FOLLOWED_MAX = 32
#: What a program ends with whose reader, a `head`, has seen enough.
_PIPE_CLOSED = 141
_SCRIPTS = frozenset({"python", "sh", "js", "rb", "pl", "php"})


class Given(NamedTuple):
    """What is known of a call. `tool` is the canonical name, `original` the agent's own if another.

    `params` and `output` are as the agent's hook told them, of any shape; `output` may be cut.
    """

    tool: str
    params: object
    output: object = None
    success: bool | None = None
    exit_code: int | None = None
    cwd: str | None = None
    original: str | None = None
    #: It was allowed to run at all.
    ran: bool = True


class Reader:
    """Reads the calls of one turn; `cwd` is the folder that it began in, where known."""

    def __init__(self, cwd: str | None = None) -> None:
        self._folders = Folders(cwd)
        self._written: dict[str, str] = {}
        self._edited: dict[str, None] = {}
        self._stashed: list[str] = []
        self._diffs: dict[str, list[str]] = {}
        self._open: str | None = None

    def acts(self, call: Given) -> list[Act]:
        """Say what a call did, in the order of doing; empty when nothing is known of it."""
        command = command_of(call.tool, call.params) or window_command(
            call.original or call.tool, call.params
        )
        if command is None:
            steps = tool_steps(call.tool, call.original, call.params)
            return self._told(call, Plan(tuple(steps), is_shell=False)) if steps else []
        if step := aci_block(command):
            return self._told(call, Plan((step,), is_shell=False))
        if path := opened(command):
            step = Step("read", path, AS_CALL, program="open")
            return self._told(call, Plan((step,), is_shell=False))
        plan = plan_of(command)
        return self._told(call, plan) if plan.steps or plan.folders else []

    def _told(self, call: Given, plan: Plan) -> list[Act]:
        folders = self._folders
        folders.enter(call.cwd, _workdir(call.params))
        if not call.ran:
            return [self._refused(step) for step in plan.steps]
        folders.stay(plan.cwd)
        is_shell = plan.is_shell
        text = output_text(call.output)
        success = _success(call, text) if is_shell else call.success
        for folder in plan.folders:
            folders.went(folder)
        checks = [step for step in plan.steps if step.check] if is_shell else []
        results = results_of(plan, checks, text, self._shown(plan)) if checks else {}
        if "(Current directory: " in text or any(
            step.program in WINDOWED or step.path == OPEN_FILE for step in plan.steps
        ):
            success = self._of_window(plan, text, success)
        elif success is None and any(
            step.does == "edit" and (not is_shell or step.program in EDITORS) for step in plan.steps
        ):
            success = edit_said(text)
        if checks and success is False:
            return _settle([(step, self._acts_of(step, success, call, results)) for step in plan.steps])
        acts: list[Act] = []
        for step in plan.steps:
            acts.extend(self._acts_of(step, success, call, results))
        return acts

    def _refused(self, step: Step) -> Act:
        """Give what a call would have done that nobody let run."""
        path = self._open if step.path == OPEN_FILE else step.path and self._folders.resolve(step.path)
        if step.check:
            return self._check(step, path, None, NEVER)
        return self._act(step, path, ok=False)

    def _of_window(self, plan: Plan, text: str, success: bool | None) -> bool | None:
        """Read what SWE-agent's shell tells of itself; say how the call ended, where its text does."""
        self._folders.persists = True
        path, folder = window_said(text)
        if folder:
            self._folders.went(folder)
            self._folders.told_after(folder, moved=bool(plan.folders))
        if path and any(step.program in ("open", "goto", "create", "open_file") for step in plan.steps):
            self._open = self._folders.resolve(path)
        said = edit_said(text) if any(step.does == "edit" for step in plan.steps) else None
        return success if said is None else said

    def _shown(self, plan: Plan) -> str:
        """Give what a command prints itself, or shows of what the turn wrote."""
        if not self._written:
            return plan.said
        written = (
            self._written.get(self._folders.resolve(step.path))
            for step in plan.steps
            if step.path and step.does == "read"
        )
        return "\n".join([plan.said, *(text for text in written if text)])

    # --- one step ---

    def _acts_of(
        self, step: Step, success: bool | None, call: Given, results: dict[int, Result]
    ) -> list[Act]:
        ok = ended(step.end, success)
        path = step.path
        if path == OPEN_FILE:
            path = self._open
        elif path is not None:
            path = self._folders.resolve(path)
        if step.script is not None:
            followed = self._followed(step, path, ok, call)
            if followed is not None:
                return followed
        if step.check:
            return [self._check(step, path, ok, results.get(id(step)))]
        if step.does == "search" and ok is False and call.exit_code == 1:
            ok = None  # it found nothing, which is no fault
        if step.does in ("edit", "delete"):
            self._note_edit(step, path, ok)
        elif step.does == "read" and path and (step.program in ("open", "open_file", "create")):
            self._open = path
        return [self._act(step, path, ok)]

    def _act(self, step: Step, path: str | None, ok: bool | None) -> Act:
        kind = role(path, self._folders.root) if path else "source"
        return Act(step.does, path, ok, None, None, None, step.added, step.removed, step.program, kind)

    def _check(self, step: Step, path: str | None, ok: bool | None, found: Result | None) -> Act:
        passed = failed = None
        if found is not None:
            passed, failed = found.passed, found.failed
            if not found.ran:
                ok, passed, failed = None, 0, None
            elif ok is None or (ok and found.ok is False and found.failed and step.check == "test"):
                ok = found.ok  # a runner that swallows its failures says them nevertheless
        kind = role(path, self._folders.root) if path else "source"
        return Act("check", path, ok, step.check, passed, failed, program=step.program, role=kind)

    def _note_edit(self, step: Step, path: str | None, ok: bool | None) -> None:
        if path is None or ok is False:
            return
        if step.does == "delete":
            self._written.pop(path, None)
            return
        if step.program == "create":
            self._open = path
        if len(self._edited) < _EDITED_MAX:
            self._edited[path] = None
        body = step.body
        if body is not None and len(body) <= _BODY_MAX:
            before = self._written.pop(path, "") if step.appends else ""
            if path not in self._written and len(self._written) >= _WRITTEN_MAX:
                del self._written[next(iter(self._written))]
            self._written[path] = f"{before}\n{body}"[-_BODY_MAX:] if before else body
        elif step.program in ("git diff", "git format-patch"):
            self._diffs[path] = [each for each in self._edited if role(each, self._folders.root) != "scratch"]

    # --- what was written before ---

    def _followed(self, step: Step, path: str | None, ok: bool | None, call: Given) -> list[Act] | None:
        """Give the acts of a step that hangs on what the turn did before; null where it did nothing such."""
        script = step.script
        if script == "stash":
            root = self._folders.root
            self._stashed = [
                path
                for path in self._edited
                if not path.startswith(("/", "~")) or (root and path.startswith(f"{root}/"))
            ]
            return None
        if script == "unstash":
            return self._again(self._stashed, step, ok)
        if script == "copy":
            source = self._folders.resolve(step.args[0]) if step.args else ""
            if path and source in self._written:
                self._written[path] = self._written[source]
            return None
        if script == "patch":
            return self._patched(step, ok)
        body = self._written.get(path or "")
        if body is None:
            return None
        own = self._act(Step("run", step.path, step.end, program=step.program), path, ok)
        plan = script_plan(body, step.args, script or "")
        checks = [each for each in plan.steps if each.check]
        results = results_of(plan, checks, output_text(call.output), plan.said) if checks else {}
        inner: list[Act] = []
        for each in plan.steps[:_FOLLOWED_MAX]:
            if each.script in _SCRIPTS:
                each.script = None  # one script deep
            inner.extend(self._acts_of(each, ok, Given("", None), results))
        return [own, *inner]

    def _again(self, paths: list[str], step: Step, ok: bool | None) -> list[Act]:
        """Give edits that come back, each as an edit of its file."""
        if not paths:
            return [self._act(step, None, ok)]
        return [self._act(step, path, ok) for path in paths[:16]]

    def _patched(self, step: Step, ok: bool | None) -> list[Act]:
        source = self._folders.resolve(step.args[0]) if step.args else ""
        if (body := self._written.get(source)) is not None and (files := patched(body)):
            acts = []
            for each in files[:16]:
                path = self._folders.resolve(each.moved_to or each.path)
                does: Doing = "delete" if each.became == "deleted" else "edit"
                made = Step(
                    does, path, step.end, program=step.program, added=each.added, removed=each.removed
                )
                self._note_edit(made, path, ok)
                acts.append(self._act(made, path, ok))
            return acts
        return self._again(self._diffs.get(source, []), step, ok)


def _success(call: Given, text: str) -> bool | None:
    """Say how a shell's call ended: by its exit code, by what its hook said, by what its output tells."""
    if call.exit_code == _PIPE_CLOSED:
        return None
    if call.exit_code is not None:
        return call.exit_code == 0
    if call.success is not None:
        return call.success
    code = exit_said(text)
    return None if code is None else code == 0


def _workdir(params: object) -> str | None:
    """Give the folder that a call names for itself."""
    if not isinstance(params, dict):
        return None
    for key in ("workdir", "cwd", "working_directory", "workingDirectory", "directory"):
        found = params.get(key)
        if isinstance(found, str) and found:
            return found
    return None


def _settle(told: list[tuple[Step, list[Act]]]) -> list[Act]:
    """Give the acts of a call that did not go well, with what its checks say of the rest of their chain.

    In `a && check && b`, a check that ran says that `a` went well, and one that failed that `b` never was.
    """
    chain = [place for place, (step, _) in enumerate(told) if step.end == IF_OK]
    ran = [place for place in chain if told[place][0].check and told[place][1][-1].ok is not None]
    if ran:
        failed = next((place for place in ran if told[place][1][-1].ok is False), None)
        for place in chain:
            if place in ran:
                continue
            ok = True if place < ran[-1] else False if failed is not None else None
            if ok is not None:
                told[place] = (told[place][0], [_ended(act, ok=ok) for act in told[place][1]])
    return [act for _, acts in told for act in acts]


def _ended(act: Act, *, ok: bool) -> Act:
    return msgspec.structs.replace(act, ok=ok) if act.ok is None else act


__all__ = ["Given", "Reader"]
