# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames: whatever packs them, everything else unpacks them, and what is no frame of ours does no harm."""

from __future__ import annotations

import gzip
import os
import random
import shlex
import shutil
import subprocess
import sys
import tracemalloc
import typing as t
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import DamageError, LocalError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native import frames
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.frames import (
    SUFFIXES,
    UNPACKED_LIMIT,
    Codec,
    ZstdCodec,
    ZstdOfLibrary,
    ZstdOfModule,
    ZstdOfProgram,
    ZstdOfPython,
    codec_of,
    unpack,
    usable,
)
from tests.servers import debian

if t.TYPE_CHECKING:
    from collections.abc import Callable

KIB = 1024
MIB = 1024 * KIB
CHANCE = random.Random(11)
NOISE = CHANCE.randbytes(9 * MIB)
WORDS = [CHANCE.randbytes(3).hex().encode() for _word in range(5000)]
TEXT = b" ".join(CHANCE.choices(WORDS, k=300_000))
CONTENTS = {
    "one block": bytes(512),
    "text": TEXT[:MIB],
    "noise": NOISE[:MIB],
    "one large segment": TEXT + NOISE[: 8 * MIB - len(TEXT)] + bytes(2 * KIB),
    "zeros": bytes(UNPACKED_LIMIT),
}
#: Every way to have zstd that this Python can know of; that each of them is here is what the tests need.
WAYS = [ZstdOfModule, ZstdOfLibrary, ZstdOfProgram, *([ZstdOfPython] if sys.version_info >= (3, 14) else [])]
MAGIC = b"\x28\xb5\x2f\xfd"

each_way = pytest.mark.parametrize("way", WAYS)
each_content = pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)


@pytest.fixture(scope="module", autouse=True)
def program(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[None]:
    """Make sure that there is a program zstd."""
    if shutil.which("zstd") is not None:
        yield
        return
    script = tmp_path_factory.mktemp("bin") / "zstd"
    command = debian.unpacked(["zstd"], ["usr/bin/zstd"]).command("usr/bin/zstd")
    script.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    script.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(script.parent), prepend=os.pathsep)
        yield


def codec_by(way: Callable[[], frames.Zstd]) -> Codec:
    zstd = usable(way)
    assert zstd is not None, f"the tests need {way.__name__}"
    return ZstdCodec(zstd)


def packed(codec: Codec, content: bytes) -> bytes:
    return b"".join(codec.pack(content))


def unpacked_by(*command: str, stored: bytes) -> bytes:
    return subprocess.run(command, input=stored, stdout=subprocess.PIPE, check=True).stdout


def streamed(content: bytes, *options: str) -> bytes:
    """Return a frame of the program zstd, which does not know how much will come unless it is told."""
    return unpacked_by("zstd", "-q", "-c", *options, stored=content)


# what is right


@pytest.mark.parametrize("compression", SUFFIXES)
@each_content
def test_a_frame_holds_what_was_packed_into_it(compression: str, content: bytes) -> None:
    frame = packed(codec_of(compression), content)

    assert unpack(f"v00/0{SUFFIXES[compression]}", memoryview(frame)) == content


@pytest.mark.parametrize("packing", WAYS)
@pytest.mark.parametrize("unpacking", WAYS)
@each_content
def test_what_one_way_has_packed_every_other_unpacks(
    packing: Callable[[], frames.Zstd], unpacking: Callable[[], frames.Zstd], content: bytes
) -> None:
    frame = packed(codec_by(packing), content)

    assert codec_by(unpacking).unpack(memoryview(frame)) == content


@each_way
@each_content
def test_every_frame_of_zstd_has_its_size_and_a_checksum(way: Callable[[], frames.Zstd], content: bytes) -> None:
    frame = packed(codec_by(way), content)

    descriptor = frame[4]
    assert frame[:4] == MAGIC
    assert descriptor & 0x04, "a checksum"
    assert descriptor >> 6 or descriptor & 0x20, "a size"


@pytest.mark.parametrize(
    ("compression", "program_of_it"), [("gzip", ["gzip", "-d", "-c"]), ("zstd", ["zstd", "-d", "-c", "-q"])]
)
def test_frames_strung_together_are_an_ordinary_file(compression: str, program_of_it: list[str]) -> None:
    codec = codec_of(compression)
    stored = b"".join(packed(codec, content) for content in CONTENTS.values())

    assert unpacked_by(*program_of_it, stored=stored) == b"".join(CONTENTS.values())


@each_way
def test_a_way_packs_in_many_threads_at_once(way: Callable[[], frames.Zstd]) -> None:
    codec = codec_by(way)
    contents = [TEXT[number * 1000 : number * 1000 + 300 * KIB] for number in range(24)]

    with ThreadPoolExecutor(4) as threads:
        stored = list(threads.map(lambda content: packed(codec, content), contents))

    assert [codec.unpack(frame) for frame in stored] == contents


# what is worth compressing


def test_text_around_one_photo_is_compressed() -> None:
    content = TEXT[: 450 * KIB] + NOISE[: 100 * KIB] + TEXT[450 * KIB : 900 * KIB]

    for compression in ("gzip", "zstd"):
        assert len(packed(codec_of(compression), content)) < 0.8 * len(content)


def test_many_small_photos_are_stored() -> None:
    content = b"".join(bytes(512) + NOISE[start : start + 20 * KIB] for start in range(0, MIB, 20 * KIB))

    frame = packed(codec_of("gzip"), content)

    kind_of_first_block = frame[10] >> 1 & 3
    assert kind_of_first_block == 0
    assert unpack("v00/0.tar.gz", frame) == content


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_what_cannot_be_compressed_grows_by_next_to_nothing(compression: str) -> None:
    assert len(packed(codec_of(compression), NOISE)) < len(NOISE) + 2 * KIB


