"""What the process of a job is told besides its arguments: the job's id, and that it shall end.

A job that is cancelled, and has time for it (`Job.cancel_s`), may leave word of that; one that takes no
notice is ended when the time is over. In any other process nothing is ever told.
"""

from __future__ import annotations

import threading

#: What a worker says on the pipe to have its job end.
WORD = b"stop\n"

#: Set once, by who listens to the worker (workers.one_job).
asked_to_end = threading.Event()


class _This:
    """The id under which the job is known in its queue; empty where this process is none of a job."""

    id = ""


this = _This()
