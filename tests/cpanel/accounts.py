# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the backup of a cPanel account holds: accounts of our own making, put together from subjects.

Each subject is a function that returns a Share: its members, and what there is to know of them without reading them.
`joined` makes an account of shares. All of it is made up, and follows from the seed; there is no clock in it.

Source: cPanel's knowledge base, "Backup tarball contents", and what importers of such archives read.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import tarfile
import typing as t
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timezone
from functools import cache, lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID

FILE, DIRECTORY, SYMLINK, HARD_LINK = "f", "d", "l", "h"
CHARACTER_DEVICE, BLOCK_DEVICE, FIFO = "c", "b", "p"

MYSQL, POSTGRESQL = "mysql", "postgresql"
MAIN, ADDON, SUB, PARKED = "main", "addon", "sub", "parked"
MAILDIR, MDBOX, MBOX = "maildir", "mdbox", "mbox"

MIB = 1024 * 1024
_EPOCH = 1_600_000_000  # 2020-09-13
_VALID = (datetime(2020, 1, 1, tzinfo=timezone.utc), datetime(2099, 12, 31, tzinfo=timezone.utc))

#: What the people of the account type in. The crypts were made by ``openssl passwd``.
ACCOUNT_PASSWORD = "account-Secret2"
ACCOUNT_CRYPT = "$6$stowagesalt1$j3HUZwa.EHLyABq5lHS3SeuMU2wOjXMro1H8dtdxN.Q9s5TflVNlO0d1qrxHS0a6YpbME8PqZgiVGXHP6ds/o."
MAIL_PASSWORD = "mail-Secret1"
MAIL_CRYPT = "$6$stowagesalt1$ZuL78SJOSo.YvkiqXRWASN4DNAtq6lg34Fl/wZXThBt8gfXrojReygI4IsQCE.XkL.ni4W1vy2ebFuc8VZ7fj/"
FTP_PASSWORD = "ftp-Secret3"
FTP_CRYPT = "$6$stowagesalt1$JbZPwLe6G3o.chkZ1SdpYpvviaE9sL9tftfSIeX6bK36y1nr99U3tF7pthPPCHuTNbAfSaqKXbLal7ap.gfqs0"
OLD_PASSWORD = "old-Secret4"
OLD_CRYPT = "$1$stowage1$hfaoFobe8AfNOy8RUvdIi0"
DATABASE_PASSWORD = "database-Secret5"


@dataclass(frozen=True)
class Pattern:
    """*size* bytes that cannot be compressed, as *seed* has them; they are never held all at once."""

    size: int
    seed: str


@dataclass(frozen=True)
class Sparse:
    """*size* bytes that are zeros but for *pieces*: offset and bytes, in order, and at least 512 bytes between them."""

    size: int
    pieces: tuple[tuple[int, bytes], ...] = ()


Content = t.Union[bytes, Pattern, Sparse]


def size_of(content: Content) -> int:
    return len(content) if isinstance(content, bytes) else content.size


def pieces_of(content: Content) -> Iterator[bytes]:
    """Yield all bytes of *content*, at most 1 MiB at once; holes as zeros."""
    if isinstance(content, bytes):
        for at in range(0, len(content), MIB):
            yield content[at : at + MIB]
    elif isinstance(content, Pattern):
        for at in range(0, content.size, MIB):
            yield random.Random(f"{content.seed}/{at}").randbytes(min(MIB, content.size - at))
    else:
        at = 0
        for offset, piece in (*content.pieces, (content.size, b"")):
            while at < offset:
                yield bytes(min(MIB, offset - at))
                at = min(at + MIB, offset)
            yield piece
            at += len(piece)


def digest_of(content: Content) -> str:
    """Return the SHA-256 of *content* in hex."""
    digest = hashlib.sha256()
    for piece in pieces_of(content):
        digest.update(piece)
    return digest.hexdigest()


class Owner(t.NamedTuple):
    uid: int
    gid: int
    user: str
    group: str


ROOT = Owner(0, 0, "root", "root")


@dataclass(frozen=True)
class Member:
    """One member of a backup; *name* is below the top directory, and so is the *target* of a hard link.

    *mtime* is in seconds. Of what has no content, *content* is empty.
    """

    name: bytes
    kind: str = FILE
    content: Content = b""
    mode: int = 0o644
    owner: Owner = ROOT
    mtime: int = _EPOCH
    target: bytes = b""


class Domain(t.NamedTuple):
    """*document_root* is relative to the home; *folder* is the subdomain that an addon domain stands for."""

    name: str
    kind: str
    document_root: str
    parent: str
    folder: str = ""


class Mailbox(t.NamedTuple):
    """A mailbox of a domain, with its own lines in the domain's files, where it has them."""

    local: str
    domain: str
    password: str = ""
    passwd: bytes | None = None
    shadow: bytes | None = None
    quota: bytes | None = None

    @property
    def address(self) -> str:
        return f"{self.local}@{self.domain}"


class Database(t.NamedTuple):
    """*rows* are the tables with how many rows each has; *blob* is what the one row of the table ``pictures`` holds."""

    kind: str
    name: str
    rows: dict[str, int]
    blob: bytes = b""


class DatabaseUser(t.NamedTuple):
    """*secret* is the text of the hash of *password*; *databases* are those that it has privileges on."""

    kind: str
    name: str
    password: str
    secret: str
    hosts: tuple[str, ...]
    databases: tuple[str, ...]


class FtpAccount(t.NamedTuple):
    login: str
    password: str
    line: bytes


@dataclass(frozen=True)
class Share:
    """What one subject brings to an account."""

    members: Collection[Member] = ()
    domains: tuple[Domain, ...] = ()
    mailboxes: tuple[Mailbox, ...] = ()
    mail_domains: tuple[str, ...] = ()
    lists: tuple[tuple[str, str], ...] = ()
    databases: tuple[Database, ...] = ()
    database_users: tuple[DatabaseUser, ...] = ()
    ftp_accounts: tuple[FtpAccount, ...] = ()
    certificates: tuple[str, ...] = ()


