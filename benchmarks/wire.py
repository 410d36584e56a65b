# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts connections to an FTP server and what they carry, by the packets that go over a device.

The kernel hands over the headers of all packets that begin a connection or carry anything. What is counted is the
payload of TCP, which is TLS and all that is in it; not headers and bare acknowledgements, whose share differs between
devices. What was sent in vain counts as well, as when a download is broken off. No program that is measured has a say
in it.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

_ALL_PROTOCOLS = 0x0003  # others are not shown what goes out
_SOL_PACKET, _PACKET_STATISTICS, _PACKET_IGNORE_OUTGOING = 263, 6, 23
_SO_ATTACH_FILTER, _SO_RCVBUFFORCE = 26, 33
_BUFFER = 512 * 1024 * 1024  # the kernel counts what it has shown of a packet as if it held all of it

_HEADERS = 128  # both headers with all options
_SYN, _ACK = 0x02, 0x10

# A classic BPF program over a packet that begins with its IP header: which of them we want to see.
_LOAD_BYTE, _LOAD_HALF, _LOAD_BYTE_BEHIND = 0x30, 0x28, 0x50
_INDEX_BY_HEADER, _STORE, _INDEX_BY_STORED, _ADD_INDEX, _SUBTRACT_INDEX = 0xB1, 0x02, 0x61, 0x0C, 0x1C
_AND, _SHIFT_RIGHT, _IS, _HAS, _TAKE = 0x54, 0x74, 0x15, 0x45, 0x06
_BEGINS_OR_CARRIES = (
    (_LOAD_BYTE, 0, 0, 0),
    (_AND, 0, 0, 0xF0),
    (_IS, 0, 15, 0x40),  # IPv4, else none of ours
    (_LOAD_BYTE, 0, 0, 9),
    (_IS, 0, 13, socket.IPPROTO_TCP),  # TCP, else none of ours
    (_INDEX_BY_HEADER, 0, 0, 0),
    (_LOAD_BYTE_BEHIND, 0, 0, 13),
    (_HAS, 9, 0, _SYN),  # ours, if it begins a connection
    (_LOAD_BYTE_BEHIND, 0, 0, 12),
    (_AND, 0, 0, 0xF0),
    (_SHIFT_RIGHT, 0, 0, 2),  # the length of TCP's header
    (_ADD_INDEX, 0, 0, 0),
    (_STORE, 0, 0, 0),  # that of both headers
    (_INDEX_BY_STORED, 0, 0, 0),
    (_LOAD_HALF, 0, 0, 2),
    (_SUBTRACT_INDEX, 0, 0, 0),
    (_IS, 1, 0, 0),  # none of ours, if nothing follows the headers
    (_TAKE, 0, 0, _HEADERS),  # ours
    (_TAKE, 0, 0, 0),  # none of ours
)


@dataclass(frozen=True)
class Traffic:
    """Bytes that clients sent and received, and how many connections they opened of either kind."""

    sent: int = 0
    received: int = 0
    control: int = 0
    data: int = 0

    def __sub__(self, other: Traffic) -> Traffic:
        return Traffic(
            self.sent - other.sent,
            self.received - other.received,
            self.control - other.control,
            self.data - other.data,
        )


NOTHING = Traffic()


class Counter:
    """Counts passive connections to a server, and what they carry over a device; *is_data* tells the ports of data.

    It must be asked to :meth:`listen` often enough that not too much piles up.
    """

    def __init__(self, device: str, control: int, is_data: Callable[[int], bool]) -> None:
        self._control = control
        self._is_data = is_data
        self._sent = self._received = 0
        self._connections = {True: 0, False: 0}
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)  # hears nothing before it is bound
        _attach_filter(self._socket)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        if device == "lo":  # where what is sent comes in again
            self._socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        self._socket.settimeout(0)
        self._socket.bind((device, _ALL_PROTOCOLS))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._socket.close()

    @property
    def traffic(self) -> Traffic:
        """What was heard so far."""
        return Traffic(self._sent, self._received, self._connections[True], self._connections[False])

    def listen(self) -> None:
        """Take in what the kernel has noted; raises OSError if it had to leave anything out."""
        while (packet := self._next()) is not None:
            self._take(packet)
        _packets, dropped = struct.unpack("II", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
        if dropped:
            message = f"{dropped} packets were lost to the count of connections and bytes."
            raise OSError(message)

    def _next(self) -> bytes | None:
        try:
            return self._socket.recv(_HEADERS)
        except BlockingIOError:
            return None

    def _take(self, packet: bytes) -> None:
        at = (packet[0] & 0x0F) * 4
        (length,) = struct.unpack_from(">H", packet, 2)
        source, target, offset, flags = struct.unpack_from(">HH8xBB", packet, at)
        payload = length - at - (offset >> 4) * 4
        if self._is_server(target):
            self._sent += payload
        elif self._is_server(source):
            self._received += payload
            if flags & (_SYN | _ACK) == _SYN | _ACK:
                self._connections[source == self._control] += 1

    def _is_server(self, port: int) -> bool:
        return port == self._control or self._is_data(port)


def _attach_filter(listener: socket.socket) -> None:
    program = b"".join(struct.pack("HBBI", *instruction) for instruction in _BEGINS_OR_CARRIES)
    kept = ctypes.create_string_buffer(program)
    reference = struct.pack("HP", len(_BEGINS_OR_CARRIES), ctypes.addressof(kept))
    listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, reference)
