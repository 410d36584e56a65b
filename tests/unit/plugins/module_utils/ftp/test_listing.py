# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Listings as servers really write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import RefusedError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.listing import (
    entries_of,
    is_dos_form,
    limit_in,
    parse_list,
    parse_mlsd,
    parse_nlst,
    refuse_truncated,
    seconds_of,
    shows_itself,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.replies import Reply
from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import (
    DIRECTORY,
    FILE,
    LINK,
    OTHER,
    RemoteDetails,
    RemoteEntry,
)

PURE_FTPD = """\
type=cdir;sizd=4096;modify=20261122030000;UNIX.mode=0755;UNIX.uid=1000;UNIX.gid=1000;unique=fe01g2; .\r
type=pdir;sizd=4096;modify=20261122030000;UNIX.mode=0755;UNIX.uid=1000;UNIX.gid=1000;unique=fe01g1; ..\r
type=dir;sizd=4096;modify=20261122030000;UNIX.mode=0755;UNIX.uid=1000;UNIX.gid=1000;unique=fe01g3; s01\r
type=file;size=1234567;modify=20261122030000;UNIX.mode=0644;UNIX.uid=1000;UNIX.gid=1000;unique=fe01g4; job.json\r
"""
PROFTPD = """\
modify=20261122030000;perm=flcdmpe;type=cdir;unique=FD00UA8;UNIX.group=0;UNIX.groupname=root;UNIX.mode=0755; .\r
modify=20261122030000;perm=flcdmpe;type=dir;unique=FD00UA9;UNIX.group=0;UNIX.mode=0755;UNIX.owner=0; s01\r
modify=20261122030000;perm=adfrw;size=1234567;type=file;unique=FD00UB0;UNIX.group=0;UNIX.mode=0644; job.json\r
modify=20261122030000;perm=adfrw;size=7;type=OS.unix=symlink;unique=FD00UB1;UNIX.mode=0777; link\r
"""
PYFTPDLIB = """\
modify=20261122030000;perm=elcdmpM;size=4096;type=dir;unique=801g2;unix.gid=0;unix.mode=0755;unix.uid=0; s01\r
modify=20261122030000;perm=radfwMT;size=1234567;type=file;unique=801g3;unix.mode=0644;unix.uid=0; job.json\r
"""
UPPER_CASE = "Type=Dir;Modify=20261122030000; s01\r\nType=File;Size=1234567; job.json\r\n"
VSFTPD = """\
drwxr-xr-x    2 1000     1000         4096 Nov 22 03:00 s01\r
-rw-r--r--    1 1000     1000      1234567 Nov 22 03:00 job.json\r
lrwxrwxrwx    1 1000     1000            7 Nov 22  2025 link -> s01\r
"""
PURE_FTPD_LIST = """\
total 12
drwxr-xr-x    3 1000       users            4096 Nov 22 03:00 .
drwxr-xr-x    3 1000       users            4096 Nov 22 03:00 ..
drwxrwsr-t+   2 1000       users            4096 Nov  2  2025 s01
-rw-r--r--    1 backup     domain           1234567 Nov 22  2025 job.json
srw-r--r--    1 backup     domain           0 Nov 22  2025 socket
"""
IIS = """\
11-22-26  03:00AM       <DIR>          s01\r
11-22-26  03:00AM              1234567 job.json\r
"""
IIS_YEARS = """\
11-22-2026  15:00       <DIR>          s01\r
11-22-2026  15:00            1,234,567 job.json\r
"""
EXPECTED = [RemoteEntry("s01", is_directory=True, size=0), RemoteEntry("job.json", is_directory=False, size=1234567)]


@pytest.mark.parametrize("text", [PURE_FTPD, PROFTPD, PYFTPDLIB, UPPER_CASE])
def test_a_machine_readable_listing_tells_files_and_directories(text: str) -> None:
    assert entries_of(parse_mlsd(text)) == EXPECTED