@dataclass(frozen=True)
class Who:
    """Whose account it is; *seed* decides what random content there is."""

    user: str = "harbour"
    domain: str = "example.com"
    uid: int = 1234
    seed: int = 1

    @property
    def owner(self) -> Owner:
        return Owner(self.uid, self.uid, self.user, self.user)

    @property
    def home(self) -> str:
        return f"/home/{self.user}"

    def randbytes(self, size: int, purpose: str) -> bytes:
        return random.Random(f"{self.seed}/{self.user}/{purpose}").randbytes(size)


@dataclass(frozen=True)
class Account(Share):
    """All that the backup of an account holds; *is_home_only*: its members lie in the home, with nothing in front."""

    who: Who = field(default_factory=Who)
    is_home_only: bool = False

    @property
    def user(self) -> str:
        return self.who.user

    def member(self, name: bytes) -> Member:
        """Return the member *name*; there must be one."""
        return {member.name: member for member in self.members}[name]

    def without(self, *beginnings: bytes) -> Account:
        """Return the account without the members whose names begin in one of these ways; what is known of it stays."""
        return replace(self, members=tuple(one for one in self.members if not one.name.startswith(beginnings)))


class Lazy(Collection[Member]):
    """As many members as wanted, which are made while they are asked for."""

    def __init__(self, first: Collection[Member], count: int, make: t.Callable[[int], Member]) -> None:
        self._first = first
        self._count = count
        self._make = make

    def __len__(self) -> int:
        return len(self._first) + self._count

    def __contains__(self, wanted: object) -> bool:
        return any(member == wanted for member in self)

    def __iter__(self) -> Iterator[Member]:
        yield from self._first
        yield from map(self._make, range(self._count))


_MODES = {
    b"homedir": 0o711,
    b"homedir/mail": 0o751,
    b"homedir/etc": 0o750,
    b"homedir/public_html": 0o750,
    b"homedir/.ssh": 0o700,
    b"mysql": 0o700,
    b"apache_tls": 0o700,
}


def joined(who: Who, *shares: Share, is_home_only: bool = False) -> Account:
    """Return the account that has all of *shares*, with a directory for each name that lies in one."""
    members = {member.name: member for share in shares for member in share.members}
    for name in list(members):
        parts = name.split(b"/")
        for depth in range(1, len(parts)):
            above = b"/".join(parts[:depth])
            if above not in members:
                owner = who.owner if is_home_only or parts[0] == b"homedir" else ROOT
                members[above] = Member(above, DIRECTORY, b"", _MODES.get(above, 0o755), owner, _time_of(above))
    others = {one.name: sum((getattr(share, one.name) for share in shares), ()) for one in fields(Share)[1:]}
    ordered = sorted(members.values(), key=lambda member: (member.kind == HARD_LINK, member.name))
    return Account(members=tuple(ordered), who=who, is_home_only=is_home_only, **others)


def _time_of(name: bytes) -> int:
    """Return a time for *name*, which is the same each time and seldom that of another name."""
    return _EPOCH + zlib.crc32(name) % 30_000_000


def _top(name: str, content: str | bytes = b"", mode: int = 0o644) -> Member:
    """Return a file beside the home."""
    raw = name.encode()
    return Member(raw, FILE, content.encode() if isinstance(content, str) else content, mode, ROOT, _time_of(raw))


def _home(
    who: Who, name: str | bytes, content: str | Content = b"", mode: int = 0o644, kind: str = FILE, target: bytes = b""
) -> Member:
    """Return what lies in the home at *name*."""
    raw = b"homedir/" + (name.encode() if isinstance(name, str) else name)
    own = content.encode() if isinstance(content, str) else content
    return Member(raw, kind, own, 0o777 if kind == SYMLINK else mode, who.owner, _time_of(raw), target)


def _json(value: object) -> str:
    return json.dumps(value, indent=1, sort_keys=True)


# -- settings


def settings(
    who: Who, *, archive_version: int = 4, shadow: str = ACCOUNT_CRYPT, more: t.Mapping[str, str] | None = None
) -> Share:
    """What tells who the account is, and what it may have; *more* are lines of ``cp/USER``."""
    facts = {
        "USER": who.user,
        "DNS": who.domain,
        "IP": "192.0.2.10",
        "PLAN": "harbour gold",
        "OWNER": "root",
        "STARTDATE": "1577836800",
        "CONTACTEMAIL": f"owner@{who.domain}",
        "LOCALE": "en",
        "FEATURELIST": "default",
        "HASCGI": "1",
        "HASDKIM": "1",
        "HASSPF": "1",
        "BWLIMIT": "unlimited",
        "DISK_BLOCK_LIMIT": "0",
        "MAXADDON": "10",
        "MAXSQL": "unlimited",
        "MAX_EMAILACCT_QUOTA": "unlimited",
        "MAILBOX_FORMAT": "maildir",
        "DBOWNER": who.user,
        f"MXCHECK-{who.domain}": "0",
        "CREATED_IN_VERSION": "11.110.0.5",
        "__STRANGE LINE": "with = in it",
        **(more or {}),
    }
    return Share(
        (
            _top("version", f"pkgacct version: 10\narchive version: {archive_version}\n"),
            _top("packaged_in_version", "11.110.0.5\n"),
            _top(f"cp/{who.user}", "".join(f"{key}={value}\n" for key, value in facts.items()), 0o640),
            _top("homedir_paths", f"{who.home}\n"),
            _top("meta/homedir_paths", f"{who.home}\n"),
            _top("meta/dbprefix", "1\n"),
            _top("meta/hostname", "server1.example.org\n"),
            _top("meta/dbmap.yaml", f"---\nMYSQL:\n  owner: {who.user}\n"),
            _top("quota", "1024\n"),
            _top("shell", "/bin/bash\n"),
            _top("shadow", shadow + "\n", 0o640),
            _top("digestshadow", f"{who.user}:{who.user}:{'0123456789abcdef' * 2}\n", 0o640),
            _top("userconfig/preferences", "theme=jupiter\n"),
            _top("locale/en.yaml", "---\ngreeting: Hello\n"),
        )
    )


def suspension(who: Who) -> Share:
    return Share(
        (_top(f"suspended/{who.user}", "Payment is due.\n"), _top(f"suspendinfo/{who.user}", "shell=/bin/sh\n"))
    )


