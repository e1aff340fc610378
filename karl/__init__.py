"""KARL, the Trajectory Memory Ledger.

The line, and the folder of each stop:

    hook -> spool -> stream -> session -> schema -> reward -> ledger -> views
    producers/       karl.stream  karl.session  karl.schema  karl.reward  karl.ledger  karl.views

`producers` runs on an agent's machine, `workers` are the processes behind the stream, `karl` is
everything between. Importing this package costs nothing: no Redis, no third-party module; the calls by
which a Python agent records itself (`producers.python_api`) are loaded when one is first asked for.
"""

TYPE_CHECKING = False  # type checkers take it for True; `typing` itself would cost more than all of this
if TYPE_CHECKING:
    from producers.python_api import (
        annotate_previous,
        append_tool_event,
        flush_session,
        init_session_buffer,
    )

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "annotate_previous",
    "append_tool_event",
    "flush_session",
    "init_session_buffer",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    found: object = getattr(import_module("producers.python_api"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
