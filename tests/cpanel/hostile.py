# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups that lie, and backups that are damaged: one case each, with what must be made of it.

All are built around the small account, so that there is something left that can be told and restored.

Sources: POSIX.1-2017, pax; the GNU tar manual, "Tar Internals"; RFC 1951 and RFC 1952.
"""

from __future__ import annotations

import json
import tarfile
import typing as t
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from tests.cpanel.accounts import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    FILE,
    HARD_LINK,
    MIB,
    SYMLINK,
    Account,
    Content,
    Member,
    Pattern,
    Sparse,
    small,
)
from tests.cpanel.archives import (
    BLOCK,
    GNU,
    METADATA_FIRST,
    PAX,
    TAR,
    TAR_GZ,
    Gzip,
    Shape,
    Sink,
    TarFormat,
    TarWriter,
    header_of,
    in_order,
    is_metadata,
    old_sparse_block,
    with_checksum,
    write_home,
    write_tar,
)
from tests.cpanel.expected import Statements

TOP = b"cpmove-harbour"
_HOME = "cpmove-harbour/homedir"
USER = "harbour"
Write = Callable[[Sink], None]

_OUTSIDE = Path("/tmp")  # noqa: S108 - what an attack succeeds in leaves a trace there


@dataclass(frozen=True)
class Case:
    """One backup, and what must be made of it, which *must* says in words.

    *write* writes the file as it lies on the destination under *file_name*. *is_damaged*: whether it must be called
    damaged; None is either. *whole* are the members, named below the top directory, that lie before the damage. What a
    restore of all there is leaves must have *present*, paths below the target, with these contents and *modes*, and
    nothing at *absent*, nor may anything beside the target change. *is_long*: it takes seconds or hundreds of MiB.
    """

    name: str
    must: str
    write: Write = field(repr=False)
    form: str = TAR
    is_damaged: bool | None = False
    whole: frozenset[bytes] = frozenset()
    present: dict[bytes, bytes | Statements] = field(default_factory=dict, repr=False)
    modes: dict[bytes, int] = field(default_factory=dict)
    absent: tuple[bytes, ...] = ()
    is_long: bool = False
    file_name: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "file_name", self.file_name or f"cpmove-{USER}.{self.form}")

    def __str__(self) -> str:
        return self.name


def traces() -> list[Path]:
    """Return what attacks have left beside the target; there must be nothing."""
    return sorted(_OUTSIDE.glob("owned-*"))


class Bytes:
    """A sink that keeps what it takes."""

    def __init__(self) -> None:
        self.content = bytearray()

    def write(self, piece: bytes, /) -> None:
        self.content += piece


def bytes_of(write: Write) -> bytes:
    sink = Bytes()
    write(sink)
    return bytes(sink.content)


def _packed(write: Write, level: int = 6) -> Write:
    def packed(sink: Sink) -> None:
        gzip = Gzip(sink, level)
        write(gzip)
        gzip.close()

    return packed


def _begin(writer: TarWriter, account: Account | None = None) -> None:
    """Write the top directory and all of *account*, the small one if none is given."""
    writer.add(Member(TOP, DIRECTORY, b"", 0o711))
    for member in in_order((account or small()).members, METADATA_FIRST, 0):
        writer.add(_in_top(member))


def _in_top(member: Member) -> Member:
    target = TOP + b"/" + member.target if member.kind == HARD_LINK else member.target
    return replace(member, name=TOP + b"/" + member.name, target=target)


def _with(extra: Callable[[TarWriter], None], account: Account | None = None, tar_format: TarFormat = GNU) -> Write:
    """Return what writes *account*, then what *extra* does, and a sound end."""

    def write(sink: Sink) -> None:
        writer = TarWriter(sink, tar_format)
        _begin(writer, account)
        extra(writer)
        writer.close()

    return write


def _with_members(*members: Member, tar_format: TarFormat = GNU) -> Write:
    """Return what writes the small account and *members*, whose names are whole."""

    return _with(partial(_add_all, members), tar_format=tar_format)


def _instead(name: str, content: Content) -> Write:
    """Return what writes the small account with *content* in its member *name*, which it may have lacked."""
    account = small().without(name.encode())
    metadata = Member(name.encode(), FILE, content)
    return _with(lambda writer: writer.add(_in_top(metadata)), account)


def _h(name: bytes, content: bytes = b"owned\n", kind: str = FILE, target: bytes = b"", mode: int = 0o644) -> Member:
    """Return a member in the home; *target* is written as it is."""
    return Member(TOP + b"/homedir/" + name, kind, content if kind == FILE else b"", mode, target=target)


def _m(name: bytes, content: Content = b"owned\n", kind: str = FILE, target: bytes = b"") -> Member:
    """Return a member beside the home."""
    return Member(TOP + b"/" + name, kind, content if kind == FILE else b"", target=target)


# -- those that lie


def _names() -> list[Case]:
    deep = b"/".join([b"d"] * 140) + b"/owned"
    long = b"/".join([b"n" * 200] * 21) + b"/owned"
    return [
        Case(
            "absolute name",
            "The member is refused and counted, and the file is not written.",
            _with_members(Member(b"/tmp/owned-absolutely", FILE, b"owned\n")),
            absent=(b"tmp/owned-absolutely", b"other/tmp/owned-absolutely", b"other/owned-absolutely"),
        ),
        Case(
            "dots in the middle",
            "The member is refused and counted.",
            _with_members(_h(b"a/../../../../../../tmp/owned-by-dots")),
            absent=(b"tmp/owned-by-dots", b"files/tmp/owned-by-dots"),
        ),
        Case(
            "dots that stay inside",
            "The member is refused and counted, though it would stay in the home.",
            _with_members(_h(b"public_html/../owned-inside")),
            absent=(b"files/owned-inside", b"files/public_html/owned-inside"),
        ),
        Case("dots in front", "The member is refused.", _with_members(Member(b"../owned-above", FILE, b"owned\n"))),
        Case(
            "names of parts that are dots",
            "None of these is a part, and nothing is written above the folder of its kind.",
            _with_members(
                _m(b"mysql/...sql"),
                _m(b"mysql/..sql"),
                _m(b"psql/...tar"),
                _m(b"dnszones/...db"),
                _m(b"mm/x_../owned"),
                _h(b".autorespond/owned@.."),
            ),
            absent=(b"...sql", b"database/..sql", b"...tar", b"...db", b"autorespond/owned"),
        ),
        Case(
            "component of 256 bytes",
            "The member is refused and counted.",
            _with_members(_h(b"n" * 256)),
            absent=(b"files/" + b"n" * 255,),
        ),
        Case("path of over 4,096 bytes", "The member is refused and counted.", _with_members(_h(long))),
        Case("140 levels", "The member is refused and counted.", _with_members(_h(deep)), absent=(b"files/d",)),
        Case(
            "control characters in metadata",
            "The members are refused and counted, and no part has such a name.",
            _with_members(
                _m(b"mysql/evil\nname.sql"), _m(b"va/exam\x07ple.com"), _m(b"userdata/a\\b"), _m(b"cron/\x1b[2J")
            ),
            absent=(b"database/evil\nname", b"mail_domain/exam\x07ple.com", b"cron/\x1b[2J"),
        ),
        Case(
            "empty names",
            "The members are passed over.",
            _with_members(Member(b"", FILE, b"owned"), Member(b".", FILE, b"owned"), Member(b"./", DIRECTORY)),
            is_damaged=None,
        ),
        Case(
            "zero byte in an extended name",
            "The member is refused and counted, or the archive is damaged; the name is not cut at the zero.",
            _with(
                lambda writer: _add_with_records(writer, {"path": "cpmove-harbour/homedir/owned\0.txt"}), tar_format=PAX
            ),
            is_damaged=None,
            absent=(b"files/owned", b"files/short"),
        ),
        Case(
            "file name of another user",
            "The name in cp/ wins, and the result says that they differ.",
            _with_members(),
            file_name="cpmove-somebody.tar",
            present={b"settings/harbour/shell": b"/bin/bash\n"},
            absent=(b"settings/somebody",),
        ),
        Case(
            "several members in cp",
            "One of them is taken, and the result says that there are more.",
            _with_members(_m(b"cp/mallory", b"USER=mallory\nDNS=example.org\n")),
        ),
    ]


def _links() -> list[Case]:
    return [
        Case(
            "file through an absolute link",
            "The link is skipped with a note, and nothing is written where it points to.",
            _with_members(_h(b"door", kind=SYMLINK, target=b"/tmp"), _h(b"door/owned-through-link")),
        ),
        Case(
            "file through a link inside",
            "Nothing is written through the link, though it stays inside.",
            _with_members(_h(b"door", kind=SYMLINK, target=b"public_html"), _h(b"door/through")),
            absent=(b"files/public_html/through",),
        ),
        Case(
            "file over a link",
            "The last counts: the file is there, and what the link points to is as it was.",
            _with_members(_h(b"door", kind=SYMLINK, target=b"public_html/index.php"), _h(b"door", b"last\n")),
            present={b"files/door": b"last\n", b"files/public_html/index.php": b"<?php echo 'Ahoy';\n"},
        ),
        Case(
            "chain of links",
            "Each link stays inside if dots are taken by name, and the last leads out: nothing is written through it.",
            _with_members(
                _h(b"x/y/z/up", kind=SYMLINK, target=b"../.."),
                _h(b"x/out", kind=SYMLINK, target=b"y/z/up/../../../.."),
                _h(b"x/out/owned-by-chain"),
            ),
            absent=(b"owned-by-chain",),
        ),
        Case(
            "directory of a part as a link",
            "The link is not followed, and the dump is where it belongs or nowhere.",
            _with_members(
                _m(b"psql", kind=SYMLINK, target=b"/tmp"),
                _m(b"psql/owned-by-part.tar"),
                _m(b"userdata/example.com", kind=SYMLINK, target=b"/etc/passwd"),
                _m(b"cron/harbour", kind=SYMLINK, target=b"../../../../../etc/shadow"),
            ),
        ),
        Case(
            "hard link to an absolute name",
            "The link is skipped with a note.",
            _with_members(_h(b"stolen", kind=HARD_LINK, target=b"/etc/passwd")),
            absent=(b"files/stolen",),
        ),
        Case(
            "hard link out of the archive",
            "The link is skipped with a note.",
            _with_members(_h(b"stolen", kind=HARD_LINK, target=TOP + b"/homedir/../../../../../etc/passwd")),
            absent=(b"files/stolen",),
        ),
        Case(
            "hard link to a later member",
            "The link is skipped with a note, and the later member is restored.",
            _with_members(_h(b"early", kind=HARD_LINK, target=TOP + b"/homedir/late"), _h(b"late", b"late\n")),
            present={b"files/late": b"late\n"},
            absent=(b"files/early",),
        ),
        Case(
            "hard link to a link",
            "The hard link is skipped with a note.",
            _with_members(
                _h(b"soft", kind=SYMLINK, target=b"/etc/passwd"),
                _h(b"hard", kind=HARD_LINK, target=TOP + b"/homedir/soft"),
            ),
            absent=(b"files/soft", b"files/hard"),
        ),
        Case(
            "hard link to itself and to a directory",
            "Both are skipped with a note.",
            _with_members(
                _h(b"self", kind=HARD_LINK, target=TOP + b"/homedir/self"),
                _h(b"folder", kind=HARD_LINK, target=TOP + b"/homedir/public_html"),
            ),
            absent=(b"files/self", b"files/folder"),
        ),
        Case(
            "hard link to a secret",
            "The copy in the home keeps the narrow mode, and is no reason to widen that of the secret.",
            _with_members(_h(b"copy", kind=HARD_LINK, target=TOP + b"/shadow", mode=0o600)),
            modes={b"settings/harbour/shadow": 0o600},
        ),
    ]


def _kinds() -> list[Case]:
    return [
        Case(
            "devices",
            "They are skipped with a note each.",
            _with_members(_h(b"character", kind=CHARACTER_DEVICE), _h(b"block", kind=BLOCK_DEVICE)),
            absent=(b"files/character", b"files/block"),
        ),
        Case("pipe", "It is skipped with a note.", _with_members(_h(b"pipe", kind=FIFO)), absent=(b"files/pipe",)),
        Case(
            "setuid",
            "The bits are dropped, of a file of root as well.",
            _with_members(_h(b"all-bits", b"#!/bin/sh\n", mode=0o7755)),
            present={b"files/all-bits": b"#!/bin/sh\n"},
            modes={b"files/all-bits": 0o755},
        ),
        Case(
            "unknown kind",
            "The member is skipped with a note, and what follows is read.",
            _with(lambda writer: _add_of_type(writer, b"Z"), account=None),
            present={b"files/behind": b"behind\n"},
        ),
        Case(
            "file named with a slash",
            "It is a directory, as it was before there was a kind for that.",
            _with(lambda writer: _add_raw(writer, TOP + b"/homedir/old directory/", tarfile.AREGTYPE)),
        ),
    ]


def _repetitions() -> list[Case]:
    return [
        Case(
            "twice the same name",
            "The last counts, and the result says so.",
            _with_members(_h(b"twice", b"first and longer\n"), _h(b"twice", b"second\n")),
            present={b"files/twice": b"second\n"},
        ),
        Case(
            "twice the same metadata",
            "The last counts.",
            _with_members(_m(b"shell", b"/bin/first\n"), _m(b"shell", b"/bin/last\n")),
            present={b"settings/harbour/shell": b"/bin/last\n"},
        ),
        Case(
            "file and then directory",
            "The last counts: there is a directory with a file in it.",
            _with_members(_h(b"both"), _h(b"both", kind=DIRECTORY, mode=0o755), _h(b"both/inside", b"inside\n")),
            present={b"files/both/inside": b"inside\n"},
        ),
        Case(
            "directory and then file",
            "The last counts or what lies in the directory does; one is told of, and the rest is restored.",
            _with_members(_h(b"both", kind=DIRECTORY, mode=0o755), _h(b"both/inside"), _h(b"both", b"last\n")),
            present={b"files/.bashrc": b"alias ll='ls -l'\n"},
        ),
        Case(
            "member below a file",
            "One of the two is told of, and the rest is restored.",
            _with_members(_h(b"leaf", b"leaf\n"), _h(b"leaf/below")),
            present={b"files/.bashrc": b"alias ll='ls -l'\n"},
        ),
        Case(
            "nested archive twice",
            "Both are read as the home, or the second is told of; nothing is written as homedir.tar/.",
            _with(_add_two_homes),
            is_damaged=None,
        ),
    ]


def _sizes() -> list[Case]:
    claimed = Sparse(1 << 40, ((0, b"x"),))
    return [
        Case(
            "extended header of 5 MiB",
            "The archive is damaged from there on, and the header was never held whole.",
            _with(lambda writer: _add_with_records(writer, {"comment": "x" * 5 * MIB}), tar_format=PAX),
            is_damaged=True,
        ),
        Case(
            "long name of 5 MiB",
            "The archive is damaged from there on, and the name was never held whole.",
            _with_members(_h(b"n" * 5 * MIB)),
            is_damaged=True,
        ),
        Case(
            "extended header that claims 1 TiB",
            "The archive is damaged there, and no such room is asked for.",
            _with(lambda writer: _add_raw(writer, b"././@LongLink", tarfile.GNUTYPE_LONGNAME, size=1 << 40)),
            is_damaged=True,
        ),
        Case(
            "member that claims 8 EiB",
            "The archive is damaged there.",
            _with(lambda writer: _add_raw(writer, TOP + b"/homedir/huge", size=(1 << 63) - 1)),
            is_damaged=True,
        ),
        Case(
            "negative size",
            "The archive is damaged there.",
            _with(lambda writer: _add_raw(writer, TOP + b"/homedir/negative", size=-512)),
            is_damaged=True,
        ),
        Case(
            "size by an extended header that is no number",
            "The archive is damaged there.",
            _with(lambda writer: _add_with_records(writer, {"size": "many"}), tar_format=PAX),
            is_damaged=True,
        ),
        Case(
            "bomb",
            "It is damaged, for what it holds is over 1,000 times its size.",
            _packed(_bomb, 9),
            TAR_GZ,
            is_damaged=True,
            is_long=True,
        ),
        Case(
            "sparse bomb",
            "It is damaged, for the holes of a sparse file count as content; no such file is made.",
            _with_members(replace(_h(b"sparse"), content=claimed)),
            is_damaged=True,
            absent=(b"files/sparse",),
        ),
        Case(
            "sparse map out of order",
            "The file is refused with a note or the archive is damaged; no byte is written twice.",
            _with(lambda writer: _add_sparse(writer, 4 * MIB, [(2 * MIB, 512), (0, 512)])),
            is_damaged=None,
            absent=(b"files/sparse",),
        ),
        Case(
            "sparse map beyond its size",
            "The file is refused with a note or the archive is damaged.",
            _with(lambda writer: _add_sparse(writer, 1000, [(5000, 1024)])),
            is_damaged=None,
            absent=(b"files/sparse",),
        ),
        Case(
            "nested archive in a nested archive",
            "One level is gone down, and what lies deeper is a file.",
            lambda sink: write_tar(_with_inner_home(), sink, Shape(is_nested=True)),
            present={b"files/homedir.tar": bytes_of(lambda sink: write_home(small(), sink, Shape()))},
        ),
        Case(
            "metadata of 17 MiB",
            "It is not held in memory, and the result tells of it.",
            _instead("cp/harbour", Pattern(17 * MIB, "metadata")),
            is_damaged=None,
        ),
        Case(
            "grants of 17 MiB",
            "They are not held in memory, and the result tells of it.",
            _instead("mysql.sql", b"-- nothing\n" * (17 * MIB // 11 + 1)),
            is_damaged=None,
        ),
        Case(
            "million members",
            "It is read in bounded memory.",
            _packed(lambda sink: write_many(sink, 1_000_000), 1),
            TAR_GZ,
            is_long=True,
        ),
    ]


def _texts() -> list[Case]:
    laughs = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 10))
    grants = (
        "GRANT ALL PRIVILEGES ON *.* TO 'root'@'localhost' IDENTIFIED BY PASSWORD '*00' WITH GRANT OPTION;\n"
        "GRANT USAGE ON *.* TO 'harbour_wp'@'localhost' IDENTIFIED BY PASSWORD"
        " '*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19';\n"
        "GRANT ALL PRIVILEGES ON `harbour\\_wp`.* TO 'harbour_wp'@'localhost' WITH GRANT OPTION;\n"
        "GRANT SUPER, FILE ON *.* TO 'harbour_wp'@'localhost';\n"
        "GRANT ALL PRIVILEGES ON `mysql`.* TO 'harbour_wp'@'localhost';\n"
        "GRANT ALL PRIVILEGES ON `harbour%`.* TO 'harbour_wp'@'localhost';\n"
        "GRANT SELECT ON `harbour\\_wp`.* TO 'harbour_wp'@'localhost'; DROP DATABASE mysql;\n"
        "GRANT USAGE ON *.* TO '../../../tmp/owned-by-grant'@'localhost' IDENTIFIED BY PASSWORD '*00';\n"
        "GRANT USAGE ON *.* TO 'x'@'localhost' IDENTIFIED BY PASSWORD '*00'' OR 1; DROP TABLE mysql.user; -- ';\n"
        "SELECT '<?php' INTO OUTFILE '/tmp/owned-by-outfile';\n"
        "\\! touch /tmp/owned-by-client\n"
        "CREATE USER 'mallory'@'%';\n"
        "GRANT PROXY ON 'root'@'localhost' TO 'harbour_wp'@'localhost';\n"
        "GRANT\nUSAGE ON *.* TO\n"
        "GRANT SELECT ON `harbour\\_wp`.* TO " + "'a'@'b'," * 20_000 + "'c'@'d';\n"
    ).encode() + b"\xff\xfe\0 GRANT\n"
    foreign = ("GRANT OPTION", "SUPER", "`mysql`", "`harbour%`", "DROP", "OUTFILE", "\\!", "mallory", "PROXY")
    return [
        Case(
            "JSON of 10,000 levels",
            "It is not understood, which is told, and nothing crashes.",
            _instead("userdata/cache.json", b"[" * 10_000 + b"]" * 10_000),
        ),
        Case(
            "hashes in JSON of 10,000 levels",
            "They are not understood, which is told, and nothing crashes.",
            _instead("mysql.sql-auth.json", b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
        ),
        Case(
            "JSON of another shape",
            "Lines that are not understood cost themselves.",
            _instead("userdata/cache.json", json.dumps({"example.com": 7, "a": [], "b": {"c": [None]}}).encode()),
        ),
        Case(
            "numbers of a million digits",
            "They are not understood, and take no time.",
            _instead("userdata/cache.json", b'{"example.com": [' + b"9" * 1_000_000 + b"]}"),
        ),
        Case(
            "YAML that unfolds",
            "It is not understood, which is told; nothing is unfolded.",
            _instead("userdata/main", f"---\nl0: &l0 lol\n{laughs}main_domain: *l9\n".encode()),
        ),
        Case(
            "YAML with tags",
            "It is not understood, which is told; nothing is made of the tag.",
            _instead("userdata/main", b'--- !!python/object/apply:os.system ["touch /tmp/owned-by-yaml"]\n'),
        ),
        Case(
            "YAML of many levels",
            "It is not understood, which is told.",
            _instead("userdata/main", b"".join(b" " * n + b"a:\n" for n in range(2000))),
        ),
        Case(
            "YAML of one endless line",
            "It is not understood, which is told, and takes no time.",
            _instead("userdata/main", b"main_domain: '" + b"''" * 500_000),
        ),
        Case(
            "grants that take all",
            "What is made anew has only what belongs to this account; the rest is told.",
            _instead("mysql.sql", grants),
            present={b"database_user/harbour_wp/harbour_wp.sql": Statements(("*2470C0C06DEE42FD",), foreign)},
            absent=(b"tmp/owned-by-grant", b"database_user/root/root.sql"),
        ),
        Case(
            "logins that are paths",
            "Neither is a part, and nothing is written above the folder of its kind.",
            _with_members(
                _m(b"proftpdpasswd", b"../../owned:$6$x$y:0:0:r:/:/bin/sh\n..:x:0:0::/:\n:::\nno colons\n"),
                _h(
                    b"etc/example.com/passwd",
                    b"../../owned:x:0:0::/:/\n..:x:0:0::/home/harbour/mail/example.com/..:/\n",
                ),
                _h(b"etc/example.com/shadow", b"../../owned:$6$x$y\n..:x\n\xff:\0\n"),
            ),
            absent=(b"owned", b"proftpdpasswd", b"passwd", b"shadow"),
        ),
    ]


# -- what they are made of


def _add_raw(writer: TarWriter, name: bytes, kind: bytes = tarfile.REGTYPE, size: int = 0) -> None:
    """Write a header for *name* that claims *size*, and nothing behind it."""
    header = header_of(Member(b"short", FILE))
    block = bytearray(header.tobuf(GNU, "utf-8", "surrogateescape"))
    block[:100] = name.ljust(100, b"\0")
    block[124:136] = size.to_bytes(12, "big", signed=True) if size < 0 else b"\x80" + size.to_bytes(11, "big")
    block[156:157] = kind
    writer.raw(with_checksum(bytes(block)))


def _add_of_type(writer: TarWriter, kind: bytes) -> None:
    """Write a member of an unknown *kind* with content, and a file behind it."""
    _add_raw(writer, TOP + b"/homedir/strange", kind, 700)
    writer.content(b"s" * 700)
    writer.add(_h(b"behind", b"behind\n"))


def _add_with_records(writer: TarWriter, records: dict[str, str]) -> None:
    """Write a file ``short`` in the home with *records* in its extended header."""
    header = header_of(_h(b"short"))
    header.pax_headers = records
    writer.header(header)
    writer.content(b"owned\n")


def _add_sparse(writer: TarWriter, size: int, pieces: list[tuple[int, int]]) -> None:
    """Write a sparse file ``sparse`` in the home, whose map is *pieces*."""
    stored = sum(length for _offset, length in pieces)
    header = header_of(_h(b"sparse", b"s" * stored))
    header.type = tarfile.GNUTYPE_SPARSE
    writer.raw(old_sparse_block(header.tobuf(GNU, "utf-8", "surrogateescape"), size, pieces))
    writer.content(b"s" * stored)


def _add_two_homes(writer: TarWriter) -> None:
    for _number in range(2):
        writer.add(_m(b"homedir.tar", bytes_of(lambda sink: write_home(small(), sink, Shape()))))


def _with_inner_home() -> Account:
    inner = Member(b"homedir/homedir.tar", FILE, bytes_of(lambda sink: write_home(small(), sink, Shape())))
    account = small()
    return replace(account, members=(*account.members, inner))


def _bomb(sink: Sink) -> None:
    """Write an archive of 400 MiB of zeros, and as little else as there can be."""
    writer = TarWriter(sink)
    for member in (_m(b"cp/harbour", b"USER=harbour\nDNS=example.com\n"), _m(b"version", b"archive version: 4\n")):
        writer.add(member)
    header = header_of(_h(b"zeros"))
    header.size = 400 * MIB
    writer.header(header)
    for _number in range(400):
        writer.raw(bytes(MIB))
    writer.close()


def write_many(sink: Sink, count: int) -> None:
    """Write the small account and *count* empty files more, at most 10,000,000; nothing of them is held."""
    writer = TarWriter(sink)
    _begin(writer)
    block = header_of(_h(b"many/0000000", b"")).tobuf(GNU, "utf-8", "surrogateescape")
    at = block.index(b"0000000")
    before, behind = block[:at], block[156:]
    total = int(block[148:154], 8)
    between = block[at + 7 : 148]
    for number in range(count):
        digits = b"%07d" % number
        writer.raw(before + digits + between + b"%06o\0 " % (total + sum(digits) - 7 * 48) + behind)
    writer.close()


# -- those that are damaged


@dataclass(frozen=True)
class Sound:
    """A sound archive of the small account; *spans*: where each header, content and filling begins, and its end."""

    content: bytes
    spans: tuple[tuple[bytes, int, int, int, int], ...]

    def whole(self, end: int) -> frozenset[bytes]:
        """Return the members that lie before *end*."""
        return frozenset(name for name, _header, _content, content_end, _end in self.spans if content_end <= end)


def sound() -> Sound:
    """Return the small account, and a last file of a few blocks that cannot be compressed."""
    sink = Bytes()
    writer = TarWriter(sink)
    writer.add(Member(TOP, DIRECTORY, b"", 0o711))
    members = [*in_order(small().members, METADATA_FIRST, 0), Member(b"homedir/zz-last", FILE, _NOISE)]
    spans = []
    for member in members:
        begin = writer.position
        writer.header(header_of(_in_top(member)))
        middle = writer.position
        writer.content(member.content)
        size = len(member.content) if isinstance(member.content, bytes) else 0
        spans.append((member.name, begin, middle, middle + size, writer.position))
    writer.close()
    return Sound(bytes(sink.content), tuple(spans))


_NOISE = b"".join(zlib.crc32(b"%d" % number).to_bytes(4, "big") for number in range(2500)) + b"odd"


def _writes(content: bytes) -> Write:
    def write(sink: Sink) -> None:
        sink.write(content)

    return write


def gzip_bytes(content: bytes, level: int = 6) -> bytes:
    return bytes_of(_packed(_writes(content), level))


def _cut_tars() -> list[Case]:
    archive = sound()
    content = archive.content
    last = archive.spans[-1]
    middle = next(span for span in archive.spans if span[0] == b"homedir/public_html/logo.png")
    mark = last[4]
    places = {
        "in the last header": last[1] + 200,
        "behind the last header": last[2],
        "in the last content": last[2] + 5000,
        "in the filling behind the last content": last[3] + 3,
        "at a member's boundary": middle[1],
        "in a middle header": middle[1] + 100,
        "in a middle content": middle[2] + 777,
        "before the end mark": mark,
        "in the end mark": mark + 700,
        "between the blocks of the end mark": mark + BLOCK,
        "in the first header": 100,
    }
    found = []
    for where, at in places.items():
        cut = content[:at]
        must = "It is damaged, and what lies before the cut may be restored."
        found.append(Case(f"cut {where}", must, _writes(cut), is_damaged=True, whole=archive.whole(at)))
        packed = Case(
            f"packed whole, cut {where}",
            must,
            _writes(gzip_bytes(cut)),
            TAR_GZ,
            is_damaged=True,
            whole=archive.whole(at),
        )
        found.append(packed)
    return found


def _broken_tars() -> list[Case]:
    archive = sound()
    content = archive.content
    middle = next(span for span in archive.spans if span[0] == b"homedir/public_html/logo.png")
    begin, mark = middle[1], archive.spans[-1][4]
    whole = archive.whole(len(content))
    before = archive.whole(begin)
    wrong = bytearray(content)
    wrong[begin + 150] ^= 1
    zeroed = content[:begin] + bytes(BLOCK) + content[begin + BLOCK :]
    return [
        Case("header checksum wrong", "It is damaged there.", _writes(bytes(wrong)), is_damaged=True, whole=before),
        Case(
            "header of zeros",
            "It is damaged there.",
            _writes(zeroed),
            is_damaged=True,
            whole=before,
        ),
        Case(
            "one block of zeros and then more",
            "It is damaged: an end mark is of two blocks.",
            _writes(content[: mark + BLOCK] + content[begin : begin + BLOCK]),
            is_damaged=True,
            whole=whole,
        ),
        Case(
            "two blocks of zeros and no more",
            "It is sound: a record need not be full.",
            _writes(content[: mark + 2 * BLOCK]),
            whole=whole,
        ),
        Case("zeros behind the end", "It is sound.", _writes(content + bytes(50_000)), whole=whole),
        Case(
            "garbage behind the end",
            "It is told, and all before it is read.",
            _writes(content + b"garbage" * 1000),
            is_damaged=None,
            whole=whole,
        ),
        Case(
            "another archive behind the end",
            "It is told and not read: the first archive counts.",
            _writes(content + bytes_of(_with_members(_h(b"second-archive")))),
            is_damaged=None,
            whole=whole,
            absent=(b"files/second-archive",),
        ),
        Case("empty file", "It is damaged.", _writes(b""), is_damaged=True),
        Case(
            "end mark and nothing else",
            "It holds no account.",
            _writes(bytes(10240)),
            is_damaged=True,
        ),
        Case("no archive at all", "It is damaged.", _writes(b"<html>404</html>\n" * 500), is_damaged=True),
        Case(
            "packed and named .tar",
            "It is read as what it is, or damaged.",
            _writes(gzip_bytes(content)),
            is_damaged=None,
        ),
    ]


def _broken_gzips() -> list[Case]:
    archive = sound()
    content = archive.content
    packed = gzip_bytes(content)
    whole = archive.whole(len(content))
    middle = next(span for span in archive.spans if span[0] == b"homedir/public_html/logo.png")[1]
    half = gzip_bytes(content[:middle])
    two = half + gzip_bytes(content[middle:])
    before = archive.whole(middle)
    flipped = bytearray(packed)
    flipped[len(packed) // 2] ^= 0x10
    cuts = {
        "in the gzip header": (packed, 5, frozenset[bytes]()),
        "behind the gzip header": (packed, 10, frozenset[bytes]()),
        "in the packed content": (packed, len(packed) // 2, frozenset[bytes]()),
        "in the gzip trailer": (packed, len(packed) - 3, whole),
        "before the gzip trailer": (packed, len(packed) - 8, whole),
        "between two gzip members": (two, len(half), before),
        "in the header of the second gzip member": (two, len(half) + 4, before),
    }
    found = [
        Case(f"cut {where}", "It is damaged.", _writes(raw[:at]), TAR_GZ, is_damaged=True, whole=kept)
        for where, (raw, at, kept) in cuts.items()
    ]
    flushed = zlib.compressobj(6, zlib.DEFLATED, 31)
    at_boundary = flushed.compress(content[:middle]) + flushed.flush(zlib.Z_FULL_FLUSH)
    must = "It is damaged, though all that was unpacked ends with a member."
    found.append(Case("cut where a member ends", must, _writes(at_boundary), TAR_GZ, is_damaged=True, whole=before))
    crc = packed[:-8] + bytes([packed[-8] ^ 1]) + packed[-7:]
    length = packed[:-4] + bytes([packed[-4] ^ 1]) + packed[-3:]
    first_crc = half[:-8] + bytes([half[-8] ^ 1]) + half[-7:] + two[len(half) :]
    return [
        *found,
        Case("checksum of gzip wrong", "It is damaged.", _writes(crc), TAR_GZ, is_damaged=True),
        Case("length of gzip wrong", "It is damaged.", _writes(length), TAR_GZ, is_damaged=True),
        Case("checksum of the first gzip member wrong", "It is damaged.", _writes(first_crc), TAR_GZ, is_damaged=True),
        Case("bit of the packed content flipped", "It is damaged.", _writes(bytes(flipped)), TAR_GZ, is_damaged=True),
        Case("zeros behind the gzip stream", "It is sound.", _writes(packed + bytes(5000)), TAR_GZ, whole=whole),
        Case(
            "garbage behind the gzip stream",
            "It is told, and all before it is read.",
            _writes(packed + b"garbage" * 99),
            TAR_GZ,
            is_damaged=None,
            whole=whole,
        ),
        Case("empty packed file", "It is damaged.", _writes(b""), TAR_GZ, is_damaged=True),
        Case("packed nothing", "It is damaged.", _writes(gzip_bytes(b"")), TAR_GZ, is_damaged=True),
        Case("packed text", "It is damaged.", _writes(gzip_bytes(b"no archive\n" * 99)), TAR_GZ, is_damaged=True),
        Case(
            "plain and named .tar.gz",
            "It is read as what it is, or damaged.",
            _writes(content),
            TAR_GZ,
            is_damaged=None,
        ),
        Case(
            "packed twice",
            "It is damaged: there is no archive in it.",
            _writes(gzip_bytes(gzip_bytes(content))),
            TAR_GZ,
            is_damaged=True,
        ),
    ]


def _broken_homes() -> list[Case]:
    """Return archives that are sound themselves, and the home in them is not."""
    home = bytes_of(lambda sink: write_home(small(), sink, Shape()))
    metadata = replace(small(), members=tuple(one for one in small().members if is_metadata(one)))
    rest = frozenset(member.name for member in metadata.members)
    damages = {
        "cut in a member": home[: len(home) // 2 + 77],
        "cut at a block": home[: len(home) // 2 // BLOCK * BLOCK],
        "without its end mark": home.rstrip(b"\0") + bytes(-len(home.rstrip(b"\0")) % BLOCK),
        "with a wrong checksum": home[:148] + b"7" + home[149:],
    }
    found = []
    for what, damaged in damages.items():
        homes = (_m(b"homedir.tar", damaged), _m(b"zz-behind", b"behind\n"))
        write = _with(partial(_add_all, homes), metadata)
        found.append(
            Case(
                f"nested home {what}",
                "It is damaged, and what lies beside the home is whole, before and behind it.",
                write,
                is_damaged=True,
                whole=rest | {b"zz-behind"},
                present={b"other/zz-behind": b"behind\n"},
            )
        )
    return found


def _add_all(members: tuple[Member, ...], writer: TarWriter) -> None:
    for member in members:
        writer.add(member)


def cases() -> list[Case]:
    """Return all cases, those that lie first."""
    lying = [*_names(), *_links(), *_kinds(), *_repetitions(), *_sizes(), *_texts()]
    return [*lying, *_cut_tars(), *_broken_tars(), *_broken_gzips(), *_broken_homes()]


#: All of them by name, for tests to be parametrized by.
CASES: t.Final = {case.name: case for case in cases()}
