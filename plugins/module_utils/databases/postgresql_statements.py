# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The statements that PostgreSQL is told: how names and texts are quoted, and what makes a database what it was.

pg_restore brings what is inside of a database, and under another name nothing that belongs to the database itself. For
that, the statements here are those that ``pg_dump --create`` would write.
"""

from __future__ import annotations

import re
import typing as t

from ..errors import DatabaseError

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from .servers import Facts

MAX_NAME = 63  # bytes of a name, NAMEDATALEN less one

# All that belongs to the database that one is connected to. Columns that not every version has come out of to_json.
FACTS = """
SELECT json_build_object(
  'version', current_setting('server_version'),
  'columns', to_json(d),
  'encoding', pg_encoding_to_char(d.encoding),
  'owner', pg_get_userbyid(d.datdba),
  'tablespace', (SELECT spcname FROM pg_tablespace WHERE oid = d.dattablespace AND spcname <> 'pg_default'),
  'comment', shobj_description(d.oid, 'pg_database'),
  'public', EXISTS (SELECT FROM pg_namespace WHERE nspname = 'public'),
  'settings', (
    SELECT coalesce(json_agg(json_build_array(r.rolname, s.setting) ORDER BY r.rolname NULLS FIRST, s.place), '[]')
    FROM pg_db_role_setting c LEFT JOIN pg_roles r ON r.oid = c.setrole,
      unnest(c.setconfig) WITH ORDINALITY AS s (setting, place)
    WHERE c.setdatabase = d.oid),
  'privileges', CASE WHEN d.datacl IS NOT NULL THEN (
    SELECT coalesce(json_agg(json_build_array(
      pg_get_userbyid(a.grantor), CASE WHEN a.grantee <> 0 THEN pg_get_userbyid(a.grantee) END,
      a.privilege_type, a.is_grantable) ORDER BY a.place), '[]')
    FROM aclexplode(d.datacl) WITH ORDINALITY AS a (grantor, grantee, privilege_type, is_grantable, place)) END,
  'roles', (
    SELECT coalesce(json_agg(DISTINCT r.rolname), '[]') FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid
    WHERE s.refclassid = 'pg_authid'::regclass
      AND (s.dbid = d.oid OR s.dbid = 0 AND s.classid = 'pg_database'::regclass AND s.objid = d.oid)),
  'tablespaces', (
    SELECT coalesce(json_agg(DISTINCT s.spcname), '[]') FROM pg_class c JOIN pg_tablespace s ON s.oid = c.reltablespace
    WHERE s.spcname <> 'pg_global'))
FROM pg_database d WHERE d.datname = current_database();
"""

# What has no number below that of the first object of a user (FirstNormalObjectId in access/transam.h) did not come
# with the database. The schema public may have been made anew, and those of temporary tables stay behind.
IS_EMPTY = """
SELECT json_build_array(NOT (
  EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE c.oid >= 16384 AND n.nspname !~ '^pg_(temp|toast)')
  OR EXISTS (SELECT FROM pg_proc WHERE oid >= 16384)
  OR EXISTS (SELECT FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
             WHERE t.oid >= 16384 AND n.nspname !~ '^pg_(temp|toast)')
  OR EXISTS (SELECT FROM pg_namespace WHERE oid >= 16384 AND nspname <> 'public' AND nspname !~ '^pg_(temp|toast)')
  OR EXISTS (SELECT FROM pg_extension WHERE oid >= 16384)
  OR EXISTS (SELECT FROM pg_event_trigger WHERE oid >= 16384)
  OR EXISTS (SELECT FROM pg_foreign_data_wrapper WHERE oid >= 16384)
  OR EXISTS (SELECT FROM pg_publication)
  OR EXISTS (SELECT FROM pg_largeobject_metadata)));
