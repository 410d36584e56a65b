# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A relay that makes a server on this machine far away: every byte takes its time, and so does every connection.

It stands at another loopback address than the server, on the same ports, so that neither the client nor the server has
to know of it, and TLS goes through untouched. It gives latency alone: no loss, and no limit on what is carried.

As a program: ``python -m benchmarks.relay ADDRESS SERVER ROUND_TRIP PORT [FIRST-LAST ...]``; it prints a line when it
is ready, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import suppress

_PIECE = 256 * 1024
_BACKLOG = 128
_AHEAD = 400  # pieces on their way at once, in one direction of one connection

# What is on its way: when it arrives, and what it is; nothing at all is the end.
_Way = asyncio.Queue["tuple[float, bytes]"]


class Relay:
    """Carries connections from *address* to *server*, where a round trip takes so many seconds."""

    def __init__(self, address: str, server: str, round_trip: float) -> None:
        self._address = address
        self._server = server
        self._round_trip = round_trip

    async def listen(self, port: int) -> None:
        """Take connections to *port* from now on."""

        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError, asyncio.CancelledError):  # either side may go whenever it likes, and so may we
                await self._carry(port, reader, writer)
            writer.close()

        await asyncio.start_server(carry, self._address, port, limit=_PIECE, backlog=_BACKLOG)

    async def _carry(self, port: int, near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        # To the client its connection stood at once, which takes a round trip; the server sees it half a one later.
        await asyncio.sleep(1.5 * self._round_trip)
        far_in, far_out = await asyncio.open_connection(self._server, port, limit=_PIECE)
        for writer in (near_out, far_out):
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await asyncio.gather(self._pass_on(near_in, far_out), self._pass_on(far_in, near_out))
        finally:
            far_out.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        way: _Way = asyncio.Queue(_AHEAD)
        await asyncio.gather(self._depart(reader, way), _arrive(way, writer))

    async def _depart(self, reader: asyncio.StreamReader, way: _Way) -> None:
        while True:
            piece = await reader.read(_PIECE)
            await way.put((asyncio.get_running_loop().time() + self._round_trip / 2, piece))
            if not piece:
                return


async def _arrive(way: _Way, writer: asyncio.StreamWriter) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due, piece = await way.get()
        if (wait := due - loop.time()) > 0:
            await asyncio.sleep(wait)
        if not piece:
            with suppress(OSError):
                writer.write_eof()
            return
        writer.write(piece)
        await writer.drain()


async def serve(relay: Relay, ports: list[int]) -> None:
    """Listen on all *ports* until standard input ends."""
    for port in ports:
        await relay.listen(port)
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


def main(address: str, server: str, round_trip: str, *spans: str) -> None:
    """Carry connections to every port in *spans*, single ones or the first and the last of many."""
    ports: list[int] = []
    for span in spans:
        first, _dash, last = span.partition("-")
        ports += range(int(first), int(last or first) + 1)
    asyncio.run(serve(Relay(address, server, float(round_trip)), ports))


if __name__ == "__main__":
    main(*sys.argv[1:])
