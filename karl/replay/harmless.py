"""Text that was recorded, made harmless: it can neither drive a terminal nor turn a line round.

What an agent, a tool or a web page said may hold control sequences, and a person who looks at it must not
be attacked by it.
"""

from __future__ import annotations

import json
import re

#: Control characters but tab and line end, C1, zero-width and direction marks, tags, halves of pairs.
_HARMFUL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def harmless(text: str) -> str:
    r"""Give text whose control and direction characters are shown as escapes (`\x1b`, `\x202e`).

    A line end of two characters is a line end.
    """
    return _HARMFUL.sub(lambda found: f"\\x{ord(found.group()):02x}", text.replace("\r\n", "\n"))


def harmless_json(document: str) -> str:
    r"""Give a JSON document that means the same, with such characters written as `\uXXXX`.

    The document must hold them in its strings only, as every JSON document does.
    """
    return _HARMFUL.sub(lambda found: json.dumps(found.group())[1:-1], document)