def reselling(who: Who) -> Share:
    return Share(
        (
            _top("resellerconfig/resellers", f"{who.user}:list-accts,create-acct\n"),
            _top("resellerconfig/resellers-nameservers", f"{who.user}:ns1.{who.domain},ns2.{who.domain}\n"),
            _top(f"resellerpackages/{who.user}_small", "QUOTA=500\nMAXSQL=1\n"),
            _top(f"resellerfeatures/{who.user}_few", "webmail=1\n"),
        )
    )


def team(who: Who) -> Share:
    return Share((_top(f"team/{who.user}", f"team-owner:{who.user}\nhelper:{ACCOUNT_CRYPT}\n", 0o600),))


def unknown() -> Share:
    """What belongs to nothing we know, some of it named in cPanel's list."""
    return Share(
        (
            _top("bandwidth/example.com", "1577836800=1000\n"),
            _top("bandwidth_db.json", "{}\n"),
            _top("counters/hits", "7\n"),
            _top("customizations/theme", "blue\n"),
            _top("logs/example.com-Sep-2020.gz", gzip.compress(b'192.0.2.99 - - "GET /"\n', mtime=0)),
            _top("nobodyfiles", "public_html/cache\n"),
            _top("webcalls.json", "{}\n"),
            _top("mysql-timestamps/mysql", "1600000000\n"),
            _top("mysql_host_notes.json", '{"192.0.2.7": "the office"}\n'),
            _top("has_sslstorage", ""),
            _top("never-heard-of", "What is this?\n"),
            _top("never-heard-of.d/deep/er", "Nor of this.\n"),
            Member(b"httpfiles", DIRECTORY, b"", 0o755, ROOT, _time_of(b"httpfiles")),
        )
    )


# -- domains


def domains_of(who: Who) -> tuple[Domain, ...]:
    """Return a domain of each kind, the main one first; one of them has an underscore in its name."""
    return (
        Domain(who.domain, MAIN, "public_html", who.domain),
        Domain("example.net", ADDON, "public_html/shop", who.domain, f"shop.{who.domain}"),
        Domain(f"shop.{who.domain}", SUB, "public_html/shop", who.domain),
        Domain(f"my_blog.{who.domain}", SUB, "blog", who.domain),
        Domain("example.org", PARKED, "public_html", who.domain),
    )


def domains(who: Who, wanted: tuple[Domain, ...], *, has_userdata: bool = True, has_cache: bool = True) -> Share:
    """What tells of *wanted* domains: their settings, and the flat files of old, which are always there."""
    of_kind = {kind: [one for one in wanted if one.kind == kind] for kind in (ADDON, SUB, PARKED)}
    flat = {one.name: one.name.replace(f".{one.parent}", f"_{one.parent}") for one in of_kind[SUB]}
    addons = [(one.name, flat.get(one.folder, one.folder)) for one in of_kind[ADDON]]
    subs = of_kind[SUB]
    members = [
        _top("addons", "".join(f"{addon}={sub}\n" for addon, sub in addons)),
        _top("sds", "".join(f"{flat[one.name]}\n" for one in subs)),
        _top("sds2", "".join(f"{flat[one.name]}={one.document_root}\n" for one in subs)),
        _top("pds", "".join(f"{one.name} *\n" for one in of_kind[PARKED])),
        _top("ips/related_ips", "2001:db8::10\n"),
    ]
    if has_userdata:
        members.append(_top("userdata/main", _userdata_main(who, of_kind)))
        for one in wanted:
            if one.kind in (MAIN, SUB):
                members += _userdata_of(who, one)
    if has_cache:
        rows = {one.name: _row_of(who, one) for one in wanted}
        members.append(_top("userdata/cache.json", _json(rows)))
    pages = {one.document_root: one.name for one in reversed(wanted)}
    members += [_home(who, f"{root}/index.html", f"<h1>{name}</h1>\n") for root, name in pages.items()]
    return Share(tuple(members), domains=wanted)


def _row_of(who: Who, domain: Domain) -> list[str]:
    root = f"{who.home}/{domain.document_root}"
    return [who.user, "root", domain.kind, domain.parent, root, "192.0.2.10:80", "192.0.2.10:443", "", "0", "ea-php81"]


def _userdata_main(who: Who, of_kind: dict[str, list[Domain]]) -> str:
    addons = "".join(f"  {one.name}: {one.folder}\n" for one in of_kind[ADDON])
    lines = ["---\n", f"addon_domains:\n{addons}" if addons else "addon_domains: {}\n", f"main_domain: {who.domain}\n"]
    for key, kind in (("parked_domains", PARKED), ("sub_domains", SUB)):
        names = "".join(f"  - {one.name}\n" for one in of_kind[kind])
        lines.append(f"{key}:\n{names}" if names else f"{key}: []\n")
    return "".join(lines)


def _userdata_of(who: Who, domain: Domain) -> Iterator[Member]:
    text = (
        f"---\ncustomlog:\n  -\n    format: combined\n    target: /etc/apache2/logs/domlogs/{domain.name}\n"
        f"documentroot: {who.home}/{domain.document_root}\ngroup: {who.user}\nhascgi: 1\nhomedir: {who.home}\n"
        f"ip: 192.0.2.10\nowner: root\nphpversion: ea-php81\nport: 80\n"
        f"serveradmin: webmaster@{domain.name}\nserveralias: mail.{domain.name} www.{domain.name}\n"
        f"servername: {domain.name}\nuser: {who.user}\nusecanonicalname: 'Off'\n"
    )
    yield _top(f"userdata/{domain.name}", text)
    secure = text.replace("port: 80", "port: 443") + f"sslcertificatefile: {who.home}/ssl/certs/one.crt\n"
    yield _top(f"userdata/{domain.name}_SSL", secure)
    yield _top(f"userdata/{domain.name}.php-fpm.yaml", "---\npm_max_children: 5\n")


# -- databases


def mysql_hash(password: str) -> str:
    """Return the hash of *password* as mysql_native_password keeps it."""
    once = hashlib.sha1(password.encode()).digest()  # noqa: S324 - as MySQL does
    return "*" + hashlib.sha1(once).hexdigest().upper()  # noqa: S324 - the same


