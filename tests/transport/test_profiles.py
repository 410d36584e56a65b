# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server is found to be, what is remembered of it, and that no password is ever told."""

from __future__ import annotations

import io
import json
import os
import traceback
import typing as t
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.connections import ServerMemory, open_storage
from ansible_collections.stowage.ftp_backup.plugins.module_utils.destination import (
    ensure_present,
    list_destinations,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import (
    BackupError,
    LoginError,
    RefusedError,
    StorageError,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.profile import read_profile
from ansible_collections.stowage.ftp_backup.plugins.module_utils.registry import (
    Destination,
    DestinationState,
    FileRegistry,
)
from tests.servers.faults import Answer, CutData, Fault, FullDisk, IgnoreRest, RefuseData
from tests.servers.guests import TLS_VERSIONS
from tests.servers.personalities import PERSONALITIES, UNIX
from tests.servers.server import ODD_USER, FtpUser
from tests.transport.reach import MARK, address_of, line_to, session_on

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.outcome import Outcome
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import Storage
    from tests.conftest import MakeServer, Serve
    from tests.servers.faults import Action
    from tests.servers.personalities import Expected, Personality
    from tests.servers.scripted import ScriptedServer
    from tests.servers.server import FtpServer

BOX = PurePosixPath("box")
FILE = BOX / "file"
CONTENT = bytes(range(256)) * 100
OURS = ["destination.json", "readme.txt", "recover.py"]
WRITING = {"MKD", "STOR", "DELE", "RNTO", "RMD", "SITE", "APPE", "MFMT"}  # RNFR alone only asks


def names_in(path: Path) -> list[str]:
    return sorted(inside.name for inside in path.iterdir())


@dataclass(frozen=True)
class Declaring:
    """A host that declares *server* as a destination; its own directories lie below *home*."""

    server: FtpServer
    home: Path

    @property
    def registry(self) -> FileRegistry:
        return FileRegistry(self.home / "etc")

    def wanted(self, **options: t.Any) -> Destination:  # noqa: ANN401 # those of a destination
        server = self.server
        wanted = Destination(
            name="offsite",
            host=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            directory=str(server.directory.relative_to("/")),
            tls=server.ca_path is not None,
            ca_path=str(server.ca_path) if server.ca_path else None,
        )
        return replace(wanted, **options)

    def declare(self, *, check_mode: bool = False, **options: t.Any) -> Outcome:  # noqa: ANN401 # those of a destination
        wanted = self.wanted(**options)
        return ensure_present(self.registry, self.home / "var", wanted, validate=True, check_mode=check_mode)

    @property
    def state(self) -> DestinationState:
        return DestinationState(self.home / "var", "offsite", self.wanted().place)

    def run(self, deed: Callable[[Storage], object]) -> None:
        """Do *deed* on the storage, as a run on this host does."""
        destination = self.registry.get("offsite")
        assert destination is not None
        with open_storage(destination, MARK, self.state, may_write=True) as storage:
            deed(storage)

    def probe(self) -> dict[str, t.Any]:
        outcome = list_destinations(self.registry, self.home / "var", "offsite", probe=True)
        (described,) = outcome.values["destinations"]
        return t.cast("dict[str, t.Any]", described)


@pytest.fixture
def declaring(tmp_path: Path) -> Callable[[FtpServer], Declaring]:
    (tmp_path / "host").mkdir()
    return lambda server: Declaring(server, tmp_path / "host")


Declare = t.Callable[["FtpServer"], Declaring]


def work(storage: Storage) -> None:
    storage.ensure_directories([BOX])
    storage.write(FILE, lambda: [CONTENT])
    assert storage.read(FILE) == CONTENT
    storage.delete([FILE])


# -- T30, section 6: who is refused

EACH_PERSONALITY = pytest.mark.parametrize(("personality", "expected"), PERSONALITIES.values(), ids=PERSONALITIES)


@EACH_PERSONALITY
def test_t30_a_look_tells_verdict_and_rule_and_writes_nothing(
    personality: Personality, expected: Expected, serve: Serve
) -> None:
    server = serve(personality=personality)
    with session_on(server.facts) as session:
        profile = read_profile(session)

    assert (profile.verdict, profile.rule) == (expected.verdict, expected.rule)
    assert profile.pwd == personality.home
    assert profile.syst == personality.syst
    assert profile.banner.startswith("220")
    assert profile.evidence
    assert not {heard.verb for heard in server.heard} & WRITING


@pytest.mark.parametrize("accepts", [False, True])
@EACH_PERSONALITY
def test_t30_a_declaration_ends_as_the_verdict_says(
    personality: Personality, expected: Expected, serve: Serve, declaring: Declare, *, accepts: bool
) -> None:
    server = serve(personality=personality)
    host = declaring(server.facts.below("backups"))
    is_asked = expected.verdict == "unidentified" and accepts
    if expected.verdict == "unix" or (is_asked and expected.signs < 2):
        outcome = host.declare(accept_unidentified_server=accepts)

        shown = outcome.values["server"]
        assert (shown["verdict"], shown["rule"]) == (expected.verdict, expected.rule)
        assert len(shown["probes"]) == (3 if is_asked else 0)
        assert any("does not tell its system" in warning for warning in outcome.warnings) == is_asked
        assert names_in(server.facts.root / "backups") == OURS
        host.run(work)
    else:
        with pytest.raises(RefusedError) as refusal:
            host.declare(accept_unidentified_server=accepts)
        assert refusal.value.kind == "refused"
        is_windows = expected.verdict == "windows" or is_asked
        assert ("hosted on Windows" in str(refusal.value)) or not is_windows
        assert ("accept_unidentified_server" in str(refusal.value)) == (not is_windows)
        assert host.registry.get("offsite") is None
        if is_asked:
            assert names_in(server.facts.root / "backups") == []
        else:
            assert not {heard.verb for heard in server.heard} & WRITING
            assert names_in(server.facts.root) == []


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        *(({"syst": syst}, 1) for syst in ("215 Windows_NT", "215 WIN32", "215 Windows")),
        ({"greeting": "220-Hello\n220 Microsoft FTP Service"}, 1),
        ({"greeting": "220 Serv-U FTP-Server v2.5k for WinSock ready..."}, 1),
        ({"features": ("AUTH TLS;TLS-C;SSL;TLS-P;", "PBSZ", "PROT C;P;", "SIZE")}, 1),
        ({"facts": ("type", "size", "Win32.ea")}, 1),
        *(({"home": home}, 1) for home in ("C:/", "/C:/Users/ftp", "D:/ftp")),
        *(({"help": "214-Microsoft FTP Service\n214 Yes."}, 1), ({"stat": "211-Microsoft FTP Service\n211 End"}, 1)),
        ({"listing": "dos"}, 1),
        ({"syst": "215 UNIX emulated by FileZilla"}, 2),
        *(
            ({"greeting": f"220 {name} 1.0 ready."}, 2)
            for name in (
                *(
                    "FileZilla Server version 0.9.60 beta",
                    "X2 WS_FTP Server",
                    "Titan FTP Server",
                    "Cerberus FTP Server",
                ),
                *("Gene6 FTP Server", "G6 FTP Server", "GuildFTPd FTP Server", "WarFTPd", "BulletProof FTP Server"),
                *("Golden FTP Server", "Xlight FTP Server", "TYPSoft FTP Server", "Quick 'n Easy FTP Server"),
                *("Home Ftp Server", "ArGoSoft FTP Server", "ioFTPD", "RaidenFTPD", "CesarFTP", "SlimFTPd"),
            )
        ),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else str(value),
)
def test_t30_each_sign_of_windows_is_enough_alone(changes: dict[str, t.Any], rule: int, serve: Serve) -> None:
    bare = PERSONALITIES["bare greeting"][0]
    server = serve(personality=replace(bare, **changes))
    (server.facts.root / "something").mkdir()
    with session_on(server.facts) as session:
        profile = read_profile(session)

    assert (profile.verdict, profile.rule) == ("windows", rule)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"greeting": "220---------- Welcome to Pure-FTPd [privsep] ----------\n220 Hello"}, "unix"),
        ({"greeting": "220 (vsFTPd 3.0.3)"}, "unix"),
        ({"greeting": "220 ProFTPD Server (Debian)"}, "unix"),
        ({"syst": "215 UNIX Type: L8 Version: BSD-199506"}, "unix"),
        ({"facts": ("type", "size", "UNIX.mode")}, "unix"),
        ({"facts": ("type", "size", "unix.mode")}, "unix"),
        ({"syst": "215 UNIX Type: L8"}, "unidentified"),
        ({"syst": None}, "unidentified"),
        ({"syst": None, "help": None, "stat": None, "features": None}, "unidentified"),
    ],
    ids=str,
)
def test_t30_each_sign_of_unix_is_enough_and_its_type_alone_is_none(
    changes: dict[str, t.Any], verdict: str, serve: Serve
) -> None:
    server = serve(personality=replace(PERSONALITIES["bare greeting"][0], **changes))
    with session_on(server.facts) as session:
        assert read_profile(session).verdict == verdict