@pytest.mark.parametrize("text", [VSFTPD, PURE_FTPD_LIST, IIS, IIS_YEARS])
def test_a_listing_for_people_tells_files_and_directories(text: str) -> None:
    assert entries_of(parse_list(text)) == EXPECTED


def test_a_machine_readable_listing_tells_modes_and_times_to_the_second() -> None:
    time = "20261122030000", 1795316400

    assert list(parse_mlsd(PURE_FTPD)) == [
        RemoteDetails("s01", DIRECTORY, 0, 0o755, *time),
        RemoteDetails("job.json", FILE, 1234567, 0o644, *time),
    ]
    assert list(parse_mlsd(PROFTPD))[-1] == RemoteDetails("link", LINK, 0, 0o777, *time)


@pytest.mark.parametrize(
    ("facts", "kind", "target"),
    [
        ("type=OS.unix=slink:;size=11", LINK, ""),
        ("Type=OS.UNIX=slink:/var/Log:x;size=11", LINK, "/var/Log:x"),
        ("type=OS.unix=symlink;size=11", LINK, ""),
        ("type=unknown;size=11", OTHER, ""),
        ("type=OS.unix=chr-1/3;size=11", OTHER, ""),
        ("size=11", OTHER, ""),
    ],
)
def test_a_machine_readable_listing_tells_links_from_what_is_neither_file_nor_directory(
    facts: str, kind: str, target: str
) -> None:
    assert list(parse_mlsd(f"{facts}; Www\r\n")) == [RemoteDetails("Www", kind, target=target)]


def test_a_directory_is_not_in_its_own_listing() -> None:
    text = "type=cdir;modify=20261122030000; /srv/box\r\nType=Pdir; /srv\r\ntype=dir; inner\r\n"

    assert [one.name for one in parse_mlsd(text)] == ["inner"]


def test_a_listing_for_people_tells_modes_and_days_and_where_links_lead() -> None:
    listed = list(parse_list(VSFTPD + PURE_FTPD_LIST))

    assert listed[:3] == [
        RemoteDetails("s01", DIRECTORY, mode=0o755, modified="Nov 22 03:00"),
        RemoteDetails("job.json", FILE, size=1234567, mode=0o644, modified="Nov 22 03:00"),
        RemoteDetails("link", LINK, mode=0o777, modified="Nov 22 2025", mtime=1763769600, target="s01"),
    ]
    assert listed[3:] == [
        RemoteDetails("s01", DIRECTORY, mode=0o3775, modified="Nov 2 2025", mtime=1762041600),
        RemoteDetails("job.json", FILE, size=1234567, mode=0o644, modified="Nov 22 2025", mtime=1763769600),
        RemoteDetails("socket", OTHER, mode=0o644, modified="Nov 22 2025", mtime=1763769600),
    ]
    assert list(parse_list(IIS)) == [
        RemoteDetails("s01", DIRECTORY, modified="11-22-26  03:00AM"),
        RemoteDetails("job.json", FILE, size=1234567, modified="11-22-26  03:00AM"),
    ]


@pytest.mark.parametrize(
    ("text", "mode"),
    [("rwxrwxrwx", 0o777), ("rwSr-sr-T", 0o7654), ("rwsr-Sr-t", 0o7745), ("---------", 0), ("-w--w-r-x", 0o225)],
)
def test_letters_tell_permissions(text: str, mode: int) -> None:
    (one,) = parse_list(f"-{text}    1 0        0               4 Nov 26 08:39 name\r\n")

    assert one.mode == mode


@pytest.mark.parametrize(
    ("size", "name", "target"),
    [(8, "a", "b -> c d"), (3, "a -> b", "c d"), (5, "a -> b", "\xfc\udcff d"), (99, "a", "b -> c d")],
)
def test_the_size_of_a_link_tells_where_its_name_ends(size: int, name: str, target: str) -> None:
    line = f"lrwxrwxrwx    1 0        0         {size:7} Nov 26 08:39 {name} -> {target}\r\n"

    (one,) = parse_list(line)

    assert (one.name, one.target) == (name, target)


