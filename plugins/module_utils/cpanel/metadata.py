# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup's metadata says of the account: whose it is, its domains, mailboxes, logins and versions.

The same is said in several members. They are tried in the order ``userdata``, ``cache.json``, flat files; where they
contradict each other, the first counts and a note says so. What is missing is missing. The format is not stable, so
nothing here ends the reading of a backup.

Source: cPanel's knowledge base, "Backup tarball contents", and what importers of such archives read.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, replace
from itertools import chain

from ..native.entries import path_text
from .bounded_json import read_json
from .generated import OF_MAILBOXES, ftp_lines, mailbox_lines
from .grants import database_users
from .member_lines import Notes, domain_name, file_name, lines_of, shown, text_of
from .yaml_subset import read_yaml

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from ..native.entries import Problem
    from .yaml_subset import Document

MAIN, ADDON, SUB, PARKED, UNKNOWN = "main", "addon", "sub", "parked", ""  # kinds of domains

_METADATA = re.compile(
    rb"(?:cp|meta|suspended|suspendinfo|userdata)/[^/]+"
    rb"|psql/[^/]+\.sql|mysql/[^/]+\.create"
    rb"|addons|sds|sds2|pds|homedir_paths|version|packaged_in_version|quota|shell|proftpdpasswd"
    rb"|mysql\.sql|mysql\.sql-auth\.json|psql_users\.sql|psql_grants\.sql"
    rb"|homedir/etc/[^/]+/(?:passwd|shadow|quota)",
    re.DOTALL,
)
#: Of ``userdata``, what says nothing that is asked: settings of TLS and of PHP, and copies for the panel's own use.
_UNASKED = re.compile(rb"userdata/.*(?:_SSL|\.php-fpm\.yaml|\.cache)", re.DOTALL)
_OF_DOMAIN = re.compile(rb"userdata/(.+?)(?:_SSL|\.php-fpm\.yaml)?", re.DOTALL)
_NO_DOMAINS = frozenset((b"main", b"cache", b"cache.json", b"main.cache"))
_DUMP = re.compile(rb"mysql/([^/]+)\.(?:create|sql|sql\.gz)|psql/([^/]+)\.tar", re.DOTALL)
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SECOND_DOMAIN = re.compile(r"DNS[0-9]+")
_LONGEST_FACT = 200
_MOST_UNDERSCORES = 40  # of a name that are tried
_LONGEST_PATH = 4096
_CACHE, _MAIN_MEMBER = b"userdata/cache.json", b"userdata/main"
_KIND, _PARENT, _ROOT = 2, 3, 4  # columns of cache.json
#: What is told of an account besides, by the key in ``cp/USER``.
_FACTS = {
    "IP": "ip",
    "PLAN": "plan",
    "OWNER": "owner",
    "LOCALE": "locale",
    "MAILBOX_FORMAT": "mailbox_format",
    "CREATED_IN_VERSION": "created_in_version",
    "STARTDATE": "started",
    "DBOWNER": "database_owner",
}
_VERSIONS = {b"pkgacct version": "pkgacct_version", b"archive version": "archive_version"}
#: Members of which the first line is told.
_FIRST_LINES = {
    b"packaged_in_version": "cpanel_version",
    b"quota": "quota",
    b"shell": "shell",
    b"meta/hostname": "hostname",
    b"meta/dbprefix": "database_prefix",
    b"meta/mailserver": "mailserver",
}


@dataclass(frozen=True)
class DomainFacts:
    """A domain: its *kind*, "" if not known, and what it belongs to.

    *document_root* is relative to the home directory where it lies in there.
    """

    name: str
    kind: str = UNKNOWN
    document_root: str = ""
    parent: str = ""


