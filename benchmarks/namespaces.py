# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks of this process's own, where the kernel grants them: their counters know of nobody else."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterator

_CLONE_NEWNET = 0x40000000
_SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK, _SIOCSIFTXQLEN = 0x8914, 0x8916, 0x891C, 0x8943
_UP_AND_RUNNING = 0x1 | 0x40

_TUNSETIFF, _TUNSETOFFLOAD = 0x400454CA, 0x400454D0
_TUN_WITHOUT_FRAME, _WITH_CUTTING_HEADER = 0x0001 | 0x1000, 0x4000
_LARGE_PACKETS = 0x01 | 0x02  # the checksum, and the cutting of TCP into packets, are left to whoever needs them
_NETMASK = "255.255.255.252"
_QUEUE = 10_000


@contextlib.contextmanager
def own_network() -> Iterator[bool]:
    """Give this thread, and what it starts, a network with nothing but loopback; tell whether that was granted.

    When the block ends, the thread is back where it was.
    """
    with current_network() as before:
        is_granted = enter_new_network()
        try:
            yield is_granted
        finally:
            if is_granted:
                enter_network(before)


@contextlib.contextmanager
def current_network() -> Iterator[int]:
    """Give a descriptor of the network that this thread is in, which lives at least as long."""
    descriptor = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def enter_new_network() -> bool:
    """Move this thread to a network with nothing but loopback, and tell whether that was granted."""
    if _c_library().unshare(_CLONE_NEWNET) != 0:
        return False
    _bring_up("lo")
    return True


def enter_network(descriptor: int) -> None:
    """Move this thread to the network that *descriptor* stands for."""
    if _c_library().setns(descriptor, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@contextlib.contextmanager
def tun_device(name: str, address: str) -> Iterator[int]:
    """Give the descriptor of a new device in this network: its other end, where packets are read and written.

    The packets are as large as TCP makes them, with a header that tells how they are to be cut.
    """
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        flags = _TUN_WITHOUT_FRAME | _WITH_CUTTING_HEADER
        fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode("ascii"), flags))
        fcntl.ioctl(descriptor, _TUNSETOFFLOAD, _LARGE_PACKETS)
        _set(name, _SIOCSIFADDR, _socket_address(address))
        _set(name, _SIOCSIFNETMASK, _socket_address(_NETMASK))
        _set(name, _SIOCSIFTXQLEN, struct.pack("i", _QUEUE))
        _bring_up(name)
        yield descriptor
    finally:
        os.close(descriptor)


def _bring_up(name: str) -> None:
    _set(name, _SIOCSIFFLAGS, struct.pack("H", _UP_AND_RUNNING))


def _set(name: str, request: int, value: bytes) -> None:
    """Set one thing of the device *name*."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, request, struct.pack("16s24s", name.encode("ascii"), value))


def _socket_address(address: str) -> bytes:
    return struct.pack("HH4s", socket.AF_INET, 0, socket.inet_aton(address))


def _c_library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
