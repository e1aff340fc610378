"""Every error that KARL raises on purpose.

KarlError
    SettingsError       a setting is unknown, malformed or contradicts another
    Unreadable          an event or a record can not be understood; carries the reason
    LineDown            Redis can not be reached, or refuses what the line needs
        ServerSilent    it did not answer what was sent
    LeaseLost           somebody else holds the lease now, or ours ran out
    LedgerError
        LedgerDamaged   bytes of the ledger are not what was written; says where
        LedgerHeld      another process writes this ledger's folder
        LedgerForked    two copies of one ledger differ; says from where on
        LedgerRewound   what was read before is not part of the ledger any more
        FsyncFailed     the disk did not confirm; the process must end
    EncoderMissing      an encoder's package is not installed, or its files are not what they should be
    EncoderSilent       an encoder asked over HTTP gave no vectors
    NotFound            nothing has this id
    Refused             a command would harm something; says what to do instead

Messages are for the person on duty: what happened, where, and what to do.
"""

from __future__ import annotations


class KarlError(Exception):
    """The root; the command line prints its message and exits 1."""


class SettingsError(KarlError):
    """Raised when a setting is unknown, malformed or contradicts another; the exit code is 2."""


class Unreadable(KarlError):
    """Raised when bytes can not be understood as what they should be; `reason` names why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class LineDown(KarlError):
    """Raised when Redis can not be reached, or refuses what the line needs."""


class ServerSilent(LineDown):
    """Raised when Redis did not answer: whether it has what it was sent is not known."""


class LeaseLost(KarlError):
    """Raised when work was attempted under a lease that is not ours any more."""

    def __init__(self, name: str, owner: str | None = None) -> None:
        super().__init__(
            f"the lease on {name} is not ours any more" + (f": {owner} holds it" if owner else "")
        )
        self.name = name
        self.owner = owner


class LedgerError(KarlError):
    """The root of what can go wrong between us and the ledger's folder."""


class LedgerDamaged(LedgerError):
    """Raised when the ledger's bytes are not what was written."""

    def __init__(self, segment: str, offset: int, reason: str) -> None:
        super().__init__(f"{segment} at byte {offset}: {reason}; run `karl verify` for the whole picture")
        self.segment = segment
        self.offset = offset
        self.reason = reason


class LedgerHeld(LedgerError):
    """Raised when another process writes this ledger's folder."""


class LedgerForked(LedgerError):
    """Raised when a copy of the ledger and its source are not one ledger from some place on."""

    def __init__(self, segment: str, offset: int, reason: str) -> None:
        super().__init__(f"the copy and its source differ at {segment}, byte {offset}: {reason}")
        self.segment = segment
        self.offset = offset
        self.reason = reason


class LedgerRewound(LedgerError):
    """Raised when what was read before is not part of the ledger any more; what was made of it must go."""

    def __init__(self, segment: str, offset: int, reason: str) -> None:
        super().__init__(
            f"what was read up to {segment} at byte {offset} is not part of the ledger any more: {reason}; "
            "`karl rebuild` makes the views anew"
        )
        self.segment = segment
        self.offset = offset
        self.reason = reason


class FsyncFailed(LedgerError):
    """Raised when the disk did not confirm a write. Never retried: what is on disk is unknown."""


class EncoderMissing(KarlError):
    """Raised when an encoder can not be had on this machine; the message names the extra to install."""


class EncoderSilent(KarlError):
    """Raised when an encoder that is asked over HTTP gave no vectors, or not such as were asked for."""


class NotFound(KarlError):
    """Raised when nothing has this id."""


class Refused(KarlError):
    """Raised when a command would harm something; the message says what to do instead."""