@dataclass(frozen=True)
class Account:
    """What is known of an account, none of it secret; *user* is "" if nothing tells it.

    *mailboxes* are those with a line in a ``passwd``, *homes* the absolute paths that the home had on its server.
    """

    user: str
    main_domain: str
    domains: Mapping[str, DomainFacts]
    mailboxes: frozenset[str]
    mail_domains: frozenset[str]
    ftp_logins: tuple[str, ...]
    database_users: tuple[str, ...]
    homes: tuple[str, ...]
    facts: Mapping[str, str]
    notes: tuple[Problem, ...]


def is_metadata(name: bytes) -> bool:
    """Tell whether the content of the member *name*, below the top directory, tells of the account."""
    return _METADATA.fullmatch(name) is not None and _UNASKED.fullmatch(name) is None


def databases_in(names: Collection[bytes]) -> list[str]:
    """Return the databases of which there are dumps among the members *names*."""
    found = map(_DUMP.fullmatch, names)
    return sorted({path_text(match[1] or match[2]) for match in found if match is not None})


def account_of(members: Mapping[bytes, bytes], names: Collection[bytes]) -> Account:
    """Return what *members* tell, content by name below the top directory; *names* are those of other members."""
    return _Reading(members, names).account()


class _Claim(t.NamedTuple):
    """What *member* says of a domain."""

    facts: DomainFacts
    member: bytes


