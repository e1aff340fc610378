"""Running commands in tests: in this process with click's runner, or as the real `karl`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner, Result

from karl.cli.main import cli

KARL = Path(sys.executable).with_name("karl")


def environ(data_dir: Path, **more: str) -> dict[str, str | None]:
    """The environment of a command: the test's own settings and no others."""
    others: dict[str, str | None] = {name: None for name in os.environ if name.startswith("KARL_")}
    return {**others, "KARL_DATA_DIR": str(data_dir), **more}


def karl(data_dir: Path, *arguments: str, stdin: bytes | None = None, **more: str) -> Result:
    """Run a command here; errors of ours come out as `result.exception`."""
    return CliRunner().invoke(cli, arguments, env=environ(data_dir, **more), input=stdin)


def real_karl(
    data_dir: Path, *arguments: str, stdin: bytes = b"", **more: str
) -> subprocess.CompletedProcess[bytes]:
    """Run the installed executable."""
    variables = {**os.environ, **environ(data_dir, **more)}
    return subprocess.run(
        [KARL, *arguments],
        env={name: value for name, value in variables.items() if value is not None},
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
    )