def test_a_time_that_is_none_means_nothing() -> None:
    texts = ["20200913122640", "20200913122640.5", "20201332122640", "2020", "", "20200913122640Z", "\u0662" * 14]

    assert [seconds_of(text) for text in texts] == [1600000000, 1600000000, None, None, None, None, None]
    line = "-rw-r--r--    1 0        0               4 {} name\r\n"
    days = ["Xyz 22  2025", "anF 22  2025", "Nov 32  2025", "Nov 22  1903", "Jan  1  1970"]
    assert [one.mtime for day in days for one in parse_list(line.format(day.title()))] == [None] * 4 + [0]


def test_a_listing_that_has_hidden_names_shows_the_directory_itself() -> None:
    assert [shows_itself(text) for text in (PURE_FTPD_LIST, VSFTPD, "", VSFTPD.replace("s01", "s."))] == [
        True,
        False,
        False,
        False,
    ]


def test_an_empty_listing_is_of_nothing() -> None:
    assert list(parse_mlsd("")) == list(parse_list("")) == list(parse_list("total 0\r\n")) == []


@pytest.mark.parametrize("name", ["with space", " leading", "trailing ", "a; b=c;", "a -> b", "gr\xfcn", "\udcff"])
def test_names_are_taken_as_they_are(name: str) -> None:
    assert list(parse_mlsd(f"type=file;size=3; {name}\r\n")) == [RemoteDetails(name, FILE, size=3)]
    line = f"-rw-r--r--    1 1000     1000            3 Nov 22 03:00 {name}\r\n"
    assert entries_of(parse_list(line)) == [RemoteEntry(name, is_directory=False, size=3)]


@pytest.mark.parametrize("mark", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_only_line_breaks_break_lines(mark: str) -> None:
    found = list(parse_mlsd(f"type=file;size=3; a{mark}b\r\ntype=dir; c\r\n"))

    assert [entry.name for entry in found] == [f"a{mark}b", "c"]


@pytest.mark.parametrize(
    "line",
    ["type=file;size=3;no-space", "type=file;size=3k; name", "11-22-26  03:00AM  <DIR>", "ls: cannot access", "???"],
)
def test_a_line_that_is_no_listing_is_refused(line: str) -> None:
    with pytest.raises(RefusedError, match="cannot be read"):
        list(parse_list(line))
    if "type=" in line:
        with pytest.raises(RefusedError, match="cannot be read"):
            list(parse_mlsd(line))


@given(st.text(max_size=200))
def test_any_text_is_a_listing_or_refused(text: str) -> None:
    for parse in (parse_mlsd, parse_list):
        try:
            entries = list(parse(text))
        except RefusedError:
            continue
        assert all(entry.name not in (".", "..") and entry.size >= 0 for entry in entries)


def test_a_name_may_come_with_its_directory() -> None:
    assert list(parse_nlst("/a/points/000001\r\n.\r\n/a/points/..\r\n000002\r\n")) == ["000001", "000002"]
    assert [entry.name for entry in parse_mlsd("type=file;size=3; points/000001\r\n")] == ["000001"]


def test_the_form_of_windows_is_told_from_that_of_unix() -> None:
    assert [is_dos_form(text) for text in (IIS, IIS_YEARS, VSFTPD, PURE_FTPD_LIST, "")] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_a_listing_that_was_cut_is_an_error() -> None:
    with pytest.raises(RefusedError, match="LimitRecursion"):
        refuse_truncated(Reply(226, "226-Options: -a -l \n226 Output truncated to 20 matches"), "points")
    refuse_truncated(Reply(226, "226 4 matches total"), "points")
    assert limit_in(Reply(226, "226 Output truncated to 20 matches")) == 20
