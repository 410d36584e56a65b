# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords: any character works, and none is ever found where it does not belong."""

from __future__ import annotations

import json
import stat
import typing as t
from pathlib import Path

import pytest
from pyftpdlib.handlers import TLS_FTPHandler  # type: ignore[import-untyped] # it has no annotations

from tests.servers.server import LOOPBACK, ODD_USER, FtpUser

from .refusals import assert_sentence

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import MakeServer
    from tests.servers.server import FtpServer

    from .hosts import Host

    MakeHost = Callable[[FtpServer], Host]

PASSWORDS = (
    *(" leading", "trailing ", "   ", "with\ttab", "%s%n%d", "{{ 1 + 1 }}", "#", "'", '"', "\\", "\\n", "!vault x"),
    *("ünïcödé 🦆", "-", "null", "true", "$(id)", "user:pass@host/", "x" * 300),
)


def _forms(secret: str) -> set[bytes]:
    """Return the ways in which a secret may be written down."""
    written = (secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1])
    return {form.encode() for form in written}


def _holds(content: bytes, secret: str) -> bool:
    return any(form in content for form in _forms(secret))


def _files_with(secret: str, *places: Path) -> set[Path]:
    return {
        path for place in places for path in place.rglob("*") if path.is_file() and _holds(path.read_bytes(), secret)
    }


def _processes_with(secret: str) -> Iterator[str]:
    """Yield what anybody, or their own user, can see of processes that have *secret* in it."""
    for place in Path("/proc").glob("[0-9]*"):
        for name in ("cmdline", "environ"):
            try:
                content = place.joinpath(name).read_bytes()
            except OSError:
                continue  # it has ended, or is somebody else's
            if _holds(content, secret):
                yield f"{place}/{name}: {content!r}"


def _looking_at_logins(secret: str, found: list[str]) -> type:
    """Return a handler that looks at all processes whenever it gets a password: then a module is at work."""

    def look(self: TLS_FTPHandler, argument: str) -> object:
        found.append("")
        found.extend(_processes_with(secret))
        return TLS_FTPHandler.ftp_PASS(self, argument)

    return type("Looking", (TLS_FTPHandler,), {"ftp_PASS": look})


def test_an_odd_password_is_seen_in_no_output_no_process_and_no_file_but_the_declaration(
    make_host: MakeHost, make_embedded: MakeServer
) -> None:
    secret = ODD_USER.password
    seen: list[str] = []
    host = make_host(make_embedded(users=[ODD_USER], handler=_looking_at_logins(secret, seen)))
    results = host.play(
        *(host.destination(), host.destination_info(probe=True), host.backup(), host.restore()),
        *(host.reindex(), host.backup_info(), host.destination(password=f"{secret}!")),
        diff=True,
        verbosity=4,
    )

    assert [result.failed for result in results] == [False] * 6 + [True]
    assert_sentence(host, results[-1], "login", LOOPBACK, "530")
    assert not _holds(results[-1].output.encode(), secret)
    assert len(seen) >= 5
    assert set(seen) == {""}
    (declaration,) = host.config.joinpath("destinations").iterdir()
    assert _files_with(secret, host.home, host.server.root) == {declaration}


def test_an_odd_user_backs_up_to_pure_ftpd_and_restores(make_host: MakeHost, make_pure_ftpd: MakeServer) -> None:
    host = make_host(make_pure_ftpd(users=[ODD_USER]))
    host.do(host.destination())
    host.do(host.backup())
    host.do(host.restore())

    assert host.restored(host.source).joinpath("a.txt").read_text() == "Good morning.\n"
    assert host.server.log is not None
    assert not _holds(host.server.log.read_bytes(), ODD_USER.password)


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\nnot the password\n"])
def test_a_password_file_is_read_by_every_run_and_copied_nowhere(
    make_host: MakeHost, make_embedded: MakeServer, ending: str
) -> None:
    host = make_host(make_embedded(users=[ODD_USER]))
    path = host.home / "password"
    path.touch(mode=0o600)
    path.write_text(ODD_USER.password + ending, encoding="utf-8", newline="")
    host.do(host.destination(password=None, password_file=str(path)))
    host.do(host.backup())

    assert _files_with(ODD_USER.password, host.home, host.server.root) == {path}
    path.write_text("another\n")
    assert_sentence(host, host.call(host.backup(force=True)), "login", "530")


def test_passwords_of_any_characters_log_in(make_host: MakeHost, make_embedded: MakeServer) -> None:
    users = [FtpUser(f"user{number}", password) for number, password in enumerate(PASSWORDS)]
    server = make_embedded(users=users)
    host = make_host(server)
    failed = {}
    for user in users:
        as_user = type(host)(host.home, server.as_user(user))
        result = as_user.call(as_user.destination(name=user.username))
        if result.failed:
            failed[user.password] = result.msg

    assert failed == {}


def test_what_the_host_keeps_is_for_its_owner_only(declared: Host) -> None:
    declared.do(declared.backup())
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (declared.config, *declared.config.rglob("*"))}

    names = {path.relative_to(declared.config).parts[0] for path in modes if path != declared.config}
    assert names == {".lock", "client.json", "destinations", "runs"}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}


def test_what_the_host_knows_of_its_backups_is_for_its_owner_only(declared: Host) -> None:
    declared.do(declared.backup())
    declared.do(declared.reindex())
    (state,) = declared.state.iterdir()

    for path in (declared.state, state):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_declaration_that_others_could_read_is_closed_when_it_is_declared_again(declared: Host) -> None:
    (path,) = declared.config.joinpath("destinations").iterdir()
    path.chmod(0o644)
    declared.do(declared.destination(timeout=11))

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_server_keeps_no_password(declared: Host) -> None:
    declared.do(declared.backup())

    assert _files_with(declared.server.password, declared.server.root) == set()
