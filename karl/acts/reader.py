"""The reader of acts: feed it a turn's calls in order, and it says what each of them did.

Invariants:
- Pure, and never raises: inputs and outputs come from other programs and may be anything.
- What a call means may hang on earlier calls of the turn (a script that was written and is run later, the
  file that is open, the folder of the work), so one reader reads one turn, in order.
- What it remembers is bounded, whatever the turn does.
"""

from __future__ import annotations

import msgspec

from karl.acts.aci import (
    OPEN_FILE,
    OPENING,
    not_opened,
    shown_as,
    window_command,
    window_said,
)
from karl.acts.checked import Beside, results_of
from karl.acts.comments import only_comments
from karl.acts.ends import is_as_it_was, never_ran, says_faults, search_end, settle, shell_end, was_missing
from karl.acts.faults import NEVER, Result
from karl.acts.folders import Folders
from karl.acts.kept import Kept, is_data
from karl.acts.looked import NAMES_ONLY, Looked, look_over, looked_at
from karl.acts.outputs import command_of, edit_said, output_text, said_error, workdir_of
from karl.acts.patches import patched
from karl.acts.paths import role
from karl.acts.plan import script_plan
from karl.acts.started import Started
from karl.acts.steps import Plan, Step, ended
from karl.acts.tools import KNOWN, tool_steps
from karl.acts.unchanged import same
from karl.schema.act import Act, Doing, Role

#: Raised by one whenever the same call would give other acts.
READER = 1

#: Steps of such a text that are told.
_FOLLOWED_MAX = 32
#: Editors of files that must be there.
_IN_PLACE = frozenset({"sed", "gsed", "perl"})
_SCRIPTS = frozenset({"python", "sh", "js", "rb", "pl", "php"})


