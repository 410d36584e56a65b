# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which part of an account a member of its backup belongs to, and where it stands in a listing.

Source: cPanel's knowledge base, "Backup tarball contents", and what importers of such archives read.
"""

from __future__ import annotations

import re
import typing as t

from ..native.entries import DATABASE, DUMPS, FILES, path_bytes, path_text

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .metadata import Account

DATABASE_USER, MAILBOX, MAIL_DOMAIN, MAILING_LIST = "database_user", "mailbox", "mail_domain", "mailing_list"
DOMAIN, DNS_ZONE, CERTIFICATE, CRON = "domain", "dns_zone", "certificate", "cron"
FTP_ACCOUNT, SETTINGS = "ftp_account", "settings"
HOME = "/"  # the name of the part that the home directory is
OTHERS = DUMPS + b"files"  # where members stand that belong to nothing else, and the name of the part that they are

_ANY, _PRIVATE = 0o777, 0o600
_DOVECOT = re.compile(rb"dovecot(?:\.index|\.list\.index|\.mailbox\.log|-uidlist|-uidvalidity|-keywords|-quota)")
_MDBOX = frozenset((b"storage", b"mailboxes", b"dbox-Mails"))
_LINES = frozenset((b"passwd", b"shadow", b"quota"))
#: What is read, and gives the parts that are lines or statements; as it is, it stands nowhere.
_SOURCES = frozenset((b"proftpdpasswd", b"mysql.sql", b"mysql.sql-auth.json", b"psql_users.sql", b"psql_grants.sql"))
_SOURCE_OF_POSTGRESQL = re.compile(rb"psql/[^/]*psql_(?:users|grants)\.sql")
_OF_DOMAINS = frozenset((b"addons", b"sds", b"sds2", b"pds", b"ips"))
_OF_CERTIFICATES = frozenset((b"ssl", b"sslcerts", b"sslkeys", b"autossl.json"))
_SETTINGS = frozenset(
    b"cp meta quota shell shadow digestshadow userconfig version packaged_in_version suspended suspendinfo locale team"
    b" homedir_paths resellerconfig resellerfeatures resellerpackages".split()
)
_SECRET_SETTINGS = frozenset((b"shadow", b"digestshadow"))
_MAIL_OF_DOMAIN = frozenset((b"va", b"vad", b"vf"))
_LISTS = frozenset((b"mm", b"mma", b"mms"))
#: Directories that only hold what belongs to parts.
_HOLDERS = frozenset(
    b"mysql psql va vad vf mm mma mms userdata dnszones dnssec_keys domainkeys apache_tls cron".split()
)
_PANELS = frozenset((b"roundcube",))  # databases that belong to the panel and not to the account
_UNTITLED = re.compile(r"[\x00-\x1f\x7f/\\]")


class Seat(t.NamedTuple):
    """Where a member stands in a listing: in the part *kind*, *name*, at *path*, with no more of its mode than *mode*.

    *before* is a member whose content comes before its own.
    """

    kind: str
    name: str
    path: bytes
    mode: int = _ANY
    before: bytes | None = None


def seat_path(kind: str, name: str, rest: bytes) -> bytes:
    """Return the path in a listing of *rest* in a part; without *rest*, that of the part."""
    return DUMPS + path_bytes(f"{kind}/{name}") + (b"/" + rest if rest else b"")


def place_below(path: bytes) -> bytes:
    """Return where below a target the entry at *path* of a listing is put: each kind has a directory of its own."""
    if not path.startswith(DUMPS):
        return b"/files" + path.rstrip(b"/")
    if path == OTHERS or path.startswith(OTHERS + b"/"):
        return b"/other" + path[len(OTHERS) :]
    return b"/" + path[len(DUMPS) :]


def of_home(path: str) -> str:
    """Return what a user calls *path*, relative to the home directory or with a slash in front, as listings have it."""
    return path if path.startswith("/") else f"/{path}"


class Sorter:
    """Tells where the members of one backup belong; *has* tells whether there is a member of a name.

    A backup that *is_home_alone* is one part, with the mail in it.
    """

    def __init__(
        self,
        account: Account,
        user: str,
        certificates: tuple[str, ...],
        has: Callable[[bytes], bool],
        *,
        is_home_alone: bool,
    ) -> None:
        self._account = account
        self._user = user
        self._has = has
        self._is_home_alone = is_home_alone
        self._domains = tuple(sorted(account.domains))
        self._mail_domains = tuple(sorted(account.mail_domains))
        self._certificates = certificates
        self._longest_first = sorted(map(path_bytes, account.domains), key=len, reverse=True)

    def seats(self, name: bytes, *, is_directory: bool) -> list[Seat]:
        """Return all seats of the member *name*, below the top directory; none if it stands nowhere as it is."""
        first, _slash, rest = name.partition(b"/")
        if self._is_home_alone and first == b"homedir":
            return [Seat(FILES, HOME, b"/" + rest)]
        if first == b"homedir":
            return self._of_home(rest)
        if (
            first in _SOURCES
            or _SOURCE_OF_POSTGRESQL.fullmatch(name)
            or (is_directory and not rest and first in _HOLDERS)
        ):
            return []
        return [seat for seat in self._of_top(first, rest, name) if not _UNTITLED.search(seat.name)] or (
            [] if is_directory and first in _HOLDERS else [Seat(FILES, path_text(OTHERS), OTHERS + b"/" + name)]
        )

    # -- the home directory

    def _of_home(self, rest: bytes) -> list[Seat]:
        first, _slash, below = rest.partition(b"/")
        seat = None
        if first == b"mail":
            return self._of_mail(below) if below else []
        if first == b"etc" and below:
            seat = self._of_etc(below)
            if seat is None and below.count(b"/") == 1 and below.rpartition(b"/")[2] in _LINES:
                return []
        elif first == b".autorespond" and below:
            seat = self._of_autoresponder(below)
        return [seat if seat is not None else Seat(FILES, HOME, b"/" + rest)]

    def _of_mail(self, below: bytes) -> list[Seat]:
        """Return the seats of what lies in the directory ``mail``: mailboxes by their domain, or the account's own."""
        first, _slash, rest = below.partition(b"/")
        if path_text(first) not in self._account.mail_domains:
            box, inside = self._user, below
        elif not rest:
            return []
        else:
            local, _slash, inside = rest.partition(b"/")
            box = f"{path_text(local)}@{path_text(first)}"
        names = inside.split(b"/")
        if _DOVECOT.match(names[-1]) and not _MDBOX.intersection(names):
            return []  # the server makes them anew
        return [Seat(MAILBOX, box, seat_path(MAILBOX, box, b"Maildir" + (b"/" + inside if inside else b"")))]

    def _of_etc(self, below: bytes) -> Seat | None:
        domain, _slash, rest = below.partition(b"/")
        local, _slash, inside = rest.partition(b"/")
        box = f"{path_text(local)}@{path_text(domain)}"
        if local and box in self._account.mailboxes:
            return Seat(MAILBOX, box, seat_path(MAILBOX, box, b"etc" + (b"/" + inside if inside else b"")))
        owner = f"{path_text(local.partition(b'.rcube.db')[0])}@{path_text(domain)}"
        if b".rcube.db" in local and not inside and owner in self._account.mailboxes:
            return Seat(MAILBOX, owner, seat_path(MAILBOX, owner, b"etc/" + local))
        return None

    @staticmethod
    def _of_autoresponder(below: bytes) -> Seat | None:
        local, _at, domain = below.rpartition(b"@")
        ending = b".json" if domain.endswith(b".json") else b""
        name = path_text(domain[: len(domain) - len(ending)])
        if not local or not name or b"/" in below:
            return None
        return Seat(MAIL_DOMAIN, name, seat_path(MAIL_DOMAIN, name, b"autorespond/" + local + ending))

    # -- what stands beside it

    def _of_top(self, first: bytes, rest: bytes, name: bytes) -> Iterator[Seat]:
        if first in _SETTINGS:
            mode = _PRIVATE if first in _SECRET_SETTINGS else _ANY
            yield Seat(SETTINGS, self._user, seat_path(SETTINGS, self._user, name), mode)
            if name == b"meta/mailserver":
                yield from _shared(MAIL_DOMAIN, self._mail_domains, b"mailserver")
        elif first in _OF_DOMAINS:
            yield from _shared(DOMAIN, self._domains, name)
        elif first in _OF_CERTIFICATES:
            mode = _PRIVATE if first in (b"ssl", b"sslkeys") else _ANY
            yield from _shared(CERTIFICATE, self._certificates, name, mode)
        elif not rest:
            return
        elif first in (b"mysql", b"psql"):
            yield from self._of_databases(first, rest, name)
        elif first in _MAIL_OF_DOMAIN:
            yield from _of_one(MAIL_DOMAIN, rest, first)
        elif first in _LISTS:
            yield from self._of_lists(first, rest)
        elif first == b"userdata":
            yield from self._of_userdata(rest, name)
        else:
            yield from self._of_names(first, rest)

    @staticmethod
    def _of_names(first: bytes, rest: bytes) -> Iterator[Seat]:
        """Yield the seats of what is called as that which it belongs to."""
        title, _slash, inside = rest.partition(b"/")
        if first == b"dnszones" and rest.endswith(b".db"):
            yield from _of_one(DNS_ZONE, rest[:-3], rest)
        elif first == b"dnssec_keys":
            yield from _of_one(DNS_ZONE, title, b"dnssec_keys" + (b"/" + inside if inside else b""), _PRIVATE)
        elif first == b"domainkeys" and inside:
            yield from _of_one(DNS_ZONE, inside, b"domainkeys/" + title, _PRIVATE)
        elif first == b"apache_tls":
            yield from _of_one(CERTIFICATE, title, title + (b"/" + inside if inside else b".pem"), _PRIVATE)
        elif first == b"cron" and not inside:
            yield from _of_one(CRON, title, b"crontab")

    def _of_databases(self, first: bytes, rest: bytes, name: bytes) -> Iterator[Seat]:
        """Yield the seat of a dump; its statement that creates the database comes before it, where that is possible."""
        stem = rest.partition(b".")[0] if first == b"psql" else re.sub(rb"\.(?:create|sql|sql\.gz)$", b"", rest)
        if b"/" in rest or stem in _PANELS:
            return
        whole = b"mysql/" + stem
        if first == b"psql":
            if rest.endswith(b".tar"):
                yield from _of_one(DATABASE, rest[:-4], rest)
        elif rest.endswith(b".sql"):
            create = whole + b".create"
            seat = Seat(DATABASE, path_text(stem), seat_path(DATABASE, path_text(stem), rest))
            yield seat._replace(before=create) if self._has(create) else seat
        elif rest.endswith(b".sql.gz") or (rest.endswith(b".create") and not self._has(whole + b".sql")):
            yield from _of_one(DATABASE, stem, rest)
        elif rest.endswith(b".create"):
            yield Seat(DATABASE, path_text(stem), b"")  # it stands before the dump
        else:
            yield from _of_one(FILES, OTHERS, name)

    def _of_lists(self, first: bytes, rest: bytes) -> Iterator[Seat]:
        names = rest.split(b"/")
        within: list[bytes] = []
        if names[0] in (b"private", b"public") and len(names) > 1:
            within = [names.pop(0)]
        title = names[0][:-5] if names[0].endswith(b".mbox") else names[0]
        owner = self._list_of(title)
        if owner:
            inside = b"/".join((first, *within, *([names[0]] if title != names[0] else []), *names[1:]))
            yield Seat(MAILING_LIST, owner, seat_path(MAILING_LIST, owner, inside))

    def _list_of(self, title: bytes) -> str:
        """Return ``list@domain`` of *title*, in which an underscore joins the two."""
        for domain in self._longest_first:
            if title.endswith(b"_" + domain) and len(title) > len(domain) + 1:
                return f"{path_text(title[: -len(domain) - 1])}@{path_text(domain)}"
        name, _underscore, domain = title.rpartition(b"_")
        return f"{path_text(name)}@{path_text(domain)}" if name and b"." in domain else ""

    def _of_userdata(self, rest: bytes, name: bytes) -> Iterator[Seat]:
        if rest in (b"main", b"cache.json"):
            yield from _shared(DOMAIN, self._domains, name)
            return
        title = rest.partition(b"/")[0]
        for domain in self._longest_first:
            if title == domain or title.startswith((domain + b"_", domain + b".")):
                yield from _of_one(DOMAIN, domain, name)
                return


def _of_one(kind: str, title: bytes, rest: bytes, mode: int = _ANY) -> Iterator[Seat]:
    yield Seat(kind, path_text(title), seat_path(kind, path_text(title), rest), mode)


def _shared(kind: str, names: tuple[str, ...], rest: bytes, mode: int = _ANY) -> Iterator[Seat]:
    """Yield the seats of what several parts have."""
    for name in names:
        yield Seat(kind, name, seat_path(kind, name, rest), mode)
