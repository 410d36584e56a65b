# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A volume is proved to its last byte, and what is wrong costs no more than what it hit."""

from __future__ import annotations

import itertools
import random
import typing as t
import zlib
from collections import defaultdict
from contextlib import closing, contextmanager
from pathlib import PurePosixPath
from types import MappingProxyType

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import (
    AbandonedError,
    InterruptedTransferError,
    RefusedError,
    StorageError,
    UnreachableError,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.volume_proof import (
    Flaw,
    Frame,
    Segment,
    Source,
    Volume,
    prove_volume,
)
from tests.unit.storage_fake import FakeStorage
from tests.unit.stored_volumes import LaidVolume, digest_of, lay

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.entries import Place
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import Path, Reader

COMPRESSIONS = ("none", "gzip", "zstd")
WHERE = PurePosixPath("volume")
CHANCE = random.Random(3)
LONG = "/srv/" + "a name that does not fit into a header " * 5
TEXT, NOISE, DEAD, LAST = b"all work and no play " * 20, CHANCE.randbytes(700), b"dead " * 30, CHANCE.randbytes(513)
CONTENTS = {"/srv/a": TEXT, "/srv/b": NOISE, "/srv/dead": DEAD, "/srv/c": b"x" * 700, "/srv/d": LAST}
LIVE = CONTENTS.keys() - {"/srv/dead"}


def laid(compression: str, contents: Mapping[str, bytes] = MappingProxyType(CONTENTS)) -> LaidVolume:
    """Make a volume of three frames, the second of which nothing names."""
    names = list(contents)
    groups = (names[:2], names[2:3], names[3:])
    return lay(0, compression, *({name: contents[name] for name in group} for group in groups))


def frames_of(places: Mapping[str, Place], contents: Mapping[str, bytes] = MappingProxyType(CONTENTS)) -> list[Frame]:
    """Return the frames in which *places* lie."""
    grouped: dict[tuple[int, int], list[Segment]] = defaultdict(list)
    for name, place in places.items():
        grouped[place.offset, place.length].append(Segment(place.start, place.size, digest_of(contents[name])))
    return [Frame(offset, length, tuple(sorted(grouped[offset, length]))) for offset, length in sorted(grouped)]


def live_frames(volume: LaidVolume) -> list[Frame]:
    return frames_of({name: volume.places[name] for name in LIVE})


def proved(storage: FakeStorage, name: str, size: int, frames: list[Frame], checksum: int = 0) -> list[Flaw]:
    with closing(Source(storage, WHERE)) as source:
        return list(prove_volume(source, Volume(name, size, checksum), frames))


def flaws_of(volume: LaidVolume, stored: bytes | None = None, frames: list[Frame] | None = None) -> list[Flaw]:
    """Return what is wrong with *volume* if *stored* lies where it should."""
    storage = FakeStorage()
    storage.files[WHERE] = volume.stored if stored is None else stored
    named = live_frames(volume) if frames is None else frames
    return proved(storage, volume.name, len(volume.stored), named, zlib.crc32(volume.stored))


def flipped(stored: bytes, at: int, mask: int) -> bytes:
    return stored[:at] + bytes([stored[at] ^ mask]) + stored[at + 1 :]


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_volume_as_it_was_written_has_no_flaw(compression: str) -> None:
    volume = laid(compression, {LONG: TEXT, **CONTENTS})
    names = (LONG, "/srv/a", "/srv/dead")
    frames = frames_of({name: volume.places[name] for name in names}, {LONG: TEXT, **CONTENTS})

    assert flaws_of(volume) == []
    assert flaws_of(volume, frames=frames) == []
    assert flaws_of(volume, frames=[]) == []


@pytest.mark.parametrize("masks", [(0xFF,), (1, 2, 4, 8, 16, 32, 64, 128)])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_every_byte_that_is_flipped_is_found_and_costs_only_its_frame(
    compression: str, masks: tuple[int, ...], *, soak: bool
) -> None:
    volume = laid(compression, {**CONTENTS, LONG: TEXT})
    frames = live_frames(volume)
    every = range(len(volume.stored))
    # A volume without compression is long: there, one bit of each byte in turn.
    is_full = soak or compression != "none"

    for at, mask in itertools.product(every, masks) if is_full else zip(every, itertools.cycle(masks)):
        flaws = flaws_of(volume, flipped(volume.stored, at, mask))

        costly = [flaw for flaw in flaws if flaw.is_costly]
        hit = [frame for frame in frames if frame.offset <= at < frame.offset + frame.length]
        assert flaws
        assert {flaw[:2] for flaw in costly} <= {frame[:2] for frame in hit}
        assert compression != "none" or len(costly) == len(hit)


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_content_that_is_not_what_its_digest_says_costs_that_segment_alone(compression: str) -> None:
    volume = laid(compression)
    place = volume.places["/srv/c"]
    names = {"/srv/c": place, "/srv/d": volume.places["/srv/d"]}

    (flaw,) = flaws_of(volume, frames=frames_of(names, {**CONTENTS, "/srv/c": b"y" * 700}))

    assert flaw == Flaw(
        place.offset,
        place.length,
        "the content there is not what was stored",
        is_costly=True,
        starts=(place.start,),
    )


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_volume_that_ends_too_early_costs_what_lay_behind(compression: str) -> None:
    volume = laid(compression)
    frames = live_frames(volume)
    cut = frames[-1].offset + 1

    flaws = flaws_of(volume, volume.stored[:cut])

    assert [flaw[:2] for flaw in flaws if flaw.is_costly] == [frames[-1][:2]]
    assert f"ends at byte {cut:,}" in flaws[-1].problem


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_volume_of_nothing_but_zeros_costs_all_of_its_frames(compression: str) -> None:
    volume = laid(compression)

    flaws = flaws_of(volume, bytes(len(volume.stored)))

    assert [flaw[:2] for flaw in flaws if flaw.is_costly] == [frame[:2] for frame in live_frames(volume)]


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_places_that_overlap_are_told_and_cost_the_later_one(compression: str) -> None:
    volume = laid(compression)
    first, *_others = live_frames(volume)
    second = Frame(first.offset + 1, first.length - 1, first.segments)

    flaws = flaws_of(volume, frames=[first, second])

    assert [flaw[:2] for flaw in flaws if flaw.is_costly] == [second[:2]]


def test_a_gzip_header_of_another_system_is_right_where_its_writer_has_that_system() -> None:
    volume = lay(0, "gzip", {"/srv/a": TEXT})
    storage = FakeStorage()
    storage.files[WHERE] = flipped(volume.stored, 9, 3 ^ 19)
    frames = frames_of(volume.places)

    with closing(Source(storage, WHERE)) as source:
        flaws = list(prove_volume(source, Volume(volume.name, len(volume.stored)), frames, {19}))

    assert flaws == []
    (flaw,) = proved(storage, volume.name, len(volume.stored), frames)
    assert not flaw.is_costly


def test_a_volume_that_is_packed_in_an_unknown_way_is_lost_as_a_whole() -> None:
    (flaw,) = proved(FakeStorage(), "v00/volume.tar.lz", 10, [])

    assert (flaw.length, flaw.is_costly) == (0, True)


# what comes between


class Breaking(FakeStorage):
    """A storage that fails after so many bytes of a transfer: with each of *errors* once, or the last one for ever.

    With *bad*, it fails at that byte of the file and never before.
    """

    def __init__(self, content: bytes, after: int, *errors: StorageError, bad: int | None = None) -> None:
        super().__init__()
        self.files[WHERE] = content
        self.offsets: list[int] = []
        self._after = after
        self._errors = list(errors)
        self._bad = bad

    @contextmanager
    def open(self, path: Path, offset: int = 0, length: int | None = None) -> Iterator[Reader]:
        self.offsets.append(offset)
        after = self._after if self._bad is None else self._bad - offset
        with super().open(path, offset, length) as reader:
            yield _BreakingReader(reader, after, self._errors[0]) if after >= 0 else reader
        del self._errors[: len(self._errors) > 1]


class _BreakingReader:
    def __init__(self, reader: Reader, left: int, error: StorageError) -> None:
        self._reader = reader
        self._left = left
        self._error = error

    def read(self, size: int) -> memoryview:
        if self._left <= 0:
            raise self._error
        view = self._reader.read(min(size, self._left))
        self._left -= len(view)
        return view


BROKEN = InterruptedTransferError("It broke.")
UNREADABLE = InterruptedTransferError("451 Input/output error", code=451)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("after", [1, 500, 1000])
def test_a_transfer_that_breaks_is_gone_on_with_where_it_was(compression: str, after: int) -> None:
    volume = laid(compression)
    storage = Breaking(volume.stored, after, BROKEN)

    assert proved(storage, volume.name, len(volume.stored), live_frames(volume)) == []
    assert storage.offsets == list(range(0, len(volume.stored), after))


def test_connections_that_break_for_good_are_no_damage() -> None:
    volume = laid("gzip")

    for error in (BROKEN, UnreachableError("There is nobody.")):
        with pytest.raises(type(error)):
            proved(Breaking(volume.stored, 0, error), volume.name, len(volume.stored), live_frames(volume))


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_what_the_server_itself_cannot_read_costs_one_frame_and_no_other(compression: str) -> None:
    volume = laid(compression)
    frames = live_frames(volume)

    for frame in frames:
        storage = Breaking(volume.stored, 0, UNREADABLE, bad=frame.offset + 7)
        flaws = proved(storage, volume.name, len(volume.stored), frames)

        assert [flaw[:2] for flaw in flaws if flaw.is_costly] == [frame[:2]]
        assert all("451 Input/output error" in flaw.problem for flaw in flaws)


def test_what_the_server_cannot_read_of_unneeded_content_costs_nothing() -> None:
    for compression in COMPRESSIONS:
        volume = laid(compression)
        storage = Breaking(volume.stored, 0, UNREADABLE, bad=volume.places["/srv/dead"].offset + 7)

        flaws = proved(storage, volume.name, len(volume.stored), live_frames(volume))

        assert [flaw.is_costly for flaw in flaws] == [False]


def test_a_volume_of_which_the_server_reads_nothing_is_given_up_after_a_few_attempts() -> None:
    content = {f"/srv/{number}": CHANCE.randbytes(100) for number in range(50)}
    volume = lay(0, "gzip", *({name: content[name]} for name in content))
    storage = Breaking(volume.stored, 0, RefusedError("550 Permission denied", code=550))
    frames = frames_of(volume.places, content)

    with closing(Source(storage, WHERE)) as source:
        flaws = list(prove_volume(source, Volume(volume.name, len(volume.stored)), frames))

    assert [flaw[:2] for flaw in flaws] == [frame[:2] for frame in frames]
    assert len(storage.offsets) <= 4
    assert source.received == 0
    assert isinstance(source.refusal, RefusedError)


def test_nobody_reads_on_when_the_verification_is_over() -> None:
    volume = laid("none")
    storage = FakeStorage()
    storage.files[WHERE] = volume.stored

    with closing(Source(storage, WHERE, lambda: True)) as source, pytest.raises(AbandonedError):
        list(prove_volume(source, Volume(volume.name, len(volume.stored)), []))
