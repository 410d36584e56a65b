# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a restore must make of an account: its parts, and the tree that each of them leaves below the target.

It knows the account from how it was made, and nothing of the code under test.
"""

from __future__ import annotations

import hashlib
import os
import stat
import typing as t
from dataclasses import dataclass, field

from tests.cpanel.accounts import (
    DIRECTORY,
    FILE,
    HARD_LINK,
    MYSQL,
    SYMLINK,
    Account,
    Member,
    digest_of,
    size_of,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cpanel.accounts import Content

FILES, DATABASE, DATABASE_USER, MAILBOX, MAIL_DOMAIN = "files", "database", "database_user", "mailbox", "mail_domain"
MAILING_LIST, DOMAIN, DNS_ZONE, CERTIFICATE = "mailing_list", "domain", "dns_zone", "certificate"
CRON, FTP_ACCOUNT, SETTINGS = "cron", "ftp_account", "settings"
HOME, OTHERS = "/", "parts:/files"  # the names of the two parts of kind `files`

PartKey = tuple[str, str]


@dataclass(frozen=True)
class Statements:
    """SQL that was made anew: text that must be in it, and text that must be in no line but a comment."""

    holds: tuple[str, ...]
    lacks: tuple[str, ...] = ("GRANT OPTION", "%`")

    def is_met_by(self, content: bytes) -> bool:
        text = content.decode()
        lines = [line for line in text.splitlines() if not line.startswith("--")]
        return all(wanted in text for wanted in self.holds) and not any(
            foreign in line for foreign in self.lacks for line in lines
        )


class Strung(t.NamedTuple):
    """The content of several members, one after the other."""

    contents: tuple[bytes, ...]


class Node(t.NamedTuple):
    """What must be at a path: the kind, the content or a link's target, the mode and the time in seconds.

    None is what no member tells of and anything may be. A file that was a hard link is one of its own.
    """

    kind: str
    content: Content | Strung | Statements = b""
    mode: int | None = None
    mtime: int | None = None


Tree = dict[bytes, Node]


@dataclass(frozen=True)
class Expected:
    """What is expected of an account.

    *parts* has the tree of each part, by kind and name; paths are below the target, without a slash in front. *paths*
    says of each member where it stands; *shared* are the members that stand in several parts, *read* those of which
    other files are made, *skipped* those that a note tells of, *left_out* those that stand nowhere and need no word.
    """

    parts: dict[PartKey, Tree] = field(default_factory=dict)
    paths: dict[bytes, list[bytes]] = field(default_factory=dict)
    shared: set[bytes] = field(default_factory=set)
    read: set[bytes] = field(default_factory=set)
    skipped: dict[bytes, str] = field(default_factory=dict)
    left_out: dict[bytes, str] = field(default_factory=dict)

    @property
    def tree(self) -> Tree:
        """Return what a restore of all parts leaves."""
        return {path: node for tree in self.parts.values() for path, node in tree.items()}


class Seat(t.NamedTuple):
    """Where a member stands: its part, and its path in the directory of the part; *mode* is the most it keeps."""

    kind: str
    name: str
    rest: bytes
    mode: int = 0o777


def top_of(kind: str, name: str) -> bytes:
    """Return the directory below the target that holds the part *kind*, *name*."""
    if kind == FILES:
        return b"files" if name == HOME else b"other"
    return os.fsencode(f"{kind}/{name}")


_INDEX_PREFIXES = (b"dovecot.index", b"dovecot.list.index", b"dovecot-uid", b"dovecot-keywords", b"dovecot.mailbox.log")
_MDBOX = {b"storage", b"mailboxes"}
_READ = {
    *(b"mysql.sql", b"mysql.sql-auth.json", b"psql_users.sql", b"psql_grants.sql", b"proftpdpasswd"),
    *(b"psql/1psql_users.sql", b"psql/psql_grants.sql"),
}
_SETTINGS = {
    *(b"cp", b"meta", b"quota", b"shell", b"shadow", b"digestshadow", b"userconfig", b"version", b"homedir_paths"),
    *(b"packaged_in_version", b"suspended", b"suspendinfo", b"locale", b"team"),
    *(b"resellerconfig", b"resellerpackages", b"resellerfeatures"),
}
#: Directories of which nothing is left but what lies in them, by the depth down to which that holds.
_HOLDERS = {
    **dict.fromkeys((b"mysql", b"psql", b"va", b"vad", b"vf", b"mm", b"mma", b"mms", b"userdata", b"dnszones"), 1),
    **dict.fromkeys((b"dnssec_keys", b"apache_tls", b"cron"), 1),
    b"domainkeys": 2,
}
_PRIVATE = 0o600


class _Sorter:
    """Knows the seats of members of one account."""

    def __init__(self, account: Account) -> None:
        self._user = account.user
        self._domains = [domain.name for domain in account.domains]
        self._certificates = [*dict.fromkeys(account.certificates)]
        self._mail_domains = [*dict.fromkeys(account.mail_domains)]
        self._boxes = {box.address for box in account.mailboxes}
        self._lists = {f"{name}_{domain}": f"{name}@{domain}" for name, domain in account.lists}
        self._databases = {database.name for database in account.databases}
        names = {member.name for member in account.members}
        self._unpacked = {f"{name}.sql" for name in self._databases if os.fsencode(f"mysql/{name}.sql") in names}
        lines = [
            f"homedir/etc/{domain}/{name}" for domain in self._mail_domains for name in ("passwd", "shadow", "quota")
        ]
        #: The members of which other files are made, and which stand nowhere themselves.
        self.read = set() if account.is_home_only else _READ | {os.fsencode(name) for name in lines}

    def seats(self, member: Member) -> list[Seat]:
        """Return the seats of *member*; none if it stands nowhere as it is."""
        names = member.name.split(b"/")
        if names[0] == b"homedir":
            return self._of_home(names[1:])
        if member.kind == DIRECTORY and len(names) <= _HOLDERS.get(names[0], 0):
            return []
        found = self._of_top(names, member.name)
        return found or [Seat(FILES, OTHERS, member.name)]

    def _of_home(self, names: list[bytes]) -> list[Seat]:
        rest = b"/".join(names)
        if names[:1] == [b"mail"]:
            return self._of_mail(names[1:])
        if names[:1] == [b"etc"] and len(names) > 2:
            box = f"{os.fsdecode(names[2])}@{os.fsdecode(names[1])}"
            owner = box.replace(".rcube.db@", "@")
            if box in self._boxes:
                return [Seat(MAILBOX, box, b"/".join((b"etc", *names[3:])))]
            if owner in self._boxes:
                return [Seat(MAILBOX, owner, b"etc/" + names[2])]
        if names[:1] == [b".autorespond"] and len(names) == 2:
            local, _at, domain = names[1].partition(b"@")
            ending = b".json" if domain.endswith(b".json") else b""
            return [Seat(MAIL_DOMAIN, os.fsdecode(domain.removesuffix(b".json")), b"autorespond/" + local + ending)]
        return [Seat(FILES, HOME, rest)]

    def _of_mail(self, names: list[bytes]) -> list[Seat]:
        if not names or (names[-1].startswith(_INDEX_PREFIXES) and not _MDBOX.intersection(names)):
            return []
        if os.fsdecode(names[0]) not in self._mail_domains:
            return [Seat(MAILBOX, self._user, b"/".join((b"Maildir", *names)))]
        if len(names) == 1:
            return []
        return [Seat(MAILBOX, os.fsdecode(b"@".join((names[1], names[0]))), b"/".join((b"Maildir", *names[2:])))]

    def _of_top(self, names: list[bytes], name: bytes) -> list[Seat]:
        first, rest = names[0], b"/".join(names[1:])
        title = os.fsdecode(names[1]) if len(names) > 1 else ""
        if first in _SETTINGS:
            own = Seat(SETTINGS, self._user, name, _PRIVATE if first in (b"shadow", b"digestshadow") else 0o777)
            is_shared = name == b"meta/mailserver"
            return [own, *(Seat(MAIL_DOMAIN, one, b"mailserver") for one in self._mail_domains if is_shared)]
        if first in (b"addons", b"sds", b"sds2", b"pds", b"ips") or name in (b"userdata/main", b"userdata/cache.json"):
            return [Seat(DOMAIN, one, name) for one in self._domains]
        if first in (b"ssl", b"sslcerts", b"sslkeys", b"autossl.json"):
            mode = _PRIVATE if first in (b"ssl", b"sslkeys") else 0o777
            return [Seat(CERTIFICATE, one, name, mode) for one in self._certificates]
        if first == b"userdata":
            return [Seat(DOMAIN, one, name) for one in self._domains if rest in _settings_of(one)]
        if first in (b"mysql", b"psql"):
            return self._of_databases(first, rest)
        if first in (b"mm", b"mma", b"mms"):
            names = [names[0], os.fsencode(self._lists[title]), *names[2:]]
        return _of_names(first, names[1:])

    def _of_databases(self, first: bytes, rest: bytes) -> list[Seat]:
        for name in sorted(self._databases):
            raw = os.fsencode(name)
            if rest == raw + b".create" and f"{name}.sql" in self._unpacked:
                return [Seat(DATABASE, name, raw + b".sql")]
            if rest in [
                raw + ending for ending in ((b".create", b".sql", b".sql.gz") if first == b"mysql" else (b".tar",))
            ]:
                return [Seat(DATABASE, name, rest)]
        return []


def _of_names(first: bytes, names: list[bytes]) -> list[Seat]:
    """Return the seat of what is called as that which it belongs to, *names* below the directory *first*."""
    if not names:
        return []
    title, below = os.fsdecode(names[0]), b"/".join((first, *names[1:]))
    found = {
        b"va": Seat(MAIL_DOMAIN, title, first),
        b"vad": Seat(MAIL_DOMAIN, title, first),
        b"vf": Seat(MAIL_DOMAIN, title, first),
        b"mm": Seat(MAILING_LIST, title, below),
        b"mma": Seat(MAILING_LIST, title, below),
        b"mms": Seat(MAILING_LIST, title, below),
        b"dnszones": Seat(DNS_ZONE, title.removesuffix(".db"), names[0]),
        b"dnssec_keys": Seat(DNS_ZONE, title, below, _PRIVATE),
        b"domainkeys": Seat(DNS_ZONE, os.fsdecode(names[-1]), first + b"/" + names[0], _PRIVATE),
        b"apache_tls": Seat(CERTIFICATE, title, names[0] + b".pem", _PRIVATE),
        b"cron": Seat(CRON, title, b"crontab"),
    }
    return [found[first]] if first in found else []


def _settings_of(domain: str) -> tuple[bytes, ...]:
    """Return the names below ``userdata`` of the settings of *domain*."""
    return tuple(os.fsencode(domain + ending) for ending in ("", "_SSL", ".php-fpm.yaml"))


def expected_of(account: Account) -> Expected:
    """Return what is expected of a sound backup of *account*, in whatever form it is."""
    expected = Expected()
    sorter = _Sorter(account)
    members = {member.name: member for member in account.members}
    for member in account.members:
        if member.name in sorter.read:
            expected.read.add(member.name)
            continue
        seats = [Seat(FILES, HOME, member.name)] if account.is_home_only else sorter.seats(member)
        refusal = _refusal_of(member, seats)
        if refusal:
            expected.skipped[member.name] = refusal
            continue
        if not seats:
            why = "it holds other things" if member.kind == DIRECTORY else "the server makes it anew"
            expected.left_out[member.name] = why
            continue
        if len({seat[:2] for seat in seats}) > 1:
            expected.shared.add(member.name)
        for seat in seats:
            path = _joined(top_of(seat.kind, seat.name), seat.rest)
            expected.paths.setdefault(member.name, []).append(path)
            _put(expected.parts.setdefault(seat[:2], {}), path, _node_of(member, members, seat))
    for key, rest, content in _made(account):
        path = _joined(top_of(*key), rest)
        _put(expected.parts.setdefault(key, {}), path, Node(FILE, content, _PRIVATE))
    return expected


def _joined(top: bytes, rest: bytes) -> bytes:
    return top + b"/" + rest if rest else top


def _put(tree: Tree, path: bytes, node: Node) -> None:
    """Put *node* into *tree*; the second half of a dump is strung to the first, which comes before it by name."""
    before = tree.get(path)
    if before is None:
        tree[path] = node
        return
    assert path.startswith(b"database/"), path
    assert isinstance(before.content, bytes), path
    assert isinstance(node.content, bytes), path
    tree[path] = Node(FILE, Strung((before.content, node.content)))


def _refusal_of(member: Member, seats: list[Seat]) -> str:
    """Return why *member* must not be restored, or nothing."""
    if member.kind not in (FILE, DIRECTORY, SYMLINK, HARD_LINK):
        return "it is a device or a pipe"
    if member.kind != SYMLINK:
        return ""
    if member.target.startswith(b"/"):
        return "it is a link to an absolute path"
    for seat in seats:
        above = _joined(top_of(seat.kind, seat.name), seat.rest).rpartition(b"/")[0]
        if os.path.normpath(above + b"/" + member.target).startswith(b".."):
            return "it is a link out of the target"
    return ""


def _node_of(member: Member, members: dict[bytes, Member], seat: Seat) -> Node:
    if member.kind == SYMLINK:
        return Node(SYMLINK, member.target, None, member.mtime)
    if member.kind == DIRECTORY:
        return Node(DIRECTORY, b"", member.mode if seat.mode != _PRIVATE else None, member.mtime)
    content = members[member.target].content if member.kind == HARD_LINK else member.content
    return Node(FILE, content, member.mode & 0o777 & seat.mode, member.mtime)


def _made(account: Account) -> Iterator[tuple[PartKey, bytes, Content | Statements]]:
    """Yield the files that are made anew: the part, the path in it and the content."""
    for box in account.mailboxes:
        for rest, line in ((b"passwd", box.passwd), (b"shadow", box.shadow), (b"quota", box.quota)):
            if line is not None:
                yield (MAILBOX, box.address), rest, line
    for user in account.database_users:
        hosts = user.hosts if user.kind == MYSQL else ()
        ending = "sql" if user.kind == MYSQL else "psql.sql"
        yield (
            (DATABASE_USER, user.name),
            os.fsencode(f"{user.name}.{ending}"),
            Statements((user.secret, user.name, *hosts)),
        )
    for login in account.ftp_accounts:
        yield (FTP_ACCOUNT, login.login), b"proftpdpasswd", login.line


# -- what is there


def differences(top: Path, wanted: Tree) -> list[str]:
    """Return in what the tree below *top* differs from *wanted*, one sentence each; names are shown as Python has them.

    Directories above what is wanted may be there.
    """
    found = {}
    for directory, directories, files in os.walk(os.fsencode(top)):
        for name in (*directories, *files):
            path = directory + b"/" + name
            found[os.path.relpath(path, os.fsencode(top))] = path
    above = {path[:at] for path in wanted for at in range(len(path)) if path[at : at + 1] == b"/"}
    sentences = [f"{path!r} is there" for path in sorted(found.keys() - wanted.keys() - above)]
    for path, node in sorted(wanted.items()):
        if path not in found:
            sentences.append(f"{path!r} is missing")
        else:
            sentences += [f"{path!r}: {what}" for what in _unlike(found[path], node)]
    return sentences


def _unlike(path: bytes, node: Node) -> Iterator[str]:
    """Yield in what *path* is not as *node* says."""
    status = os.lstat(path)
    kinds = {stat.S_IFREG: FILE, stat.S_IFDIR: DIRECTORY, stat.S_IFLNK: SYMLINK}
    kind = kinds.get(stat.S_IFMT(status.st_mode), "?")
    mode = stat.S_IMODE(status.st_mode)
    if kind != node.kind:
        yield f"it is of kind {kind}, not {node.kind}"
        return
    if kind == SYMLINK:
        if os.readlink(path) != node.content:  # noqa: PTH115 - names that are no text
            yield f"it points to {os.readlink(path)!r}, not {node.content!r}"  # noqa: PTH115 - the same
    elif node.mode is not None and mode != node.mode:
        yield f"its mode is {mode:o}, not {node.mode:o}"
    if node.mtime is not None and status.st_mtime_ns != node.mtime * 10**9:
        yield f"its time is {status.st_mtime_ns}, not {node.mtime} s"
    if kind == FILE:
        if not mode & stat.S_IRUSR:
            os.chmod(path, mode | stat.S_IRUSR)  # noqa: PTH101 - names that are no text
        if not _has(path, status.st_size, node.content):
            yield f"its content of {status.st_size:,} bytes is another one"
        if not mode & stat.S_IRUSR:
            os.chmod(path, mode)  # noqa: PTH101 - the same


def _has(path: bytes, size: int, content: Content | Strung | Statements) -> bool:
    """Tell whether the file *path* of *size* bytes has *content*."""
    with open(path, "rb") as file:  # noqa: PTH123 - names that are no text
        if isinstance(content, Statements):
            return content.is_met_by(file.read())
        if isinstance(content, Strung):
            return file.read() == b"".join(content.contents)
        return size == size_of(content) and hashlib.file_digest(file, "sha256").hexdigest() == digest_of(content)
