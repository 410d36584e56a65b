# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One logged-in FTP session and its verbs; every path is one that :meth:`Session.path_of` gave."""

from __future__ import annotations

import re
import typing as t
from contextlib import contextmanager
from dataclasses import replace
from pathlib import PurePosixPath

from ..errors import (
    InterruptedTransferError,
    LoginError,
    MissingError,
    RefusedError,
    TrustError,
    UsageError,
)
from ..storage import DIRECTORY, FILE, LINK, RemoteDetails
from .bandwidth import Bandwidth
from .control import Address, Control, make_context
from .data import DataChannel
from .known import Known, digest_of_greeting
from .listing import entries_of, parse_list, parse_mlsd, parse_nlst, refuse_truncated, seconds_of, shows_itself
from .paths import checked_path, root_of
from .replies import Reply, error_for, shown

if t.TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ..storage import Buffer, RemoteEntry
    from .data import Download

_PWD = re.compile(r'257 "((?:[^"]|"")*)"')
_SIZE_FACT = re.compile(r"(?i)(?:^|[;\s])size=(\d+);")
_TYPE_FACT = re.compile(r"(?i)(?:^|[;\s])type=(?:(file)|c?dir);")
_EXISTS_ALREADY = (450, 521, 550)
_MISSING = (450, 550)
_UNKNOWN_VERB = (500, 502, 504)
_NOT_NOW = 450
_PATTERNS = frozenset("*?[]{}\\")  # servers take what LIST is given for a pattern where it has one of these
_HIDDEN = "-a "  # what has LIST show names that begin with a dot
_NOT_LOGGED_IN = re.compile(r"(?i)log ?in with|login first|not logged in|aren't logged in")


