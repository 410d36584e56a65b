# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scripted server presents itself as servers of many makes do."""

from __future__ import annotations

import contextlib
import ftplib
import typing as t
from dataclasses import replace

import pytest

from tests.servers.guests import TEN, MakeScripted, logged_in, store
from tests.servers.personalities import PERSONALITIES, UNIX, Expected, Personality
from tests.servers.test_servers import read

if t.TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("name", PERSONALITIES)
@pytest.mark.parametrize("tls", [True, False])
def test_every_personality_presents_itself_as_written(name: str, serve: MakeScripted, *, tls: bool) -> None:
    personality, _expected = PERSONALITIES[name]
    server = serve(personality=personality, tls=tls)
    with logged_in(server) as client:
        assert client.getwelcome() == personality.greeting
        assert client.sendcmd("SYST") == personality.syst
        assert client.sendcmd("HELP") == personality.help
        assert client.sendcmd("STAT") == personality.stat
        assert client.pwd() == personality.home
        if personality.features is None:
            with pytest.raises(ftplib.error_perm, match="500"):
                client.sendcmd("FEAT")
        else:
            lines = client.sendcmd("FEAT").split("\n")
            assert lines[0] == f"211-{personality.features_title}"
            assert ("MLST" in "".join(lines)) == (personality.facts is not None or "OPTS MLST" in personality.features)
            assert any("AUTH" in line for line in lines) == (tls and any("AUTH" in f for f in personality.features))
        store(client, "one")
        assert read(client, "one") == TEN
        assert client.size(f"{personality.home.rstrip('/')}/one") == 10


@pytest.mark.parametrize(("personality", "expected"), PERSONALITIES.values(), ids=PERSONALITIES)
def test_every_personality_behaves_as_its_expectation_counts(
    personality: Personality, expected: Expected, serve: MakeScripted
) -> None:
    with logged_in(serve(personality=personality)) as client:
        store(client, "case-x")
        signs = [client.size("case-x") == 10 and _works(lambda: client.size("Case-X"))]
        signs.append(not _works(lambda: client.mkd("colon:x")) or "dot.'" in str(client.nlst()))
        signs.append(not _works(lambda: client.sendcmd("SITE CHMOD 640 case-x")))

    if expected.verdict == "unidentified":
        assert sum(signs) == expected.signs
    assert expected.signs == 0 or expected.verdict == "unidentified"


def _works(deed: Callable[[], object]) -> bool:
    try:
        deed()
    except ftplib.error_perm:
        return False
    return True


def test_listings_of_windows_have_dos_lines(serve: MakeScripted) -> None:
    personality, _expected = PERSONALITIES["IIS 7"]
    with logged_in(serve(personality=personality)) as client:
        store(client, "one")
        client.mkd("two")
        lines: list[str] = []
        client.dir(lines.append)
        with pytest.raises(ftplib.error_perm, match="500"):
            client.sendcmd("MLST one")

    assert [line.split()[2:] for line in lines] == [["10", "one"], ["<DIR>", "two"]]
    assert lines[0][2] + lines[0][5] + lines[0][12] == "--:"


def test_trailing_dots_are_kept_stripped_or_refused(serve: MakeScripted) -> None:
    keeping, stripping, refusing = UNIX, replace(UNIX, trailing_dots="stripped"), replace(UNIX, trailing_dots="refused")
    for personality, expected in ((keeping, ["one."]), (stripping, ["one"]), (refusing, [])):
        server = serve(personality=personality)
        with logged_in(server) as client, contextlib.suppress(ftplib.error_perm):
            store(client, "one.")
        assert [path.name for path in server.facts.root.iterdir()] == expected


def test_a_home_is_told_with_its_quotes_doubled(serve: MakeScripted) -> None:
    server = serve(personality=replace(UNIX, home='/users/back"up'))
    with logged_in(server) as client:
        assert client.sendcmd("PWD").startswith('257 "/users/back""up"')
        assert client.mkd('/users/back"up/one') == '/users/back"up/one'
        client.cwd("one")
        assert client.pwd() == '/users/back"up/one'
        for outside in ("/", "/users", "/users/other", "../.."):
            with pytest.raises(ftplib.error_perm, match="550"):
                client.cwd(outside)
    assert [path.name for path in server.facts.root.iterdir()] == ["one"]


def test_absolute_paths_can_be_unknown(serve: MakeScripted) -> None:
    with logged_in(serve(personality=replace(UNIX, absolute_paths=False))) as client:
        client.mkd("one")
        for command in ("CWD /one", "MKD /two", "SIZE /one", "CWD /"):
            with pytest.raises(ftplib.error_perm, match="550"):
                client.voidcmd(command)
        client.cwd("one")
        store(client, "two")
        client.cwd("..")
        assert client.size("one/two") == 10


def test_a_session_can_end_with_its_directory(serve: MakeScripted) -> None:
    with logged_in(serve(personality=replace(UNIX, needs_its_directory=True))) as client:
        client.mkd("one")
        client.cwd("one")
        client.rmd("/one")
        assert client.getmultiline().startswith("421")
