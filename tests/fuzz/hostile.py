"""The inputs that have broken such systems, each by its name."""

from __future__ import annotations

import json

MIB = 1 << 20


def payload(**fields: object) -> bytes:
    """A hook's payload; a field may be given as bytes, which then stand in it as they are."""
    known = {"session_id": "s-1", "hook_event_name": "PostToolUse", "tool_name": "Bash", **fields}
    parts = (
        json.dumps(name).encode() + b":" + (value if isinstance(value, bytes) else json.dumps(value).encode())
        for name, value in known.items()
    )
    return b"{" + b",".join(parts) + b"}"


def deep(levels: int, opens: bytes = b'{"a":', closes: bytes = b"}") -> bytes:
    return opens * levels + b"1" + closes * levels


#: Prompts that would do harm if anybody ran, expanded or printed them.
PROMPTS = (
    "-rf", "--help", "$(touch PWNED)", "`touch PWNED`", "; touch PWNED;", "| touch PWNED", "&& touch PWNED", "\n touch PWNED\n", "%s%n%d",
    "' OR 1=1 --", "'); drop table trajectories; --", "{{ 7*7 }}", "${jndi:ldap://x}", "\x1b[2J\x1b]0;owned\x07", "\u202eright", "<script>owned()</script>",
    "*", "?[a-z]", "~/x", "../../../../etc/passwd", "NUL", "\x00",
)  # fmt: skip

#: Session ids that would be something else in a path, a key, a shell or a pattern.
SESSIONS = (
    "../../x", "/etc/passwd", "..", ".", "karl:{0}:events", "karl:{0}:lease", "{1}", "}:events{", "s-1:seen", "*", "?", "[a-z]*", "$(id)", "-rf", "a b",
    "%2e%2e%2f", "con", "s-1.json", "s-1/../s-2", "\\..\\x", "é" * 100, "💥", "S-1", "s-1 ", "x" * 256, "\ufeff", "\u202e", "\ufffd",
)  # fmt: skip

#: Session ids that no event can have.
NO_SESSIONS = ("", "a b\n", "\x00", "a\x00b", "\x1b[2J", "\x7f", "\x85", "\u2028", "x" * 257)

#: Payloads, each with what is the matter with it.
PAYLOADS: dict[str, bytes] = {
    "ten thousand levels of objects": payload(a=deep(10_000)),
    "ten thousand levels of arrays": payload(a=deep(10_000, b"[", b"]")),
    "nine hundred levels": payload(a=deep(900)),
    "brackets that never close": payload() + b"[" * 100_000,
    "1e400": payload(a=b"1e400"),
    "a number of 5000 digits": payload(a=b"9" * 5000),
    "a fraction of 5000 digits": payload(a=b"0." + b"9" * 5000),
    "an exponent of 5000 digits": payload(a=b"1e" + b"9" * 5000),
    "a number beyond 64 bits": payload(a=b"18446744073709551616", duration_ms=b"-9" + b"0" * 30),
    "a time beyond all calendars": payload(timestamp=b"1" + b"0" * 300),
    "a lone surrogate": payload(prompt=b'"\\ud800"'),
    "two surrogates in the wrong order": payload(prompt=b'"\\udc00\\ud800"'),
    "an encoded surrogate": payload(prompt=b'"\xed\xa0\x80"'),
    "a surrogate in a name": payload() [:-1] + b',"\\ud800":1}',
    "a surrogate in the session": payload(session_id=b'"s\\ud800"'),
    "NUL in a text": payload(prompt=b'"a\\u0000b"'),
    "NUL bytes": b"\0" * 1000,
    "a NUL byte in a text": payload(prompt=b'"a\0b"'),
    "NaN": payload(a=b"NaN"),
    "Infinity": payload(a=b"-Infinity", duration_ms=b"Infinity"),
    "names that stand there twice": payload() [:-1] + b',"session_id":"s-2","hook_event_name":"Stop"}',
    "two objects": payload() + payload(),
    "a byte order mark": b"\xef\xbb\xbf" + payload(),
    "UTF-16": json.dumps({"session_id": "s", "hook_event_name": "Stop"}).encode("utf-16"),
    "no UTF-8": payload(prompt=b'"\xff\xfe"'),
    "control characters": payload(prompt="".join(map(chr, range(32))) + "\x7f\x9b\u202e"),
    "a kind with a line end": payload(hook_event_name="Stop\nStop"),
    "a kind of a megabyte": payload(hook_event_name="x" * MIB),
    "an event's envelope": b'{"id":"ev0","kind":"Stop","session":"s-1","payload":{}}',
    "ids that are forged": payload(id="ev0", event_id="ev0", source="transcript", node="another", redactions={}, hook_event_name="Stop"),
    "fields of every wrong type": payload(prompt=[1], tool_name={}, tool_input="x", tool_use_id=5, cwd=[], agent_id={}, timestamp=[], usage=3),
    "an array": b"[" + payload() + b"]",
    "a text": b'"x"',
    "nothing": b"",
    "blanks": b" \n\t" * 100,
    "half an object": payload()[:-20],
    "a session that is no text": payload(session_id=b"5"),
    "a session that is an object": payload(session_id=b'{"a":1}'),
    "random bytes": bytes((7 * number * number + 13) % 256 for number in range(5000)),
}  # fmt: skip