class Session:
    """One logged-in session; usable until :attr:`is_broken` says otherwise.

    Every method raises :class:`~..errors.StorageError`, and only that.
    """

    def __init__(
        self,
        address: Address,
        context: ssl.SSLContext | None,
        known: Known | None = None,
        bandwidth: Bandwidth | None = None,
        before_login: Callable[[], None] = lambda: None,
    ) -> None:
        self.address = address
        self.known = known if known is not None else Known()
        self._control = Control(address, context)
        self._prefix: PurePosixPath | None = None
        self._directory: PurePosixPath | None = None
        self._checked: Callable[[PurePosixPath], PurePosixPath] = checked_path
        self._tells_times = True
        self._lists_hidden = True
        self._sizes_by = "SIZE"
        self._lists_by = ""
        try:
            before_login()
            self._log_in(protect=context is not None)
        except BaseException:
            self._control.close()
            raise
        self._data = DataChannel(self._control, context, self.known, bandwidth or Bandwidth(0))

    # -- beginning and end

    def _log_in(self, *, protect: bool) -> None:
        """Log in with one attempt; the password is sent only after PROT P was granted.

        Of a server that is known and takes commands behind the password, nothing more is asked than that.
        """
        greeting = digest_of_greeting(self.greeting.text)
        is_known = bool(self.known.home) and self.known.greeting == greeting
        control, address = self._control, self.address
        opening = ["PBSZ 0", "PROT P"] if protect else []
        *protection, reply = control.exchange([*opening, f"USER {address.username}"])
        if protection and not protection[-1].is_success:
            raise TrustError(
                f"Cannot protect the data connections to {address}: the server answered '{protection[-1]}' to PROT P.",
                code=protection[-1].code,
            )
        settings = ["TYPE I", "OPTS UTF8 ON"]
        questions = [] if is_known else ["FEAT", "PWD"]
        replies = []
        if reply.code == 331:
            behind = settings if is_known and self.known.pipelines_login else []
            reply, *replies = self._given_password(behind)
        deed = f"Cannot log in to {address} as {address.username!r}"
        if reply.code == 332:
            raise LoginError(
                f"{deed}: the server asks for an account ('{reply}'), which is not supported.", code=reply.code
            )
        if not reply.is_success:
            raise error_for(reply, deed, at_login=True)
        binary, _utf8, *answers = replies or control.exchange([*settings, *questions])
        if not binary.is_success:
            raise error_for(binary, f"Cannot switch {address} to binary transfers")
        if not is_known:
            self._learn(greeting, *answers)

    def _given_password(self, behind: Sequence[str]) -> list[Reply]:
        """Send the password, with the commands *behind* it at once; of several refusals the one that tells most."""
        replies = self._control.give_password(*behind)
        if replies[0].code == 530:
            # A server that thinks a while about a password may answer what follows first.
            telling = [r for r in replies if r.code == 530 and not _NOT_LOGGED_IN.search(r.text)]
            return (telling or replies)[:1]
        return replies

    def _learn(self, greeting: str, feat: Reply, pwd: Reply) -> None:
        """Keep what the server can do and where we are, for this session and those that follow."""
        found = _PWD.match(_decoded(pwd.text))
        if found is None or any(mark in found[1] for mark in "\r\n\0"):
            raise RefusedError(f"The answer of {self.address} to PWD cannot be read: '{pwd}'.", code=pwd.code)
        features = feat.harmless_text.splitlines()[1:-1] if feat.code == 211 else []
        known = self.known
        if known.greeting != greeting:
            fresh = Known()
            known.pipelines_login, known.restarts = fresh.pipelines_login, fresh.restarts
            known.extended_passive, known.quick_tls = fresh.extended_passive, fresh.quick_tls
            known.absolute_paths = fresh.absolute_paths
        known.features = frozenset(line.strip().upper() for line in features if line.strip())
        known.home = found[1].replace('""', '"')
        known.greeting = greeting

    @property
    def features(self) -> frozenset[str]:
        return self.known.features

    @property
    def home(self) -> str:
        """The directory in which the login starts."""
        return self.known.home

    @property
    def has_mlst(self) -> bool:
        """Whether MLST and MLSD are there; RFC 3659 lists both of them as MLST."""
        return any(feature == "MLSD" or feature.startswith("MLST") for feature in self.features)

    @property
    def greeting(self) -> Reply:
        return self._control.greeting

    @property
    def tls_version(self) -> str | None:
        return self._control.tls_version

    @property
    def fingerprint(self) -> str | None:
        """The SHA-256 of the server's certificate, in hexadecimal digits; None without TLS."""
        return self._control.fingerprint

    @property
    def has_resumed(self) -> bool | None:
        """Whether the last data connection resumed the TLS session; None as long as there was none with TLS."""
        return self._data.has_resumed

    @property
    def quota(self) -> tuple[int, int] | None:
        """The bytes that are used and those that are allowed, where the server has told."""
        return self._control.quota

    @property
    def is_broken(self) -> bool:
        return self._control.is_broken

    def is_stale(self) -> bool:
        """Tell, without asking the server, whether the session ended while nobody used it."""
        return self._control.is_stale()

    def ask(self, *lines: str) -> list[Reply]:
        """Send commands that are no verbs of ours, and return the replies, whatever they say."""
        return self._control.exchange(lines)

    def say_goodbye(self) -> None:
        """Begin to leave; :meth:`end` waits until the server has noticed."""
        self._control.say_goodbye()

    def end(self) -> None:
        self._control.end()

    def quit(self) -> None:
        """Leave, and wait a moment for the server to notice: until then it counts us."""
        self.say_goodbye()
        self.end()

    def close(self) -> None:
        self._control.close()

    def _deed(self, verb: str, path: str) -> str:
        return f"Cannot {verb} {path} on {self.address.host}"

    # -- paths

    def enter(self, directory: PurePosixPath, checked: Callable[[PurePosixPath], PurePosixPath] = checked_path) -> None:
        """Have :meth:`path_of` begin at *directory*, step by step where the server takes no absolute paths.

        *checked* returns a path below it that may go to the server, and raises for any other.
        """
        self._checked = checked
        if self._directory == directory:
            return
        root = root_of(self.home, directory)
        if self.takes_absolute_paths():
            self._prefix = root
        else:
            steps = root.relative_to(self.home).parts
            replies = self._control.exchange([f"CWD {step}" for step in steps]) if steps else []
            for reply in replies:
                if not reply.is_success:
                    raise error_for(reply, self._deed("enter the directory", str(directory)), reading=True)
            self._prefix = PurePosixPath()
        self._directory = directory

    def takes_absolute_paths(self) -> bool:
        """Tell whether the server takes the absolute path that it tells itself."""
        known = self.known
        if known.absolute_paths is None:
            known.absolute_paths = self._control.command(f"CWD {self.home}").is_success
        return known.absolute_paths

    def path_of(self, path: PurePosixPath) -> str:
        """Return how the server knows *path*, a name below the directory that was entered."""
        if self._prefix is None:
            raise UsageError(f"No directory was entered, so {path} is nowhere.")
        return str(self._prefix / self._checked(path))

    # -- names

    def make_directory(self, path: str) -> Reply:
        """Try to make *path* and return what the server said."""
        return self._control.command(f"MKD {path}")

    def ensure_directories(self, paths: Sequence[str]) -> list[bool]:
        """Make each of *paths* unless it is there already, and tell of each whether it was made now.

        They are asked for at once, and looked at one by one where they were refused.
        """
        replies = self._control.exchange([f"MKD {path}" for path in paths]) if paths else []
        for path, reply in zip(paths, replies):
            if not reply.is_success and not (reply.code in _EXISTS_ALREADY and self.has_directory(path)):
                raise error_for(reply, self._deed("make the directory", path))
        return [reply.is_success for reply in replies]

    def has_directory(self, path: str) -> bool:
        """Tell whether *path* is a directory; raise RefusedError if it lies where this user may not look.

        Where only CWD can tell, the directory is left at once: Pure-FTPd ends a session that stands in one which is
        removed or renamed. It also answers each CWD that fails more slowly than the one before, so MLST comes first.
        """
        reply = self._control.command(f"MLST {path}") if self.has_mlst else None
        if reply is None or reply.code in _UNKNOWN_VERB:
            reply = self._entered(path)
            if reply.is_success:
                return True
            if reply.code // 100 == 5:
                self._refuse_hidden([path])
        elif reply.is_success:
            return _is_directory(reply)
        elif reply.code // 100 == 5:
            self._refuse_hidden([str(PurePosixPath(path).parent)])
        if reply.code // 100 == 5:
            return False
        raise error_for(reply, self._deed("look for the directory", path))

    def _entered(self, path: str) -> Reply:
        """Return the answer to CWD into *path*, and be back where we were."""
        if path.startswith("/"):
            return self._control.exchange([f"CWD {path}", f"CWD {self.home}"])[0]
        reply = self._control.command(f"CWD {path}")
        if reply.is_success:
            self._leave(path)
        return reply

    def _leave(self, path: str) -> None:
        """Go back to where we were before CWD into *path*."""
        back = [f"CWD {self.home}"] if path.startswith("/") else ["CDUP" for _part in PurePosixPath(path).parts]
        self._control.exchange(back)

    def sizes(self, paths: Sequence[str]) -> list[int | None]:
        """Return the size of each of *paths*, or None for what does not exist.

        A refusal may mean that something is missing or that this user may not see it; a second question decides, and
        what may not be seen raises :class:`~..errors.RefusedError`.
        """
        if not paths:
            return []
        if self._sizes_by == "LIST":
            return self._listed_sizes(paths)
        verb = self._sizes_by
        replies = self._control.exchange([f"{verb} {path}" for path in paths])
        if all(reply.code in _UNKNOWN_VERB for reply in replies):
            self._sizes_by = "MLST" if verb == "SIZE" and self.has_mlst else "LIST"
            return self.sizes(paths)
        sizes = [self._size_of(reply, path) for path, reply in zip(paths, replies)]
        self._refuse_hidden({str(PurePosixPath(p).parent) for p, size in zip(paths, sizes) if size is None})
        return sizes

    def marks(self, paths: Sequence[str]) -> list[str | None]:
        """Return the size and the time of each of *paths* as the server words it, or None for what is no file."""
        sizes = self.sizes(paths)
        times = iter(self._times([path for path, size in zip(paths, sizes) if size is not None]))
        return [None if size is None else f"{size} {next(times, '')}".rstrip() for size in sizes]

    def _times(self, paths: Sequence[str]) -> list[str]:
        """Return when each of the files *paths* was modified, in the server's words; empty where it does not tell."""
        if not paths or not self._tells_times:
            return [""] * len(paths)
        replies = self._control.exchange([f"MDTM {path}" for path in paths])
        self._tells_times = not all(reply.code in _UNKNOWN_VERB for reply in replies)
        for path, reply in zip(paths, replies):
            if reply.code // 100 == 4 and reply.code not in _MISSING:
                raise error_for(reply, self._deed("ask the time of", path))
        return [shown(reply.text[4:]) if reply.code == 213 else "" for reply in replies]

    def _size_of(self, reply: Reply, path: str) -> int | None:
        if reply.code == 213 and reply.text[4:].strip().isdecimal():
            return int(reply.text[4:].strip())
        if reply.code == 250:
            found = None if _is_directory(reply) else _SIZE_FACT.search(reply.text)
            return int(found[1]) if found else None
        if reply.code in _MISSING:
            return None
        deed = self._deed("ask the size of", path)
        if reply.is_success:
            self._control.close()
            raise InterruptedTransferError(f"{deed}: the server answered '{reply}'.")
        raise error_for(reply, deed)

    def _listed_sizes(self, paths: Sequence[str]) -> list[int | None]:
        """Answer from one listing for each directory; the last resort, since listings lie."""
        found: dict[str, int] = {}
        for directory in sorted({str(PurePosixPath(path).parent) for path in paths}):
            for entry in self.list_directory(directory):
                if not entry.is_directory:
                    found[str(PurePosixPath(directory) / entry.name)] = entry.size
        return [found.get(path) for path in paths]

    def _refuse_hidden(self, directories: Iterable[str]) -> None:
        """Raise if one of *directories* is there and cannot be looked into: what seems to lack there may lie there."""
        for directory in sorted(set(directories)):
            path = PurePosixPath(directory)
            above = [str(each) for each in (path, *path.parents) if str(each) not in (".", "/", self.home)]
            replies = iter(
                self._control.exchange([f"MLST {each}" for each in above]) if self.has_mlst and above else ()
            )
            for each in above:
                if self.has_mlst:
                    reply = next(replies)
                    if not reply.is_success:
                        continue  # the same question about what is above it
                    if not _is_directory(reply):
                        break
                reply = self._entered(each)
                if reply.is_success:
                    break
                if self.has_mlst or self._exists(each):
                    raise RefusedError(
                        f"Cannot look into {each} on {self.address.host}: the server answered '{reply}', though the"
                        " directory is there.",
                        code=reply.code,
                    )

    def _exists(self, path: str) -> bool:
        """Tell, without MLST, whether there is a directory at *path* that could not be entered."""
        if self._control.command(f"SIZE {path}").code == 213:
            return False  # a file, so nothing lies below it
        # It only asks: nothing is renamed. Before RNTO some servers answer nothing else, so the connection is given up.
        is_there = self._control.command(f"RNFR {path}").is_intermediate
        if is_there:
            self._control.close()
        return is_there

    def rename(self, source: str, target: str) -> int | None:
        """Rename *source* to *target* and return the size that a file then has there, in one round trip."""
        lines = [f"RNFR {source}", f"RNTO {target}"]
        if self._sizes_by == "SIZE":
            lines.append(f"SIZE {target}")
        first, second, *third = self._control.exchange(lines)
        if first.is_intermediate and second.is_success:
            if third and third[0].code in (213, *_MISSING):
                return self._size_of(third[0], target)
            return self.sizes([target])[0]
        refused = second if first.is_intermediate else first
        raise error_for(refused, self._deed(f"rename to {target.rsplit('/', 1)[-1]}", source), reading=refused is first)

    def delete(self, paths: Sequence[str]) -> None:
        """Delete *paths*; what is gone already is no error, which a second question decides."""
        replies = self._control.exchange([f"DELE {path}" for path in paths]) if paths else []
        for path, reply in zip(paths, replies):
            if not reply.is_success and (self.sizes([path]) != [None] or self.has_directory(path)):
                raise error_for(reply, self._deed("delete", path))

    def remove_directories(self, paths: Sequence[str]) -> list[bool]:
        """Remove what is empty of the directories *paths*, any other is left; tell of each whether it was removed."""
        if not paths:
            return []
        return [200 <= reply.code < 300 for reply in self._control.exchange([f"RMD {path}" for path in paths])]

    # -- contents

    def upload(self, path: str, chunks: Iterable[Buffer]) -> int:
        """Store *chunks* at *path* and return how many bytes were sent; the caller asks the size."""
        return self._data.upload(f"STOR {path}", chunks, self._deed("upload", path))

    @contextmanager
    def download(self, path: str, offset: int = 0, length: int | None = None) -> Iterator[Download]:
        """Open *path* for reading from *offset* on; *length* is how much will be read, if that is known."""
        with self._reading(path, offset, length) as download:
            yield download

    @contextmanager
    def _reading(self, path: str, offset: int, length: int | None, before: Sequence[str] = ()) -> Iterator[Download]:
        start = offset if self.known.restarts else 0
        deed = self._deed("download", path)
        is_open = False
        try:
            with self._data.download(
                f"RETR {path}", deed, offset=start, length=length and length + offset - start, before=before
            ) as download:
                is_open = True
                download.skip(offset - start)
                yield download
        except MissingError as error:
            if not is_open and self.sizes([path]) != [None]:
                raise RefusedError(f"{str(error)[:-1]}, though the file is there.", code=error.code) from error
            raise

    def read(self, path: str, offset: int = 0) -> bytes:
        """Return what *path* holds from *offset* to its end, and see by its size that nothing was cut off."""
        question = [f"SIZE {path}"] if self._sizes_by == "SIZE" else []
        expected = None
        with self._reading(path, offset, None, question) as download:
            if question and download.before[0].code == 213:
                size = self._size_of(download.before[0], path)
                expected = None if size is None else max(0, size - offset)
            content = download.read_all(expected)
        if expected is not None and len(content) != expected:
            raise InterruptedTransferError(
                f"{self._deed('download', path)}: of {expected:,} bytes {len(content):,} came."
            )
        return content

    def list_directory(self, path: str) -> list[RemoteEntry]:
        """Return the files and directories in *path*; a missing directory is an empty one, a cut listing an error."""
        return entries_of(self._details(path))

    def list_details(self, path: str, *, thorough: bool = False) -> list[RemoteDetails]:
        """Return all that is told of what lies in *path*, as :meth:`list_directory` does, hidden names and all.

        To be *thorough*, ask for what one listing leaves open.
        """
        details = self._details(path, _HIDDEN)
        if not thorough:
            return details
        return self._with_links(details, path) if self._lists_by == "MLSD" else self._with_times(details, path)

    def _with_links(self, details: list[RemoteDetails], path: str) -> list[RemoteDetails]:
        """Return *details* with the links that LIST tells of and MLSD does not.

        ProFTPD leaves out those that lead to nothing, such as all that lead outside of the login's own tree, and most
        servers tell in LIST alone where a link leads.
        """
        try:
            text, final = self._long_listing(_HIDDEN, path)
            links = {one.name: one for one in parse_list(text) if one.kind == LINK}
        except (MissingError, RefusedError):
            return details
        refuse_truncated(final, path)
        found = {
            one.name: replace(one, target=one.target or links[one.name].target) if one.name in links else one
            for one in details
        }
        return [*found.values(), *(one for name, one in links.items() if name not in found)]

    def _with_times(self, details: list[RemoteDetails], path: str) -> list[RemoteDetails]:
        """Return *details* with the times of files to the second, which LIST does not tell."""
        files = [one for one in details if one.kind == FILE]
        times = self._times([f"{path}/{one.name}" for one in files])
        exact = {
            one.name: replace(one, modified=modified, mtime=seconds_of(modified))
            for one, modified in zip(files, times)
            if seconds_of(modified) is not None
        }
        return [exact.get(one.name, one) for one in details]

    def _details(self, path: str, option: str = "") -> list[RemoteDetails]:
        """Return what lies in *path*; where it is LIST that tells, with *option*, if the server knows it."""
        self._lists_by = self._lists_by or ("MLSD" if self.has_mlst else "LIST")
        verb = self._lists_by
        used = option if verb == "LIST" and self._lists_hidden else ""
        try:
            text, final = self._long_listing(used, path) if verb == "LIST" else self._listed(f"{verb} {path}", path)
        except (MissingError, RefusedError) as error:  # pyftpdlib says 501 of what is missing
            if not self.has_directory(path):
                return []
            if used:
                return self._details_shown(path)
            if error.code in _UNKNOWN_VERB and verb != "NLST":
                self._lists_by = "LIST" if verb == "MLSD" else "NLST"
                return self._details(path, option)
            if verb == "NLST" and error.code in _MISSING:
                return []  # several servers refuse to list what is empty
            if error.code == _NOT_NOW:
                raise InterruptedTransferError(str(error), code=error.code) from error
            raise RefusedError(str(error), code=error.code) from error
        refuse_truncated(final, path)
        if used and not shows_itself(text):
            return self._details_shown(path)
        return self._read_listing(verb, text, path)

    def _details_shown(self, path: str) -> list[RemoteDetails]:
        """Return what LIST without options tells of *path*, of which it told nothing with one."""
        details = self._details(path)
        if details:
            self._lists_hidden = False  # the server took the option for a name
        return details

    def _read_listing(self, verb: str, text: str, path: str) -> list[RemoteDetails]:
        if verb == "MLSD":
            return list(parse_mlsd(text))
        if verb == "NLST":
            return self._named(list(parse_nlst(text)), path)
        details = list(parse_list(text))
        if not shows_itself(text) and [one.name for one in details] in ([], [PurePosixPath(path).name]):
            self._refuse_hidden([path])  # vsftpd lists so what is missing, and what this user may not see
        return details

    def _long_listing(self, option: str, path: str) -> tuple[str, Reply]:
        """Return what LIST says, from within *path* where its name could be taken for a pattern or for options."""
        if not _PATTERNS.intersection(path) and not path.startswith("-"):
            return self._listed(f"LIST {option}{path}", path)
        reply = self._control.command(f"CWD {path}")
        if not reply.is_success:
            raise error_for(reply, self._deed("list", path), reading=True)
        try:
            return self._listed(f"LIST {option}".rstrip(), path)
        finally:
            if not self.is_broken:
                self._leave(path)

    def list_raw(self, path: str) -> str:
        """Return a listing of *path* in whatever form LIST has."""
        return self._listed(f"LIST {path}", path)[0]

    def _listed(self, command: str, path: str) -> tuple[str, Reply]:
        """Return a listing and the words after it."""
        with self._data.download(command, self._deed("list", path)) as download:
            text = _decoded(download.read_all().decode("latin-1"))
        return text, download.final

    def _named(self, names: Sequence[str], path: str) -> list[RemoteDetails]:
        """Ask what each of the *names* in *path* is, which NLST does not tell."""
        if self._sizes_by == "LIST":
            raise RefusedError(
                f"{self._deed('list', path)}: the server knows no command that tells the size of a file."
            )
        paths = [f"{path}/{name}" for name in names]
        sizes = self.sizes(paths)
        return [
            RemoteDetails(name, DIRECTORY if size is None else FILE, size=size or 0)
            for name, one, size in zip(names, paths, sizes)
            if size is not None or self.has_directory(one)
        ]


def _is_directory(reply: Reply) -> bool:
    """Tell whether the answer to MLST is about a directory."""
    kind = _TYPE_FACT.search(reply.text)
    return kind is not None and kind[1] is None


def _decoded(text: str) -> str:
    """Return *text*, read byte by byte as Latin-1, as the UTF-8 it usually is."""
    return text.encode("latin-1").decode("utf-8", "surrogateescape")


def connect(
    address: Address,
    context: ssl.SSLContext | None = None,
    known: Known | None = None,
    bandwidth: Bandwidth | None = None,
    before_login: Callable[[], None] = lambda: None,
) -> Session:
    """Connect, start TLS unless *address* says otherwise, and log in; all but *address* is shared by sessions.

    *before_login* is called when only that is left to be done, and may wait, or raise.
    """
    if address.tls and context is None:
        context = make_context(address)
    return Session(address, context if address.tls else None, known, bandwidth, before_login)
