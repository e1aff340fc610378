"""KARL, the Trajectory Memory Ledger.

The line, and the folder of each stop:

    hook -> spool -> stream -> session -> schema -> reward -> ledger -> views
    producers/       karl.stream  karl.session  karl.schema  karl.reward  karl.ledger  karl.views

`producers` runs on an agent's machine, `workers` are the processes behind the stream, `karl` is
everything between. Importing this package costs nothing: no Redis, no third-party module.
"""

__version__ = "0.1.0"