def _quoted(raw: bytes) -> bytes:
    r"""Return *raw* as mysqldump writes a string: only what must be escaped is, all other bytes stand as they are."""
    escapes = {0: b"\\0", 10: b"\\n", 13: b"\\r", 26: b"\\Z", 34: b'\\"', 39: b"\\'", 92: b"\\\\"}
    return b"'" + b"".join(escapes.get(byte, bytes([byte])) for byte in raw) + b"'"


SANDBOX = b"/*!999999\\- enable the sandbox mode */ \n"


def _create(name: str) -> bytes:
    return (
        f"-- MySQL dump 10.19  Distrib 10.3.39-MariaDB\n--\n-- Host: localhost    Database: {name}\n"
        "-- ------------------------------------------------------\n/*!40101 SET NAMES utf8mb4 */;\n\n"
        f"--\n-- Current Database: `{name}`\n--\n\n"
        f"CREATE DATABASE /*!32312 IF NOT EXISTS*/ `{name}`"
        " /*!40100 DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci */;\n\n"
        f"USE `{name}`;\n"
    ).encode()


def _body(name: str, blob: bytes, *, definer: str = "", collation: str = "utf8mb4_unicode_ci") -> bytes:
    """Return the body of a dump; the texts in it look like what a client would obey, and are none of it."""
    texts = (
        "plain",
        "it's; quoted\\",
        "\\! touch /tmp/owned-by-dump\n\\u mysql",
        "USE mysql;\nDROP DATABASE x;",
        "gr\xfcn \N{SNOWMAN}",
        ") COLLATE=utf8mb4_0900_ai_ci DEFINER=`root`@`localhost`",
    )
    rows = b",".join(b"(%d,%s)" % (number, _quoted(text.encode())) for number, text in enumerate(texts, 1))
    content = (
        b"-- MySQL dump 10.19  Distrib 10.3.39-MariaDB\n/*!40101 SET NAMES utf8mb4 */;\n"
        b"DROP TABLE IF EXISTS `notes`;\nCREATE TABLE `notes` (\n  `id` int(11) NOT NULL AUTO_INCREMENT,\n"
        b"  `text` text DEFAULT NULL,\n  PRIMARY KEY (`id`)\n"
        b") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=%s;\n"
        b"LOCK TABLES `notes` WRITE;\nINSERT INTO `notes` VALUES %s;\nUNLOCK TABLES;\n"
        b"DROP TABLE IF EXISTS `pictures`;\nCREATE TABLE `pictures` (\n  `id` int(11) NOT NULL,\n"
        b"  `picture` longblob\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;\n"
        b"INSERT INTO `pictures` VALUES (1,_binary %s);\n"
    ) % (collation.encode(), rows, _quoted(blob))
    if definer:
        content += (
            b"/*!50001 CREATE ALGORITHM=UNDEFINED DEFINER=`%s`@`localhost` SQL SECURITY DEFINER"
            b" VIEW `titles` AS SELECT `text` FROM `notes` */;\n"
        ) % definer.encode()
    return content + f"-- Dump completed: {name}\n".encode()


def mysql(who: Who, *, is_hex: bool = True, has_panel: bool = True) -> Share:
    """Databases and their users; *is_hex*: how the hashes stand in JSON, *has_panel*: with one of the panel's own."""
    blob = bytes(range(256)) * 8 + who.randbytes(5000, "blob")
    names = [f"{who.user}_{suffix}" for suffix in ("wp", "shop_1", "packed")]
    rows = {"notes": 6, "pictures": 1}
    members = [
        _top(f"mysql/{names[0]}.create", _create(names[0]), 0o600),
        _top(f"mysql/{names[0]}.sql", SANDBOX + _body(names[0], blob, definer=f"{who.user}_wp"), 0o600),
        _top(f"mysql/{names[1]}.create", _create(names[1]), 0o600),
        _top(f"mysql/{names[1]}.sql", _body(names[1], blob, collation="utf8mb4_0900_ai_ci"), 0o600),
        _top(f"mysql/{names[2]}.create", _create(names[2]), 0o600),
        _top(f"mysql/{names[2]}.sql.gz", gzip.compress(_body(names[2], blob), mtime=0), 0o600),
    ]
    if has_panel:
        members.append(_top("mysql/roundcube.sql", "-- The panel's own.\n", 0o600))
    users = [
        _mysql_user(who.user, ACCOUNT_PASSWORD, ("localhost",), ()),
        _mysql_user(names[0], DATABASE_PASSWORD, ("localhost", "192.0.2.7", "%.example.org"), (names[0],)),
        _mysql_user(names[1], f"{DATABASE_PASSWORD}'\\", ("localhost",), (names[1], names[2])),
    ]
    members.append(_top("mysql.sql", _grants(who, users), 0o600))
    members.append(_top("mysql.sql-auth.json", _auth(users, is_hex=is_hex), 0o600))
    databases = tuple(Database(MYSQL, name, rows, blob) for name in names)
    return Share(tuple(members), databases=databases, database_users=tuple(users))


def _mysql_user(name: str, password: str, hosts: tuple[str, ...], databases: tuple[str, ...]) -> DatabaseUser:
    return DatabaseUser(MYSQL, name, password, mysql_hash(password), hosts, databases)


def _grants(who: Who, users: list[DatabaseUser]) -> str:
    lines = ["-- cPanel mysql backup\n"]
    for user in users:
        for host in user.hosts:
            account = f"'{user.name}'@'{host}'"
            lines.append(f"GRANT USAGE ON *.* TO {account} IDENTIFIED BY PASSWORD '{user.secret}';\n")
            for database in user.databases:
                escaped = database.replace("_", "\\_")
                lines.append(f"GRANT ALL PRIVILEGES ON `{escaped}`.* TO {account};\n")
            if user.name == who.user:
                lines.append(f"GRANT ALL PRIVILEGES ON `{who.user}\\_%`.* TO {account};\n")
    return "".join(lines)


