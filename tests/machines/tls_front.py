"""TLS before a server that has none: takes connections under TLS and carries them to a unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys
from pathlib import Path


class Front:
    """A listener on 127.0.0.1 whose certificate is `certificate` (PEM, the key in front).

    With `clients_ca` it takes only machines that show a certificate of that CA.
    """

    def __init__(self, socket: Path, certificate: Path, clients_ca: Path | None = None) -> None:
        self._socket = socket
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificate)
        if clients_ca:
            self._context.load_verify_locations(clients_ca)
            self._context.verify_mode = ssl.CERT_REQUIRED

    async def serve(self, host: str, port: int) -> int:
        """Listen; gives the port."""
        server = await asyncio.start_server(self._take, host, port, ssl=self._context)
        self._server = server
        return int(server.sockets[0].getsockname()[1])

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_unix_connection(str(self._socket))
        await asyncio.gather(_carry(reader, there_writer), _carry(there_reader, writer))


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, ssl.SSLError):
        while piece := await reader.read(65_536):
            writer.write(piece)
            await writer.drain()
    writer.close()
    with contextlib.suppress(OSError, ssl.SSLError):
        await writer.wait_closed()


async def main(host: str, port: str, socket: str, certificate: str, clients_ca: str = "") -> None:
    """Serve until ended; says the port on stdout."""
    front = Front(Path(socket), Path(certificate), Path(clients_ca) if clients_ca else None)
    print(await front.serve(host, int(port)), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
