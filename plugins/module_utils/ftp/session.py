# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One logged-in FTP session and its verbs; every path is the server's own, absolute."""

from __future__ import annotations

import re
import typing as t

from ..errors import InterruptedTransferError, LoginError, MissingError, RefusedError, TrustError
from .control import Address, Control, make_context
from .data import DataChannel
from .listing import parse_list, parse_mlsd, refuse_truncated
from .replies import error_for

if t.TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Sequence
    from contextlib import AbstractContextManager

    from ..storage import Buffer, RemoteEntry
    from .data import Download
    from .replies import Reply

_PWD = re.compile(r'257 "((?:[^"]|"")*)"')
_EXISTS_ALREADY = (450, 521, 550)


class Session:
    """One logged-in session; usable until :attr:`is_broken` says otherwise.

    Every method raises :class:`~..errors.StorageError`, and only that.
    """

    def __init__(self, address: Address, context: ssl.SSLContext | None) -> None:
        self.address = address
        self._control = Control(address, context)
        try:
            self._login(protect=context is not None)
            self.features, self.home = self._prepare()
        except BaseException:
            self._control.close()
            raise
        self._data = DataChannel(self._control, context)

    # -- beginning and end

    def _login(self, *, protect: bool) -> None:
        """Log in with one attempt; the password is sent only after PROT P was granted."""
        control, address = self._control, self.address
        opening = ["PBSZ 0", "PROT P"] if protect else []
        *protection, reply = control.exchange([*opening, f"USER {address.username}"], shown_as="USER")
        if protection and not protection[-1].is_success:
            raise TrustError(
                f"Cannot protect the data connections to {address}: the server answered '{protection[-1]}' to PROT P.",
                code=protection[-1].code,
            )
        deed = f"Cannot log in to {address} as {address.username!r}"
        if reply.code == 331:
            reply = control.command(f"PASS {address.password}", shown_as="PASS")
        if reply.code == 332:
            raise LoginError(f"{deed}: the server asks for an account, which is not supported.", code=reply.code)
        if not reply.is_success:
            raise error_for(reply, deed, at_login=True)

    def _prepare(self) -> tuple[frozenset[str], str]:
        """Switch to binary, and ask what the server can do and where we are."""
        lines = ["TYPE I", "OPTS UTF8 ON", "FEAT", "PWD"]
        binary, _utf8, feat, pwd = self._control.exchange(lines)
        if not binary.is_success:
            raise error_for(binary, f"Cannot switch {self.address} to binary transfers")
        found = _PWD.match(_decoded(pwd.text))
        if found is None:
            raise RefusedError(f"The answer of {self.address} to PWD cannot be read: '{pwd}'.", code=pwd.code)
        features = feat.text.splitlines()[1:-1] if feat.code == 211 else []
        return frozenset(line.strip().upper() for line in features if line.strip()), found[1].replace('""', '"')

    @property
    def _has_mlst(self) -> bool:
        """Whether MLST and MLSD are there; RFC 3659 lists both of them as MLST."""
        return any(feature == "MLSD" or feature.startswith("MLST") for feature in self.features)

    @property
    def greeting(self) -> Reply:
        return self._control.greeting

    @property
    def is_broken(self) -> bool:
        return self._control.is_broken

    def system(self) -> Reply:
        """Ask what the server calls its operating system (SYST)."""
        return self._control.command("SYST")

    def quit(self) -> None:
        self._control.quit()

    def close(self) -> None:
        self._control.close()

    def _deed(self, verb: str, path: str) -> str:
        return f"Cannot {verb} {path} on {self.address.host}"

    # -- names

    def make_directory(self, path: str) -> Reply:
        """Try to make *path* and return what the server said."""
        return self._control.command(f"MKD {path}")

    def ensure_directories(self, paths: Sequence[str]) -> None:
        """Make each of *paths* unless it is there already; asked at once, and looked at one by one where refused."""
        replies = self._control.exchange([f"MKD {path}" for path in paths]) if paths else []
        for path, reply in zip(paths, replies):
            if not reply.is_success and not (reply.code in _EXISTS_ALREADY and self.has_directory(path)):
                raise error_for(reply, self._deed("make the directory", path))

    def has_directory(self, path: str) -> bool:
        """Tell whether *path* is a directory.

        Where only CWD can tell, the directory is left at once: Pure-FTPd ends a session that stands in one which is
        removed or renamed. It also answers each CWD that fails more slowly than the one before, so MLST comes first.
        """
        if self._has_mlst:
            reply = self._control.command(f"MLST {path}")
            is_there = re.search(r"(?i)\btype=c?dir;", reply.text) is not None
        else:
            reply, _home = self._control.exchange([f"CWD {path}", f"CWD {self.home}"])
            is_there = True
        if reply.is_success:
            return is_there
        if reply.code // 100 == 5:
            return False
        raise error_for(reply, self._deed("look for the directory", path))

    def sizes(self, paths: Sequence[str]) -> list[int | None]:
        """Return the size of each of *paths*, or None for what does not exist."""
        replies = self._control.exchange([f"SIZE {path}" for path in paths]) if paths else []
        return [self._size_of(reply, path) for path, reply in zip(paths, replies)]

    def _size_of(self, reply: Reply, path: str) -> int | None:
        if reply.code == 213:
            text = reply.text[4:].strip()
            if text.isdecimal():
                return int(text)
            self._control.close()
            raise InterruptedTransferError(f"{self._deed('ask the size of', path)}: the server answered '{reply}'.")
        if reply.code in (450, 550):
            return None
        raise error_for(reply, self._deed("ask the size of", path))

    def rename(self, source: str, target: str) -> None:
        """Rename *source* to *target*, in one round trip."""
        first, second = self._control.exchange([f"RNFR {source}", f"RNTO {target}"])
        if first.is_intermediate and second.is_success:
            return
        refused = second if first.is_intermediate else first
        raise error_for(refused, self._deed(f"rename to {target.rsplit('/', 1)[-1]}", source), reading=refused is first)

    def delete(self, paths: Sequence[str]) -> None:
        """Delete *paths*; what is gone already is no error, which a second question decides."""
        replies = self._control.exchange([f"DELE {path}" for path in paths]) if paths else []
        for path, reply in zip(paths, replies):
            if not reply.is_success and self.sizes([path]) != [None]:
                raise error_for(reply, self._deed("delete", path))

    def remove_directories(self, paths: Sequence[str]) -> None:
        """Remove what is empty of the directories *paths*; any other is left."""
        if paths:
            self._control.exchange([f"RMD {path}" for path in paths])

    # -- contents

    def upload(self, path: str, chunks: Iterable[Buffer]) -> int:
        """Store *chunks* at *path* and return how many bytes were sent; the caller asks the size."""
        return self._data.upload(f"STOR {path}", chunks, self._deed("upload", path))

    def download(self, path: str, offset: int = 0) -> AbstractContextManager[Download]:
        """Open *path* for reading from *offset* on."""
        deed = self._deed("download", path)
        if offset:
            reply = self._control.command(f"REST {offset}")
            if not reply.is_intermediate:
                raise error_for(reply, deed)
        return self._data.download(f"RETR {path}", deed)

    def list_directory(self, path: str) -> list[RemoteEntry]:
        """Return what lies in *path*; a missing directory is an empty one, a cut listing an error."""
        command = f"MLSD {path}" if self._has_mlst else f"LIST {path}"
        deed = self._deed("list", path)
        try:
            with self._data.download(command, deed) as download:
                text = _decoded(download.read_all().decode("latin-1"))
        except (MissingError, RefusedError):  # pyftpdlib says 501 of what is missing
            if self.has_directory(path):
                raise
            return []
        refuse_truncated(download.final, path)
        return list(parse_mlsd(text) if self._has_mlst else parse_list(text))


def _decoded(text: str) -> str:
    """Return *text*, read byte by byte as Latin-1, as the UTF-8 it usually is."""
    return text.encode("latin-1").decode("utf-8", "surrogateescape")


def connect(address: Address, context: ssl.SSLContext | None = None) -> Session:
    """Connect, start TLS unless *address* says otherwise, and log in; *context* is shared by sessions."""
    if address.tls and context is None:
        context = make_context(address)
    return Session(address, context if address.tls else None)
