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
#: What nobody else may read, wherever it stands.
_SECRETS = _SECRET_SETTINGS | _SOURCES | frozenset(b"ssl sslkeys apache_tls dnssec_keys domainkeys psql".split())
_MAIL_OF_DOMAIN = frozenset((b"va", b"vad", b"vf"))
_LISTS = frozenset((b"mm", b"mma", b"mms"))
#: Directories that only hold what belongs to parts, and of which kind these are.
_HOLDERS = {
    **dict.fromkeys((b"mysql", b"psql"), DATABASE),
    **dict.fromkeys(_MAIL_OF_DOMAIN, MAIL_DOMAIN),
    **dict.fromkeys(_LISTS, MAILING_LIST),
    **dict.fromkeys((b"dnszones", b"dnssec_keys", b"domainkeys"), DNS_ZONE),
    b"userdata": DOMAIN,
    b"apache_tls": CERTIFICATE,
    b"cron": CRON,
}
_PANELS = frozenset((b"roundcube",))  # databases that belong to the panel and not to the account
_UNTITLED = re.compile(r"[\x00-\x1f\x7f/\\]")
_LONGEST_TITLE = 250  # bytes: an ending goes behind it in the name of a file
# All parts are in memory, and in one block of a listing: so many bytes of names may they have, each with what it costs.
_ROOM_FOR_PARTS, _COST_OF_PART = 8 * 1024 * 1024, 64
_MOST_SHARED = 200_000  # seats of members that several parts have


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
    """Tells where the members of one backup belong.

    *has* tells whether there is a member of a name, and *is_read* whether its content is known: what is made of it
    stands in its place. A backup that *is_home_alone* is one part, with the mail in it. *parts* are those that were
    seen; where there are too many, *is_full*, and what else there is belongs to none.
    """

    def __init__(
        self,
        account: Account,
        user: str,
        certificates: tuple[str, ...],
        has: Callable[[bytes], bool],
        is_read: Callable[[bytes], bool],
        *,
        is_home_alone: bool,
    ) -> None:
        self._account = account
        self._user = user
        self._has = has
        self._is_read = is_read
        self._is_home_alone = is_home_alone
        self._domains = tuple(sorted(account.domains))
        self._mail_domains = tuple(sorted(account.mail_domains))
        self._certificates = certificates
        self._known = frozenset(map(path_bytes, account.domains))
        self._room = _ROOM_FOR_PARTS
        self._shares = _MOST_SHARED
        self.parts = {(FILES, HOME), (FILES, path_text(OTHERS))}
        self.is_full = False

    def seats(self, name: bytes, *, is_directory: bool) -> list[Seat]:
        """Return all seats of the member *name*, below the top directory; none if it stands nowhere as it is."""
        first, _slash, rest = name.partition(b"/")
        if first == b"homedir" and (rest or is_directory):
            if self._is_home_alone:
                return [Seat(FILES, HOME, b"/" + rest)]
            return [
                seat if self.takes(seat.kind, seat.name) else Seat(FILES, HOME, b"/" + rest)
                for seat in self._of_home(rest, is_directory=is_directory)
            ]
        is_holder = is_directory and first in _HOLDERS
        is_source = first in _SOURCES or _SOURCE_OF_POSTGRESQL.fullmatch(name) is not None
        if (is_source and self._is_read(name)) or (is_holder and not rest):
            return []
        seats = [seat for seat in self._of_top(first, rest, name) if self.takes(seat.kind, seat.name)]
        if seats or is_holder:
            return seats
        return [Seat(FILES, path_text(OTHERS), OTHERS + b"/" + name, _PRIVATE if first in _SECRETS else _ANY)]

    def takes(self, kind: str, name: str) -> bool:
        """Tell whether there can be the part *kind*, *name*: a directory can be called so, and there is room for it."""
        if (kind, name) in self.parts:
            return True
        if not _is_title(name):
            return False
        self._room -= len(name) + _COST_OF_PART
        if self._room < 0:
            self.is_full = True
            return False
        self.parts.add((kind, name))
        return True

    def incomplete(self, name: bytes, *, is_directory: bool) -> set[tuple[str, str]]:
        """Return the parts that may lack something where all of the member *name* could not be read."""
        first, _slash, rest = name.partition(b"/")
        lacking = {(seat.kind, seat.name) for seat in self.seats(name, is_directory=is_directory)}
        if first == b"homedir":
            lacking.add((FILES, HOME))
        if not is_directory:
            return lacking
        if first != b"homedir":
            return lacking if rest else lacking | {part for part in self.parts if part[0] == _HOLDERS.get(first)}
        where, _slash, domain = rest.partition(b"/")
        if where in (b"", b"mail", b"etc") and b"/" not in domain:
            end = f"@{path_text(domain)}" if domain else ""
            lacking |= {part for part in self.parts if part[0] == MAILBOX and part[1].endswith(end)}
        return lacking

    # -- the home directory

    def _of_home(self, rest: bytes, *, is_directory: bool) -> list[Seat]:
        first, _slash, below = rest.partition(b"/")
        seat, mode = None, _ANY
        if first == b"mail" and (below or is_directory):
            return self._of_mail(below, is_directory=is_directory) if below else []
        if first == b"etc" and below:
            seat = self._of_etc(below)
            if seat is None and below.count(b"/") == 1 and below.rpartition(b"/")[2] in _LINES:
                if self._is_read(b"homedir/" + rest):
                    return []
                mode = _ANY if is_directory else _PRIVATE
        elif first == b".autorespond" and below:
            seat = self._of_autoresponder(below)
        return [seat if seat is not None else Seat(FILES, HOME, b"/" + rest, mode)]

    def _of_mail(self, below: bytes, *, is_directory: bool) -> list[Seat]:
        """Return the seats of what lies in the directory ``mail``: mailboxes by their domain, or the account's own."""
        first, _slash, rest = below.partition(b"/")
        if path_text(first) not in self._account.mail_domains or not (rest or is_directory):
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
        if not local or b"/" in below:
            return None
        return Seat(MAIL_DOMAIN, name, seat_path(MAIL_DOMAIN, name, b"autorespond/" + local + ending))

    # -- what stands beside it

    def _of_top(self, first: bytes, rest: bytes, name: bytes) -> Iterator[Seat]:
        if first in _SETTINGS:
            mode = _PRIVATE if first in _SECRET_SETTINGS else _ANY
            yield Seat(SETTINGS, self._user, seat_path(SETTINGS, self._user, name), mode)
            if name == b"meta/mailserver":
                yield from self._shared(MAIL_DOMAIN, self._mail_domains, b"mailserver")
        elif first in _OF_DOMAINS:
            yield from self._shared(DOMAIN, self._domains, name)
        elif first in _OF_CERTIFICATES:
            mode = _PRIVATE if first in (b"ssl", b"sslkeys") else _ANY
            yield from self._shared(CERTIFICATE, self._certificates, name, mode)
        elif not rest:
            return
        elif first in (b"mysql", b"psql"):
            yield from self._of_databases(first, rest)
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

    def _of_databases(self, first: bytes, rest: bytes) -> Iterator[Seat]:
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
        for end in (found.start() for found in re.finditer(b"_", title) if found.start()):
            if title[end + 1 :] in self._known:
                return f"{path_text(title[:end])}@{path_text(title[end + 1 :])}"
        name, _underscore, domain = title.rpartition(b"_")
        return f"{path_text(name)}@{path_text(domain)}" if name and b"." in domain else ""

    def _of_userdata(self, rest: bytes, name: bytes) -> Iterator[Seat]:
        if rest in (b"main", b"cache.json"):
            yield from self._shared(DOMAIN, self._domains, name)
            return
        title = rest.partition(b"/")[0]
        ends = [len(title), *(found.start() for found in re.finditer(rb"[_.]", title))]
        domain = next((title[:end] for end in sorted(ends, reverse=True) if title[:end] in self._known), None)
        if domain is not None:
            yield from _of_one(DOMAIN, domain, name)

    def _shared(self, kind: str, names: tuple[str, ...], rest: bytes, mode: int = _ANY) -> Iterator[Seat]:
        """Yield the seats of what several parts have, unless that would be too many."""
        self._shares -= len(names)
        if self._shares < 0:
            self.is_full = True
            return
        for name in names:
            yield Seat(kind, name, seat_path(kind, name, rest), mode)


def _of_one(kind: str, title: bytes, rest: bytes, mode: int = _ANY) -> Iterator[Seat]:
    yield Seat(kind, path_text(title), seat_path(kind, path_text(title), rest), mode)


def _is_title(name: str) -> bool:
    """Tell whether a part and a directory may be called *name*."""
    is_short = len(name) <= _LONGEST_TITLE and len(path_bytes(name)) <= _LONGEST_TITLE
    return name not in ("", ".", "..") and is_short and not _UNTITLED.search(name)
