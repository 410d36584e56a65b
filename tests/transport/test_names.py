# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names on a server: making, finding, and deleting them, which there may be, and where they begin."""

from __future__ import annotations

import os
import secrets
import shutil
import threading
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import (
    InterruptedTransferError,
    MissingError,
    RefusedError,
    StorageError,
    UsageError,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.paths import checked_directory, checked_path
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.lock import JobLock
from ansible_collections.stowage.ftp_backup.plugins.module_utils.proof import prove_deeds
from tests.engine.site import Site
from tests.servers import proftpd
from tests.servers.faults import Answer, Drop, Fault
from tests.servers.personalities import UNIX
from tests.transport.reach import MARK, line_to, session_on

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import Storage
    from tests.conftest import MakeServer, Serve
    from tests.servers.faults import Action
    from tests.servers.personalities import Personality
    from tests.servers.scripted import ScriptedServer
    from tests.servers.server import FtpServer

BOX = PurePosixPath("box")
FILE = BOX / "file"
CONTENT = bytes(range(256)) * 10
LISTINGS = ("LIST", "NLST", "MLSD", "STAT")
WITHOUT_MLST = replace(UNIX, facts=None)
# Real servers that run for an account of their own: to the others, nothing of the tests' is closed.
CLOSABLE = ("pure_ftpd", "proftpd", "vsftpd")


def names_in(path: Path) -> list[str]:
    return sorted(inside.name for inside in path.iterdir())


def heard_after(server: ScriptedServer, deed: Callable[[], object]) -> list[str]:
    """Do *deed* and return the verbs that the server heard meanwhile."""
    before = len(server.heard)
    deed()
    return [heard.verb for heard in server.heard[before:]]


# -- T16, two kinds of MKD


def test_t16_of_sixteen_threads_exactly_one_takes_a_name(each_server: FtpServer) -> None:
    with line_to(each_server, limit=16) as line, ThreadPoolExecutor(16) as threads:
        meet = threading.Barrier(16, timeout=60)
        for number in range(4):
            assert sum(threads.map(partial(_taken, line.storage, PurePosixPath(f"lock{number}")), [meet] * 16)) == 1


def _taken(storage: Storage, path: PurePosixPath, meet: threading.Barrier) -> bool:
    meet.wait()
    return storage.take_directory(path)


def test_t16_sixteen_threads_ensure_the_same_names_at_once(each_server: FtpServer) -> None:
    with line_to(each_server, limit=16) as line, ThreadPoolExecutor(16) as threads:
        meet = threading.Barrier(16, timeout=60)

        def ensure(_thread: int) -> None:
            meet.wait()
            line.storage.ensure_directories([BOX, BOX / "a", BOX / "a" / "b"])

        list(threads.map(ensure, range(16)))

        assert line.storage.has_directory(BOX / "a" / "b")


@pytest.mark.parametrize("personality", [UNIX, WITHOUT_MLST], ids=["MLST", "CWD"])
@pytest.mark.parametrize("answer", ["521 Exists.", "550 File exists", "450 Directory already exists"])
def test_t16_to_ensure_a_name_that_is_there_is_success_however_that_is_told(
    answer: str, personality: Personality, serve: Serve
) -> None:
    server = serve(Fault("MKD", Answer(answer), times=0), personality=personality)
    (server.facts.root / "box").mkdir()
    with line_to(server.facts) as line:
        line.storage.ensure_directories([BOX])

        with pytest.raises(RefusedError, match=answer[:3]):
            line.storage.ensure_directories([BOX, PurePosixPath("other")])
    assert len(server.commands("MKD")) == 3


@pytest.mark.parametrize("answer", ["521 Exists.", "550 File exists", "450 Directory already exists"])
def test_t16_a_name_that_is_there_cannot_be_taken_however_that_is_told(answer: str, serve: Serve) -> None:
    server = serve(Fault("MKD", Answer(answer), times=0))
    (server.facts.root / "box").mkdir()
    with line_to(server.facts) as line:
        assert not line.storage.take_directory(BOX)


def test_t16_a_refusal_for_another_reason_is_no_sign_that_somebody_was_faster(each_server: FtpServer) -> None:
    (each_server.root / "box").write_bytes(CONTENT)
    with line_to(each_server) as line:
        with pytest.raises(RefusedError):
            line.storage.take_directory(BOX)
        with pytest.raises(RefusedError):
            line.storage.take_directory(PurePosixPath("missing") / "inside")


@pytest.mark.parametrize(("action", "is_made"), [(Drop(), False), (Drop(before=False), True)])
def test_t16_a_taking_whose_reply_is_lost_is_tried_once_and_left_to_the_caller(
    action: Action, serve: Serve, *, is_made: bool
) -> None:
    server = serve(Fault("MKD", action))
    with line_to(server.facts) as line:
        with pytest.raises(InterruptedTransferError):
            line.storage.take_directory(BOX)
        assert len(server.commands("MKD")) == 1

        assert line.storage.has_directory(BOX) == is_made
        assert line.storage.take_directory(BOX) != is_made


@pytest.mark.parametrize("after", [0, 1])
@pytest.mark.parametrize("action", [Drop(), Drop(before=False), Drop(before=False, rst=True)])
def test_t16_a_lock_whose_reply_is_lost_is_settled_by_reading_who_holds_it(
    action: Action, after: int, serve: Serve
) -> None:
    server = serve(Fault("MKD", action, pattern="/lock", after=after))
    (server.facts.root / "box").mkdir()
    with line_to(server.facts) as line:
        waits: list[float] = []
        lock = JobLock(line.storage, BOX, "0123456789abcdef", MARK, pause=waits.append)
        lock.acquire()
        lock.prove()
        assert len(names_in(server.facts.root / "box" / "lock")) == 1

        lock.release()
    assert not server.faults_left
    assert names_in(server.facts.root / "box") == []


def test_t16_a_server_that_lets_two_take_a_name_is_found_out(serve: Serve) -> None:
    server = serve(Fault("MKD", Answer("257 Made once more."), after=1))
    scratch = PurePosixPath("probe")
    with line_to(server.facts) as line:
        assert line.storage.take_directory(scratch)
        with pytest.raises(RefusedError, match="two clients"):
            prove_deeds(line.storage, scratch, line.known)


# -- T17, does it exist?


def test_t17_a_file_a_directory_and_nothing_are_told_apart(each_server: FtpServer) -> None:
    with line_to(each_server, limit=1) as line:
        line.storage.ensure_directories([BOX, BOX / "inner"])
        line.storage.write(FILE, lambda: [CONTENT])
        asked = [FILE, BOX / "inner", BOX / "missing", PurePosixPath("none") / "at-all"]

        assert line.storage.sizes(asked) == [len(CONTENT), None, None, None]
        assert [line.storage.has_directory(path) for path in asked] == [False, True, False, False]
        for path in asked[2:]:
            with pytest.raises(MissingError):
                line.storage.read(path)
        line.storage.delete(asked[2:])


@pytest.fixture(params=CLOSABLE)
def closed_server(request: pytest.FixtureRequest, running_server: Callable[[str], FtpServer]) -> Iterator[FtpServer]:
    """A server with a directory ``closed`` that the login may not enter, and in it a file and a directory."""
    server = running_server(request.param)
    place = server.root / f"closed-{secrets.token_hex(4)}"
    place.mkdir()
    closed = place / "closed"
    (closed / "inner").mkdir(parents=True)
    (closed / "file").write_bytes(CONTENT)
    (place / "secret").write_bytes(CONTENT)
    (place / "secret").chmod(0o600)
    closed.chmod(0o700)
    yield server.below(place.name)
    shutil.rmtree(place)


CLOSED = PurePosixPath("closed")


def test_t17_what_may_not_be_looked_at_is_not_called_missing(closed_server: FtpServer) -> None:
    with line_to(closed_server) as line:
        storage = line.storage
        assert _kind_of(lambda: storage.sizes([CLOSED / "file"])) is RefusedError
        assert _kind_of(lambda: storage.read(CLOSED / "file")) is RefusedError
        assert _kind_of(lambda: storage.read(CLOSED / "file", 3, 5)) is RefusedError
        assert _kind_of(lambda: storage.delete([CLOSED / "file"])) is RefusedError
    assert (closed_server.root / "closed" / "file").read_bytes() == CONTENT


def test_t17_what_lies_deeper_than_a_closed_directory_is_not_called_missing(closed_server: FtpServer) -> None:
    with line_to(closed_server) as line:
        assert _kind_of(lambda: line.storage.sizes([CLOSED / "inner" / "file"])) is RefusedError
        assert _kind_of(lambda: line.storage.read(CLOSED / "inner" / "file")) is RefusedError


def test_t17_what_may_not_be_listed_is_not_called_empty(closed_server: FtpServer) -> None:
    with line_to(closed_server) as line:
        assert _kind_of(lambda: line.storage.list_directory(CLOSED)) is RefusedError
        assert _kind_of(lambda: line.storage.list_directory(CLOSED / "inner")) is RefusedError


def test_t17_a_directory_that_may_not_be_entered_is_not_called_missing(closed_server: FtpServer) -> None:
    with line_to(closed_server) as line:
        assert _kind_of(lambda: line.storage.has_directory(CLOSED)) in (True, RefusedError)
        assert _kind_of(lambda: line.storage.has_directory(CLOSED / "inner")) is RefusedError


def _kind_of(deed: Callable[[], object]) -> object:
    """Return the class of the error that *deed* raises, or else what it returns."""
    try:
        return deed()
    except StorageError as error:
        return type(error)


def test_t17_a_file_that_may_not_be_read_is_not_called_missing(closed_server: FtpServer) -> None:
    with line_to(closed_server) as line:
        assert line.storage.sizes([PurePosixPath("secret")]) == [len(CONTENT)]
        with pytest.raises(RefusedError):
            line.storage.read(PurePosixPath("secret"))


@pytest.mark.parametrize("refused", [(), ("MLST", "MLSD"), ("SIZE",)], ids=["all", "no MLST", "no SIZE"])
def test_t17_existence_is_never_asked_by_a_listing(refused: Sequence[str], serve: Serve) -> None:
    server = serve(refused=refused)
    (server.facts.root / "box").mkdir()
    (server.facts.root / "box" / "file").write_bytes(CONTENT)
    with line_to(server.facts) as line:
        storage = line.storage
        assert storage.sizes([FILE, BOX / "missing"]) == [len(CONTENT), None]
        assert [storage.has_directory(path) for path in (BOX, FILE, BOX / "missing")] == [True, False, False]
        with pytest.raises(MissingError):
            storage.read(BOX / "missing")
        storage.delete([BOX / "missing", FILE])
    assert not {heard.verb for heard in server.heard} & set(LISTINGS)
    assert names_in(server.facts.root / "box") == []


@pytest.mark.parametrize("refused", [(), ("SIZE",), ("SIZE", "MLST", "MLSD")], ids=["SIZE", "MLST", "LIST"])
def test_t17_a_directory_has_no_size(refused: Sequence[str], serve: Serve) -> None:
    server = serve(refused=refused)
    (server.facts.root / "box" / "inner").mkdir(parents=True)
    with line_to(server.facts) as line:
        assert line.storage.sizes([BOX / "inner", BOX]) == [None, None]


def test_t17_a_directory_is_looked_for_by_mlst_and_entered_only_where_there_is_none(serve: Serve) -> None:
    for personality, verbs in ((UNIX, {"MLST"}), (WITHOUT_MLST, {"CWD"})):
        server = serve(personality=personality)
        (server.facts.root / "box").mkdir()
        with session_on(server.facts) as session:
            heard = heard_after(server, partial(session.has_directory, session.path_of(BOX)))
        assert set(heard) == verbs


def test_t17_without_size_and_mlst_one_listing_is_the_last_resort(serve: Serve) -> None:
    server = serve(refused=("SIZE", "MLST", "MLSD"))
    (server.facts.root / "box").mkdir()
    (server.facts.root / "box" / "file").write_bytes(CONTENT)
    with line_to(server.facts, limit=1) as line:
        asked = [FILE, BOX / "one", BOX / "two"]
        assert line.storage.sizes(asked) == [len(CONTENT), None, None]
    assert len(server.commands("LIST")) == 1


def test_t17_a_directory_that_was_only_looked_for_may_go(serve: Serve) -> None:
    server = serve(personality=replace(WITHOUT_MLST, needs_its_directory=True))
    with line_to(server.facts, limit=1) as line:
        line.storage.ensure_directories([BOX])
        assert line.storage.has_directory(BOX)
        line.storage.rename(BOX, PurePosixPath("other"))
        line.storage.remove_directories([PurePosixPath("other")])
        assert not line.storage.has_directory(BOX)
    assert server.accepted == 1


# -- T24, which names may be


@given(st.one_of(st.text(max_size=30), st.from_regex(r"[a-z0-9._~/-]{0,230}", fullmatch=True)))
def test_t24_a_path_goes_through_only_if_every_server_keeps_it(text: str) -> None:
    path = PurePosixPath(text)
    try:
        sent = str(checked_path(path))
    except UsageError:
        return
    components = sent.split("/")
    assert len(sent) <= 200
    assert len(components) <= 8
    for component in components if sent != "." else ():
        assert 1 <= len(component) <= 100
        assert set(component) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-")
        assert component[0] not in ".-~_"


@given(st.lists(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,18}", fullmatch=True), min_size=1, max_size=8))
def test_t24_a_path_of_ours_goes_through_unchanged(components: list[str]) -> None:
    path = PurePosixPath(*components)
    assert checked_path(path) == path


@pytest.mark.parametrize(
    "name",
    [
        *(
            "..",
            "../up",
            "/etc",
            "a/../b",
            ".dot",
            "-dash",
            "~",
            "~root",
            "Upper",
            "a b",
            " a",
            "a*",
            "a?",
            "a\\b",
            "a:b",
        ),
        *("ä", "a\r\nDELE b", "a\nb", "a\0b", "a\tb"),
        *("x" * 101, "/".join("abcdefghi"), "/".join(["x" * 67] * 3)),
    ],
)
def test_t24_no_verb_sends_a_name_that_is_none_of_ours(name: str, serve: Serve) -> None:
    server = serve(tls=False)
    (server.facts.root / "victim").write_bytes(CONTENT)
    bad, good = BOX / name, PurePosixPath("good")
    with line_to(server.facts, limit=1) as line:
        storage = line.storage
        storage.has_directory(BOX)
        deeds: list[Callable[[], object]] = [
            lambda: storage.sizes([good, bad]),
            lambda: storage.has_directory(bad),
            lambda: storage.ensure_directories([good, bad]),
            lambda: storage.take_directory(bad),
            lambda: storage.remove_directories([good, bad]),
            lambda: storage.write(bad, lambda: [CONTENT]),
            lambda: storage.stage(bad, lambda: [CONTENT]),
            lambda: storage.publish(PurePosixPath("victim"), bad, lambda: [CONTENT]),
            lambda: storage.rename(good, bad),
            lambda: storage.rename(bad, good),
            lambda: storage.read(bad),
            lambda: storage.read(bad, 3, 4),
            lambda: storage.open(bad).__enter__(),
            lambda: storage.delete([good, bad]),
            lambda: storage.list_directory(bad),
        ]
        verbs = []
        for deed in deeds:
            verbs += heard_after(server, partial(_refused_as_usage, deed))
    # What the others ask is the way in; the size is that of the victim, which is to be published.
    assert set(verbs) <= {"USER", "PASS", "TYPE", "OPTS", "SIZE"}
    assert names_in(server.facts.root) == ["victim"]


def _refused_as_usage(deed: Callable[[], object]) -> None:
    with pytest.raises(UsageError):
        deed()


@pytest.mark.parametrize("mark", ["\r\n", "\n", "\r", "\0"])
@pytest.mark.parametrize("option", ["username", "password"])
def test_t24_no_line_break_or_nul_gets_into_a_login(option: str, mark: str, serve: Serve) -> None:
    server = serve(tls=False)
    changes: dict[str, t.Any] = {option: f"backup{mark}MKD evil"}
    with pytest.raises(UsageError), session_on(server.facts, **changes):
        pass
    assert "MKD" not in {heard.verb for heard in server.heard}
    assert names_in(server.facts.root) == []


@pytest.mark.parametrize("mark", ["\r\n", "\n", "\r", "\0"])
def test_t24_no_line_break_or_nul_gets_into_any_command_of_a_session(mark: str, serve: Serve) -> None:
    server = serve()
    bad = f"one{mark}MKD evil"
    with session_on(server.facts) as session:
        deeds: list[Callable[[], object]] = [
            lambda: session.make_directory(bad),
            lambda: session.ensure_directories(["good", bad]),
            lambda: session.has_directory(bad),
            lambda: session.sizes(["good", bad]),
            lambda: session.rename("good", bad),
            lambda: session.rename(bad, "good"),
            lambda: session.delete(["good", bad]),
            lambda: session.remove_directories(["good", bad]),
            lambda: session.ask(f"NOOP {bad}"),
        ]
        for deed in deeds:
            verbs = heard_after(server, partial(_refused_as_usage, deed))
            assert verbs == []
        with pytest.raises(UsageError):
            session.upload(bad, [CONTENT])
    with pytest.raises(UsageError):
        checked_directory(bad)
    assert "MKD" not in {heard.verb for heard in server.heard}


# -- T25, deleting


def test_t25_sixty_at_once_are_deleted_and_what_is_gone_is_no_error(each_server: FtpServer) -> None:
    paths = [BOX / f"f{number:03d}" for number in range(60)]
    with line_to(each_server, limit=1) as line:
        line.storage.ensure_directories([BOX])
        for path in paths[::2]:
            (each_server.root / path).write_bytes(b"four")
            _give_away(each_server, each_server.root / path)
        (each_server.root / "box" / "other").write_bytes(b"kept")

        line.storage.delete(paths)

        assert line.pauses == []
    assert names_in(each_server.root / "box") == ["other"]


def _give_away(server: FtpServer, path: Path) -> None:
    """Let *path* belong to whom the directory of *server* belongs."""
    owner = server.root.stat()
    os.chown(path, owner.st_uid, owner.st_gid)


def test_t25_deletions_go_in_windows_of_at_most_fifty(serve: Serve) -> None:
    server = serve()
    paths = _filled(server, 120)
    with session_on(server.facts) as session:
        before = server.turns[1]
        session.delete([session.path_of(path) for path in paths])
        turns = server.turns[1] - before

    assert names_in(server.facts.root / "box") == []
    assert 3 <= turns <= 12


def _filled(server: ScriptedServer, count: int) -> list[PurePosixPath]:
    (server.facts.root / "box").mkdir()
    paths = [BOX / f"f{number:03d}" for number in range(count)]
    for path in paths:
        (server.facts.root / path).write_bytes(b"four")
    return paths


@pytest.mark.parametrize("action", [Drop(), Drop(before=False), Drop(before=False, rst=True), Answer("421 Bye.")])
@pytest.mark.parametrize("after", [0, 20, 49, 50, 59])
def test_t25_a_connection_lost_in_mid_window_leaves_nothing_undeleted(action: Action, after: int, serve: Serve) -> None:
    server = serve(Fault("DELE", action, after=after))
    paths = _filled(server, 60)
    with line_to(server.facts) as line:
        line.storage.delete(paths)

    assert names_in(server.facts.root / "box") == []
    assert not server.faults_left


def test_t25_one_refusal_is_told_and_everything_else_is_deleted(serve: Serve) -> None:
    server = serve(Fault("DELE", Answer("550 Permission denied."), pattern="f030", times=0))
    paths = _filled(server, 60)
    with line_to(server.facts) as line, pytest.raises(RefusedError, match=r"f030.*Permission denied"):
        line.storage.delete(paths)

    assert names_in(server.facts.root / "box") == ["f030"]


def test_t25_a_directory_is_not_taken_for_a_file_that_is_gone(serve: Serve) -> None:
    server = serve()
    (server.facts.root / "box").mkdir()
    with line_to(server.facts) as line, pytest.raises(RefusedError):
        line.storage.delete([BOX])


def test_t25_only_empty_directories_are_removed_and_nothing_beside_ours(each_server: FtpServer) -> None:
    inside = each_server.below("ours")
    with line_to(each_server) as line:
        line.storage.ensure_directories([PurePosixPath("ours"), PurePosixPath("theirs")])
    with line_to(inside) as line:
        line.storage.ensure_directories([BOX, BOX / "full", BOX / "empty"])
        line.storage.write(BOX / "full" / "file", lambda: [CONTENT])

        line.storage.delete([FILE, PurePosixPath("theirs")])
        line.storage.remove_directories([BOX / "full", BOX / "empty", BOX, PurePosixPath("theirs")])
        for outside in ("../theirs", "/theirs"):
            with pytest.raises(UsageError):
                line.storage.remove_directories([PurePosixPath(outside)])

    assert names_in(each_server.root) == ["ours", "theirs"]
    assert names_in(inside.root / "box") == ["full"]


# -- T28, where our paths begin


def deeds_work(site: Site) -> None:
    """Do once what a backup does with names and contents, as a run of its own."""
    with site.storage() as storage:
        storage.ensure_directories([BOX, BOX / "a", BOX / "a" / "b"])
        storage.write(BOX / "a" / "b" / "file", lambda: [CONTENT])
        assert storage.sizes([BOX / "a" / "b" / "file", FILE]) == [len(CONTENT), None]
        assert storage.has_directory(BOX / "a")
        assert storage.read(BOX / "a" / "b" / "file") == CONTENT
        assert storage.read(BOX / "a" / "b" / "file", 7, 9) == CONTENT[7:16]
        assert [entry.name for entry in storage.list_directory(BOX / "a" / "b")] == ["file"]
        storage.rename(BOX / "a" / "b" / "file", BOX / "a" / "moved")
        storage.delete([BOX / "a" / "moved"])
        storage.remove_directories([BOX / "a" / "b", BOX / "a", BOX])


def site_on(server: FtpServer, tmp_path: Path, directory: str) -> Site:
    (tmp_path / "host").mkdir()
    return Site(server.below(directory) if directory else server, tmp_path / "host", tmp_path / "srv")


@pytest.mark.parametrize("directory", ["", "backups", "deep/er/still"])
@pytest.mark.parametrize("home", ["/", "/users/backup", '/users/back"up', "/users/bäckup dir"])
def test_t28_paths_are_absolute_from_where_the_login_starts(
    home: str, directory: str, serve: Serve, tmp_path: Path
) -> None:
    server = serve(personality=replace(UNIX, home=home))
    site = site_on(server.facts, tmp_path, directory)
    site.declare()
    deeds_work(site)

    root = PurePosixPath(home, directory)
    assert names_in(server.facts.root / directory) == ["destination.json", "readme.txt", "recover.py"]
    places = [
        PurePosixPath(place) for verb in ("STOR", "RETR", "RNFR", "RNTO", "DELE") for place in server.commands(verb)
    ]
    assert all(root in place.parents for place in places)


@pytest.mark.parametrize("directory", ["", "backups", "deep/er/still"])
@pytest.mark.parametrize("home", ["/", "/users/backup"])
def test_t28_where_absolute_paths_fail_the_way_is_gone_step_by_step(
    home: str, directory: str, serve: Serve, tmp_path: Path
) -> None:
    server = serve(personality=replace(UNIX, home=home, absolute_paths=False))
    site = site_on(server.facts, tmp_path, directory)
    outcome = site.declare()
    deeds_work(site)

    assert outcome.values["server"]["absolute_paths"] is False
    assert names_in(server.facts.root / directory) == ["destination.json", "readme.txt", "recover.py"]
    used = {place for verb in ("STOR", "RETR", "RNFR", "RNTO", "DELE") for place in server.commands(verb)}
    assert not any(place.startswith("/") for place in used)


def test_t28_where_absolute_paths_fail_that_is_found_out_without_a_proof(serve: Serve) -> None:
    server = serve(personality=replace(UNIX, absolute_paths=False))
    with line_to(server.facts) as line:
        line.storage.ensure_directories([BOX])
        line.storage.write(FILE, lambda: [CONTENT])
    assert (server.facts.root / FILE).read_bytes() == CONTENT


def test_t28_the_login_directory_is_asked_once(serve: Serve) -> None:
    server = serve()
    with line_to(server.facts, limit=4) as line:
        for _time in range(5):
            line.storage.ensure_directories([BOX])
        with line.pool.session(), line.pool.session(), line.pool.session():
            pass
        assert server.accepted == 3
    assert len(server.commands("PWD")) <= server.accepted


@pytest.mark.parametrize("answer", ["257 somewhere", "257 ", "550 No.", '250 "/" no'])
def test_t28_an_answer_without_a_directory_ends_the_login(answer: str, serve: Serve) -> None:
    server = serve(Fault("PWD", Answer(answer)))
    with pytest.raises(StorageError), session_on(server.facts):
        pass


def test_t28_a_login_that_is_not_locked_in_keeps_to_its_directory(
    make_proftpd: MakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proftpd, "_SETTINGS", proftpd._SETTINGS.replace("DefaultRoot ~\n", ""))
    server = make_proftpd()
    with session_on(server) as session:
        assert session.home == str(server.root)
    for number, directory in enumerate(("", "backups")):
        place = tmp_path / f"host{number}"
        place.mkdir()
        site = Site(server.below(directory) if directory else server, place, tmp_path / "srv")
        site.declare()
        deeds_work(site)
        assert set(names_in(server.root / directory)) >= {"destination.json", "readme.txt", "recover.py"}


def test_t28_a_directory_outside_of_the_login_is_refused_and_nothing_is_made(serve: Serve) -> None:
    server = serve(personality=replace(UNIX, home="/users/backup"))
    for directory in ("/elsewhere", "/users", "/users/backup2"):
        with session_on(server.facts) as session, pytest.raises(UsageError, match="outside"):
            session.enter(PurePosixPath(directory))
    assert names_in(server.facts.root) == []


def test_t28_no_parent_is_made_by_an_upload(each_server: FtpServer) -> None:
    with line_to(each_server) as line, pytest.raises(StorageError):
        line.storage.write(BOX / "inner" / "file", lambda: [CONTENT])
    assert names_in(each_server.root) == []
