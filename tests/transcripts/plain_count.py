"""What Codex's and Copilot's files hold, counted with nothing but the standard library."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

_CODE = re.compile(r"^(?:Exit code:|Process exited with code) (-?[0-9]+)$", re.MULTILINE)
#: A total after which nothing comes.
_NONE = {"input_tokens": 0, "cached_input_tokens": 0, "output_tokens": 0, "total_tokens": 0}


class Counted(NamedTuple):
    sessions: set[str]
    calls: Counter[str]
    errors: set[str]
    tokens: Counter[str]


def codex(files: list[Path]) -> Counted:
    """Count calls by their item's line, errors by what outputs and ends say, tokens by the last total before each reset."""
    found = Counted(set(), Counter(), set(), Counter())
    for path in files:
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        session = next(line["payload"]["id"] for line in lines if line["type"] == "session_meta")
        found.sessions.add(session)
        total: dict[str, int] = {}
        for line in [
            *lines,
            {"type": "", "payload": {"type": "token_count", "info": {"total_token_usage": _NONE}}},
        ]:
            item = line["payload"]
            kind = item.get("type", "")
            if line["type"] == "response_item" and kind.endswith("_call"):
                found.calls[session] += 1
            elif (
                line["type"] == "response_item" and kind.endswith("_output") and _failed(item.get("output"))
            ) or (kind.endswith("_end") and (item.get("exit_code") or item.get("success") is False)):
                found.errors.add(item["call_id"])
            elif kind == "token_count" and item["info"]:
                now = item["info"]["total_token_usage"]
                if total and now["total_tokens"] < total["total_tokens"]:
                    found.tokens["input"] += total["input_tokens"] - total["cached_input_tokens"]
                    found.tokens["cache_read"] += total["cached_input_tokens"]
                    found.tokens["output"] += total["output_tokens"]
                total = now
    return found


def _failed(output: Any) -> bool:
    if not isinstance(output, str):
        return False
    if output.startswith("{") and '"metadata"' in output:
        return bool(json.loads(output)["metadata"]["exit_code"] != 0)
    head = output.partition("\nOutput:")[0]
    return any(code != "0" for code in _CODE.findall(head[head.rfind("Chunk ID: ") + 1 :]))


def copilot(files: list[Path]) -> Counted:
    """Count each event once: a file may be an earlier state of another one."""
    found = Counted(set(), Counter(), set(), Counter())
    seen: set[str] = set()
    for path in files:
        session = ""
        for line in map(json.loads, path.read_text("utf-8").splitlines()):
            data = line["data"]
            session = data["sessionId"] if line["type"] == "session.start" else session
            found.sessions.add(session)
            if line["id"] in seen:
                continue
            seen.add(line["id"])
            if line["type"] == "tool.execution_start":
                found.calls[session] += 1
            elif line["type"] == "tool.execution_complete":
                said = str(data.get("result", {}).get("content", ""))[-60:]
                code = re.search(r"with exit code ([0-9]+)>$", said)
                if not data["success"] or (code and code[1] != "0"):
                    found.errors.add(data["toolCallId"])
            elif line["type"] == "assistant.message":
                found.tokens["output"] += data.get("outputTokens", 0)
            elif line["type"] == "session.shutdown":
                for metric in data["modelMetrics"].values():
                    found.tokens["input"] += metric["usage"]["inputTokens"]
    return found