def _auth(users: list[DatabaseUser], *, is_hex: bool) -> str:
    def shown(secret: str) -> str:
        return secret.encode().hex().upper() if is_hex else secret

    entry = {"auth_plugin": "mysql_native_password"}
    return _json(
        {user.name: {host: {**entry, "pass_hash": shown(user.secret)} for host in user.hosts} for user in users}
    )


@lru_cache(maxsize=1)
def _pg_stand_in() -> bytes:
    """Return what looks like a dump of pg_dump in its tar form, a tar archive itself, and cannot be loaded."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in (
            ("toc.dat", b"PGDMP\x01\x0e\x00stand-in"),
            ("1.dat", b"1\tone\n\\.\n"),
            ("restore.sql", b"--\n"),
        ):
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    return stream.getvalue()


def postgresql(who: Who, *, dump: bytes = b"", is_inside: bool = False) -> Share:
    """A database and its user; *dump* is what pg_dump wrote, *is_inside*: users and grants lie in ``psql``."""
    name = f"{who.user}_pg"
    secret = "md5" + hashlib.md5(f"{DATABASE_PASSWORD}{name}".encode()).hexdigest()  # noqa: S324 - as PostgreSQL does
    users, grants = (
        ("psql/1psql_users.sql", "psql/psql_grants.sql") if is_inside else ("psql_users.sql", "psql_grants.sql")
    )
    return Share(
        (
            _top(f"psql/{name}.tar", dump or _pg_stand_in(), 0o600),
            _top(users, f"CREATE USER \"{name}\" WITH PASSWORD '{secret}';\n", 0o600),
            _top(grants, f'GRANT ALL ON DATABASE "{name}" TO "{name}";\n', 0o600),
        ),
        databases=(Database(POSTGRESQL, name, {}),),
        database_users=(DatabaseUser(POSTGRESQL, name, DATABASE_PASSWORD, secret, (), (name,)),),
    )


# -- mail


def _message(who: Who, number: int) -> bytes:
    head = f"From: someone@example.org\r\nTo: info@{who.domain}\r\nSubject: message {number}\r\n"
    return f"{head}\r\n{who.randbytes(60, f'message {number}').hex()}\r\n".encode()


def _maildir(who: Who, top: str, *, first: int = 1, has_index: bool = True) -> list[Member]:
    """Return a Maildir++ with a folder below a folder, whose messages are packed in part."""
    members = [
        _home(who, f"{top}/{folder}{place}", b"", 0o751, DIRECTORY)
        for folder in ("", ".Sent/", ".Lists.cooking/")
        for place in ("cur", "new", "tmp")
    ]
    places = ("cur", "new", ".Sent/cur", ".Lists.cooking/cur")
    for number, place in enumerate(places, first):
        raw = _message(who, number)
        flags = "" if place == "new" else ":2,S"
        name = f"{_EPOCH + number}.M{number}P77.server1.example.org,S={len(raw)},W={len(raw)}{flags}"
        packed = gzip.compress(raw, mtime=0) if number % 2 else raw
        members.append(_home(who, f"{top}/{place}/{name}", packed, 0o660))
    members.append(_home(who, f"{top}/maildirsize", "0S,0C\n400 4\n", 0o600))
    members.append(_home(who, f"{top}/.Sent/maildirfolder", b"", 0o600))
    if has_index:
        names = ("dovecot.index", "dovecot.index.log", "dovecot.index.cache", "dovecot-uidlist", "dovecot-keywords")
        members += [_home(who, f"{top}/{folder}{name}", b"index", 0o660) for folder in ("", ".Sent/") for name in names]
        members.append(_home(who, f"{top}/dovecot-uidvalidity", b"5f3a0001", 0o660))
        members.append(_home(who, f"{top}/dovecot-uidvalidity.5f3a0001", b"", 0o444))
        members.append(_home(who, f"{top}/dovecot.list.index.log", b"index", 0o660))
    return members


def _box(who: Who, local: str, domain: str, *, is_suspended: bool = False, quota: int | None = None) -> Mailbox:
    home = f"{who.home}/mail/{domain}/{local}"
    return Mailbox(
        local,
        domain,
        MAIL_PASSWORD,
        f"{local}:x:{who.uid}:{who.uid}::{home}:{who.home}\n".encode(),
        f"{local}:{'*LOCKED*' if is_suspended else ''}{MAIL_CRYPT}:18500::::::\n".encode(),
        f"{local}:{quota}\n".encode() if quota is not None else None,
    )


def own_mail(who: Who, *, has_index: bool = True) -> Share:
    """The mail of the account itself, which lies beside its domains: a Maildir, and what is left of older forms."""
    members = _maildir(who, "mail", first=100, has_index=has_index)
    members.append(_home(who, "mail/mailbox_format.cpanel", "maildir", 0o640))
    members.append(_home(who, "mail/inbox", b"From someone Thu Jan  1 00:00:00 2015\nSubject: old\n\nOld.\n", 0o660))
    return Share(tuple(members))


def mail(who: Who) -> Share:
    """Mailboxes of the main domain in each form, one suspended, one without lines, one with lines and nothing else."""
    domain = who.domain
    boxes = (
        _box(who, "info", domain, quota=262_144_000),
        _box(who, "locked", domain, is_suspended=True),
        _box(who, "mdbox", domain, quota=0),
        _box(who, "oldbox", domain),
        _box(who, "empty.box+tag", domain, quota=1),
        Mailbox("orphan", domain),
    )
    members = [
        *_maildir(who, f"mail/{domain}/info"),
        *_maildir(who, f"mail/{domain}/locked", first=20, has_index=False),
        _home(who, f"mail/{domain}/mdbox/mailbox_format.cpanel", "mdbox", 0o640),
        _home(who, f"mail/{domain}/mdbox/storage/m.1", who.randbytes(3000, "mdbox"), 0o600),
        _home(who, f"mail/{domain}/mdbox/storage/dovecot.map.index", b"map", 0o600),
        _home(who, f"mail/{domain}/mdbox/mailboxes/INBOX/dbox-Mails/dovecot.index", b"index", 0o600),
        _home(who, f"mail/{domain}/oldbox/inbox", b"From a b\nSubject: mbox\n\nText.\n", 0o660),
        _home(who, f"mail/{domain}/orphan/cur/1.M1P1.host:2,", b"Subject: orphan\r\n\r\n", 0o660),
        _home(who, f"mail/.info@{domain.replace('.', '_')}", kind=SYMLINK, target=f"{domain}/info".encode()),
        *_lines(who, domain, boxes, "someone_logs"),
        _home(who, f"etc/{domain}/info/filter", '$header_subject: contains "spam"\n', 0o640),
        _home(who, f"etc/{domain}/info/filter.yaml", "---\nfilter: []\n", 0o640),
        _home(who, f"etc/{domain}/info.rcube.db", b"SQLite format 3\0stand-in", 0o600),
        _home(who, "etc/ftpquota", b"", 0o640),
    ]
    return Share(tuple(members), mailboxes=boxes, mail_domains=(domain,))


def _lines(who: Who, domain: str, boxes: tuple[Mailbox, ...], logs: str) -> Iterator[Member]:
    """Yield the files of a mail domain that have a line a mailbox, and one of *logs*, which is none."""
    logs_line = f"{logs}:x:{who.uid}:{who.uid}::/etc/apache2/logs/domlogs:/bin/false\n".encode()
    yield _home(who, f"etc/{domain}/passwd", b"".join(box.passwd or b"" for box in boxes) + logs_line, 0o644)
    yield _home(who, f"etc/{domain}/shadow", b"".join(box.shadow or b"" for box in boxes), 0o640)
    yield _home(who, f"etc/{domain}/quota", b"".join(box.quota or b"" for box in boxes), 0o640)


def mail_domains(who: Who, others: tuple[str, ...]) -> Share:
    """Where mail for whole domains goes: aliases, forwards, filters and autoresponders."""
    domain = who.domain
    text = f"From: info@{domain}\nSubject: Away\nContent-type: text/plain; charset=utf-8\n\nI am away.\n"
    members = [
        _top(
            f"va/{domain}",
            f"sales@{domain}: info@{domain},someone@example.org\n"
            f'info@{domain}: info@{domain},"|/usr/local/cpanel/bin/autorespond info@{domain} {who.home}/.autorespond"\n'
            f'news@{domain}: "|/usr/local/cpanel/3rdparty/mailman/mail/mailman post news_{domain}"\n'
            "*: :fail: No Such User Here\n",
            0o640,
        ),
        _top(f"vad/{domain}", "forwarded.example.net: example.net\n", 0o640),
        _top(f"vf/{domain}", "# Exim filter\n", 0o640),
        _top("meta/mailserver", "dovecot\n"),
        _home(who, f".autorespond/info@{domain}", text),
        _home(who, f".autorespond/info@{domain}.json", _json({"start": 1600000000, "stop": 1700000000})),
    ]
    for other in others:
        members += [_top(f"va/{other}", "*: :blackhole:\n", 0o640), _top(f"vf/{other}", "", 0o640)]
    return Share(tuple(members), mail_domains=(domain, *others))


def lists(who: Who) -> Share:
    title = f"news_{who.domain}"
    return Share(
        (
            _top(f"mm/{title}/config.pck", b"\x80\x02}q\x00.", 0o660),
            _top(f"mm/{title}/request.pck", b"\x80\x02}.", 0o660),
            _top(f"mma/{title}/index.html", "<h1>Archive</h1>\n"),
            _top(f"mms/{title}/bounced", "", 0o660),
        ),
        lists=(("news", who.domain),),
    )


# -- names, certificates, logins


def zones(names: tuple[str, ...]) -> Share:
    members = []
    for name in names:
        text = (
            f"; cPanel first:11.110.0.5\n$TTL 14400\n@\t86400\tIN\tSOA\tns1.{name}. root.{name}. (\n"
            "\t\t2020091301\t;Serial Number\n\t\t3600\t;refresh\n\t\t1800\t;retry\n\t\t1209600\t;expire\n\t\t86400 )\n"
            f"{name}.\t86400\tIN\tNS\tns1.{name}.\n{name}.\tIN\tA\t192.0.2.10\nwww\tIN\tCNAME\t{name}.\n"
            f'default._domainkey\tIN\tTXT\t"v=DKIM1; k=rsa; p=MIIB"\n'
        )
        members.append(_top(f"dnszones/{name}.db", text))
        members.append(_top(f"domainkeys/private/{name}", _key_text(f"dkim {name}"), 0o640))
        members.append(
            _top(f"domainkeys/public/{name}", "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n", 0o600)
        )
    members.append(_top(f"dnssec_keys/{names[0]}/K{names[0]}.+013+12345.private", "Private-key-format: v1.3\n", 0o640))
    members.append(_top(f"dnssec_keys/{names[0]}/K{names[0]}.+013+12345.key", "IN DNSKEY 257 3 13 AAAA\n", 0o600))
    return Share(tuple(members))


def _key(purpose: str) -> ec.EllipticCurvePrivateKey:
    """Return the private key for *purpose*, the same each time; it protects nothing."""
    number = int.from_bytes(hashlib.sha256(purpose.encode()).digest(), "big") >> 8
    return ec.derive_private_key(number, ec.SECP256R1())


def _key_text(purpose: str, *, is_old: bool = False) -> bytes:
    """Return that key as PEM: in PKCS#8, or labelled with its kind when *is_old*."""
    form = serialization.PrivateFormat.TraditionalOpenSSL if is_old else serialization.PrivateFormat.PKCS8
    return _key(purpose).private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