@pytest.mark.parametrize(
    ("changes", "signs"),
    [
        ({}, 0),
        ({"folds_case": True}, 1),
        ({"refuses_colons": True}, 1),
        ({"trailing_dots": "stripped"}, 1),
        ({"trailing_dots": "refused"}, 1),
        ({"has_chmod": False}, 1),
        ({"folds_case": True, "has_chmod": False}, 2),
        ({"folds_case": True, "trailing_dots": "stripped"}, 2),
        ({"refuses_colons": True, "trailing_dots": "refused"}, 1),
        ({"refuses_colons": True, "has_chmod": False}, 2),
    ],
    ids=str,
)
def test_t30_two_signs_in_its_behaviour_are_windows_and_what_was_tried_is_removed(
    changes: dict[str, t.Any], signs: int, serve: Serve, declaring: Declare
) -> None:
    server = serve(personality=replace(PERSONALITIES["bare greeting"][0], **changes))
    host = declaring(server.facts)
    if signs < 2:
        shown = host.declare(accept_unidentified_server=True).values["server"]
        assert sum(probe.endswith(": yes") for probe in shown["probes"]) == signs
        assert names_in(server.facts.root) == OURS
    else:
        with pytest.raises(RefusedError, match="behaves like Windows"):
            host.declare(accept_unidentified_server=True)
        assert names_in(server.facts.root) == []


