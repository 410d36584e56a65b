# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restoring files in the order in which their content comes: an archive is read once, from its beginning to its end.

First all entries are compared with what lies in the target, and what is to be done is noted in a plan. Then the
content is brought, and goes to whatever files want it. A file gets its name once all of it is there and right, so a
restore that is killed leaves each file whole or as it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import typing as t
from collections import OrderedDict
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass

from ..errors import BackupError, DamageError, LocalError, told_as
from ..native.entries import DIRECTORY, FILE, SYMLINK, Place, path_text
from ..native.wellformed import content_size, require_entry
from ..stretches import Stretch
from .deciding import EntryOrder, FileDecider
from .failures import as_no_more, shown, told_no_more
from .plan import OWNERS_A_PAGE, Owner, Plan, Wanted
from .target import write_all
from .windows import File, Window

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from ..native.entries import Entry
    from ..progress import Meter
    from ..stretches import Source
    from .comparison import Comparison
    from .failures import Failures
    from .plan import Begun
    from .target import Target
    from .windows import Tally

    # By the name of a member, where its content lies: volume, offset and size of each stretch, in order.
    Sources = dict[str, list[tuple[str, int, int]]]
    # Makes the content of an entry from that of the members that its facts name.
    Generate = Callable[[Entry, Mapping[str, bytes]], bytes]

_BATCH = 1_000
_OPEN_FILES = 64
_MEMBERS_SIZE = 128 * 1024 * 1024
_MOST_EXTENTS = 50_000  # as many pieces of a sparse file as are indexed
_LINKS_NAMED = 5
_GENERATED, _LINK, _DRESS = "generated", "link", "dress"
_CHANGED = (
    "its content is not what it was when the backup was indexed: it was changed since, or is damaged; run reindex"
)


class StreamedRestoration:
    """Makes *target* hold entries, their content in the order in which it comes.

    *tally* counts what is done, and *meter* is told how far it has come. In check mode it counts the same, and nothing
    is written or brought. The plan is kept in the directory *scratch*.
    """

    def __init__(
        self,
        target: Target,
        comparison: Comparison,
        failures: Failures,
        tally: Tally,
        meter: Meter,
        scratch: Path,
        *,
        overwrite: str,
        check_mode: bool,
    ) -> None:
        self._target = target
        self._comparison = comparison
        self._failures = failures
        self._tally = tally
        self._meter = meter
        self._scratch = scratch
        self._overwrite = overwrite
        self._check_mode = check_mode

    def run(self, entries: Iterable[Entry], source: Source, generate: Generate) -> tuple[str, ...]:
        """Restore *entries*, which come in the order of a manifest and whose paths are those below the target.

        Return what the user should know. What cannot be had is added to the failures; raise where nothing more can be.
        """
        with closing(Plan(self._scratch)) as plan:
            writer = _Writer(self._target, self._failures, self._tally, self._meter, plan)
            survey = _Survey(self._target, self._comparison, plan, writer, self._overwrite, check_mode=self._check_mode)
            try:
                survey.go_through(entries)
                if not self._check_mode:
                    self._meter.expect(plan.end() if source.reads_all else plan.size())
                    content = _Content(writer, plan, survey.members)
                    source.bring(content.wanted(), content.take, content.lose)
                    writer.give_up_unfinished(DamageError("its content did not come"))
                    self._generate(plan, writer, survey.members, generate)
                    for link in plan.later(_LINK):
                        with writer.attempt(link.path):
                            self._target.make_special(link)
            except _FullError as full:
                writer.drop_unfinished()
                raise told_no_more(self._target.root, full.reason, writer.completed, self._failures) from full.reason
            except BaseException:
                writer.drop_unfinished()
                raise
            finally:
                self._dress_directories(plan)
        return survey.notes()

    @staticmethod
    def _generate(plan: Plan, writer: _Writer, members: _Members, generate: Generate) -> None:
        for entry in plan.later(_GENERATED):
            file = File(entry, 0, nullcontext())
            try:
                content = generate(entry, members.contents(_sources_of(entry) or {}))
                if len(content) != entry.size or hashlib.sha256(content).hexdigest() != entry.digest:
                    raise DamageError(_CHANGED)
            except BackupError as error:
                writer.give_up(file, error)
            else:
                if writer.write(file, memoryview(content), 0):
                    writer.complete(file)

    def _dress_directories(self, plan: Plan) -> None:
        """Give the directories what belongs to them, the deepest first: one may bar the way to what lies in it."""
        for entry in plan.later(_DRESS, last_first=True):
            try:
                status = self._target.status(entry.path)
                if status is not None and not self._comparison.is_dressed(entry, status):
                    self._target.dress(entry)
            except (OSError, LocalError) as error:
                self._failures.add(entry.path, error)