"""

_PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin"}
_VERSION_WITH_PROVIDERS = 150000
# Their values are lists of names that are quoted already (GUC_LIST_QUOTE; pg_dump has the same list).
_LISTS = {
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
}
_ITEM = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^",]+?))\s*(?:,|\Z)')
# A piece of a script: what is quoted, what is a comment, what ends a statement, and anything else.
_PIECE = re.compile(
    r"""(?P<kept>[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|"(?:[^"]|"")*")|(?P<comment>--[^\n]*)|(?P<end>;)|(?P<other>[^'"eE;\\-]+|.)""",
    re.DOTALL,
)
_COMMAND = re.compile(r"\\(?:un)?restrict [^\n]*(?:\n|\Z)")
_NAMED = re.compile(r'(CREATE|ALTER) (ROLE|TABLESPACE) ("(?:[^"]|"")+"|[^\s"]+)\s*(.*)', re.DOTALL)


def name_of(name: str) -> str:
    """Return *name* as a statement has it."""
    return '"{}"'.format(name.replace('"', '""'))


def text_of(text: str | None) -> str:
    """Return *text* as a statement has it, whatever the server makes of a backslash."""
    if text is None:
        return "NULL"
    if "\\" in text:
        return " E'{}'".format(text.replace("\\", "\\\\").replace("'", "''"))
    return "'{}'".format(text.replace("'", "''"))


def connection_to(database: str) -> str:
    """Return *database* as an argument that no client program takes for anything else."""
    return "--dbname=dbname='{}'".format(database.replace("\\", "\\\\").replace("'", "\\'"))


def facts_of(answer: Facts) -> Facts:
    """Return what is kept of the *answer* to FACTS."""
    columns = answer["columns"]
    facts = {key: answer[key] for key in ("version", "encoding", "owner", "tablespace", "comment", "public")}
    return {
        "type": "postgresql",
        **facts,
        "provider": _PROVIDERS.get(columns.get("datlocprovider", "c"), "libc"),
        "collate": columns["datcollate"],
        "ctype": columns["datctype"],
        "locale": columns.get("datlocale", columns.get("daticulocale")),
        "icu_rules": columns.get("daticurules"),
        "connection_limit": columns["datconnlimit"],
        "settings": [
            {"role": role, "name": setting.partition("=")[0], "value": setting.partition("=")[2]}
            for role, setting in answer["settings"]
        ],
        "privileges": None
        if answer["privileges"] is None
        else [
            {"grantor": grantor, "grantee": grantee, "privilege": privilege, "grantable": grantable}
            for grantor, grantee, privilege, grantable in answer["privileges"]
        ],
        "roles": answer["roles"],
        "tablespaces": sorted({answer["tablespace"], *answer["tablespaces"]} - {None}),
    }


def roles_in(facts: Facts) -> set[str]:
    """Return all roles that must be there before a database with these *facts* can be loaded."""
    privileges = facts.get("privileges") or []
    named = {facts.get("owner"), *facts.get("roles", ())}
    named |= {setting["role"] for setting in facts.get("settings", ())}
    named |= {privilege[side] for privilege in privileges for side in ("grantor", "grantee")}
    return {role for role in named if role is not None}


def creation(name: str, facts: Facts, *, version: int, tablespaces: Collection[str]) -> str:
    """Return what makes the empty database *name* on a server of that *version* that has these *tablespaces*."""
    options = ["TEMPLATE template0"]
    texts = {"encoding": "ENCODING", "collate": "LC_COLLATE", "ctype": "LC_CTYPE"}
    provider = facts.get("provider")
    if version >= _VERSION_WITH_PROVIDERS and provider is not None:
        options.append(f"LOCALE_PROVIDER {name_of(provider)}")
        if provider != "libc":
            texts |= {"locale": f"{provider.upper()}_LOCALE", "icu_rules": "ICU_RULES"}
    options += [f"{word} {text_of(facts[key])}" for key, word in texts.items() if facts.get(key) is not None]
    if facts.get("tablespace") in tablespaces:
        options.append(f"TABLESPACE {name_of(facts['tablespace'])}")
    if facts.get("owner") is not None:
        options.append(f"OWNER {name_of(facts['owner'])}")
    return f"CREATE DATABASE {name_of(name)} {' '.join(options)};\n"


def granting(name: str, facts: Facts) -> str:
    """Return what gives the database *name*, on which nobody has granted anything yet, its privileges."""
    if facts.get("privileges") is None:
        return ""
    owner = facts["owner"]
    lines = [f"REVOKE ALL ON DATABASE {name_of(name)} FROM {who};\n" for who in ("PUBLIC", name_of(owner))]
    for privilege in facts["privileges"]:
        grantee = "PUBLIC" if privilege["grantee"] is None else name_of(privilege["grantee"])
        option = " WITH GRANT OPTION" if privilege["grantable"] else ""
        grant = f"GRANT {privilege['privilege']} ON DATABASE {name_of(name)} TO {grantee}{option};\n"
        if privilege["grantor"] != owner:
            grantor = name_of(privilege["grantor"])
            grant = f"SET SESSION AUTHORIZATION {grantor};\n{grant}RESET SESSION AUTHORIZATION;\n"
        lines.append(grant)
    return "".join(lines)


def setting_up(name: str, facts: Facts) -> str:
    """Return what gives the database *name* its settings, which are for connections that come later."""
    lines = [f"ALTER DATABASE {name_of(name)} CONNECTION LIMIT {int(facts.get('connection_limit', -1))};\n"]
    for setting in facts.get("settings", ()):
        whose = f"DATABASE {name_of(name)}"
        if setting["role"] is not None:
            whose = f"ROLE {name_of(setting['role'])} IN {whose}"
        lines.append(f"ALTER {whose} SET {name_of(setting['name'])} TO {_value(setting)};\n")
    return "".join(lines)


def _value(setting: Facts) -> str:
    if setting["name"].lower() not in _LISTS:
        return text_of(setting["value"])
    items = [
        item.group(1).replace('""', '"') if item.group(2) is None else item.group(2).lower()
        for item in _ITEM.finditer(setting["value"])
    ]
    return ", ".join(text_of(item) for item in items) or "''"


def statements_in(script: str) -> Iterator[str]:
    """Yield the statements of a *script* that pg_dumpall has written, without their end.

    What is a command to psql and no statement is refused, but for those that guard such a script.
    """
    statement: list[str] = []
    place = 0
    while place < len(script):
        guard = _COMMAND.match(script, place)
        if guard is not None and not "".join(statement).strip():
            place = guard.end()
            continue
        piece = _PIECE.match(script, place)
        if piece is None or piece.group() == "\\":
            raise DatabaseError("What was dumped as users is no script of statements alone; nothing of it was run.")
        place = piece.end()
        if piece.lastgroup == "end":
            yield "".join(statement).strip()
            statement = []
        elif piece.lastgroup != "comment":
            statement.append(piece.group())
    if "".join(statement).strip():
        raise DatabaseError("What was dumped as users ends within a statement; nothing of it was run.")


def is_wanted(statement: str, *, roles: Collection[str], tablespaces: Collection[str]) -> bool:
    """Tell whether a *statement* of pg_dumpall is to be run where these *roles* and *tablespaces* are there already.

    Of a role that is there, its password stays, and whether it may log in and what else it may do; what is set for it
    and granted to it is added.
    """
    named = _NAMED.fullmatch(statement)
    if named is None:
        return True
    verb, kind, quoted, rest = named.groups()
    name = quoted[1:-1].replace('""', '"') if quoted.startswith('"') else quoted
    if kind == "TABLESPACE":
        return verb == "ALTER" or name not in tablespaces
    return name not in roles or (verb == "ALTER" and not rest.startswith("WITH"))
