# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scripted server's files: where a name leads on disk, the commands that change what is there, and listings."""

from __future__ import annotations

import calendar
import contextlib
import os
import re
import stat
import time
import typing as t

from .faults import Outcome, encoded

if t.TYPE_CHECKING:
    import io
    import threading
    from collections.abc import Iterator
    from pathlib import Path

    from .personalities import Personality

_DRIVE = re.compile(r"[A-Za-z]:(/|$)")
_HALF_A_YEAR = 182 * 24 * 3600

# A directory as the server sees it: what follows the login's own, by its names.
Place = tuple[str, ...]


class RefusedError(Exception):
    """A command is answered by ``str(error)``, and was not done."""


def said(text: str) -> Outcome:
    """Return the outcome of a command that is answered by *text*."""
    return Outcome(encoded(text))


class Disk:
    """The files of one session, and the directory it stands in; nothing outside of *root* is ever reached."""

    def __init__(self, root: Path, personality: Personality) -> None:
        self._root = root.resolve()
        self._personality = personality
        self._home = _names(personality.home)
        self.current: Place = ()

    def told(self, place: Place) -> str:
        """Return *place* as the server tells it, an absolute path."""
        home = self._personality.home
        return f"{home.rstrip('/')}/{'/'.join(place)}" if place else home

    def place(self, argument: str) -> Place:
        """Return the place that *argument* names, from here or absolutely."""
        if "\0" in argument:
            raise RefusedError("501 A name holds a NUL.")
        is_absolute = argument.startswith("/") or (
            _DRIVE.match(self._personality.home) is not None and _DRIVE.match(argument) is not None
        )
        if argument.startswith("/") and not self._personality.absolute_paths:
            raise RefusedError(f"550 {argument}: No such file or directory.")
        names = [] if is_absolute else [*self._home, *self.current]
        for name in argument.split("/"):
            if name == "..":
                del names[-1:]
            elif name not in ("", "."):
                names.append(name)
        if tuple(names[: len(self._home)]) != self._home:
            raise RefusedError(f"550 {argument}: Permission denied.")
        return tuple(self._accepted(name) for name in names[len(self._home) :])

    def _accepted(self, name: str) -> str:
        personality = self._personality
        if (personality.refuses_colons and ":" in name) or (
            personality.trailing_dots == "refused" and name.endswith(".")
        ):
            raise RefusedError(f"550 {name}: The filename, directory name, or volume label syntax is incorrect.")
        return name.rstrip(".") if personality.trailing_dots == "stripped" else name

    def path(self, place: Place) -> Path:
        """Return where *place* lies on disk."""
        path = self._root
        for name in place:
            path = self._found(path, name)
        if place and not path.parent.resolve().is_relative_to(self._root):
            raise RefusedError(f"550 {self.told(place)}: Permission denied.")
        return path

    def _found(self, directory: Path, name: str) -> Path:
        """Return *name* in *directory*, whatever its case where that does not matter."""
        path = directory / name
        if self._personality.folds_case and not os.path.lexists(path):
            with contextlib.suppress(OSError):  # there is no such directory, which whoever uses the path will see
                for entry in directory.iterdir():
                    if entry.name.casefold() == name.casefold():
                        return entry
        return path

    def named(self, argument: str) -> Path:
        """Return where *argument* leads on disk."""
        return self.path(self.place(argument))

    def stands_nowhere(self) -> bool:
        """Tell whether the directory this session stands in is gone, and must not be."""
        return self._personality.needs_its_directory and not self.path(self.current).is_dir()

    # -- contents

    def open_for_writing(self, argument: str, offset: int) -> io.FileIO:
        """Return the file, emptied from *offset* on; no buffer lies between, so that what came can be seen."""
        with _told_of(argument):
            path = self.named(argument)
            file = path.open("r+b" if offset and path.exists() else "wb", buffering=0)
            file.seek(offset)
            file.truncate(offset)
            return file

    def open_for_reading(self, argument: str, offset: int) -> io.FileIO:
        with _told_of(argument):
            path = self.named(argument)
            if not path.is_file():
                raise RefusedError(f"550 {argument}: Not a plain file.")
            file = path.open("rb", buffering=0)
        if offset > os.fstat(file.fileno()).st_size:
            file.close()
            raise RefusedError(f"554 {offset}: Invalid REST parameter.")
        file.seek(offset)
        return file

    # -- listings

    def facts(self, argument: str) -> bytes:
        """Return the facts of one thing, with its whole path, as MLST tells them."""
        with _told_of(argument):
            place = self.place(argument)
            return self._fact_line(self.path(place), os.fsencode(self.told(place)))

    def listing(self, verb: str, argument: str) -> list[bytes]:
        """Return the lines of MLSD, LIST or NLST, with their ends."""
        if verb != "MLSD":
            argument = " ".join(word for word in argument.split(" ") if not word.startswith("-"))
        with _told_of(argument):
            path = self.named(argument)
            if path.is_dir():
                entries = sorted(path.iterdir())
            elif verb == "MLSD":
                raise RefusedError(f"501 {argument}: Not a directory.")
            else:
                path.lstat()
                entries = [path]
        lines = []
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # another client was quicker
                lines.append(self._line(verb, entry) + b"\r\n")
        return lines

    def _line(self, verb: str, path: Path) -> bytes:
        name = os.fsencode(path.name)
        if verb == "NLST":
            return name
        return self._fact_line(path, name) if verb == "MLSD" else self._long_line(path, name)

    def _fact_line(self, path: Path, name: bytes) -> bytes:
        status = path.lstat()
        kind = {stat.S_IFDIR: "dir", stat.S_IFREG: "file", stat.S_IFLNK: "OS.unix=slink"}
        modified = time.strftime("%Y%m%d%H%M%S", time.gmtime(status.st_mtime))
        known = {
            "type": kind.get(stat.S_IFMT(status.st_mode), "OS.unix=other"),
            "size": str(status.st_size),
            "modify": modified,
            "create": modified,
            "perm": "flcdmpe" if stat.S_ISDIR(status.st_mode) else "adfrw",
            "unique": f"{status.st_dev:x}g{status.st_ino:x}",
            "unix.mode": f"0{stat.S_IMODE(status.st_mode):o}",
            "unix.uid": str(status.st_uid),
            "unix.gid": str(status.st_gid),
            "win32.ea": "0x00000020",
        }
        offered = self._personality.facts or ()
        facts = "".join(f"{fact}={known[fact.lower()]};" for fact in offered if fact.lower() in known)
        return facts.encode() + b" " + name

    def _long_line(self, path: Path, name: bytes) -> bytes:
        status = path.lstat()
        if self._personality.listing == "dos":
            when = time.strftime("%m-%d-%y  %I:%M%p", time.gmtime(status.st_mtime))
            size = "<DIR>         " if stat.S_ISDIR(status.st_mode) else f"{status.st_size:>14}"
            return f"{when}       {size} ".encode() + name
        is_recent = abs(time.time() - status.st_mtime) < _HALF_A_YEAR
        when = time.strftime("%b %d %H:%M" if is_recent else "%b %d  %Y", time.gmtime(status.st_mtime))
        mode = stat.filemode(status.st_mode)
        target = b" -> " + os.fsencode(path.readlink()) if stat.S_ISLNK(status.st_mode) else b""
        return f"{mode}   1 {self._personality.owner} {status.st_size:>12} {when} ".encode() + name + target