@cache
def certificate(name: str) -> tuple[bytes, bytes]:
    """Return the certificate of *name* for the key of that purpose, and that of its authority, as PEM.

    The authority signs by Ed25519, whose signatures are the same each time.
    """
    authority = ed25519.Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"authority").digest())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority of tests")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = []
    for who, public, number in ((subject, _key(name).public_key(), 2), (issuer, authority.public_key(), 1)):
        builder = x509.CertificateBuilder(issuer, who, public, number, *_VALID)
        made.append(builder.sign(authority, None).public_bytes(serialization.Encoding.PEM))
    return made[0], made[1]


def certificates(names: tuple[str, ...]) -> Share:
    """One PEM a domain, each in another order, with keys of each label; and what else belongs to certificates."""
    members = []
    for number, name in enumerate(names):
        leaf, authority = certificate(name)
        key = _key_text(name, is_old=number % 2 == 1)
        orders = ((key, leaf, authority), (leaf, authority, key), (leaf, key, authority))
        members.append(_top(f"apache_tls/{name}", b"".join(orders[number % 3]), 0o640))
    members.append(_top("autossl.json", _json({"excluded_domains": []})))
    return Share(tuple(members), certificates=names)


def old_certificates(names: tuple[str, ...]) -> Share:
    """The layout of archives of version 3: keys and certificates in directories of their own."""
    members = []
    for name in names:
        leaf, authority = certificate(name)
        members.append(_top(f"sslcerts/{name}.crt", leaf))
        members.append(_top(f"sslkeys/{name}.key", _key_text(name), 0o640))
        members.append(_top(f"ssl/{name}.cabundle", authority, 0o600))
    return Share(tuple(members), certificates=names)


