"""What was asked in each session: by this, sessions are put into groups before they are parted."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

from karl.learning.groups import Item
from karl.views.queries import Views

_ASKED = """
SELECT s.session, s.project, s.started_ms, s.last_ms, t.person, t.words, t.started_ms
FROM sessions s JOIN trajectories t ON t.session = s.session ORDER BY s.first_seq, t.started_ms, t.turn, t.seq
"""


class Prompted(Views):
    """The views, asked for prompts."""

    def items(self) -> Iterator[Item]:
        """Give each session that has turns, by its first line in the ledger; `rows` counts its turns.

        Prompts are a person's, folded, from each at most 4,000 characters (karl.views.search).
        """
        for session, turns in groupby(self._ask(_ASKED, ()), key=itemgetter(0)):
            rows = list(turns)
            prompts = tuple(row[5] for row in rows if row[4] and row[5])
            moments = tuple(f"{row[6]} {row[5]}" for row in rows if row[4] and row[5] and row[6])
            yield Item(session, rows[0][1], prompts, rows[0][2], rows[0][3], len(rows), moments)