# what is wrong


def mutilated(frame: bytes) -> dict[str, bytes]:
    """Return what damage, or malice, may make of *frame*."""
    middle = len(frame) // 2
    return {
        "nothing": b"",
        "a part of the header": frame[:5],
        "cut off in the middle": frame[:middle],
        "cut off before its last byte": frame[:-1],
        "with a byte behind it": frame + b"\0",
        "twice": frame * 2,
        "with a frame behind it that is skipped": frame + b"\x50\x2a\x4d\x18" + bytes(4),
        "with another byte in the middle": frame[:middle] + bytes([frame[middle] ^ 0x10]) + frame[middle + 1 :],
        "with another checksum": frame[:-8] + bytes(byte ^ 0x55 for byte in frame[-8:]),
        "something else": b"no frame at all" * 5,
    }


@pytest.mark.parametrize("damage", mutilated(b"1234567890"))
@pytest.mark.parametrize("way", ["gzip", *WAYS])
def test_a_frame_that_is_not_what_was_packed_is_damage(way: str | Callable[[], frames.Zstd], damage: str) -> None:
    codec = codec_of(way) if isinstance(way, str) else codec_by(way)
    frame = mutilated(packed(codec, TEXT[: 200 * KIB]))[damage]

    with pytest.raises(DamageError):
        codec.unpack(frame)


@pytest.mark.parametrize("way", ["gzip", *WAYS])
def test_no_damaged_byte_changes_the_content(way: str | Callable[[], frames.Zstd]) -> None:
    codec = codec_of(way) if isinstance(way, str) else codec_by(way)
    content = TEXT[: 4 * KIB]
    frame = packed(codec, content)
    step = 97 if way is ZstdOfProgram else 3  # of a process for each

    for position in range(0, len(frame), step):
        damaged = bytearray(frame)
        damaged[position] ^= 0x40
        with suppress(DamageError):
            assert codec.unpack(damaged) == content, "there are bits that tell nothing"


def test_frames_that_unpack_to_far_too_much_take_no_memory() -> None:
    far_too_much = bytes(256 * MIB)
    bombs = {
        "v00/0.tar.gz": gzip.compress(far_too_much, 1),
        "v00/1.tar.zst": streamed(far_too_much, f"--stream-size={len(far_too_much)}"),
        "v00/2.tar.zst": streamed(far_too_much),
        "v00/3.tar.zst": MAGIC + b"\x80\xff" + (512).to_bytes(4, "little") + b"\x01\x10\x00" + bytes(512),
    }
    del far_too_much
    tracemalloc.start()

    for name, bomb in bombs.items():
        with pytest.raises(DamageError, match=name):
            unpack(name, bomb)

    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * UNPACKED_LIMIT


@each_way
def test_a_frame_that_holds_more_than_it_says_is_damage(way: Callable[[], frames.Zstd]) -> None:
    codec = codec_by(way)
    frame = packed(codec, bytes(UNPACKED_LIMIT))
    size = UNPACKED_LIMIT.to_bytes(4, "little")
    assert frame.count(size, 4, 12) == 1
    lying = frame.replace(size, (UNPACKED_LIMIT - MIB).to_bytes(4, "little"), 1)

    with pytest.raises(DamageError):
        codec.unpack(lying)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("v00/0.tar.gz", "a frame of volume v00/0.tar.gz does not end where it should"),
        ("v00/0.tar.zst", "a frame of volume v00/0.tar.zst does not end where it should"),
        ("v00/0.tar.xz", "The volume v00/0.tar.xz is packed in a way that this version does not know."),
    ],
)
def test_damage_is_told_with_the_name_of_the_volume(name: str, sentence: str) -> None:
    codec = codec_of("zstd" if name.endswith("zst") else "gzip")

    with pytest.raises(DamageError) as caught:
        unpack(name, packed(codec, TEXT[:5000])[:-1])

    assert str(caught.value) == sentence


# hosts that lack something


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="This Python has zstd itself.")
def test_without_zstd_the_compression_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "libzstd.so.1").write_bytes(b"no library")
    collections = Path(frames.__file__).parents[6]
    question = (
        f"import sys; sys.path.insert(0, {str(collections)!r})\n"
        "from ansible_collections.stowage.ftp_backup.plugins.module_utils.native import frames\n"
        "frames.require_codec('none'), frames.require_codec('gzip')\n"
        "try:\n    frames.require_codec('zstd')\n"
        "except frames.UsageError as error:\n    print(error)\n"
    )
    environment = {"PATH": str(tmp_path), "LD_LIBRARY_PATH": str(tmp_path)}

    told = subprocess.run(
        [sys.executable, "-S", "-c", question], env=environment, check=True, capture_output=True, text=True
    )

    (sentence,) = told.stdout.splitlines()
    assert sentence.endswith("install the library libzstd.so.1, the program zstd or Python's module zstandard.")


def test_a_program_that_does_not_know_what_it_is_asked_for_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "zstd").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "zstd").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    assert usable(ZstdOfProgram) is None


def test_a_program_that_goes_away_is_told_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "zstd").symlink_to(str(shutil.which("zstd")))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    codec = codec_by(ZstdOfProgram)
    frame = packed(codec, TEXT)
    (tmp_path / "zstd").unlink()

    for deed in (lambda: codec.pack(TEXT), lambda: codec.unpack(frame)):
        with pytest.raises(LocalError, match=rf"^Cannot run {tmp_path}/zstd: No such file or directory\.$"):
            deed()