class _FullError(Exception):
    """The target takes nothing more."""

    def __init__(self, reason: OSError) -> None:
        super().__init__(str(reason))
        self.reason = reason


# -- deciding


class _Survey:
    """Compares all entries with what lies in the target, makes directories, and notes in *plan* what is to come."""

    def __init__(
        self, target: Target, comparison: Comparison, plan: Plan, writer: _Writer, overwrite: str, *, check_mode: bool
    ) -> None:
        self._target = target
        self._comparison = comparison
        self._files = FileDecider(target, comparison, overwrite)
        self._plan = plan
        self._writer = writer
        self._leaves_all = overwrite == "never"
        self._check_mode = check_mode
        self._window = Window(tally=writer.tally.like())
        self._later: dict[str, list[Entry]] = {}
        self._count = 0
        self._has_root = False
        self._made = b""
        self._left_links = 0
        self._first_links: list[bytes] = []
        self.members = _Members(plan)

    def go_through(self, entries: Iterable[Entry]) -> None:
        """Decide what becomes of *entries*."""
        order = EntryOrder()
        for entry in entries:
            self._require_root()
            problem = order.problem_of(entry)
            if problem is not None:
                self._window.fail(entry.path, DamageError(problem))
            else:
                with self._window.attempt(entry.path):
                    self._decide(entry)
            if self._window.weight >= _BATCH:
                self._settle()
        self._settle()

    def notes(self) -> tuple[str, ...]:
        """Return what the user should know of what was left out."""
        if not self._left_links:
            return ()
        named = ", ".join(shown(path[1:]) for path in self._first_links)
        more = f" and {self._left_links - len(self._first_links):,} more" if self._left_links > _LINKS_NAMED else ""
        links = "One symbolic link was" if self._left_links == 1 else f"{self._left_links:,} symbolic links were"
        return (f"{links} left out, because they lead out of the target: {named}{more}.",)

    def _decide(self, entry: Entry) -> None:
        _require_sense(entry)
        if entry.kind == SYMLINK and not stays_below(entry.path, entry.target):
            self._left_links += 1
            if len(self._first_links) < _LINKS_NAMED:
                self._first_links.append(entry.path)
            return
        status = self._target.status(entry.path)
        if status is not None and self._leaves_all:
            return
        if entry.kind == DIRECTORY:
            self._decide_directory(entry, status)
        elif entry.kind == SYMLINK:
            self._decide_link(entry, status)
        else:
            sources = _sources_of(entry)
            if sources is None:
                self._decide_file(entry, status)
            else:
                self._decide_generated(entry, status, sources)

    def _decide_directory(self, entry: Entry, status: os.stat_result | None) -> None:
        if status is not None and not stat.S_ISDIR(status.st_mode):
            self._target.make_expected(entry.path)  # which raises: nothing is deleted to make room
        if status is None:
            self._make_directory(entry.path)
        if status is None or not self._comparison.is_dressed(entry, status):
            self._window.count(entry, status, "directories")
        # Whether it has to be dressed shows when all is done that changes its times.
        self._add_later(_DRESS, entry)

    def _decide_link(self, entry: Entry, status: os.stat_result | None) -> None:
        if status is not None:
            if self._comparison.is_same_special(entry, status):
                return
            self._files.require_no_directory(entry, status)
        self._make_way(entry.path)
        self._window.count(entry, status, "others")
        self._add_later(_LINK, entry)

    def _decide_file(self, entry: Entry, status: os.stat_result | None) -> None:
        if not all(place.size for place in entry.places):
            entry = entry._replace(places=tuple([place for place in entry.places if place.size]))
        if sum(place.size for place in entry.places) != content_size(entry, _MOST_EXTENTS):
            raise DamageError("its entry is damaged: its content is not as long as it should be")
        if self._files.decide(self._window, entry, status) is not None:
            self._make_way(entry.path)

    def _decide_generated(self, entry: Entry, status: os.stat_result | None, sources: Sources) -> None:
        # What lies in the target is compared as if the content were in one place; it is wanted from none.
        whole = entry._replace(places=(Place("", 0, entry.size, 0, entry.size),))
        window = Window(tally=self._writer.tally.like())
        if self._files.decide(window, whole, status) is not None:
            self.members.want(sources)
            self._make_way(entry.path)
            self._add_later(_GENERATED, entry)
        self._window.tally.add(window.tally)
        self._window.dressed += window.dressed
        self._window.weight += 1

    def _add_later(self, what: str, entry: Entry) -> None:
        self._later.setdefault(what, []).append(entry)
        self._window.weight += 1

    # -- doing what waits for nothing

    def _require_root(self) -> None:
        if not self._has_root and not self._check_mode:
            self._has_root = True
            with told_as(f"The target {self._target.root} cannot be used"):
                self._target.make_expected(b"/")

    def _make_way(self, path: bytes) -> None:
        parent = path.rpartition(b"/")[0]
        if parent and parent != self._made:
            self._make_directory(parent)

    def _make_directory(self, path: bytes) -> None:
        """Make the directory *path* and what is missing above it, for us alone until they are dressed."""
        if self._check_mode:
            return
        names = path.split(b"/")
        ways = [b"/".join(names[:count]) for count in range(2, len(names) + 1)]
        for way in ways:
            self._target.expect_directory(way, replacing=False)
        try:
            self._target.make_expected(path)
        finally:
            for way in ways:
                self._target.forget_directory(way)
        self._made = path

    def _settle(self) -> None:
        """Put what was decided into the plan, and do at once what waits for no content."""
        window, self._window = self._window, Window(tally=self._writer.tally.like())
        later, self._later = self._later, {}
        self._writer.take_in(window)
        if self._check_mode:
            return
        numbers = {number: self._count + number for number, file in enumerate(window.files) if file.missing}
        self._count += len(window.files)
        self._plan.add_files(
            ((numbers[number], window.files[number].entry, window.files[number].missing) for number in numbers),
            (
                Wanted(Stretch(volume, piece.offset, piece.size), numbers[piece.owner], piece.position, piece.digest)
                for volume, pieces in window.wanted.items()
                for piece in pieces
            ),
        )
        for what, entries in later.items():
            self._plan.add_later(what, entries)
        for file in window.empty:
            self._writer.complete(file)
        for entry in window.dressed:
            with self._writer.attempt(entry.path):
                self._target.dress(entry)