def test_t30_check_mode_writes_neither_there_nor_here(serve: Serve, declaring: Declare) -> None:
    for name in ("pyftpdlib on Unix", "bare greeting"):
        server = serve(personality=PERSONALITIES[name][0])
        host = declaring(server.facts.below("backups"))
        outcome = host.declare(check_mode=True, accept_unidentified_server=True)

        assert outcome.values["server"]["verdict"] == PERSONALITIES[name][1].verdict
        assert not {heard.verb for heard in server.heard} & WRITING
        assert names_in(server.facts.root) == []
        assert names_in(host.home) == []


# -- T30, the profile

_ALIKE = {
    "verdict": "unix",
    "rule": 3,
    "passive_form": "EPSV",
    "pipelined_login": True,
    "absolute_paths": True,
    "rename": True,
    "exclusive_mkdir": True,
    "restart": True,
    "probes": [],
    "pwd": "/",
    "quota": None,
    "listing_limit": None,
}
PROFILES: dict[str, dict[str, object]] = {
    "pure_ftpd": {"listing_form": "MLSD", "mfmt": True, "site_chmod": True, "session_reuse": False},
    "proftpd": {"listing_form": "MLSD", "mfmt": True, "site_chmod": True, "session_reuse": True},
    "vsftpd": {"listing_form": "LIST", "mfmt": False, "site_chmod": True, "session_reuse": True},
    "embedded": {"listing_form": "MLSD", "mfmt": True, "site_chmod": True},
}
BANNERS = {"pure_ftpd": "Pure-FTPd", "proftpd": "ProFTPD", "vsftpd": "vsFTPd", "embedded": "pyftpdlib"}


