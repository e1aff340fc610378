"""A short text sent to a webhook: Discord's form, Slack's, or plain JSON.

Invariants:
- Where it goes is the setting's to say alone: no redirect is followed, no proxy of the environment is asked.
- The address holds a secret: no error names more of it than the host.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx

from karl.errors import KarlError, SettingsError

Form = Literal["discord", "slack", "json"]

#: Tries, seconds before the second (the next wait is twice as long), and seconds for an answer.
TRIES, WAIT_S, TIMEOUT_S = 3, 1.0, 10.0
#: Characters that Discord takes in a message, and that Slack should be given.
_TEXT_MAX: dict[Form, int] = {"discord": 2000, "slack": 4000}
#: The longest that a server may ask us to wait.
_AFTER_MAX_S = 30.0
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


def form_of(url: str) -> Form:
    """Say which form an address takes, by its host."""
    host = (urlsplit(url).hostname or "").lower()
    if host in {"discord.com", "discordapp.com"} or host.endswith((".discord.com", ".discordapp.com")):
        return "discord"
    return "slack" if host == "hooks.slack.com" else "json"


def body_of(form: Form, text: str, data: Any) -> dict[str, Any]:
    """Give what is sent: the text in a form's own way; in plain JSON the data beside it."""
    if form == "discord":
        return {"content": _cut(text, form), "allowed_mentions": {"parse": []}}
    if form == "slack":
        for sign, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            text = text.replace(sign, name)
        return {"text": _cut(text, form)}
    return {"text": text, "digest": data}


def check(url: str) -> str:
    """Give the host of an address. Raises SettingsError for what is none."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    if not host or parts.scheme not in {"http", "https"}:
        raise SettingsError("KARL_WEBHOOK_URL is no URL of http or https")
    return host


def post(url: str, body: dict[str, Any], wait: Callable[[float], object]) -> int:
    """Send it; gives the status. Raises KarlError when it was not taken, SettingsError for a bad address."""
    host = check(url)
    why = ""
    with httpx.Client(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False) as client:
        for attempt in range(TRIES):
            after = WAIT_S * 2**attempt
            try:
                answer = client.post(url, json=body)
            except httpx.InvalidURL:
                raise SettingsError("KARL_WEBHOOK_URL is no URL of http or https") from None
            except httpx.HTTPError as error:
                why = type(error).__name__
            else:
                if answer.is_success:
                    return answer.status_code
                why = f"status {answer.status_code}"
                if answer.status_code not in _AGAIN:
                    break  # asked again, it would say the same
                after = _asked_to_wait(answer.headers.get("Retry-After", ""), after)
            if attempt < TRIES - 1:
                wait(after)
    raise KarlError(f"the webhook at {host} did not take it: {why}")


def _asked_to_wait(text: str, otherwise: float) -> float:
    try:
        return min(_AFTER_MAX_S, max(0.0, float(text)))
    except ValueError:
        return otherwise


def _cut(text: str, form: Form) -> str:
    most = _TEXT_MAX[form]
    return text if len(text) <= most else f"{text[: most - 1]}…"