class FileVerbs:
    """The commands that look at files and change them, but for their contents."""

    def __init__(self, disk: Disk, personality: Personality, renaming: threading.Lock) -> None:
        self._disk = disk
        self._personality = personality
        # A name must not be taken by two between the look and the deed.
        self._renaming = renaming
        self._source: Path | None = None

    def on_pwd(self, _argument: str) -> Outcome:
        path = self._disk.told(self._disk.current).replace('"', '""')
        return said(self._personality.pwd.replace("{path}", path))

    def on_cwd(self, argument: str) -> Outcome:
        place = self._disk.place(argument)
        if not self._disk.path(place).is_dir():
            raise RefusedError(f"550 {argument}: No such directory.")
        self._disk.current = place
        return said("250 Directory changed.")

    def on_cdup(self, _argument: str) -> Outcome:
        return self.on_cwd("..")

    def on_mkd(self, argument: str) -> Outcome:
        place = self._disk.place(argument)
        with _told_of(argument):
            self._disk.path(place).mkdir()
        path = self._disk.told(place).replace('"', '""')
        return said(f'257 "{path}" created.')

    def on_rmd(self, argument: str) -> Outcome:
        with _told_of(argument):
            self._disk.named(argument).rmdir()
        return said("250 Directory removed.")

    def on_dele(self, argument: str) -> Outcome:
        with _told_of(argument):
            self._disk.named(argument).unlink()
        return said("250 File removed.")

    def on_rnfr(self, argument: str) -> Outcome:
        with _told_of(argument):
            source = self._disk.named(argument)
            source.lstat()
        self._source = source
        return said("350 It is there: now its new name.")

    def on_rnto(self, argument: str) -> Outcome:
        source, self._source = self._source, None
        if source is None:
            raise RefusedError("503 RNFR comes first.")
        with self._renaming, _told_of(argument):
            target = self._disk.named(argument)
            if os.path.lexists(target):
                raise RefusedError(f"550 {argument}: File exists.")
            source.rename(target)
        return said("250 Renamed.")

    def on_size(self, argument: str) -> Outcome:
        with _told_of(argument):
            path = self._disk.named(argument)
            size = path.stat().st_size
        if not path.is_file():
            raise RefusedError(f"550 {argument}: Not a plain file.")
        return said(f"213 {size}")

    def on_mdtm(self, argument: str) -> Outcome:
        with _told_of(argument):
            modified = self._disk.named(argument).stat().st_mtime
        return said(f"213 {time.strftime('%Y%m%d%H%M%S', time.gmtime(modified))}")

    def on_mfmt(self, argument: str) -> Outcome:
        when, _space, name = argument.partition(" ")
        try:
            seconds = calendar.timegm(time.strptime(when, "%Y%m%d%H%M%S"))
        except ValueError as error:
            raise RefusedError(f"501 {when}: No time.") from error
        with _told_of(name):
            os.utime(self._disk.named(name), (seconds, seconds))
        return said(f"213 Modify={when}; {name}")

    def on_mlst(self, argument: str) -> Outcome:
        if self._personality.facts is None:
            raise RefusedError("500 Unknown command.")
        return Outcome(b"250-Facts of it:\r\n " + self._disk.facts(argument) + b"\r\n250 End of facts.\r\n")

    def on_stat(self, argument: str) -> Outcome:
        if argument:
            lines = b"".join(b" " + line for line in self._disk.listing("LIST", argument))
            return Outcome(b"213-Status of it:\r\n" + lines + b"213 End of status.\r\n")
        if self._personality.stat is None:
            raise RefusedError("500 Unknown command.")
        return said(self._personality.stat)

    def on_site(self, argument: str) -> Outcome:
        found = re.fullmatch(r"(?i)CHMOD ([0-7]{3,4}) (.+)", argument)
        if not self._personality.has_chmod or found is None:
            raise RefusedError("500 Unknown SITE command.")
        with _told_of(found[2]):
            self._disk.named(found[2]).chmod(int(found[1], 8))
        return said("200 Permissions changed.")


@contextlib.contextmanager
def _told_of(argument: str) -> Iterator[None]:
    """Turn what the disk refuses into a reply about *argument*."""
    try:
        yield
    except OSError as error:
        raise RefusedError(f"550 {argument}: {error.strerror}.") from error


def _names(path: str) -> Place:
    return tuple(name for name in path.split("/") if name)
