# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a backup of cPanel once, in one pass that stages nothing, and writing down what it holds: its listing.

What is learned of members goes into a table on this host, since they come in any order and there may be millions; where
each belongs is decided at the end, when all is known that the backup tells of the account.
"""

from __future__ import annotations

import hashlib
import json
import typing as t
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from .. import tables
from ..databases.servers import MYSQL, POSTGRESQL
from ..errors import DamageError, LocalError, MissingError, RefusedError, told_as
from ..moments import UNDATED
from ..native.entries import (
    DATABASE,
    DIRECTORY,
    FILE,
    HARD_LINK,
    SYMLINK,
    Entry,
    Part,
    Place,
    Problem,
    digest_of_segments,
    order_key,
    path_bytes,
    path_text,
)
from ..private_files import make_private_directory
from ..storage import DIRECTORY as REMOTE_DIRECTORY
from ..storage import FILE as REMOTE_FILE
from ..storage import LINK as REMOTE_LINK
from .generated import generated_files
from .limits import LIMITS
from .listing import ListingWriter, Origin, date_of, header_of
from .member_lines import Notes
from .metadata import account_of, is_metadata
from .naming import DIRECTORY as DIRECTORY_FORM
from .naming import TAR, TAR_GZ
from .parts import Sorter, seat_path
from .remote import RemoteStream
from .tarring import TarReader, safe_name
from .unpacking import Unpacked

if t.TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path, PurePosixPath

    from ..storage import Storage
    from .generated import Generated
    from .naming import Backup
    from .parts import Seat
    from .remote import ByteStream
    from .tarring import Member

    Tell = Callable[[int], object]
else:
    try:
        import sqlite3
    except ImportError:  # told by require_sqlite(): some systems have it in a package of its own
        sqlite3 = None

_SEGMENT = 8 * 1024 * 1024
_BATCH = 2000
_CACHE_KIB = 32 * 1024
_MEMBER_COST = 512  # bytes that a member of the metadata costs beside its content
_NAME_COST, _ROOM_FOR_NAMES = 156, LIMITS.outside_home * 256  # bytes that a name costs, and that all of them may
_TOPS_KEPT = 1000
_REFUSED_KEPT = 2000
_HINTS = frozenset((b"cp", b"homedir", b"homedir.tar", b"mysql", b"mysql.sql", b"userdata", b"version", b"dnszones"))
_HOME_MARKS = (b".cpanel/datastore", b".cpanel-datastore")
_GZIP = b"\x1f\x8b"
_SCHEMA = """
CREATE TABLE members (
  number INTEGER PRIMARY KEY, name BLOB NOT NULL, kind TEXT NOT NULL, mode INTEGER NOT NULL, uid INTEGER NOT NULL,
  gid INTEGER NOT NULL, user BLOB NOT NULL, grp BLOB NOT NULL, mtime INTEGER NOT NULL, size INTEGER NOT NULL,
  digest TEXT NOT NULL, target BLOB NOT NULL, volume BLOB NOT NULL, places TEXT NOT NULL, extents TEXT NOT NULL
);
-- number: of the member; a generated file has a negative one. before: the member whose content comes before
CREATE TABLE seats (
  key BLOB PRIMARY KEY, number INTEGER NOT NULL, mode INTEGER NOT NULL, kind TEXT NOT NULL, part BLOB NOT NULL,
  before INTEGER
) WITHOUT ROWID;
"""
_COLUMNS = "number, name, kind, mode, uid, gid, user, grp, mtime, size, digest, target, volume, places, extents"


class _Row(t.NamedTuple):
    """A member as the table has it: *user* and *group* as bytes, *places* in *volume* as text, *extents* in JSON."""

    number: int
    name: bytes
    kind: str
    mode: int
    uid: int
    gid: int
    user: bytes
    group: bytes
    mtime: int
    size: int = 0
    digest: str = ""
    target: bytes = b""
    volume: bytes = b""
    places: str = ""
    extents: str = ""


@dataclass
class _Learned:
    """What one pass has learned beside the table of members.

    *last* is the member that was read last, and *refused* are directories that the server does not list, as many as are
    kept; *form* is what the content shows, whatever the name says.
    """

    form: str
    last: bytes = b""
    damage: str = ""
    size: int = 0
    refused: list[bytes] = field(default_factory=list)


def _unheard(_count: int) -> None:
    """Do without what is told."""


def make_listing(
    storage: Storage,
    backup: Backup,
    mark: str,
    listing: Path,
    scratch: Path,
    tell: Tell = _unheard,
) -> None:
    """Read *backup*, whose state is *mark*, and write the file *listing*; tables are kept in *scratch* meanwhile.

    *tell* is told how much more was read, and ends the reading by what it raises. What is damaged is part of the
    listing; what cannot be read now, though it may be later, is raised as a StorageError, and a backup that vanished as
    a MissingError.
    """
    tables.require_sqlite("The reading of a backup")
    table, temporary = scratch / f"{listing.name}.sqlite", listing.with_name(f"{listing.name}.tmp")
    try:
        with _told_of_table(table):
            tables.discard(table)
            tables.make(table, _SCHEMA)
            with closing(tables.connect(table)) as connection:
                for setting in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE_KIB}"):
                    connection.execute(f"PRAGMA {setting}")
                reading = _Reading(storage, backup, connection, tell)
                reading.read()
                make_private_directory(listing.parent)
                with told_as(f"Cannot write the listing {listing}"):
                    temporary.unlink(missing_ok=True)
                    reading.write(temporary, mark)
                    temporary.replace(listing)
    finally:
        tables.discard(table)
        with told_as(f"Cannot remove {temporary}"):
            temporary.unlink(missing_ok=True)


@contextmanager
def _told_of_table(table: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise LocalError(f"What a backup holds cannot be noted in {table}: {error}.") from error


class _Reading:
    """One pass over *backup*."""

    def __init__(self, storage: Storage, backup: Backup, connection: sqlite3.Connection, tell: Tell) -> None:
        self._storage = storage
        self._tell = tell
        self._backup = backup
        self._db = connection
        self._notes = Notes()
        self._learned = _Learned(backup.form)
        self._metadata: dict[bytes, bytes] = {}
        self._kept = 0
        self._rows: list[_Row] = []
        self._number = 0
        self._tops: dict[bytes, int] = {}
        self._marks: set[bytes] = set()
        self._outside: dict[bytes, int] = {}
        self._room_for_names = _ROOM_FOR_NAMES
        self._metadata_numbers: dict[bytes, int] = {}
        self._sources: dict[bytes, int] = {}
        self._links = 0
        self._is_directory = backup.form == DIRECTORY_FORM

    def read(self) -> None:
        """Fill the table of members."""
        self._db.execute("BEGIN")
        if self._is_directory:
            self._read_directory()
        else:
            self._read_archive()
        self._flush()
        self._db.execute("COMMIT")

    # -- an archive

    def _read_archive(self) -> None:
        path = self._backup.path
        (size,) = self._storage.sizes([path])
        if size is None:
            raise MissingError(f"The backup {path} is gone from the storage.")
        self._learned.size = size
        with RemoteStream(self._storage, path) as stream:
            peeked = _Peeked(_Told(stream, self._tell))
            is_packed = peeked.head == _GZIP
            self._learned.form = TAR_GZ if is_packed else TAR
            if self._learned.form != self._backup.form:
                self._notes.add("", f"The archive is called {path.name}, and is a {self._learned.form} all the same.")
            unpacked = Unpacked(peeked) if is_packed else None
            self._read_tar(unpacked if unpacked is not None else peeked, b"", "")
            if unpacked is not None and unpacked.trailing:
                self._notes.add(
                    "", f"Behind the end of the archive, {unpacked.trailing:,} bytes follow that mean nothing."
                )
            if not self._learned.damage and stream.position != size:
                self._learned.damage = self._sentence(f"of its {size:,} bytes, {stream.position:,} came")

    def _read_tar(self, stream: ByteStream, above: bytes, volume: str) -> None:
        """Read the members of a tar stream, which lies in *volume* and whose names go on from *above*."""
        reader = TarReader(stream, above=above)
        try:
            for member in reader.members():
                last = self._learned.last
                self._take(reader, member, volume)
                if reader.damage:  # it is what came before that was cut
                    self._learned.last = last
        except DamageError as error:
            self._learned.damage = self._sentence(str(error))
        for problem in reader.notes:
            self._notes.add(problem.path, problem.problem)
        self._notes.add_uncounted(reader.further_notes)
        if reader.damage and not self._learned.damage:
            self._learned.damage = self._sentence(reader.damage)

    def _sentence(self, why: str) -> str:
        return f"The backup {self._backup.path} is damaged: {why.rstrip('.')}."

    def _take(self, reader: TarReader, member: Member, volume: str) -> None:
        name = safe_name(member.name)
        if name is None:
            self._notes.add(member.name, "no restore may follow that path")
            return
        if not name:
            return
        if member.kind not in (FILE, DIRECTORY, SYMLINK, HARD_LINK):
            self._notes.add(name, "it is a device, a FIFO or something else that is not restored")
            return
        self._learned.last = name
        kept = self._wants(name, member.size) if member.kind == FILE else None
        places, digest = self._hashed(reader, member, kept) if member.kind == FILE else ("", "")
        row = _Row(
            self._number,
            name,
            member.kind,
            member.mode & 0o777,
            member.uid,
            member.gid,
            path_bytes(member.user),
            path_bytes(member.group),
            member.mtime,
            member.size,
            digest,
            member.target,
            path_bytes(volume),
            places,
            json.dumps(member.extents) if member.extents else "",
        )
        self._add(row, kept)

    def _wants(self, name: bytes, size: int) -> bytearray | None:
        """Return what takes up the content of the member *name* if it is needed to know the account."""
        below = b"" if name.startswith(b"homedir/") or self._is_directory else name.partition(b"/")[2]
        if not (is_metadata(name) or (below and is_metadata(below))):
            return None
        if size > LIMITS.metadata_member or self._kept + size + _MEMBER_COST > LIMITS.metadata_total:
            self._notes.add(name, f"it is too large, {size:,} bytes, for what it should be, and was not looked into")
            return None
        return bytearray()

    @staticmethod
    def _hashed(reader: TarReader, member: Member, kept: bytearray | None) -> tuple[str, str]:
        """Return where the content of *member* lies, in pieces of which each has its digest, and the digest of all."""
        places: list[Place] = []
        total, size, offset = hashlib.sha256(), 0, member.offset
        for piece in reader.content():
            if kept is not None:
                kept += piece
            rest = piece
            while rest:
                stretch = rest[: _SEGMENT - size]
                total.update(stretch)
                size += len(stretch)
                rest = rest[len(stretch) :]
                if size == _SEGMENT:
                    places.append(Place("", offset, size, 0, size, total.hexdigest()))
                    total, size, offset = hashlib.sha256(), 0, offset + size
        if not places:
            return (f"{offset} {size} ", total.hexdigest()) if size else ("", "")
        if size:
            places.append(Place("", offset, size, 0, size, total.hexdigest()))
        places, digest = _joined(places)
        return ",".join(f"{place.offset} {place.size} {place.digest}" for place in places), digest

    # -- a directory

    def _read_directory(self) -> None:
        """Read the listings of a backup that is a directory, and of its files only those that tell of the account."""
        waiting, refused = [b""], self._learned.refused
        while waiting:
            below = waiting.pop()
            directory = self._backup.path / path_text(below)
            self._tell(0)
            try:
                found = self._storage.list_details(directory, thorough=True)
            except RefusedError as error:
                self._learned.damage = self._learned.damage or self._sentence(str(error))
                refused += [below] if len(refused) < _REFUSED_KEPT else []
                continue
            if self._number > LIMITS.members:  # the server may follow links in circles
                self._learned.damage = self._sentence(f"it has more than {LIMITS.members:,} members")
                self._learned.last = below
                return
            for details in sorted(found, key=lambda details: details.name):
                name = (below + b"/" if below else b"") + path_bytes(details.name)
                if safe_name(name) != name:
                    self._notes.add(name, "no restore may follow that path")
                    continue
                if details.kind == REMOTE_DIRECTORY:
                    waiting.append(name)
                    self._add(self._row_of(name, DIRECTORY, details.mode, details.mtime))
                elif details.kind == REMOTE_LINK and details.target:
                    row = self._row_of(name, SYMLINK, details.mode, details.mtime)
                    self._add(row._replace(target=path_bytes(details.target)))
                elif details.kind == REMOTE_FILE:
                    self._take_file(name, directory / details.name, details.size, details.mode, details.mtime)
                else:
                    self._notes.add(name, "the server does not tell what it is, so it is not restored")

    def _row_of(self, name: bytes, kind: str, mode: int | None, mtime: int | None) -> _Row:
        usual = 0o700 if kind == DIRECTORY else 0o600
        return _Row(
            *(self._number, name, kind, usual if mode is None else mode & 0o777, 0, 0, b"", b"", (mtime or 0) * 10**9)
        )

    def _take_file(self, name: bytes, path: PurePosixPath, size: int, mode: int | None, mtime: int | None) -> None:
        if name == b"homedir.tar":
            with RemoteStream(self._storage, path) as stream:
                self._read_tar(_Told(stream, self._tell), b"homedir/", path_text(name))
            return
        kept = self._wants(name, size)
        if kept is not None:
            try:
                kept += self._storage.read(path, 0, size)
                self._tell(len(kept))
            except RefusedError:
                self._notes.add(name, "the server does not give it, so it was not looked into")
                kept = None
        row = self._row_of(name, FILE, mode, mtime)
        self._add(row._replace(size=size, volume=name, places=f"0 {size} "), kept)

    # -- the table

    def _add(self, row: _Row, kept: bytearray | None = None) -> None:
        """Add a member, of which the content is *kept* if it tells of the account; of several, the last counts."""
        before = self._metadata.pop(row.name, None)
        if before is not None:
            self._kept -= len(before) + _MEMBER_COST
        if kept is not None:
            self._kept += len(kept) + _MEMBER_COST
            self._metadata[row.name] = bytes(kept)
            self._metadata_numbers[row.name] = row.number
        self._rows.append(row)
        self._number += 1
        self._links += row.kind == HARD_LINK
        self._note_name(row.name, row.number)
        if len(self._rows) >= _BATCH:
            self._flush()

    def _note_name(self, name: bytes, number: int) -> None:
        """Note what the *name* of a member tells of all of them."""
        first, _slash, rest = name.partition(b"/")
        second = rest.partition(b"/")[0]
        if first in _HINTS:
            self._tops[b""] = self._tops.get(b"", 0) + 1
        elif second in _HINTS:
            if first in self._tops or len(self._tops) < _TOPS_KEPT:
                self._tops[first] = self._tops.get(first, 0) + 1
        elif (name in _HOME_MARKS or rest in _HOME_MARKS) and len(self._marks) < _TOPS_KEPT:
            self._marks.add(b"" if name in _HOME_MARKS else first)
        if b"homedir" in (first, second):
            return
        if name not in self._outside:
            self._room_for_names -= len(name) + _NAME_COST
        if self._room_for_names > 0 or name in self._outside:
            self._outside[name] = number

    def _flush(self) -> None:
        marks = ", ".join("?" * len(_Row._fields))
        self._db.executemany(f"INSERT INTO members ({_COLUMNS}) VALUES ({marks})", self._rows)  # noqa: S608 - ours
        self._rows.clear()

    # -- what it all means

    def write(self, path: Path, mark: str) -> None:
        """Write what was read as a listing to the file *path*."""
        top, is_home_alone = self._top()
        below = _Below(top, is_home_alone=is_home_alone)
        metadata = {below(name): content for name, content in self._metadata.items()}
        outside = {below(name): number for name, number in self._outside.items()}
        account = account_of(metadata, outside)
        user = account.user or self._backup.account
        if account.user and account.user != self._backup.account:
            self._notes.add("", f"The backup is called as one of {self._backup.account}, and is one of {account.user}.")
        for problem in account.notes:
            self._notes.add(problem.path, problem.problem)
        self._sources = {below(name): number for name, number in self._metadata_numbers.items()}
        if self._room_for_names <= 0 and not is_home_alone:
            self._notes.add("", "It has so many names beside the home directory that not all of them are understood.")
        sorter = Sorter(
            *(account, user, _certificates(outside), outside.__contains__, metadata.__contains__),
            is_home_alone=is_home_alone,
        )
        self._db.execute("BEGIN")
        self._resolve_links()
        self._seat(sorter, below, outside)
        generated = self._generated(metadata, sorter)
        self._db.execute("COMMIT")
        if sorter.is_full:
            self._notes.add("", "It has more parts than can be told apart; what else there is belongs to none of them.")
        origin = self._origin(mark, account.facts, self._cut(sorter, below))
        header = header_of(self._backup.id, user, date_of(self._backup), origin)
        with path.open("xb") as file:
            path.chmod(0o600)
            writer = ListingWriter(file.write, header, origin)
            parts = self._write_entries(writer, generated)
            damage = self._learned.damage
            notes = ((Problem("", damage),) if damage else ()) + self._notes.all()
            writer.finish(complete=not damage, problems=notes, parts=parts, volumes={})

    def _origin(self, mark: str, facts: Mapping[str, str], cut: tuple[str, ...]) -> Origin:
        backup, learned = self._backup, self._learned
        return Origin(
            path=str(backup.path),
            form=learned.form,
            cycle=backup.cycle,
            mark=mark,
            size=learned.size,
            is_dated=date_of(backup) != UNDATED,
            damage=learned.damage,
            cut=cut,
            facts=facts,
        )

    def _top(self) -> tuple[bytes, bool]:
        """Return the directory above all members, empty if there is none, and whether it is a home directory alone."""
        if self._tops:
            return max(sorted(self._tops), key=lambda top: self._tops[top]), False
        if self._marks:
            return min(self._marks), True
        if not self._learned.damage:
            self._learned.damage = self._sentence("it holds nothing that an account's backup has")
        return b"", False

    def _resolve_links(self) -> None:
        """Give each hard link the content of the member that it names, which came before it."""
        if not self._links:
            return
        self._db.execute("CREATE INDEX names ON members (name)")
        links = f"SELECT number, name, target FROM members WHERE number > ? AND kind = '{HARD_LINK}' ORDER BY number"  # noqa: S608 - ours
        for number, name, target in self._pages(links):
            aim = safe_name(target)
            found = self._db.execute(
                "SELECT kind, size, digest, volume, places, extents FROM members WHERE name = ? AND number < ?"
                " ORDER BY number DESC LIMIT 1",
                (aim, number),
            ).fetchone()
            if aim is None or found is None or found[0] != FILE:
                self._notes.add(name, "it is a hard link to nothing that came before it in the backup")
                self._db.execute("DELETE FROM members WHERE number = ?", (number,))
                continue
            self._db.execute(
                "UPDATE members SET kind = ?, size = ?, digest = ?, volume = ?, places = ?, extents = ?, target = x''"
                " WHERE number = ?",
                (*found, number),
            )

    def _seat(self, sorter: Sorter, below: _Below, outside: dict[bytes, int]) -> None:
        """Find the seats of all members."""
        count = 0
        rows: list[tuple[t.Any, ...]] = []
        for number, name, kind in self._pages(
            "SELECT number, name, kind FROM members WHERE number > ? ORDER BY number"
        ):
            inside = below(name)
            seats = sorter.seats(inside, is_directory=kind == DIRECTORY) if inside else []
            rows += [self._seat_row(number, seat, outside) for seat in seats if seat.path]
            if len(rows) >= _BATCH:
                count += self._add_seats(rows)
        count += self._add_seats(rows)
        (kept,) = self._db.execute("SELECT count(*) FROM seats").fetchone()
        if count > kept:
            self._notes.add("", f"{count - kept:,} names stand there more than once; the last of each counts.")

    def _add_seats(self, rows: list[tuple[t.Any, ...]]) -> int:
        """Add *rows* to the seats, forget them, and return how many they were."""
        count = len(rows)
        self._db.executemany("INSERT OR REPLACE INTO seats VALUES (?, ?, ?, ?, ?, ?)", rows)
        rows.clear()
        return count

    def _cut(self, sorter: Sorter, below: _Below) -> tuple[str, ...]:
        """Return the parts that were not read to their end: those of what the damage came at."""
        learned = self._learned
        if not learned.damage:
            return ()
        cut: set[tuple[str, str]] = set()
        if learned.last:
            cut |= sorter.incomplete(below(learned.last), is_directory=self._is_directory)
        for name in learned.refused:
            cut |= sorter.incomplete(below(name), is_directory=True)
        if len(learned.refused) >= _REFUSED_KEPT or b"" in learned.refused:
            cut |= sorter.parts
        return tuple(sorted("/".join(part) for part in cut))

    def _pages(self, query: str) -> Iterator[tuple[t.Any, ...]]:
        """Yield the rows of *query*, a page at a time: other tables are written meanwhile."""
        last = -1
        while True:
            page = self._db.execute(f"{query} LIMIT {_BATCH}", (last,)).fetchall()
            yield from page
            if not page:
                return
            last = page[-1][0]

    @staticmethod
    def _seat_row(number: int, seat: Seat, outside: dict[bytes, int]) -> tuple[t.Any, ...]:
        before = None if seat.before is None else outside.get(seat.before)
        return order_key(seat.path), number, seat.mode, seat.kind, path_bytes(seat.name), before

    def _generated(self, metadata: Mapping[bytes, bytes], sorter: Sorter) -> list[Generated]:
        """Return the files that are made of *metadata*, and give each its seat.

        What they hold depends on the databases that there are: a restore knows these by the parts, and so it is here.
        """
        found = self._db.execute("SELECT DISTINCT part FROM seats WHERE kind = ?", (DATABASE,))
        made = generated_files(metadata, sorted(path_text(part) for (part,) in found))
        generated = [one for one in made if sorter.takes(one.kind, one.name)]
        rows: list[tuple[t.Any, ...]] = []
        for number, one in enumerate(generated, 1):
            for note in one.notes:
                self._notes.add(note.path, note.problem)
            key = order_key(seat_path(one.kind, one.name, path_bytes(one.rest)))
            rows.append((key, -number, 0o600, one.kind, path_bytes(one.name), None))
        self._add_seats(rows)
        return generated

    def _write_entries(self, writer: ListingWriter, generated: list[Generated]) -> tuple[Part, ...]:
        """Write all entries in their order, and return the parts that they make up."""
        parts: dict[tuple[str, str], list[int]] = {}
        columns = ", ".join(f"members.{column}" for column in _COLUMNS.split(", "))
        rows = self._db.execute(
            f"SELECT key, seats.number, seats.mode, seats.kind, part, before, {columns}"  # noqa: S608 - ours
            " FROM seats LEFT JOIN members ON members.number = seats.number ORDER BY key"
        )
        last_file = b"\0"
        for key, number, mode, kind, part, before, *values in rows:
            path = key.replace(b"\0", b"/")
            if path.startswith(last_file):
                self._notes.add(path, "it lies below what is no directory")
                continue
            if number < 0:
                entry = self._generated_entry(path, generated[-number - 1])
            else:
                entry = self._entry(path, _Row(*values), mode, before)
            if kind == DATABASE:
                entry = entry._replace(facts=_dump_facts(path, path_text(part)))
            if entry.kind != DIRECTORY:
                last_file = path + b"/"
            writer.add(entry)
            counts = parts.setdefault((kind, path_text(part)), [0, 0])
            counts[0] += 1
            counts[1] += entry.size
        return tuple(Part(kind, name, entries, size) for (kind, name), (entries, size) in sorted(parts.items()))

    def _entry(self, path: bytes, row: _Row, mode: int, before: int | None) -> Entry:
        entry = Entry(
            path=path,
            kind=row.kind,
            mode=row.mode if row.kind == DIRECTORY else row.mode & mode,
            uid=row.uid,
            gid=row.gid,
            user=path_text(row.user),
            group=path_text(row.group),
            mtime=row.mtime,
            size=row.size if row.kind == FILE else 0,
            digest=row.digest if row.kind == FILE else "",
            target=row.target,
            places=_places_of(row),
            extents=tuple((start, length) for start, length in json.loads(row.extents)) if row.extents else (),
        )
        if before is None:
            return entry
        first = self._row(before)
        if first is None or first.kind != FILE or entry.kind != FILE or first.extents or entry.extents:
            return entry
        halves = [_alone(_places_of(first), first.digest), _alone(entry.places, entry.digest)]
        places, digest = _joined([place for half in halves for place in half if place.size])
        return entry._replace(size=first.size + entry.size, digest=digest, places=tuple(places))

    def _generated_entry(self, path: bytes, made: Generated) -> Entry:
        """Return the entry of a file that is made of some members when it is restored."""
        sources: dict[str, list[list[object]]] = {}
        mtime, uid, gid, user, group = 0, 0, 0, b"", b""
        for name in made.sources:
            row = self._member_below(name)
            if row is not None:
                sources[path_text(name)] = [
                    [place.volume, place.offset, place.size] for place in _places_of(row) if place.size
                ]
                mtime, uid, gid, user, group = max(mtime, row.mtime), row.uid, row.gid, row.user, row.group
        return Entry(
            path=path,
            kind=FILE,
            mode=0o600,
            uid=uid,
            gid=gid,
            user=path_text(user),
            group=path_text(group),
            mtime=mtime,
            size=len(made.content),
            digest=hashlib.sha256(made.content).hexdigest(),
            facts=json.dumps({"generated": made.kind, "from": sources}),
        )

    def _member_below(self, name: bytes) -> _Row | None:
        """Return the member of the metadata that is called *name* below the top directory."""
        number = self._sources.get(name)
        return None if number is None else self._row(number)

    def _row(self, number: int) -> _Row | None:
        """Return the member of that *number*, None if it counts no more."""
        query = f"SELECT {_COLUMNS} FROM members WHERE number = ?"  # noqa: S608 - ours
        found = self._db.execute(query, (number,)).fetchone()
        return None if found is None else _Row(*found)


class _Below:
    """Returns names as they are below the directory *top*, if there is one; a home directory alone gets its name."""

    def __init__(self, top: bytes, *, is_home_alone: bool) -> None:
        self._top = top
        self._prefix = top + b"/" if top else b""
        self._above = b"homedir/" if is_home_alone else b""

    def __call__(self, name: bytes) -> bytes:
        if name == self._top:
            return self._above[:-1]
        return self._above + (name.removeprefix(self._prefix))


class _Told:
    """A stream that tells how much of it was read."""

    def __init__(self, stream: ByteStream, tell: Tell) -> None:
        self._stream = stream
        self._tell = tell

    def read(self, size: int) -> memoryview | bytes:
        piece = self._stream.read(size)
        self._tell(len(piece))
        return piece


class _Peeked:
    """A stream of which the first two bytes are known: *head*."""

    def __init__(self, stream: ByteStream) -> None:
        self.head = bytes(stream.read(2))
        self._rest = self.head
        self._stream = stream

    def read(self, size: int) -> memoryview | bytes:
        if not self._rest:
            return self._stream.read(size)
        first, self._rest = self._rest[:size], self._rest[size:]
        return first + bytes(self._stream.read(size - len(first)))


def _certificates(outside: Iterable[bytes]) -> tuple[str, ...]:
    """Return the domains that the backup has certificates of, by the names of members."""
    found: set[bytes] = set()
    for name in outside:
        first, _slash, rest = name.partition(b"/")
        if first == b"apache_tls":
            found.add(rest.partition(b"/")[0])
        elif (first, rest[-4:]) in ((b"sslcerts", b".crt"), (b"sslkeys", b".key")):
            found.add(rest[:-4])
    return tuple(sorted(path_text(domain) for domain in found if domain and b"/" not in domain))


def _dump_facts(path: bytes, name: str) -> str:
    """Return what a load needs to know of the dump at *path*."""
    return json.dumps({"type": POSTGRESQL if path.endswith(b".tar") else MYSQL, "name": name})


def _joined(places: list[Place]) -> tuple[list[Place], str]:
    """Return *places*, each of which has its digest, as an entry has them, and the digest of all; "" if one lacks."""
    if not all(place.digest for place in places):
        return places, ""
    digest = digest_of_segments([place.digest for place in places])
    return ([places[0]._replace(digest="")] if len(places) == 1 else places), digest


def _alone(places: Iterable[Place], digest: str) -> list[Place]:
    """Return *places* with a digest each, where *digest* is that of all of them."""
    found = list(places)
    return [found[0]._replace(digest=digest)] if len(found) == 1 else found


def _places_of(row: _Row) -> tuple[Place, ...]:
    """Return where the content of *row* lies, which is a text of offset, size and digest of each piece."""
    if not row.places:
        return ()
    volume = path_text(row.volume)
    pieces = [piece.split(" ") for piece in row.places.split(",")]
    return tuple([Place(volume, int(offset), int(size), 0, int(size), digest) for offset, size, digest in pieces])