def _require_sense(entry: Entry) -> None:
    """Raise unless a restore can follow *entry*; its content is looked at elsewhere."""
    if entry.kind not in (FILE, DIRECTORY, SYMLINK):
        raise DamageError("it is a device, a FIFO or another name of a file, which are not restored from such a backup")
    # No volumes are known here, so that of a file only the metadata can be looked at by the format's own rules.
    require_entry(entry._replace(kind=DIRECTORY) if entry.kind == FILE else entry, {})


def stays_below(path: bytes, target: bytes) -> bool:
    """Tell whether a symbolic link at *path* that holds *target* leads to below the root, whatever other links do.

    That is certain where it goes up first and down then: above the link are only directories, and links below the root
    stay there as well. Behind the name of what may be a link itself, nobody knows where ``..`` leads.
    """
    if target.startswith(b"/"):
        return False
    depth, has_gone_down = path.count(b"/") - 1, False
    for name in target.split(b"/"):
        if name == b"..":
            depth -= 1
            if has_gone_down or depth < 0:
                return False
        elif name not in (b"", b"."):
            has_gone_down = True
    return True


# -- content that is only kept in memory


def _sources_of(entry: Entry) -> Sources | None:
    """Return what the content of *entry* is made of, or None if it is not made but brought."""
    if "generated" not in entry.facts:
        return None
    facts = json.loads(entry.facts)
    if "generated" not in facts:
        return None
    return {name: [tuple(place) for place in places] for name, places in facts["from"].items()}


