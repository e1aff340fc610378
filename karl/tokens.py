"""Tokens of our HTTP endpoints: given by a setting, or kept in a file of this user's own, which is made."""

from __future__ import annotations

import logging
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

from karl.errors import Refused

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,512}")

#: Bytes that are read of a token's file.
_SIZE_MAX = 1024

_log = logging.getLogger("karl")


def token_of(given: str, variable: str, path: Path, *, make: bool = True) -> str:
    """Give the token of a setting, or of a file, made where there is none if `make`. Raises Refused."""
    if not (given or make or path.exists()):
        raise Refused(f"no token: put the source's into {variable}, or copy its file to {path}")
    try:
        token = given or _token_in(path)
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"the token in {path} can not be read: {error}") from error
    if _TOKEN.fullmatch(token) is None:
        where = variable if given else f"{path}, which may be removed,"
        raise Refused(f"{where} holds no token: 16 or more letters, digits and the signs . _ ~ + / = -")
    return token


def _token_in(path: Path) -> str:
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "w") as file:
                file.write(secrets.token_urlsafe(32) + "\n")
            with suppress(FileExistsError):  # another process was as quick; its token counts
                path.hardlink_to(new)
        finally:
            new.unlink()
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            _log.warning("%s could be read by others; it is yours alone now", path)
            os.fchmod(file.fileno(), 0o600)
        return file.read(_SIZE_MAX).decode("ascii").strip()