def cron(who: Who) -> Share:
    lines = (
        'SHELL="/usr/local/cpanel/bin/jailshell"\nMAILTO=""\n# nightly\n'
        f"*/5 * * * * /opt/cpanel/ea-php81/root/usr/bin/php {who.home}/public_html/cron.php\n@daily /bin/true\n"
    )
    return Share((_top(f"cron/{who.user}", lines, 0o600),))


def ftp(who: Who) -> Share:
    def line(login: str, secret: str, home: str, shell: str = "/bin/ftpsh") -> bytes:
        return f"{login}:{secret}:{who.uid}:{who.uid}:{who.user}:{home}:{shell}\n".encode()

    upload = f"upload@{who.domain}"
    accounts = (
        FtpAccount(who.user, ACCOUNT_PASSWORD, line(who.user, ACCOUNT_CRYPT, who.home, "/bin/bash")),
        FtpAccount(upload, FTP_PASSWORD, line(upload, FTP_CRYPT, f"{who.home}/public_html/upload")),
    )
    logs = line(f"{who.user}_logs", ACCOUNT_CRYPT, "/etc/apache2/logs/domlogs")
    return Share((_top("proftpdpasswd", b"".join(one.line for one in accounts) + logs, 0o600),), ftp_accounts=accounts)


# -- the home


def home(who: Who) -> Share:
    """What every home has: its links, a program's configuration with a password in it, and dot files."""
    configuration = (
        f"<?php\ndefine('DB_NAME', '{who.user}_wp');\ndefine('DB_USER', '{who.user}_wp');\n"
        f"define('DB_PASSWORD', '{DATABASE_PASSWORD}');\ndefine('ABSPATH', '{who.home}/public_html/');\n"
    )
    return Share(
        (
            _home(who, "www", kind=SYMLINK, target=b"public_html"),
            _home(who, "access-logs", kind=SYMLINK, target=f"/etc/apache2/logs/domlogs/{who.user}".encode()),
            _home(who, "public_html/index.php", "<?php echo 'Ahoy';\n"),
            _home(who, "public_html/wp-config.php", configuration, 0o600),
            _home(who, "public_html/.htaccess", "Options -Indexes\n"),
            _home(who, "public_html/logo.png", who.randbytes(20_000, "logo")),
            _home(who, ".bashrc", "alias ll='ls -l'\n"),
            _home(who, ".ssh/authorized_keys", "ssh-ed25519 AAAA nobody\n", 0o600),
            _home(who, "ssl/keys/one.key", _key_text("in the home"), 0o600),
            _home(who, "tmp", b"", 0o755, DIRECTORY),
        )
    )


LONGEST_NAME = b"n" * 251 + b".txt"


def oddities(who: Who) -> Share:
    """Whatever a home may hold besides: names, modes, links and sizes that readers stumble over."""
    names = (
        b"what?.txt",
        b"star*.txt",
        b"[set].txt",
        b"back\\slash",
        b"line\nbreak",
        b" blanks ",
        b"-dash",
        b"not \xff\xfe utf-8",
        "gr\xfcn \N{SNOWMAN}".encode(),
        b"tab\there",
        b"~tilde",
        b"%2e%2e",
        LONGEST_NAME,
    )
    deep = b"odd/" + b"/".join([b"level" * 8] * 20) + b"/leaf"  # longer than any field of a header
    members = [_home(who, b"odd/" + name, name) for name in names]
    members += [
        _home(who, deep, b"deep"),
        _home(who, "odd/empty directory", b"", 0o700, DIRECTORY),
        _home(who, "odd/empty file", b""),
        _home(who, b"odd/" + b"d" * 255 + b"/inside", b"inside"),
        _home(who, "odd/setuid", "#!/bin/sh\n", 0o4755),
        _home(who, "odd/setgid", "#!/bin/sh\n", 0o2755),
        _home(who, "odd/unreadable", "secret", 0o000),
        _home(who, "odd/block", who.randbytes(512, "block")),
        _home(who, "odd/first name", who.randbytes(5000, "links"), 0o640),
        _home(who, "odd/sparse", Sparse(3 * MIB + 77, ((0, b"head"), (MIB, b"middle" * 100), (2 * MIB, b"tail" * 50)))),
        _home(who, "odd/hole", Sparse(MIB)),
        _home(who, "odd/dangling", kind=SYMLINK, target=b"not/there"),
        _home(who, "odd/sibling", kind=SYMLINK, target=b"../public_html/index.php"),
        _home(who, b"odd/\xff link", kind=SYMLINK, target=b"not \xff\xfe utf-8"),
        _home(who, "odd/long link", kind=SYMLINK, target=b"t" * 200),
        _home(who, "odd/outside", kind=SYMLINK, target=b"../" * 12 + b"etc/passwd"),
        _home(who, "odd/absolute", kind=SYMLINK, target=b"/etc/passwd"),
    ]
    first = next(member for member in members if member.name.endswith(b"/first name"))
    for name in (b"homedir/odd/second name", b"homedir/zz/third name"):
        members.append(replace(first, name=name, kind=HARD_LINK, content=b"", target=first.name))
    return Share(tuple(members))


def large(who: Who, size: int = 20 * MIB + 5) -> Share:
    """One file of *size* bytes, which cannot be compressed."""
    return Share((_home(who, "public_html/large.bin", Pattern(size, f"{who.seed}/large")),))