class _Members:
    """What other content is made of: each member once, and not too much of all of them."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._numbers: dict[str, int] = {}
        self._contents: dict[int, bytearray] = {}
        self._lost: dict[int, BackupError] = {}
        self._complete: dict[str, bytes] = {}
        self._size = 0

    def want(self, sources: Sources) -> None:
        """Note in the plan what of *sources* is not wanted yet."""
        new = {name: places for name, places in sources.items() if name not in self._numbers}
        size = sum(size for places in new.values() for _volume, _offset, size in places)
        if self._size + size > _MEMBERS_SIZE:
            raise LocalError(f"what it is made of is larger than {_MEMBERS_SIZE:,} bytes, together with that of others")
        self._size += size
        for name, places in new.items():
            number = -1 - len(self._numbers)
            wanted, position = [], 0
            for place in places:
                if place[2]:
                    wanted.append(Wanted(Stretch(*place), number, position, ""))
                position += place[2]
            self._numbers[name] = number
            self._contents[number] = bytearray(position)
            self._plan.add_member(number, wanted)

    def put(self, number: int, position: int, piece: memoryview) -> None:
        self._contents[number][position : position + len(piece)] = piece

    def lose(self, number: int, reason: BackupError) -> None:
        self._lost.setdefault(number, reason)

    def contents(self, names: Iterable[str]) -> dict[str, bytes]:
        """Return the content of each of *names* once all has come, or raise why one of them did not."""
        found = {}
        for name in names:
            number = self._numbers[name]
            if number in self._lost:
                raise self._lost[number]
            if name not in self._complete:
                self._complete[name] = bytes(self._contents.pop(number))
            found[name] = self._complete[name]
        return found


# -- content that goes into files


class _Writer:
    """Writes files, and keeps account of those that are complete and of those that cannot be."""

    def __init__(self, target: Target, failures: Failures, tally: Tally, meter: Meter, plan: Plan) -> None:
        self._target = target
        self._failures = failures
        self.tally = tally
        self._meter = meter
        self._plan = plan
        # Of the plan's files that have begun, those that are open or were lately, by number.
        self._begun: OrderedDict[int, File] = OrderedDict()
        self.completed = 0

    def take_in(self, window: Window) -> None:
        """Count what was decided in *window*, and what of it has failed already."""
        self.tally.add(window.tally)
        for path, error in window.failed:
            self._fail(path, error)

    @contextmanager
    def attempt(self, path: bytes) -> Iterator[None]:
        """Have what is in the way cost only *path*."""
        try:
            yield
        except (OSError, LocalError) as error:
            self._fail(path, error)

    def _fail(self, path: bytes, error: OSError | BackupError) -> None:
        no_more = as_no_more(error)
        if no_more is not None:
            raise _FullError(no_more)
        self._failures.add(path, error)

    # -- files of the plan

    def begun(self, number: int) -> File | None:
        """Return the file *number* of the plan, or None if it was given up."""
        file = self._begun.get(number)
        if file is not None:
            self._begun.move_to_end(number)
            return file
        planned = self._plan.file(number)
        if planned is None:
            return None
        file = self._begun[number] = _file_of(planned)
        if len(self._begun) > _OPEN_FILES:
            self._put_aside(*self._begun.popitem(last=False))
        return file

    def _put_aside(self, number: int, file: File) -> None:
        """Close a file for which more is to come: there may be many of them at a time."""
        self._plan.keep(number, file.missing, file.temporary)
        descriptor, file.descriptor = file.descriptor, -1
        if descriptor >= 0:
            try:
                os.close(descriptor)
            except OSError as error:  # a network's file system may tell only now what it could not write
                self.give_up(file, error, number)

    def part_is_there(self, number: int, file: File) -> None:
        """Learn that one of the places of a file is complete; the last one completes the file."""
        file.missing -= 1
        if not file.missing:
            self.complete(file, number)

    def give_up_unfinished(self, reason: BackupError) -> None:
        """Give up what is not complete, and should be."""
        for planned in self._plan.unfinished():
            self.give_up(self._begun.get(planned.number) or _file_of(planned), reason, planned.number)

    def drop_unfinished(self) -> None:
        """Leave nothing of what is not complete, where the whole restore ends."""
        for planned in self._plan.put_aside():
            if planned.number not in self._begun:
                self._drop(_file_of(planned))
        for file in self._begun.values():
            self._drop(file)

    # -- any file

    def write(self, file: File, content: memoryview, position: int, number: int | None = None) -> bool:
        """Write *content* at *position* into *file*, and tell whether that was possible; else it is given up."""
        try:
            self._open(file)
            for part, place in file.stretches(content, position):
                write_all(file.descriptor, part, place)
        except (OSError, LocalError) as error:
            self.give_up(file, error, number)
            return False
        return True

    def complete(self, file: File, number: int | None = None) -> None:
        """Give *file* its metadata and its name."""
        try:
            self._open(file)
            descriptor, file.descriptor = file.descriptor, -1
            self._target.finish_file(file.entry, descriptor, file.temporary)
        except (OSError, LocalError) as error:
            self.give_up(file, error, number)
            return
        self.completed += 1
        self._forget(number)
        if not self._meter.is_silent:
            self._meter.add(entries=1, item=path_text(file.entry.path[1:]))

    def give_up(self, file: File, error: OSError | BackupError, number: int | None = None) -> None:
        """Leave nothing of *file*, which cannot be had, and note why."""
        self._drop(file)
        self._forget(number)
        self.tally.take_back_file(file.entry.path, file.entry.size)
        self._fail(file.entry.path, error)

    def _open(self, file: File) -> None:
        if file.descriptor < 0 and file.temporary:
            file.descriptor = self._target.reopen_file(file.entry.path, file.temporary)
        elif file.descriptor < 0:
            file.descriptor, file.temporary = self._target.start_file(file.entry.path)

    def _drop(self, file: File) -> None:
        descriptor, file.descriptor = file.descriptor, -1
        if file.temporary:
            with suppress(OSError, LocalError):
                self._target.drop_file(file.entry.path, descriptor, file.temporary)

    def _forget(self, number: int | None) -> None:
        if number is not None:
            self._begun.pop(number, None)
            self._plan.forget(number)


def _file_of(planned: Begun) -> File:
    return File(planned.entry, planned.missing, nullcontext(), temporary=planned.temporary)


@dataclass
class _Coming:
    """A stretch that is coming: the digest of what was *taken* of it, and who wants it, if that is on one page."""

    proof: hashlib._Hash
    owners: list[Owner]
    taken: int = 0


class _Content:
    """Takes the content that comes, and gives it to all files and members that want it."""

    def __init__(self, writer: _Writer, plan: Plan, members: _Members) -> None:
        self._writer = writer
        self._plan = plan
        self._members = members
        self._coming: dict[Stretch, _Coming] = {}

    def wanted(self) -> Iterator[Stretch]:
        """Yield what is to be brought, in order."""
        last = Stretch("", 0, 0)
        for stretch in self._plan.stretches():
            if stretch.volume == last.volume and stretch.offset < last.offset + last.size:
                self.lose(stretch, DamageError("its entry is damaged: a part of its content is also that of another"))
            else:
                last = stretch
                yield stretch

    def take(self, stretch: Stretch, piece: memoryview) -> None:
        """Take the next *piece* of *stretch*."""
        coming = self._coming.get(stretch)
        if coming is None:
            coming = self._coming[stretch] = _Coming(hashlib.sha256(), self._plan.owners(stretch))
        coming.proof.update(piece)
        for number, position, _digest in self._owners(stretch, coming):
            if number < 0:
                self._members.put(number, position + coming.taken, piece)
                continue
            file = self._writer.begun(number)
            if file is not None:
                self._writer.write(file, piece, position + coming.taken, number)
        coming.taken += len(piece)
        if coming.taken == stretch.size:
            self._end(stretch, self._coming.pop(stretch))

    def lose(self, stretch: Stretch, reason: BackupError) -> None:
        """Learn that *stretch* cannot be had."""
        coming = self._coming.pop(stretch, None) or _Coming(hashlib.sha256(), self._plan.owners(stretch))
        for number, _position, _digest in self._owners(stretch, coming):
            self._lose(number, reason)

    def _end(self, stretch: Stretch, coming: _Coming) -> None:
        found = coming.proof.hexdigest()
        for number, _position, digest in self._owners(stretch, coming):
            if digest and digest != found:
                self._lose(number, DamageError(_CHANGED))
            elif number >= 0:
                file = self._writer.begun(number)
                if file is not None:
                    self._writer.part_is_there(number, file)

    def _lose(self, number: int, reason: BackupError) -> None:
        if number < 0:
            self._members.lose(number, reason)
            return
        file = self._writer.begun(number)
        if file is not None:
            self._writer.give_up(file, reason, number)

    def _owners(self, stretch: Stretch, coming: _Coming) -> Iterator[Owner]:
        """Yield all that want *stretch*; where they are many, not from memory."""
        page = coming.owners
        while page:
            yield from page
            page = self._plan.owners(stretch, page[-1]) if len(page) == OWNERS_A_PAGE else []
