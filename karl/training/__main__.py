"""The process that knows mlx: one order in, lines out.

    python -m karl.training        an Order as a line of JSON on stdin; on stdout lines, each a Told

Invariants:
- It ends at once when stdin closes: whoever gave the order holds the other end.
- What mlx and others print goes to stderr, never between the lines.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback

from karl.errors import KarlError
from karl.process import keep_private
from karl.training.order import Convert, Fuse, Generate, Judge, Order, Result, Smoke, Train, decode_order
from karl.training.telling import Teller

#: Exit code of a process whose order-giver is gone.
_LEFT = 3


def main() -> None:
    """Carry out one order."""
    keep_private()
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    teller = Teller(out)
    order = decode_order(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_order_giver, name="order", daemon=True).start()
    try:
        result = _done(order, teller)
    except KarlError as error:
        teller.failed(str(error))
    except ModuleNotFoundError as error:
        if str(error.name).startswith("karl"):
            raise
        teller.failed(f"{error.name} is not installed on this machine: pip install 'karl-ledger[train]'")
    except OSError as error:  # a disk that is full, a file that may not be read
        teller.failed(f"{type(error).__name__}: {error}")
    except RuntimeError as error:  # mlx's, for all that it could not do
        traceback.print_exc()
        teller.failed(
            f"mlx could not go on: {error}; where memory ran out, a smaller batch or shorter rows help"
        )
    else:
        teller.done(result)


def _done(order: Order, teller: Teller) -> Result:
    """Do what was ordered. Each loads what it needs only: judging knows nothing of optimizers."""
    if isinstance(order, Train):
        from karl.training.train import train  # noqa: PLC0415

        return train(order, teller)
    if isinstance(order, Judge):
        from karl.training.judge import judge  # noqa: PLC0415

        return judge(order, teller)
    if isinstance(order, Smoke):
        from karl.training.smoke import smoke  # noqa: PLC0415

        return smoke(order, teller)
    if isinstance(order, Generate):
        from karl.training.generate import generate  # noqa: PLC0415

        return generate(order)
    if isinstance(order, Fuse):
        from karl.training.fuse import fuse  # noqa: PLC0415

        return fuse(order, teller)
    assert isinstance(order, Convert)
    from karl.training.convert import convert  # noqa: PLC0415

    return convert(order, teller)


def _end_with_order_giver() -> None:
    while os.read(0, 4096):
        pass
    os._exit(_LEFT)  # checkpoints are whole or not there, so nothing is left in the middle


main()