# -- whole accounts

HARBOUR = Who()
OLDTIMER = Who("oldtimer", uid=505)
QUIET = Who("quiet", uid=1300)
ELEPHANT = Who("elephant", uid=1400)
BROKER = Who("broker", uid=1500)
DEBTOR = Who("debtor", uid=1600)
CROWD = Who("crowd", uid=1700)


def small(who: Who = HARBOUR) -> Account:
    """An account with one domain, one database and one mailbox, all names of which fit any form of tar."""
    box = _box(who, "info", who.domain, quota=1_000_000)
    message = _home(who, f"mail/{who.domain}/info/cur/1600000001.M1P1.server1:2,S", _message(who, 1), 0o660)
    name = f"{who.user}_wp"
    user = _mysql_user(name, DATABASE_PASSWORD, ("localhost",), (name,))
    post = Share(
        (message, *_lines(who, who.domain, (box,), f"{who.user}_logs"), _top(f"va/{who.domain}", "*: :fail:\n", 0o640)),
        mailboxes=(box,),
        mail_domains=(who.domain,),
    )
    base = Share(
        (
            _top(f"mysql/{name}.create", _create(name), 0o600),
            _top(f"mysql/{name}.sql", _body(name, b"\0'\\"), 0o600),
            _top("mysql.sql", _grants(who, [user]), 0o600),
        ),
        databases=(Database(MYSQL, name, {"notes": 6, "pictures": 1}, b"\0'\\"),),
        database_users=(user,),
    )
    only = domains_of(who)[:1]
    return joined(who, settings(who), domains(who, only), home(who), base, post, zones((who.domain,)), cron(who))


def everything(who: Who = HARBOUR, *, large_size: int = 0, dump: bytes = b"", is_hex: bool = True) -> Account:
    """An account with all that we know of; a file of *large_size* bytes, and *dump* of pg_dump if wanted."""
    wanted = domains_of(who)
    names = (who.domain, "example.net", "example.org")
    return joined(
        who,
        settings(who, more={"DNS1": "example.net"}),
        domains(who, wanted),
        home(who),
        oddities(who),
        mysql(who, is_hex=is_hex),
        postgresql(who, dump=dump),
        own_mail(who),
        mail(who),
        mail_domains(who, tuple(one.name for one in wanted[1:])),
        lists(who),
        zones(names),
        certificates((who.domain, "example.net", f"shop.{who.domain}")),
        old_certificates((who.domain,)),
        cron(who),
        ftp(who),
        suspension(who),
        reselling(who),
        team(who),
        unknown(),
        large(who, large_size) if large_size else Share(),
    )


def old(who: Who = OLDTIMER) -> Account:
    """An account as archives of version 3 have it: no ``userdata``, keys beside certificates, a line as ``shadow``."""
    return joined(
        who,
        settings(who, archive_version=3, shadow=f"{who.user}:{OLD_CRYPT}:14000:0:99999:7:::"),
        domains(who, domains_of(who), has_userdata=False, has_cache=False),
        home(who),
        mysql(who, is_hex=False),
        own_mail(who),
        old_certificates((who.domain,)),
        zones((who.domain,)),
        cron(who),
        ftp(who),
    )


def home_only(who: Who = HARBOUR) -> Account:
    """What a user gets who asks for a backup of the home directory alone: neither ``cp`` nor ``mysql``."""
    marks = Share((_home(who, ".cpanel/datastore/quota_-v", "1024\n", 0o600), _home(who, ".lastlogin", "192.0.2.1\n")))
    shares = (home(who), oddities(who), own_mail(who, has_index=False), marks)
    whole = joined(who, *shares)
    begin = len(b"homedir/")
    members = [
        replace(one, name=one.name[begin:], target=one.target[begin:] if one.kind == HARD_LINK else one.target)
        for one in whole.members
        if one.name.startswith(b"homedir/")
    ]
    return replace(whole, members=tuple(members), is_home_only=True)


def no_mail(who: Who = QUIET) -> Account:
    """An account without any mail."""
    only = domains_of(who)[:1]
    return joined(who, settings(who), domains(who, only), home(who), mysql(who), zones((who.domain,)))


def postgres(who: Who = ELEPHANT, *, dump: bytes = b"") -> Account:
    """An account whose one database is of PostgreSQL, with its users beside the dump."""
    only = domains_of(who)[:1]
    return joined(who, settings(who), domains(who, only), home(who), postgresql(who, dump=dump, is_inside=True))


def reseller(who: Who = BROKER) -> Account:
    """An account that sells accounts."""
    return joined(who, settings(who), domains(who, domains_of(who)), home(who), reselling(who), team(who))


def suspended(who: Who = DEBTOR) -> Account:
    """An account that was suspended."""
    more = {"SUSPENDED": "1", "SUSPENDTIME": "1600000000"}
    only = domains_of(who)[:1]
    return joined(
        who, settings(who, shadow=f"!!{ACCOUNT_CRYPT}", more=more), domains(who, only), home(who), suspension(who)
    )


def many_files(count: int, size: int = 200, who: Who = CROWD) -> Account:
    """A small account and *count* files of *size* bytes more, a thousand a directory, made while they are written."""
    first = small(who)
    tops = [_home(who, f"public_html/many/{number:05d}", b"", 0o755, DIRECTORY) for number in range(-(-count // 1000))]
    above = _home(who, "public_html/many", b"", 0o755, DIRECTORY)

    def make(number: int) -> Member:
        name = f"public_html/many/{number // 1000:05d}/{number:08d}.html"
        content = Pattern(size, f"{who.seed}/{number}") if size > MIB else f"{number:08d}".encode() * (size // 8 + 1)
        return _home(who, name, content[:size] if isinstance(content, bytes) else content)

    return replace(first, members=Lazy((*first.members, above, *tops), count, make))


#: Every account that is small enough to be held, by name.
ACCOUNTS: dict[str, t.Callable[[], Account]] = {
    "small": small,
    "everything": everything,
    "old": old,
    "home_only": home_only,
    "no_mail": no_mail,
    "postgres": postgres,
    "reseller": reseller,
    "suspended": suspended,
}