class Given(msgspec.Struct, frozen=True, gc=False):
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
        self._kept = Kept()
        self._open: str | None = None
        self._started = Started()

    def acts(self, call: Given) -> list[Act]:
        """Say what a call did, in the order of doing; empty when nothing is known of it."""
        is_known = call.original is None and call.tool in KNOWN
        command = None if is_known else _command_of(call)
        if command is None:
            if ended := self._started.ended(call.params, call.output):
                return self._checks(call, *ended)
            steps = tool_steps(call.tool, call.original, call.params)
            if is_known:
                return self._of_tool(call, steps) if steps else []
            return self._told(call, look_over(Plan(tuple(steps), is_shell=False))) if steps else []
        looked = looked_at(command)
        return self._told(call, looked) if looked.plan.steps or looked.plan.folders else []

    def _of_tool(self, call: Given, steps: list[Step]) -> list[Act]:
        """Give the acts of a tool that has no window: what its output says of one is a file's."""
        self._folders.enter(call.cwd, workdir_of(call.params))
        if not call.ran:
            return [self._refused(step) for step in steps]
        self._folders.stay("")
        success, does = call.success, steps[0].does
        if success is None and (does == "edit" or len(steps) > 1):
            success = edit_said(output_text(call.output))
        acts: list[Act] = []
        for step in steps:
            acts += self._acts_of(step, success, call, {})
        if does == "search" and call.tool not in NAMES_ONLY:
            self._kept.found(self._folders.here, call.output, output_text(call.output))
        return acts

    def _told(self, call: Given, looked: Looked) -> list[Act]:
        plan, checks, edits, is_windowed, shows = looked
        folders = self._folders
        folders.enter(call.cwd, workdir_of(call.params))
        is_shell = plan.is_shell
        text = output_text(call.output)
        if not call.ran or (is_shell and call.success is not True and never_ran(text)):
            return [self._refused(step) for step in plan.steps]
        folders.stay(plan.cwd)
        success = shell_end(call.exit_code, call.success, text, plan) if is_shell else call.success
        started = is_shell and self._started.is_told(plan, call.output, text)
        if started:
            success = None  # of the start only, whatever code the call has
        for folder in plan.folders:
            folders.went(folder)
        results = self._results(plan, checks, call.output, text) if checks and not started else {}
        is_shown = text.startswith("[File: ")
        if is_windowed or is_shown or "(Current directory: " in text:
            plan, success = self._of_window(plan, text, success)
        elif success is None and edits:
            success = edit_said(text)
        if checks and success is False:
            return settle([(step, self._acts_of(step, success, call, results)) for step in plan.steps])
        acts: list[Act] = []
        for step in plan.steps:
            acts += self._acts_of(step, success, call, results)
        if shows:
            self._kept.found(folders.here, call.output, text)
        if is_shown and not is_windowed and self._open:
            acts.append(self._act(Step("read", self._open, program="open"), self._open, None))
        return acts

    def _checks(self, call: Given, plan: Plan, code: int) -> list[Act]:
        """Give the checks of a command that an earlier call started, and that has ended."""
        call = msgspec.structs.replace(call, success=None, exit_code=code)
        acts = self._told(call, look_over(plan))
        return [act for act in acts if act.does == "check"]

    def _refused(self, step: Step) -> Act:
        """Give what a call would have done that nobody let run."""
        path = self._open if step.path == OPEN_FILE else step.path and self._folders.resolve(step.path)
        if step.check:
            return self._check(step, path, None, NEVER)
        return self._act(step, path, ok=False)

    def _of_window(self, plan: Plan, text: str, success: bool | None) -> tuple[Plan, bool | None]:
        """Read what SWE-agent's shell tells of itself; say what the call did then, and how it ended."""
        self._folders.persists = True
        path, folder = window_said(text)
        if folder:
            self._folders.went(folder)
            self._folders.told_after(folder, moved=bool(plan.folders))
        if path:
            self._open = self._folders.resolve(path)
            shown = tuple(shown_as(step, text) for step in plan.steps)
            plan = msgspec.structs.replace(plan, steps=shown)
        elif plan.steps and all(step.program in OPENING for step in plan.steps) and not_opened(text):
            return plan, False
        said = edit_said(text) if any(step.does == "edit" for step in plan.steps) else None
        return plan, success if said is None else said

    def _results(self, plan: Plan, checks: list[Step], output: object, text: str) -> dict[int, Result]:
        written = self._kept.written.values()
        return results_of(plan, checks, text, Beside(self._shown(plan), written, output is not None))

    def _shown(self, plan: Plan) -> str:
        """Give what a command prints itself, or shows of what the turn wrote."""
        written = self._kept.written
        if not written:
            return plan.said
        shown = (
            written.get(self._folders.resolve(step.path))
            for step in plan.steps
            if step.path and step.does == "read"
        )
        return "\n".join([plan.said, *(text for text in shown if text)])

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
        if step.does == "search":
            ok = search_end(step, call.exit_code, call.output, ok)
        if step.does == "edit" or step.muted:
            instead = self._without_effect(step, path, ok, call)
            if instead is not None:
                return instead
        if step.does in ("edit", "delete"):
            return self._changed(step, path, ok)
        return [self._act(self._noted(step, path, ok), path, ok)]

    def _noted(self, step: Step, path: str | None, ok: bool | None) -> Step:
        """Note what later calls hang on; give the step as it is seen then."""
        if step.does == "vcs":
            return self._kept.versioned(step)
        if step.does == "read" and path and ok is not False and step.program in OPENING:
            self._open = path
        return step

    def _without_effect(self, step: Step, path: str | None, ok: bool | None, call: Given) -> list[Act] | None:
        """Give what is told in the place of a read that shows nothing, or of an edit that leaves nothing."""
        if step.does == "read" and step.muted:
            return []
        if step.does != "edit" or path is None or ok is False:
            return None
        if ok is None and step.program in _IN_PLACE and was_missing(step, call.output):
            return [self._act(step, path, ok=False)]
        if step.program == "ln":
            self._kept.changed(path, step, self._folders.root)
            return []
        if (step.old is not None and same(step.old, step.new or "")) or is_as_it_was(step, call.output):
            return []
        if self._kept.taken.edited(path, step.old, step.new):
            return [self._act(Step("revert", path, program=step.program), path, ok)]
        return None

    def _act(self, step: Step, path: str | None, ok: bool | None) -> Act:
        kind = role(path, self._folders.root) if path else "source"
        if step.old is not None and path and kind != "scratch":
            kind = "docs" if only_comments(path, step.old, step.new or "") else kind
        return Act(step.does, path, ok, None, None, None, step.added, step.removed, step.program, kind)

    def _check(self, step: Step, path: str | None, ok: bool | None, found: Result | None) -> Act:
        if (step.program or "").partition(" ")[0] in self._kept.made:
            return self._act(Step("run", program=step.program), None, ok)
        passed = failed = None
        if found is not None:
            passed, failed = found.passed, found.failed
            if not found.ran:
                ok, passed, failed = None, 0, None
            elif ok is None or (ok and found.ok is False and says_faults(step, found)):
                ok = found.ok  # a runner that swallows its failures says them nevertheless
        kind = role(path, self._folders.root) if path else "source"
        if step.check == "build" and path and self._is_own(path, kind):
            return Act("run", path, ok, program=step.program, role=kind)
        return Act("check", path, ok, step.check, passed, failed, program=step.program, role=kind)

    def _is_own(self, path: str, kind: Role) -> bool:
        """Say whether a file or folder is the agent's own, and nothing of the work."""
        return kind == "scratch" or role(f"{path}/_", self._folders.root) == "scratch"

    def _changed(self, step: Step, path: str | None, ok: bool | None) -> list[Act]:
        """Give a change; before it the look, where a search showed the file: many look at nothing else."""
        shown = path is not None and step.does == "edit" and self._kept.shown(path)
        self._note_edit(step, path, ok)
        look = [self._act(Step("search", path, program="grep"), path, None)] if shown else []
        return [*look, self._act(step, path, ok)]

    def _note_edit(self, step: Step, path: str | None, ok: bool | None) -> None:
        if path is None or ok is False:
            return
        if step.does == "delete":
            self._kept.deleted(path)
            return
        if step.program == "create":
            self._open = path
        self._kept.changed(path, step, self._folders.root)

    # --- what was written before ---

    def _followed(self, step: Step, path: str | None, ok: bool | None, call: Given) -> list[Act] | None:
        """Give the acts of a step that hangs on what the turn did before; null where it did nothing such."""
        script = step.script
        if script == "stash":
            self._kept.stash(self._folders.root)
            return None
        if script == "unstash":
            return self._again(self._kept.stashed, step, ok)
        if script == "copy":
            return self._copied(step, path, ok)
        if script == "patch":
            return self._patched(step, ok)
        body = self._kept.written.get(path or "")
        if body is None:
            return None
        own = self._act(Step("run", step.path, step.end, program=step.program), path, ok)
        plan = script_plan(body, step.args, script or "")
        checks = [each for each in plan.steps if each.check]
        results = results_of(plan, checks, output_text(call.output), Beside(plan.said)) if checks else {}
        seen = {each.path for each in plan.steps if each.does == "read"}
        complains = ok is not False and said_error(output_text(call.output), body)
        inner: list[Act] = []
        for each in plan.steps[:_FOLLOWED_MAX]:
            if each.script in _SCRIPTS:
                each.script = None  # one script deep
            is_edit = each.does == "edit"
            made = self._acts_of(each, False if is_edit and complains else ok, Given("", None), results)
            if is_edit and own.role == "scratch" and each.path not in seen and is_data(each.path):
                made = [msgspec.structs.replace(act, role="scratch") for act in made]
            inner.extend(made)
        return [own, *inner]

    def _copied(self, step: Step, path: str | None, ok: bool | None) -> list[Act] | None:
        source = self._folders.resolve(step.args[0]) if step.args else ""
        if not path or not source or ok is False:
            return None
        back = self._kept.copied(source, path)
        self._note_edit(step, path, ok)
        return [self._act(Step("revert", path, program=step.program), path, ok)] if back else None

    def _again(self, paths: list[str], step: Step, ok: bool | None) -> list[Act]:
        """Give edits that come back, each as an edit of its file."""
        if not paths:
            return [self._act(step, None, ok)]
        return [self._act(step, path, ok) for path in paths[:16]]

    def _patched(self, step: Step, ok: bool | None) -> list[Act]:
        source = self._folders.resolve(step.args[0]) if step.args else ""
        if (body := self._kept.written.get(source)) is not None and (files := patched(body)):
            acts = []
            for each in files[:16]:
                path = self._folders.resolve(each.moved_to or each.path)
                does: Doing = "delete" if each.became == "deleted" else "edit"
                made = Step(does, path, step.end, program=step.program)
                made.added, made.removed, made.old, made.new = each.added, each.removed, each.old, each.new
                self._note_edit(made, path, ok)
                acts.append(self._act(made, path, ok))
            return acts
        return self._again(self._kept.diffs.get(source, []), step, ok)


def _command_of(call: Given) -> str | None:
    """Give the command that a call ran, as one of a shell; null where it ran none."""
    command = command_of(call.tool, call.params) or window_command(call.original or call.tool, call.params)
    if command is not None and call.original == "PowerShell":
        return command.replace("\\", "/")  # no sign of its own there, but what parts folders
    return command


__all__ = ["Given", "Reader"]
