"""What may be shown of a secret setting: nothing, or of an address all but what is secret in it."""

from __future__ import annotations

import re

#: A password may hold an @, and the client takes it from the query as well.
_URL_PASSWORD = re.compile(r"(//[^:@/]*:).+(?=@)|([?&](?:ssl_)?password=)[^&#]*")


def hide_password(url: str) -> str:
    """Give a URL as it may be shown."""
    return _URL_PASSWORD.sub(lambda found: f"{found[1] or found[2]}***", url)


def hidden(secret: str, *, host_only: bool) -> str:
    """Give a secret as it may be shown; with `host_only` of a URL no more than its host."""
    if "://" not in secret:
        return "***" if secret else secret
    scheme, _, rest = secret.partition("://")
    host = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
    return f"{scheme}://{host}/***" if host_only else hide_password(secret)