class _Reading:
    """Puts together what the members say."""

    def __init__(self, members: Mapping[bytes, bytes], names: Collection[bytes]) -> None:
        self._members = members
        self._names = names
        self._notes = Notes()
        self._domains: dict[str, DomainFacts] = {}
        self._main = ""
        self._homes: tuple[str, ...] = ()

    def account(self) -> Account:
        user = self._user()
        settings = self._settings(user)
        self._homes = self._read_homes()
        self._read_userdata()
        for claim in chain(self._cached(), self._flat(settings), self._mentioned()):
            self._claim(claim)
        main = self._main_domain(settings)
        users = database_users(self._members, databases_in({*self._names, *self._members}), user)
        for note in users.notes:
            self._notes.add(note.path, note.problem)
        for database_user in users.users:
            if file_name(database_user.name) is None:
                self._notes.add(database_user.sources[0], "a user of databases is left out: no file can have that name")
        return Account(
            user=user,
            main_domain=main,
            domains={name: self._completed(name, main) for name in sorted(self._domains)},
            mailboxes=frozenset(
                own.name for own in mailbox_lines(self._members, self._notes) if own.member.endswith(b"/passwd")
            ),
            mail_domains=self._mail_domains(),
            ftp_logins=tuple(sorted(own.name for own in ftp_lines(self._members, self._notes))),
            database_users=tuple(sorted({one.name for one in users.users if file_name(one.name) is not None})),
            homes=self._homes,
            facts=self._facts(user, settings),
            notes=self._notes.all(),
        )

    # -- whose it is

    def _user(self) -> str:
        """Return the name of the member in ``cp``; of several, of the one that says that it is of that name."""
        found: dict[str, str] = {}
        for name in sorted({*self._members, *self._names}):
            first, _slash, raw = name.partition(b"/")
            if first == b"cp" and raw and b"/" not in raw:
                user = text_of(raw)
                if user is None or not _USER.fullmatch(user):
                    self._notes.add(name, "it is left out: no user is called like that")
                else:
                    found[user] = self._pairs(name).get("USER", "")
        if len(found) > 1:
            own = [user for user, says in found.items() if says == user]
            self._notes.add("cp", f"{len(found):,} users have settings there; {(own or sorted(found))[0]} is taken")
            return (own or sorted(found))[0]
        for user, says in found.items():
            if says not in ("", user):
                self._notes.add(f"cp/{user}", f"it says that the user is {_clean(says)!r}")
            return user
        return ""

    def _settings(self, user: str) -> Mapping[str, str]:
        member = f"cp/{user}".encode()
        return self._pairs(member, self._notes) if user and member in self._members else {}

    def _pairs(self, member: bytes, notes: Notes | None = None) -> dict[str, str]:
        """Return the ``KEY=VALUE`` of *member*; the last of a key counts."""
        told = Notes() if notes is None else notes
        pairs = {}
        for number, line in lines_of(member, self._members.get(member, b""), told):
            key, sign, value = line.rstrip(b"\r\n").partition(b"=")
            name, text = text_of(key), text_of(value)
            if not sign or name is None or text is None:
                told.add_line(member, number, "it is no key with a value")
            else:
                pairs[name] = text
        return pairs

    def _read_homes(self) -> tuple[str, ...]:
        homes: dict[str, None] = {}
        for member in (b"homedir_paths", b"meta/homedir_paths"):
            for number, line in lines_of(member, self._members.get(member, b""), self._notes):
                home = _path(text_of(line.strip()) or "")
                if home.startswith("/"):
                    homes[home.rstrip("/") or "/"] = None
                else:
                    self._notes.add_line(member, number, "it is no absolute path")
        return tuple(homes)

    # -- domains

    def _claim(self, claim: _Claim) -> None:
        """Take what a member says of a domain, as far as no member before it has."""
        new, before = claim.facts, self._domains.get(claim.facts.name)
        if before is None:
            self._domains[new.name] = new
            return
        for what, old, other in (
            ("kind", before.kind, new.kind),
            ("document root", before.document_root, new.document_root),
        ):
            if old and other and old != other:
                self._notes.add(
                    claim.member, f"the {what} of {new.name} is {_clean(other)!r} there; {_clean(old)!r} counts"
                )
        self._domains[new.name] = DomainFacts(
            new.name,
            before.kind or new.kind,
            before.document_root or new.document_root,
            before.parent or new.parent,
        )

    def _read_userdata(self) -> None:
        document = self._yaml(_MAIN_MEMBER, ("main_domain", "addon_domains", "parked_domains", "sub_domains"))
        main = document.text("main_domain")
        self._main = self._checked(_MAIN_MEMBER, main) if main else ""
        kinds: dict[str, str] = {self._main: MAIN} if self._main else {}
        folders: dict[str, str] = {}  # of addon domains, the subdomain each stands for
        for addon, folder in document.pairs("addon_domains").items():
            name = self._checked(_MAIN_MEMBER, addon)
            if name:
                kinds.setdefault(name, ADDON)
                folders[name] = domain_name(folder) or ""
        for key, kind in (("parked_domains", PARKED), ("sub_domains", SUB)):
            for raw in document.names(key):
                name = self._checked(_MAIN_MEMBER, raw)
                if name:
                    kinds.setdefault(name, kind)
        roots = self._roots()
        for name in [*kinds, *(name for name in roots if name not in kinds)]:
            member = b"userdata/" + name.encode() if name in roots else _MAIN_MEMBER
            root = roots.get(name) or roots.get(folders.get(name, ""), "")
            self._claim(_Claim(DomainFacts(name, kinds.get(name, UNKNOWN), root), member))

    def _roots(self) -> dict[str, str]:
        """Return the document roots of all domains that have a member of their own, "" where it does not tell."""
        roots: dict[str, str] = {}
        for member in sorted({*self._members, *self._names}):
            found = _OF_DOMAIN.fullmatch(member)
            if found is None or found[1] in _NO_DOMAINS or b"." not in found[1] or found[1].endswith(b".cache"):
                continue
            name = domain_name(found[1])
            if name is None:
                self._notes.add(member, "it is not called as a domain")
            elif found[1] != member[len(b"userdata/") :]:
                roots.setdefault(name, "")
            elif member in self._members:
                document = self._yaml(member, ("documentroot", "homedir"))
                if not self._homes and _path(document.text("homedir")).startswith("/"):
                    self._homes = (_path(document.text("homedir")).rstrip("/") or "/",)
                roots[name] = self._below_home(document.text("documentroot"))
            else:
                roots.setdefault(name, "")
        return roots

    def _yaml(self, member: bytes, wanted: tuple[str, ...]) -> Document:
        document = read_yaml(self._members.get(member, b""))
        for key, number in document.misread.items():
            if key in wanted or not key:
                self._notes.add_line(member, number, "it is not understood")
        return document

    def _cached(self) -> Iterator[_Claim]:
        """Yield what ``cache.json`` says: a list a domain."""
        if _CACHE not in self._members:
            return
        try:
            rows = read_json(self._members[_CACHE])
        except ValueError as error:
            self._notes.add(_CACHE, f"it is left out: {error}")
            return
        if not isinstance(rows, dict):
            self._notes.add(_CACHE, "it is left out: it is no map of domains")
            return
        for raw, row in rows.items():
            name = self._checked(_CACHE, raw)
            texts = [value if isinstance(value, str) else "" for value in row] if isinstance(row, list) else []
            if name and len(texts) <= _ROOT:
                self._notes.add(_CACHE, f"what it says of {name} is not understood")
            if name:
                texts += [""] * (_ROOT + 1 - len(texts))
                kind = texts[_KIND] if texts[_KIND] in (MAIN, ADDON, SUB, PARKED) else UNKNOWN
                parent = (domain_name(texts[_PARENT]) or "") if "." in texts[_PARENT] else ""
                yield _Claim(DomainFacts(name, kind, self._below_home(texts[_ROOT]), _other(parent, name)), _CACHE)

    def _flat(self, settings: Mapping[str, str]) -> Iterator[_Claim]:
        """Yield what the flat files say; in the names of subdomains an underscore stands before the parent."""
        for key, value in settings.items():
            name = self._checked(b"cp", value) if value and (key == "DNS" or _SECOND_DOMAIN.fullmatch(key)) else ""
            if name:
                yield _Claim(DomainFacts(name, MAIN if key == "DNS" else UNKNOWN), b"cp")
        folders: dict[str, str] = {}
        for number, line in self._lines(b"addons"):
            addon, _sign, folder = line.partition("=")
            name = self._checked_line(b"addons", number, addon.strip())
            if name:
                folders[name] = folder.strip()
                yield _Claim(DomainFacts(name, ADDON), b"addons")
        for number, line in self._lines(b"pds"):
            name = self._checked_line(b"pds", number, (line.split() or [""])[0])
            if name:
                yield _Claim(DomainFacts(name, PARKED), b"pds")
        yield from self._flat_subdomains()
        for addon, folder in folders.items():
            root = self._domains.get(self._unflattened(folder)[0], DomainFacts("")).document_root
            yield _Claim(DomainFacts(addon, ADDON, root), b"addons")

    def _flat_subdomains(self) -> Iterator[_Claim]:
        for member in (b"sds2", b"sds"):
            for number, line in self._lines(member):
                flat, _sign, root = line.partition("=")
                name, parent = self._unflattened(flat.strip())
                if self._checked_line(member, number, name):
                    yield _Claim(DomainFacts(name, SUB, _path(root.strip()), parent), member)

    def _unflattened(self, flat: str) -> tuple[str, str]:
        """Return the subdomain and its parent that *flat* joins by an underscore, of which either may have more."""
        places = [found.start() for found in re.finditer("_", flat)][:_MOST_UNDERSCORES]
        choices = [(f"{flat[:place]}.{flat[place + 1 :]}", flat[place + 1 :]) for place in places]
        for name, parent in choices:
            if name in self._domains:
                return name, parent
        for name, parent in choices:
            if parent in self._domains:
                return name, parent
        dotted = [(name, parent) for name, parent in choices if "." in parent]
        return dotted[-1] if dotted else (flat, "")

    def _mentioned(self) -> Iterator[_Claim]:
        """Yield the domains that have a zone or mail, whatever else is known of them."""
        for name in sorted({*self._names, *self._members}):
            first, _slash, rest = name.partition(b"/")
            raw = rest[:-3] if first == b"dnszones" and rest.endswith(b".db") else b""
            domain = domain_name(raw) if b"." in raw else None
            if domain is not None:
                yield _Claim(DomainFacts(domain), name)
        for domain in sorted(self._domains_with_mail()):
            yield _Claim(DomainFacts(domain), b"va")

    def _domains_with_mail(self) -> set[str]:
        found = set()
        for name in {*self._names, *self._members}:
            first, _slash, rest = name.partition(b"/")
            of_mailboxes = OF_MAILBOXES.fullmatch(name)
            raw = of_mailboxes[1] if of_mailboxes else rest if first in (b"va", b"vad", b"vf") else b""
            domain = domain_name(raw) if b"." in raw else None
            if domain is not None:
                found.add(domain)
        return found

    def _mail_domains(self) -> frozenset[str]:
        return frozenset(self._domains) | self._domains_with_mail()

    def _main_domain(self, settings: Mapping[str, str]) -> str:
        if self._main:
            return self._main
        mains = [name for name, facts in self._domains.items() if facts.kind == MAIN]
        return mains[0] if mains else domain_name(settings.get("DNS", "")) or ""

    def _completed(self, name: str, main: str) -> DomainFacts:
        """Return what is known of a domain, with what follows from that."""
        facts = self._domains[name]
        if name == main:
            return replace(facts, kind=MAIN, parent="")
        if facts.kind == PARKED and not facts.document_root and main in self._domains:
            facts = replace(facts, document_root=self._domains[main].document_root)
        if facts.parent or facts.kind == UNKNOWN:
            return facts
        if facts.kind == SUB:
            above = name.partition(".")[2]
            while above and above not in self._domains:
                above = above.partition(".")[2]
            return replace(facts, parent=above)
        return replace(facts, parent=main)

    def _lines(self, member: bytes) -> Iterator[tuple[int, str]]:
        for number, line in lines_of(member, self._members.get(member, b""), self._notes):
            text = text_of(line.strip())
            if text is None:
                self._notes.add_line(member, number, "it is no text")
            else:
                yield number, text

    def _checked(self, member: bytes, raw: str) -> str:
        """Return *raw* as a domain, or "" and note that it is none."""
        name = domain_name(raw)
        if name is None:
            self._notes.add(member, "a name in it is none of a domain")
        return name or ""

    def _checked_line(self, member: bytes, number: int, raw: str) -> str:
        name = domain_name(raw)
        if name is None:
            self._notes.add_line(member, number, "it names no domain")
        return name or ""

    def _below_home(self, raw: str) -> str:
        path = _path(raw)
        for home in self._homes:
            if path == home or path.startswith(f"{home}/"):
                return path[len(home) :].strip("/")
        return path

    # -- the rest

    def _facts(self, user: str, settings: Mapping[str, str]) -> dict[str, str]:
        facts = {name: _clean(settings[key]) for key, name in _FACTS.items() if settings.get(key)}
        if "locale" not in facts and settings.get("LANG"):
            facts["locale"] = _clean(settings["LANG"])
        for _number, line in lines_of(b"version", self._members.get(b"version", b""), self._notes):
            key, _colon, value = line.partition(b":")
            if key.strip() in _VERSIONS:
                facts[_VERSIONS[key.strip()]] = _clean(value.decode("utf-8", "replace"))
        for member, name in _FIRST_LINES.items():
            text = self._first_line(member)
            if text:
                facts[name] = text
        suspended = f"suspended/{user}".encode()
        if settings.get("SUSPENDED", "0") not in ("", "0") or suspended in {*self._members, *self._names}:
            facts["suspended"] = self._first_line(suspended) or "yes"
        return facts

    def _first_line(self, member: bytes) -> str:
        line = self._members.get(member, b"")[: _LONGEST_FACT * 4].partition(b"\n")[0]
        return _clean(line.decode("utf-8", "replace"))


def _other(parent: str, name: str) -> str:
    return "" if parent == name else parent


def _path(text: str) -> str:
    """Return *text* if it may be a path, "" if not."""
    is_path = text.isprintable() and len(text) <= _LONGEST_PATH and ".." not in text.split("/")
    return text if is_path else ""


def _clean(text: str) -> str:
    return shown(text.strip())[:_LONGEST_FACT]
