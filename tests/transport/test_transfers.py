# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Contents on their way: uploads whole or not at all, downloads and slices that leave all in step, and listings."""

from __future__ import annotations

import contextlib
import itertools
import os
import typing as t
from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import (
    InterruptedTransferError,
    RefusedError,
    SpaceError,
    StorageError,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.storage import FtpStorage, ReadOnlyStorage
from ansible_collections.stowage.ftp_backup.plugins.module_utils.proof import prove_deeds
from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import (
    DIRECTORY,
    LINK,
    RemoteEntry,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import FILE as A_FILE
from tests.servers.faults import (
    Answer,
    CutData,
    Drop,
    EarlySuccess,
    Fault,
    FullDisk,
    IgnoreRest,
    Late,
    ListingLines,
    LoseTail,
    LostRename,
    RefuseData,
    Swallow,
    Truncated,
)
from tests.servers.guests import TLS_VERSIONS
from tests.servers.personalities import UNIX
from tests.transport.reach import MARK, line_to, session_on
from tests.unit.plugins.module_utils.ftp import test_listing as corpora

if t.TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.conftest import MakeServer, Serve
    from tests.servers.faults import Action, End
    from tests.servers.personalities import Personality
    from tests.servers.scripted import ScriptedServer
    from tests.servers.server import FtpServer

BOX = PurePosixPath("box")
FILE = BOX / "file"
CONTENT = os.urandom(1000) * 300
PURE = replace(
    UNIX, greeting="220---------- Welcome to Pure-FTPd [privsep] [TLS] ----------\n220 This is a private system"
)
STEPS = ("STOR", "SIZE", "RNFR", "RNTO")
LOSSES = [
    Fault(verb, Drop(before=before, rst=rst), after=after)
    for verb, after in (*((verb, 0) for verb in STEPS), ("SIZE", 1))
    for before, rst in itertools.product((True, False), repeat=2)
]
CUTS = [
    *(LoseTail(), LoseTail(300_000), CutData(1000, "fin"), CutData(1000, "clean"), CutData(1000, "rst")),
    *(CutData(1000, "fin", "426 Broken."), RefuseData("425 No."), RefuseData("451 Aborted", keeps_partial=True)),
    *(Answer("450 Busy."), Answer("451 Local error.")),
]
SLICES = (1_000, 100_000, 3_000_000)


def boxed(server: ScriptedServer) -> Path:
    """Return the directory on disk of BOX, which is made."""
    box = server.facts.root / "box"
    box.mkdir()
    return box


def names_in(path: Path) -> list[str]:
    return sorted(inside.name for inside in path.iterdir())


def write_file(server: ScriptedServer, box: Path, **changes: float) -> StorageError | None:
    """Write FILE and assert that it lies there whole, or that an error was raised and no such file is there.

    Return the error, if there was one; *changes* are those of the address.
    """
    failure = None
    with line_to(server.facts, timeout=changes.get("timeout", 5.0)) as line:
        try:
            size = line.storage.write(FILE, lambda: [CONTENT])
        except StorageError as error:
            failure = error
        else:
            assert size == len(CONTENT)
            assert (box / "file").read_bytes() == CONTENT
            assert line.storage.read(FILE) == CONTENT
    assert ("file" in names_in(box)) == (failure is None)
    return failure


def assert_arrives(server: ScriptedServer, box: Path, **changes: float) -> None:
    failure = write_file(server, box, **changes)
    assert failure is None, failure


# -- T18, the type


def test_t18_sizes_and_contents_are_right_before_and_after_a_listing(each_server: FtpServer) -> None:
    content = b"one\nand\r\ntwo\r\n" * 1000
    with line_to(each_server, limit=1) as line:
        line.storage.ensure_directories([BOX])
        for number in range(3):
            path = BOX / f"file{number}"
            line.storage.write(path, lambda: [content])
            assert line.storage.sizes([path]) == [len(content)]
            assert len(line.storage.list_directory(BOX)) == number + 1
            assert line.storage.sizes([path]) == [len(content)]
            assert line.storage.read(path) == content
            assert (each_server.root / path).read_bytes() == content
        assert line.pauses == []


def test_t18_binary_comes_first_on_each_connection_and_no_other_type_after_it(serve: Serve) -> None:
    server = serve()
    boxed(server)
    with line_to(server.facts) as line:
        with line.pool.session(), line.pool.session():
            pass
        line.storage.write(FILE, lambda: [CONTENT])
        line.storage.list_directory(BOX)
        line.storage.read(FILE)
    for number in (1, 2):
        verbs = [heard.verb for heard in server.heard if heard.connection == number]
        assert verbs.count("TYPE") == 1
        assert verbs.index("TYPE") < min(
            verbs.index(verb) for verb in {*verbs} - {"AUTH", "PBSZ", "PROT", "USER", "PASS", "TYPE"}
        )
    assert set(server.commands("TYPE")) == {"I"}


def test_t18_a_server_without_binary_is_refused(serve: Serve) -> None:
    server = serve(Fault("TYPE", Answer("504 Only text."), times=0))
    with line_to(server.facts) as line, pytest.raises(StorageError, match="binary"):
        line.storage.sizes([FILE])
    assert not server.commands("SIZE")


# -- T19, uploads


def test_t19_an_upload_goes_by_way_of_a_temporary_name_and_its_size_is_asked_twice(serve: Serve) -> None:
    server = serve()
    boxed(server)
    with line_to(server.facts) as line:
        line.storage.write(FILE, lambda: [CONTENT])
    steps = [(heard.verb, PurePosixPath(heard.argument).name) for heard in server.heard if heard.verb in STEPS]

    temporary = steps[0][1]
    assert steps == [
        *(("STOR", temporary), ("SIZE", temporary), ("RNFR", temporary)),
        ("RNTO", "file"),
        ("SIZE", "file"),
    ]
    assert MARK in temporary
    assert temporary[0] not in ". "


@pytest.mark.parametrize("answer", ["500 What?", "502 Not implemented.", "504 Not like this."])
@pytest.mark.parametrize("verb", ["SIZE", "MLST", "RNFR", "RNTO", "DELE"])
def test_t19_an_object_arrives_whole_whichever_verb_is_refused(verb: str, answer: str, serve: Serve) -> None:
    server = serve(Fault(verb, Answer(answer), times=0))
    box = boxed(server)
    assert_arrives(server, box)
    assert names_in(box) == ["file"]


@pytest.mark.parametrize(
    "refused", [("SIZE", "MLST"), ("SIZE", "MLST", "MLSD"), ("RNFR", "SIZE"), ("RNFR", "MLST", "MLSD")], ids="+".join
)
def test_t19_an_object_arrives_whole_where_several_verbs_are_unknown(refused: Sequence[str], serve: Serve) -> None:
    server = serve(refused=refused)
    box = boxed(server)
    assert_arrives(server, box)
    assert names_in(box) == ["file"]


def test_t19_where_nothing_tells_a_size_no_object_is_believed(serve: Serve) -> None:
    server = serve(refused=["SIZE", "MLST", "MLSD", "LIST"])
    assert isinstance(write_file(server, boxed(server)), RefusedError)


def test_t19_without_rename_later_objects_go_straight_to_their_names(serve: Serve) -> None:
    server = serve(refused=["RNFR"])
    boxed(server)
    with line_to(server.facts) as line:
        for number in range(3):
            line.storage.write(BOX / f"file{number}", lambda: [CONTENT])
    assert [PurePosixPath(name).name for name in server.commands("STOR")][-2:] == ["file1", "file2"]
    assert names_in(server.facts.root / "box") == ["file0", "file1", "file2"]


@pytest.mark.parametrize("refused", [("RNFR", "DELE"), ("RNTO", "DELE")], ids="+".join)
def test_t19_where_nothing_can_be_tidied_the_object_is_whole_or_an_error_is_told(
    refused: Sequence[str], serve: Serve
) -> None:
    server = serve(refused=refused)
    box = boxed(server)
    with line_to(server.facts) as line:
        try:
            line.storage.write(FILE, lambda: [CONTENT])
        except StorageError:
            return
    assert (box / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("answer", ["550 The file is in use", "450 Try again in a moment"])
def test_t19_a_rename_that_is_refused_for_a_moment_is_tried_again(answer: str, serve: Serve) -> None:
    server = serve(Fault("RNFR", Answer(answer), times=2))
    box = boxed(server)
    with line_to(server.facts) as line:
        line.storage.write(FILE, lambda: [CONTENT])
        assert line.pauses == [0.1, 0.5]
    assert len(server.commands("STOR")) == 1
    assert names_in(box) == ["file"]


EACH_LOSS = pytest.mark.parametrize("fault", LOSSES, ids=lambda fault: f"{fault.verb} {fault.after} {fault.what}")


@EACH_LOSS
def test_t19_an_object_arrives_whole_whichever_reply_is_lost(fault: Fault, serve: Serve) -> None:
    server = serve(fault)
    assert_arrives(server, boxed(server))
    assert not server.faults_left


@EACH_LOSS
def test_t19_no_temporary_file_is_left_whichever_reply_is_lost(fault: Fault, serve: Serve) -> None:
    server = serve(fault)
    box = boxed(server)
    assert_arrives(server, box)
    assert names_in(box) == ["file"]


@pytest.mark.parametrize("verb", [*STEPS])
def test_t19_a_step_that_always_fails_is_told_and_leaves_no_object(verb: str, serve: Serve) -> None:
    server = serve(Fault(verb, Drop(), times=0))
    with line_to(server.facts) as line:
        box = boxed(server)
        with pytest.raises(InterruptedTransferError):
            line.storage.write(FILE, lambda: [CONTENT])
        assert len(server.commands("STOR")) == 4
    assert "file" not in names_in(box)


@pytest.mark.parametrize("action", CUTS, ids=str)
@pytest.mark.parametrize("tls", [True, False])
def test_t19_what_did_not_arrive_whole_is_sent_again(action: Action, serve: Serve, *, tls: bool) -> None:
    server = serve(Fault("STOR", action), tls=tls)
    assert_arrives(server, boxed(server))
    names = server.commands("STOR")
    assert len(set(names)) == len(names) == 2


@pytest.mark.parametrize("action", CUTS, ids=str)
@pytest.mark.parametrize("tls", [True, False])
def test_t19_no_temporary_file_is_left_of_what_did_not_arrive(action: Action, serve: Serve, *, tls: bool) -> None:
    server = serve(Fault("STOR", action), tls=tls)
    box = boxed(server)
    assert_arrives(server, box)
    assert names_in(box) == ["file"]


def test_t19_a_lost_rename_is_noticed_and_all_is_done_again(serve: Serve) -> None:
    server = serve(Fault("RNTO", LostRename()))
    assert_arrives(server, boxed(server))
    assert len(server.commands("STOR")) == 2


def test_t19_no_temporary_file_is_left_after_a_lost_rename(serve: Serve) -> None:
    server = serve(Fault("RNTO", LostRename()))
    box = boxed(server)
    assert_arrives(server, box)
    assert names_in(box) == ["file"]


@pytest.mark.parametrize("keeps_partial", [True, False])
@pytest.mark.parametrize("after_bytes", [0, 1000])
def test_t19_a_full_disk_is_told_at_once_and_leaves_nothing(
    after_bytes: int, serve: Serve, *, keeps_partial: bool
) -> None:
    server = serve(Fault("STOR", FullDisk(after_bytes, keeps_partial=keeps_partial), times=0))
    box = boxed(server)
    assert isinstance(write_file(server, box), SpaceError)
    assert names_in(box) == []
    assert len(server.commands("STOR")) == 1


def test_t19_a_wrong_size_every_time_is_told_with_both_sizes(serve: Serve) -> None:
    server = serve(Fault("STOR", LoseTail(3), times=0))
    failure = write_file(server, boxed(server))
    assert f"{len(CONTENT):,}" in str(failure)
    assert f"{len(CONTENT) - 3:,}" in str(failure)


def test_t19_an_object_that_is_published_after_a_lost_reply_is_whole(serve: Serve) -> None:
    for verb, lost in itertools.product(("RNFR", "RNTO"), (Drop(), Drop(before=False))):
        server = serve(Fault(verb, lost))
        box = boxed(server)
        with line_to(server.facts) as line:
            staged = line.storage.stage(FILE, lambda: [CONTENT])
            assert names_in(box) == [staged.name]
            line.storage.publish(staged, FILE, lambda: [CONTENT])
        assert names_in(box) == ["file"]
        assert (box / "file").read_bytes() == CONTENT


# -- T20, success


@pytest.mark.parametrize("answer", ["226 Done.", "250 Kept.", "250-Kept,\n250 and more."])
def test_t20_226_and_250_are_success(answer: str, serve: Serve) -> None:
    server = serve(Fault("STOR", Answer(answer, does=True), times=0), Fault("RETR", Answer(answer, does=True), times=0))
    assert_arrives(server, boxed(server))
    assert len(server.commands("STOR")) == 1


@pytest.mark.parametrize("answer", ["200 Fine.", "257 Fine.", "350 More?", "150 Again."])
def test_t20_no_other_reply_is_success(answer: str, serve: Serve) -> None:
    server = serve(Fault("STOR", Answer(answer, does=True)))
    assert_arrives(server, boxed(server))
    assert len(server.commands("STOR")) == 2


def test_t20_success_may_be_told_later_than_other_replies(serve: Serve) -> None:
    server = serve(Fault("STOR", Late(1.5)))
    assert_arrives(server, boxed(server), timeout=1.0)
    assert len(server.commands("STOR")) == 1


@pytest.mark.parametrize("tls", [True, False])
def test_t20_success_may_be_told_before_the_first_byte(serve: Serve, *, tls: bool) -> None:
    server = serve(Fault("STOR", EarlySuccess()), tls=tls)
    assert_arrives(server, boxed(server))
    assert len(server.commands("STOR")) == 1


def test_t20_a_source_that_gives_up_is_never_success(serve: Serve) -> None:
    server = serve()
    box = boxed(server)

    def broken() -> Iterator[bytes]:
        yield CONTENT
        raise ZeroDivisionError

    with line_to(server.facts) as line:
        with pytest.raises(ZeroDivisionError):
            line.storage.write(FILE, broken)
        assert line.storage.sizes([FILE]) == [None]
        line.storage.write(FILE, lambda: [CONTENT])
    assert (box / "file").read_bytes() == CONTENT
    assert len(server.commands("STOR")) == 2


# -- T21, downloads and slices


@pytest.mark.parametrize("version", TLS_VERSIONS, ids=lambda version: version.name)
def test_t21_slices_of_all_sizes_leave_the_connection_in_step(
    each_server: FtpServer, version: ssl.TLSVersion, *, soak: bool
) -> None:
    content = os.urandom(1024) * 5 * 1024
    (each_server.root / "file").write_bytes(content)
    count = 100 if soak else 8
    with line_to(each_server, limit=1, tls_version=version) as line:
        for length, number in itertools.product(SLICES, range(count)):
            start = number * (len(content) - length) // count
            part = line.storage.read(PurePosixPath("file"), start, length)
            assert part == content[start : start + length]
            assert line.storage.sizes([PurePosixPath("file"), PurePosixPath("none")]) == [len(content), None]
        assert line.pauses == []


def test_t21_pure_ftpd_keeps_its_connection_whatever_it_says_of_a_slice(ftp_scratch: FtpServer) -> None:
    (ftp_scratch.root / "file").write_bytes(CONTENT * 10)
    with session_on(ftp_scratch) as session:
        path = session.path_of(PurePosixPath("file"))
        for number in range(20):
            with session.download(path, 1_000 * number, 1_000) as download:
                assert download.read(1_000) == CONTENT[:1_000]
            assert not session.is_broken
            assert session.sizes([path]) == [len(CONTENT) * 10]


@pytest.mark.parametrize("answer", ["426 Broken.", "226 Done.", "150 Closing.", "451 Aborted."])
def test_t21_whatever_is_said_of_a_slice_is_taken_as_its_end(answer: str, serve: Serve) -> None:
    server = serve(Fault("RETR", Answer(answer, does=True), times=0))
    large_file(server)
    with line_to(server.facts, limit=1) as line:
        for number in range(4):
            assert line.storage.read(FILE, number, 1_000) == LARGE[number : number + 1_000]
            assert line.storage.sizes([FILE]) == [len(LARGE)]
    assert server.accepted == 1


LARGE = os.urandom(1024) * 8 * 1024


def large_file(server: ScriptedServer) -> None:
    """Let FILE hold more than is read on to come to its end."""
    (boxed(server) / "file").write_bytes(LARGE)


def test_t21_where_nothing_is_said_pure_ftpd_is_asked_and_any_other_connection_given_up(serve: Serve) -> None:
    for personality, connections in ((PURE, 1), (UNIX, 2)):
        server = serve(Fault("RETR", Swallow()), personality=personality)
        large_file(server)
        with line_to(server.facts, limit=1) as line:
            assert line.storage.read(FILE, 5, 1_000) == LARGE[5:1_005]
            assert line.storage.sizes([FILE]) == [len(LARGE)]
            assert line.pauses == []
        assert server.accepted == connections


def test_t21_a_fence_is_no_answer_to_what_comes_after_it(serve: Serve) -> None:
    server = serve(
        Fault("RETR", Swallow()), Fault("PWD", Answer('426 Broken.\n257 "/" is here.'), after=1), personality=PURE
    )
    large_file(server)
    with line_to(server.facts, limit=1) as line:
        assert line.storage.read(FILE, 5, 1_000) == LARGE[5:1_005]
        assert line.storage.sizes([FILE, BOX / "none"]) == [len(LARGE), None]
        assert line.pauses == []
    assert server.accepted == 1
    assert not server.faults_left


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("how", ["fin", "rst", "clean"])
def test_t21_a_download_that_was_cut_is_fetched_again(how: End, serve: Serve, *, tls: bool) -> None:
    server = serve(Fault("RETR", CutData(1_000, how, "226 Complete.")), tls=tls)
    (boxed(server) / "file").write_bytes(CONTENT)
    with line_to(server.facts) as line:
        assert line.storage.read(FILE) == CONTENT
    assert len(server.commands("RETR")) == 2


@pytest.mark.parametrize("answer", ["426 Broken.", "451 Read error."])
def test_t21_a_download_counts_only_with_its_final_reply(answer: str, serve: Serve) -> None:
    server = serve(Fault("RETR", Answer(answer, does=True)))
    (boxed(server) / "file").write_bytes(CONTENT)
    with line_to(server.facts) as line:
        assert line.storage.read(FILE) == CONTENT
    assert len(server.commands("RETR")) == 2


def test_t21_a_slice_that_ends_with_the_file_is_read_to_its_final_reply(serve: Serve) -> None:
    server = serve()
    (boxed(server) / "file").write_bytes(CONTENT)
    with line_to(server.facts, limit=1) as line:
        before = len(server.heard)
        assert line.storage.read(FILE, len(CONTENT) - 2_000, 1_000) == CONTENT[-2_000:-1_000]
        assert line.storage.read(FILE, len(CONTENT) - 10, 10) == CONTENT[-10:]
        assert line.storage.sizes([FILE]) == [len(CONTENT)]
        assert [heard.verb for heard in server.heard[before:]].count("RETR") == 2
    assert server.accepted == 1


def test_t21_beyond_the_end_there_is_nothing_and_the_connection_stays_in_step(each_server: FtpServer) -> None:
    (each_server.root / "file").write_bytes(b"0123456789")
    path = PurePosixPath("file")
    with line_to(each_server, limit=1) as line:
        for offset in (10, 11, 1_000):
            with contextlib.suppress(RefusedError):
                assert line.storage.read(path, offset, 5) == b""
            assert line.storage.sizes([path]) == [10]
        assert line.storage.read(path, 7, 5) == b"789"


@pytest.mark.parametrize("fault", [Fault("RETR", IgnoreRest(), times=0), Fault("REST", Answer("502 No."), times=0)])
def test_t21_where_rest_is_ignored_or_unknown_that_is_found_out_and_slices_are_right(
    fault: Fault, serve: Serve
) -> None:
    server = serve(fault)
    (boxed(server) / "file").write_bytes(CONTENT)
    scratch = PurePosixPath("probe")
    with line_to(server.facts) as line:
        line.storage.take_directory(scratch)
        prove_deeds(line.storage, scratch, line.known)
        assert not line.known.restarts

        asked = len(server.commands("REST"))
        assert line.storage.read(FILE, 1_234, 567) == CONTENT[1_234:1_801]
        assert line.storage.read(FILE, 299_000) == CONTENT[299_000:]
        with line.storage.open(FILE, 7) as reader:
            assert reader.read(5) == CONTENT[7:12]
        assert len(server.commands("REST")) == asked


def test_t21_a_rest_that_is_refused_once_does_not_end_slices(serve: Serve) -> None:
    server = serve(Fault("REST", Answer("451 Not now.")))
    (boxed(server) / "file").write_bytes(CONTENT)
    with line_to(server.facts) as line:
        assert line.storage.read(FILE, 1_234, 567) == CONTENT[1_234:1_801]
        assert line.known.restarts


def test_t21_an_upload_is_never_resumed(serve: Serve) -> None:
    server = serve(Fault("STOR", CutData(1_000, "rst", "426 Broken.")), Fault("STOR", Drop(before=False)))
    assert_arrives(server, boxed(server))
    stores = [number for number, heard in enumerate(server.heard) if heard.verb in ("STOR", "APPE")]
    assert "APPE" not in {heard.verb for heard in server.heard}
    assert all(server.heard[number - 1].verb != "REST" for number in stores)


# -- T22, temporary names


def test_t22_temporary_names_carry_the_runs_mark_and_never_come_twice(serve: Serve) -> None:
    server = serve(Fault("STOR", LoseTail(), times=2))
    box = boxed(server)
    with line_to(server.facts) as line:
        others = FtpStorage(line.pool, ".", "20260102t000000z-fedcba", pause=lambda _seconds: None)
        staged = [line.storage.stage(FILE, lambda: [CONTENT]) for _number in range(3)]
        foreign = others.stage(FILE, lambda: [CONTENT])

        assert sorted(path.name for path in [*staged, foreign]) == names_in(box)
    names = [PurePosixPath(name).name for name in server.commands("STOR")]
    assert len(set(names)) == len(names) == 6
    assert [MARK in name for name in names] == [True] * 5 + [False]
    assert all(name.startswith("file.") and name.endswith(".tmp") for name in names)


def test_t22_no_clock_of_the_server_is_asked(serve: Serve) -> None:
    server = serve()
    boxed(server)
    with line_to(server.facts) as line:
        line.storage.write(FILE, lambda: [CONTENT])
        line.storage.list_directory(BOX)
        line.storage.delete([FILE])
    assert not {heard.verb for heard in server.heard} & {"MDTM", "MFMT", "STAT", "SITE"}


# -- T23, listings

WITHOUT_MLSD = replace(UNIX, facts=None)


@pytest.mark.parametrize("version", TLS_VERSIONS, ids=lambda version: version.name)
def test_t23_a_listing_tells_files_and_directories_on_each_server(
    each_server: FtpServer, version: ssl.TLSVersion
) -> None:
    (each_server.root / "box" / "inner").mkdir(parents=True)
    (each_server.root / "box" / "empty").mkdir()
    for number in range(50):
        (each_server.root / "box" / f"f{number:02d}").write_bytes(b"four")
    (each_server.root / "box" / "link").symlink_to("f00")
    (each_server.root / "box" / "to-inner").symlink_to("inner")
    with session_on(each_server, tls_version=version) as session:
        assert session.list_directory(session.path_of(BOX / "empty")) == []
        entries = session.list_directory(session.path_of(BOX))
        assert session.list_directory(session.path_of(BOX / "missing")) == []
    found = {entry.name: entry for entry in entries}
    assert len(found) == len(entries)
    expected = {f"f{number:02d}": RemoteEntry(f"f{number:02d}", is_directory=False, size=4) for number in range(50)}
    expected |= {name: RemoteEntry(name, is_directory=True, size=0) for name in ("inner", "empty")}
    assert {name: entry for name, entry in found.items() if name not in ("link", "to-inner")} == expected
    if each_server.pid != os.getpid():  # pyftpdlib shows what a link leads to
        assert set(found) == set(expected)


def test_t23_a_listing_that_pure_ftpd_cuts_is_an_error(make_pure_ftpd: MakeServer) -> None:
    server = make_pure_ftpd(listing_limit=(20, 8))
    for name, count in (("small", 15), ("large", 25)):
        (server.root / name).mkdir()
        for number in range(count):
            (server.root / name / f"f{number:02d}").touch()
    with line_to(server, limit=1) as line:
        assert len(line.storage.list_directory(PurePosixPath("small"))) == 15
        with pytest.raises(RefusedError, match="LimitRecursion"):
            line.storage.list_directory(PurePosixPath("large"))
        assert line.storage.sizes([PurePosixPath("large") / "f24"]) == [0]


FORMS: dict[str, tuple[Personality, tuple[str, ...]]] = {
    "MLSD": (UNIX, ()),
    "LIST": (WITHOUT_MLSD, ()),
    "LIST in DOS form": (replace(WITHOUT_MLSD, listing="dos"), ()),
    "NLST": (WITHOUT_MLSD, ("LIST",)),
}
EACH_FORM = pytest.mark.parametrize(("personality", "refused"), FORMS.values(), ids=FORMS)


@EACH_FORM
def test_t23_every_form_of_listing_tells_the_same(
    personality: Personality, refused: Sequence[str], serve: Serve
) -> None:
    server = serve(personality=personality, refused=refused)
    box = boxed(server)
    (box / "file").write_bytes(CONTENT)
    (box / "inner").mkdir()
    (box / "empty").mkdir()
    with line_to(server.facts) as line:
        assert set(line.storage.list_directory(BOX)) == {
            RemoteEntry("file", is_directory=False, size=len(CONTENT)),
            RemoteEntry("inner", is_directory=True, size=0),
            RemoteEntry("empty", is_directory=True, size=0),
        }
        assert line.storage.list_directory(BOX / "empty") == []
        assert line.storage.list_directory(BOX / "missing") == []


@EACH_FORM
@pytest.mark.parametrize("text", ["226 Output truncated to {count} matches", "226-Options: -l\n226 Listing TRUNCATED."])
def test_t23_a_cut_listing_of_every_form_is_an_error(
    text: str, personality: Personality, refused: Sequence[str], serve: Serve
) -> None:
    faults = [Fault(verb, Truncated(2, text)) for verb in ("MLSD", "LIST", "NLST") if verb not in refused]
    server = serve(*faults, personality=personality, refused=refused)
    box = boxed(server)
    for number in range(4):
        (box / f"{number}").touch()
    with line_to(server.facts) as line:
        with pytest.raises(RefusedError, match=r"(?i)truncated"):
            line.storage.list_directory(BOX)
        server.forget_faults()
        assert len(line.storage.list_directory(BOX)) == 4


@pytest.mark.parametrize(
    ("verb", "text"),
    [
        *(("MLSD", text) for text in (corpora.PURE_FTPD, corpora.PROFTPD, corpora.PYFTPDLIB, corpora.UPPER_CASE)),
        *(("LIST", text) for text in (corpora.VSFTPD, corpora.PURE_FTPD_LIST, corpora.IIS, corpora.IIS_YEARS)),
    ],
)
def test_t23_listings_as_servers_write_them_are_understood(verb: str, text: str, serve: Serve) -> None:
    fault = Fault(verb, ListingLines(text.encode(), replaces=True))
    server = serve(fault, personality=UNIX if verb == "MLSD" else WITHOUT_MLSD)
    boxed(server)
    with session_on(server.facts) as session:
        assert session.list_directory(session.path_of(BOX)) == corpora.EXPECTED


@pytest.mark.parametrize(
    "lines", [b".\r\n..\r\nfile\r\n", b"box/.\r\nbox/..\r\nbox/file\r\n", b"/box/file\n", b"./file\r\n"]
)
def test_t23_names_alone_may_come_with_their_directory_and_with_dots(lines: bytes, serve: Serve) -> None:
    server = serve(Fault("NLST", ListingLines(lines, replaces=True)), personality=WITHOUT_MLSD, refused=["LIST"])
    (boxed(server) / "file").write_bytes(CONTENT)
    with session_on(server.facts) as session:
        found = session.list_directory(session.path_of(BOX))
    assert found == [RemoteEntry("file", is_directory=False, size=len(CONTENT))]


@EACH_FORM
def test_t23_every_form_of_listing_tells_names_that_begin_with_a_dot(
    personality: Personality, refused: Sequence[str], serve: Serve
) -> None:
    server = serve(personality=personality, refused=refused)
    box = boxed(server)
    (box / ".file").write_bytes(CONTENT)
    (box / ".inner").mkdir()
    with line_to(server.facts) as line:
        for thorough in (False, True):
            details = line.storage.list_details(BOX, thorough=thorough)

            assert {(one.name, one.kind, one.size) for one in details} == {
                (".file", A_FILE, len(CONTENT)),
                (".inner", DIRECTORY, 0),
            }
        assert line.storage.list_details(BOX / "missing") == []


@pytest.mark.parametrize("answer", ["550 -a: No such directory.", "501 No options.", "226 0 matches"])
def test_t23_where_list_takes_no_options_it_is_asked_without_and_no_more_with_one(answer: str, serve: Serve) -> None:
    action = Answer(answer) if answer[0] == "5" else ListingLines(b"", replaces=True)
    server = serve(Fault("LIST", action, pattern="-a", times=0), personality=WITHOUT_MLSD)
    (boxed(server) / "file").write_bytes(CONTENT)
    with line_to(server.facts, limit=1) as line:
        found = [line.storage.list_details(BOX) for _attempt in range(3)]
    assert [[one.name for one in details] for details in found] == [["file"]] * 3
    assert [argument.startswith("-a ") for argument in server.commands("LIST")] == [True, False, False, False]


@pytest.mark.parametrize("absolute_paths", [True, False])
def test_t23_a_directory_whose_name_is_a_pattern_is_listed_from_within(serve: Serve, *, absolute_paths: bool) -> None:
    server = serve(personality=replace(WITHOUT_MLSD, absolute_paths=absolute_paths))
    inside = boxed(server) / "a[b]" / "c"
    inside.mkdir(parents=True)
    (inside / "file").write_bytes(CONTENT)
    (inside / "link").symlink_to("file")
    with line_to(server.facts, limit=1) as line:
        storage = ReadOnlyStorage(line.pool, ".", MARK, pause=lambda _seconds: pytest.fail("it failed once"))
        for _attempt in range(3):
            details = storage.list_details(BOX / "a[b]" / "c", thorough=True)

            assert [(one.name, one.kind, one.target) for one in details] == [
                ("file", A_FILE, ""),
                ("link", LINK, "file"),
            ]
            assert storage.marks([BOX / "a[b]" / "c" / "file"]) != [None]
            assert storage.list_details(BOX / "a[c]") == []
    assert not [argument for argument in server.commands("LIST") if "[" in argument]


@EACH_FORM
def test_t23_a_cut_listing_tells_no_details(personality: Personality, refused: Sequence[str], serve: Serve) -> None:
    faults = [
        Fault(verb, Truncated(2, "226 Output truncated to {count} matches"), times=0)
        for verb in ("MLSD", "LIST", "NLST")
    ]
    server = serve(*(fault for fault in faults if fault.verb not in refused), personality=personality, refused=refused)
    box = boxed(server)
    for number in range(4):
        (box / f"{number}").touch()
    with line_to(server.facts) as line, pytest.raises(RefusedError, match="truncated"):
        line.storage.list_details(BOX)


def test_t23_links_that_only_a_cut_listing_tells_are_no_links_less(serve: Serve) -> None:
    server = serve(Fault("LIST", Truncated(1, "226 Output truncated to {count} matches"), times=0))
    box = boxed(server)
    for number in range(4):
        (box / f"{number}").symlink_to("nothing")
    with line_to(server.facts) as line:
        assert len(line.storage.list_details(BOX)) == 4
        with pytest.raises(RefusedError, match="truncated"):
            line.storage.list_details(BOX, thorough=True)


@pytest.mark.parametrize("refused", [(), ("MDTM",), ("SIZE",), ("SIZE", "MDTM"), ("SIZE", "MLST", "MLSD")])
def test_t23_a_mark_is_what_the_server_tells_of_size_and_time(refused: Sequence[str], serve: Serve) -> None:
    server = serve(refused=refused)
    box = boxed(server)
    for name in ("file", "other"):
        (box / name).write_bytes(b"four")
        os.utime(box / name, (1_600_000_000, 1_600_000_000))
    mark = "4" if "MDTM" in refused else "4 20200913122640"
    with line_to(server.facts, limit=1) as line:
        for _attempt in range(3):
            assert line.storage.marks([FILE, BOX / "missing", BOX, BOX / "other"]) == [mark, None, None, mark]
    assert len(server.commands("MDTM")) == (2 if "MDTM" in refused else 6)


@pytest.mark.parametrize("answer", ["451 Local error.", "421 Going down."])
def test_t23_a_time_that_is_not_told_for_now_is_no_other_time(answer: str, serve: Serve) -> None:
    server = serve(Fault("MDTM", Answer(answer), times=0))
    (boxed(server) / "file").write_bytes(CONTENT)
    with line_to(server.facts) as line, pytest.raises(StorageError):
        line.storage.marks([FILE])


@pytest.mark.parametrize("answer", ["550 No files found.", "450 No files found."])
def test_t23_an_empty_directory_whose_names_are_refused_is_empty(answer: str, serve: Serve) -> None:
    server = serve(Fault("NLST", Answer(answer), times=0), personality=WITHOUT_MLSD, refused=["LIST"])
    boxed(server)
    with line_to(server.facts) as line:
        assert line.storage.list_directory(BOX) == []


@pytest.mark.parametrize("answer", ["550 No such directory.", "450 No such directory.", "501 No such directory."])
@pytest.mark.parametrize("verb", ["MLSD", "LIST", "NLST"])
def test_t23_a_missing_directory_is_empty_however_its_listing_is_refused(verb: str, answer: str, serve: Serve) -> None:
    server = serve(
        Fault(verb, Answer(answer), times=0),
        personality=UNIX if verb == "MLSD" else WITHOUT_MLSD,
        refused=["LIST"] if verb == "NLST" else [],
    )
    with line_to(server.facts) as line:
        assert line.storage.list_directory(BOX) == []


@pytest.mark.parametrize("personality", [UNIX, WITHOUT_MLSD], ids=["MLSD", "LIST"])
@pytest.mark.parametrize("answer", ["550 Permission denied.", "451 I/O error."])
def test_t23_a_listing_that_is_refused_is_not_called_empty(answer: str, personality: Personality, serve: Serve) -> None:
    server = serve(*(Fault(verb, Answer(answer), times=0) for verb in ("MLSD", "LIST")), personality=personality)
    boxed(server)
    with line_to(server.facts) as line, pytest.raises(StorageError):
        line.storage.list_directory(BOX)


@pytest.mark.parametrize("how", ["fin", "rst", "clean"])
def test_t23_a_listing_whose_connection_broke_is_asked_again(how: End, serve: Serve) -> None:
    reply = "226 Done." if how != "clean" else "426 Broken."
    server = serve(Fault("MLSD", CutData(30, how, reply)))
    box = boxed(server)
    for number in range(4):
        (box / f"{number}").touch()
    with line_to(server.facts) as line:
        assert len(line.storage.list_directory(BOX)) == 4
    assert len(server.commands("MLSD")) == 2


def test_t23_lines_that_are_none_are_an_error(serve: Serve) -> None:
    for verb, personality in (("MLSD", UNIX), ("LIST", WITHOUT_MLSD)):
        server = serve(Fault(verb, ListingLines(b"nonsense\r\n")), personality=personality)
        boxed(server)
        with line_to(server.facts) as line, pytest.raises(RefusedError, match="cannot be read"):
            line.storage.list_directory(BOX)


def test_t05_an_upload_that_is_called_broken_is_there_if_its_size_says_so(serve: Serve) -> None:
    server = serve(Fault("STOR", Answer("426 Connection closed; transfer aborted.", does=True), times=0))

    with line_to(server.facts) as line:
        line.storage.ensure_directories([BOX])
        line.storage.write(BOX / "one", lambda: [CONTENT])

        assert line.storage.read(BOX / "one") == CONTENT
    assert len(server.uploads) == 1
    assert line.pauses == []