def test_t30_the_profile_of_a_real_server_is_the_expected_one(each_server: FtpServer, declaring: Declare) -> None:
    host = declaring(each_server)

    shown = host.declare().values["server"]
    again = host.probe()["server"]

    (product,) = (product for product, name in BANNERS.items() if name in shown["banner"])
    expected = {
        **_ALIKE,
        **PROFILES[product],
        "tls_version": "TLSv1.3",
        "certificate_fingerprint": each_server.fingerprint,
    }
    assert {name: shown[name] for name in expected} == expected
    assert shown["syst"].startswith("215 UNIX Type: L8")
    assert any(feature.startswith("SIZE") for feature in shown["feat"])
    assert abs(shown["time_skew"]) <= 2
    assert 1 <= shown["connections"] <= 4
    assert names_in(each_server.root) == OURS
    assert {name: again[name] for name in expected} == expected


def test_t30_the_profile_tells_session_reuse_by_the_version_of_tls(pure_ftpd_server: FtpServer) -> None:
    seen = {}
    for version in TLS_VERSIONS:
        with session_on(pure_ftpd_server, tls_version=version) as session:
            session.list_directory("/")
            profile = read_profile(session)
            seen[profile.tls_version] = session.has_resumed
    assert seen == {"TLSv1.2": True, "TLSv1.3": False}


def test_t30_the_profile_tells_the_figures_of_a_quota(make_pure_ftpd: MakeServer, declaring: Declare) -> None:
    host = declaring(make_pure_ftpd(quota_megabytes=3))
    quota = host.declare().values["server"]["quota"]

    assert quota["limit"] == 3 * 1024 * 1024
    assert 0 <= quota["used"] < quota["limit"]


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        ([Fault("RETR", IgnoreRest(), times=0)], {"restart": False}),
        ([Fault("REST", Answer("502 No."), times=0)], {"restart": False}),
        ([Fault("EPSV", Answer("502 No."), times=0)], {"passive_form": "PASV"}),
        ([Fault("SITE", Answer("500 No."), times=0)], {"site_chmod": False}),
        ([Fault("MDTM", Answer("502 No."), times=0)], {"time_skew": None}),
        ([Fault("MDTM", Answer("213 19700101000010"), times=0)], {}),
    ],
    ids=lambda value: str(value[0].verb) if isinstance(value, list) else "",
)
def test_t30_the_profile_tells_what_does_not_work(
    faults: list[Fault], expected: dict[str, object], serve: Serve, declaring: Declare
) -> None:
    server = serve(*faults)
    host = declaring(server.facts)
    shown = host.declare().values["server"]

    assert {name: shown[name] for name in expected} == expected
    assert names_in(server.facts.root) == OURS
    host.run(work)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault("MKD", Answer("257 Made."), pattern="probe", after=1), "two clients"),
        (Fault("DELE", Answer("250 Gone."), pattern="second", times=1), "keeps files"),
        (Fault("STOR", FullDisk(10), times=0), "Disk full"),
        (Fault("MKD", Answer("550 Permission denied."), times=0), "Permission denied"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_t30_a_server_that_cannot_hold_backups_is_refused_and_the_proof_leaves_nothing(
    fault: Fault, words: str, serve: Serve, declaring: Declare
) -> None:
    server = serve(fault)
    host = declaring(server.facts)
    with pytest.raises(StorageError, match=words):
        host.declare()
    assert names_in(server.facts.root) == []
    assert host.registry.get("offsite") is None


# -- T30, what is remembered


def turns_of(server: ScriptedServer, host: Declaring) -> int:
    """Return how many turns of the first connection of a run of one question were the client's."""
    before = server.accepted
    host.run(lambda storage: storage.sizes([PurePosixPath("recover.py")]))
    return server.turns[before + 1]


@pytest.mark.parametrize("tls", [True, False])
def test_t30_what_is_remembered_saves_round_trips(serve: Serve, declaring: Declare, *, tls: bool) -> None:
    server = serve(tls=tls)
    host = declaring(server.facts)
    host.declare()
    asked = {verb: len(server.commands(verb)) for verb in ("FEAT", "PWD", "SYST")}
    with_memory = turns_of(server, host)
    assert {verb: len(server.commands(verb)) for verb in asked} == asked

    host.state.server.unlink()
    without = turns_of(server, host)

    assert with_memory <= without - 2
    assert len(server.commands("SYST")) == asked["SYST"] + 1


def test_t30_with_another_greeting_the_server_is_asked_anew(serve: Serve, declaring: Declare) -> None:
    server = serve(personality=replace(UNIX, greeting="220 Server one, 7 users, 12:34"))
    host = declaring(server.facts)
    host.declare()
    asked = len(server.commands("SYST")), len(server.commands("FEAT"))

    server.personality = replace(UNIX, greeting="220 Server one, 19 users, 23:45")
    host.run(work)
    assert (len(server.commands("SYST")), len(server.commands("FEAT"))) == asked

    server.personality = replace(UNIX, greeting="220 Server two", home="/other", facts=(*UNIX.facts[:2], "unix.mode"))  # type: ignore[index] # UNIX has facts
    host.run(work)
    assert (len(server.commands("SYST")), len(server.commands("FEAT"))) == (asked[0] + 1, asked[1] + 1)


@pytest.mark.parametrize("name", ["IIS 7", "FileZilla 0.9", "bare greeting"])
def test_t30_another_server_in_its_place_is_refused_before_anything_is_written(
    name: str, serve: Serve, declaring: Declare
) -> None:
    server = serve()
    host = declaring(server.facts)
    host.declare()
    server.personality = PERSONALITIES[name][0]
    before = len(server.heard)

    with pytest.raises(RefusedError, match="Windows"):
        host.run(work)
    assert not {heard.verb for heard in server.heard[before:]} & WRITING
    assert names_in(server.facts.root) == OURS


def test_t30_a_server_that_was_never_judged_is_judged_by_the_first_run(serve: Serve, declaring: Declare) -> None:
    server = serve(personality=PERSONALITIES["IIS 7"][0])
    host = declaring(server.facts)
    ensure_present(host.registry, host.home / "var", host.wanted(), validate=False, check_mode=False)

    with pytest.raises(RefusedError, match="hosted on Windows"):
        host.run(work)
    assert not {heard.verb for heard in server.heard} & WRITING


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"known": {}, "profile": {}}', '{"known": 1, "profile": []}'])
def test_t30_a_memory_that_cannot_be_read_counts_as_none(text: str, serve: Serve, declaring: Declare) -> None:
    server = serve()
    host = declaring(server.facts)
    host.declare()
    host.state.server.write_text(text)

    assert ServerMemory(host.state).read()[1] is None
    host.run(work)
    host.declare()
    assert ServerMemory(host.state).read()[1] is not None


def test_t30_a_probe_tells_what_the_server_says_now_and_keeps_what_was_tried(serve: Serve, declaring: Declare) -> None:
    server = serve()
    host = declaring(server.facts)
    host.declare()
    before = len(server.heard)
    first = host.probe()["server"]
    assert not {heard.verb for heard in server.heard[before:]} & WRITING
    assert (first["restart"], first["exclusive_mkdir"], first["connections"]) == (True, True, 1)

    server.personality = replace(UNIX, greeting="220 Another", syst="215 UNIX Type: L8 Version: BSD-199506")
    second = host.probe()["server"]
    assert (second["banner"], second["restart"]) == ("220 Another", None)

    server.personality = PERSONALITIES["IIS 7"][0]
    third = host.probe()["server"]
    assert (third["verdict"], third["rule"]) == ("windows", 1)


# -- T29, secrets

SECRET = FtpUser("backup", "Tr0ub4dor&3-{}")
SECRETS = [SECRET, ODD_USER, FtpUser("backup", "a/b c:d@e"), FtpUser("backup", "530 x"), FtpUser("backup", "ü" * 150)]


def told_by(error: BaseException, *objects: object) -> str:
    """Return everything that *error* and *objects* could tell anybody, but for a traceback."""
    seen: list[object] = [str(error), repr(error), error.args]
    if isinstance(error, BackupError):
        seen.append(error.details())
    return "\n".join(map(repr, [*seen, *objects])) + "\n".join(map(str, [*seen, *objects]))


def assert_untold(told: str, secret: str) -> None:
    forms = {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], secret.encode().decode("latin-1")}
    forms |= {repr(form)[1:-1] for form in forms}
    assert not [form for form in forms if form in told]


def failure_of(deed: Callable[[], object]) -> BaseException:
    try:
        deed()
    except BackupError as error:
        return error
    raise AssertionError("it did not fail")


ECHOES = [
    *(
        "530 Login incorrect: {}",
        "530-Who is\n530-{}?\n530 Nobody.",
        "421 Too many connections of {}",
        "332 Account of {}?",
    ),
    *("500 PASS {}: what?", "{}", "no reply: {}", "999 {}", "120 {}", "550 " + "x" * 290 + "{}", "552 Quota of {}"),
]


@pytest.mark.parametrize("user", SECRETS, ids=lambda user: user.password[:10])
@pytest.mark.parametrize("echo", ECHOES)
def test_t29_a_login_that_fails_tells_no_password_even_if_the_server_does(
    echo: str, user: FtpUser, serve: Serve
) -> None:
    server = serve(Fault("PASS", Answer(echo.format(user.password)), times=0), users=[user])
    with line_to(server.facts, retries=2, timeout=1.0) as line:
        error = failure_of(lambda: line.storage.sizes([FILE]))
        told = told_by(error, line.storage.reports(), line.pool.reports, address_of(server.facts), line.known)
    assert_untold(told, user.password)


@pytest.mark.parametrize("echo", ["{}", "no reply: {}", "999 {}", "530 {}", "120 {}"])
def test_t29_not_even_a_traceback_tells_a_password(echo: str, serve: Serve) -> None:
    server = serve(Fault("PASS", Answer(echo.format(SECRET.password)), times=0), users=[SECRET])
    with line_to(server.facts, timeout=1.0) as line:
        error = failure_of(lambda: line.storage.sizes([FILE]))
    out = io.StringIO()
    traceback.print_exception(error, file=out)
    assert_untold(out.getvalue(), SECRET.password)


@pytest.mark.parametrize("verb", ["FEAT", "PWD", "TYPE", "OPTS", "EPSV", "STOR", "SIZE", "RNFR", "RNTO", "MKD", "RETR"])
@pytest.mark.parametrize(
    "echo", ["550 {} no", "426 {}", "229 {}", "213 {}", "what {} is", "421 Bye, {}", "200-{}\n200 x"]
)
def test_t29_a_transfer_that_fails_tells_no_password_even_if_the_server_does(
    verb: str, echo: str, serve: Serve
) -> None:
    server = serve(Fault(verb, Answer(echo.format(SECRET.password)), times=0), users=[SECRET], tls=False)
    (server.facts.root / "there").write_bytes(CONTENT)
    told = ""
    deeds: list[Callable[[Storage], object]] = [
        lambda storage: storage.ensure_directories([BOX]),
        lambda storage: storage.take_directory(BOX / "one"),
        lambda storage: storage.write(FILE, lambda: [CONTENT]),
        lambda storage: storage.read(PurePosixPath("there")),
        lambda storage: storage.list_directory(BOX),
    ]
    with line_to(server.facts, timeout=1.0) as line:
        for deed in deeds:
            try:
                deed(line.storage)
            except BackupError as error:
                told += told_by(error)
        told += told_by(ValueError(), line.storage.reports(), line.pool.reports)
    assert_untold(told, SECRET.password)


@pytest.mark.parametrize(
    "action",
    [
        *(FullDisk(10, text=f"No space for {SECRET.password}"), CutData(10, "rst", f"426 {SECRET.password} broke")),
        *(RefuseData(f"425 {SECRET.password}?"), RefuseData(f"522 {SECRET.password}?")),
        *(Answer(f"226 {SECRET.password}"), Answer(f"200 {SECRET.password}", does=True)),
    ],
    ids=lambda action: type(action).__name__,
)
def test_t29_a_transfer_that_breaks_tells_no_password_even_if_the_server_does(action: Action, serve: Serve) -> None:
    server = serve(Fault("STOR", action, times=0), users=[SECRET])
    (server.facts.root / "box").mkdir()
    with line_to(server.facts, timeout=2.0) as line:
        error = failure_of(lambda: line.storage.write(FILE, lambda: [CONTENT * 100]))
        told = told_by(error, line.storage.reports())
    assert_untold(told, SECRET.password)


def test_t29_a_wrong_password_of_a_real_server_is_told_nowhere(each_server: FtpServer) -> None:
    with line_to(each_server, password=SECRET.password) as line:
        error = failure_of(lambda: line.storage.sizes([FILE]))
        told = told_by(error, line.storage.reports(), address_of(each_server, password=SECRET.password))
    assert isinstance(error, LoginError)
    assert_untold(told, SECRET.password)


@pytest.mark.parametrize("echo", [{}, {"syst": f"215 UNIX Type: {SECRET.password}", "features": (SECRET.password,)}])
def test_t29_what_is_shown_and_remembered_of_a_destination_holds_no_password(
    echo: Mapping[str, t.Any], serve: Serve, declaring: Declare, tmp_path: Path
) -> None:
    server = serve(users=[SECRET], personality=replace(UNIX, **echo))
    host = declaring(server.facts)
    path = tmp_path / "password"
    path.write_text(f"{SECRET.password}\n")
    outcomes = [
        host.declare(),
        host.declare(password=None, password_file=str(path)),
        list_destinations(host.registry, host.home / "var", None, probe=True),
    ]
    places = (host.home / "var", server.facts.root, host.home / "etc")
    kept = [file.read_text() for place in places for file in place.rglob("*") if file.is_file()]
    shown = [json.dumps([outcome.before, outcome.after, outcome.values]) for outcome in outcomes]

    for told in (*map(repr, outcomes), *shown, repr(host.wanted()), *kept):
        assert_untold(told, SECRET.password)
        assert_untold(told, SECRET.password.upper())


def test_t29_a_declaration_that_fails_tells_no_password(serve: Serve, declaring: Declare) -> None:
    echo = Answer(f"550 {SECRET.password}: no")
    for verb in ("SYST", "MKD", "STOR", "RNTO", "RETR", "DELE", "CWD"):
        server = serve(Fault(verb, echo, times=0), users=[SECRET])
        host = declaring(server.facts.below("backups"))
        try:
            told = repr(host.declare())
        except BackupError as error:
            told = told_by(error)
        assert_untold(told, SECRET.password)


def test_t29_no_program_is_started_and_no_environment_is_changed_for_a_login(serve: Serve) -> None:
    server = serve(users=[SECRET])
    before = dict(os.environ)
    with line_to(server.facts) as line:
        line.storage.ensure_directories([BOX])
        assert dict(os.environ) == before
        with open("/proc/self/cmdline", "rb") as file:  # noqa: PTH123 # it is no file to have a path
            assert SECRET.password.encode() not in file.read()
