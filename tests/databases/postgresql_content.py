# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database of PostgreSQL with one of nearly everything in it, and what there is to tell of one."""

from __future__ import annotations

import re
import typing as t

if t.TYPE_CHECKING:
    from tests.servers.postgresql import PostgreSql

OWNER, READER, CLERK = "owner of shops", 'die "neue" Käthe', "clerk"

ROLES = """
CREATE ROLE "owner of shops" CREATEDB;
CREATE ROLE "die ""neue"" Käthe" LOGIN PASSWORD 'geheim''e Größe';
CREATE ROLE clerk LOGIN PASSWORD 'clerk' CONNECTION LIMIT 7 VALID UNTIL '2099-01-01';
CREATE ROLE staff NOLOGIN;
GRANT staff TO clerk WITH ADMIN OPTION;
GRANT staff TO "die ""neue"" Käthe" GRANTED BY clerk;
GRANT pg_read_all_settings TO staff;
ALTER ROLE clerk SET search_path TO "mit Leerzeichen", public;
ALTER ROLE clerk SET application_name TO 'a; b -- c';
COMMENT ON ROLE clerk IS 'sells -- things;
and "more"';
"""

# Run within the database by the superuser. What reaches the dump in an order that restoring it can trip over is in:
# keys in a circle, a view on a function on a table, a materialised view on another, a table on an enumeration.
INSIDE = r"""
CREATE SCHEMA "mit Leerzeichen" AUTHORIZATION "owner of shops";
COMMENT ON SCHEMA "mit Leerzeichen" IS 'Größe';
CREATE EXTENSION pg_trgm SCHEMA public;
CREATE EXTENSION hstore;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'fröhlich');
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE TYPE pair AS (left_half text, right_half integer[]);

CREATE SEQUENCE tickets START 1000 INCREMENT 7 CACHE 3;
SELECT nextval('tickets'), nextval('tickets');

CREATE TABLE "mit Leerzeichen"."Straße" (
  id bigint GENERATED ALWAYS AS IDENTITY (START 40) PRIMARY KEY,
  name text COLLATE "C" NOT NULL,
  length positive,
  doubled integer GENERATED ALWAYS AS (length * 2) STORED,
  feeling mood DEFAULT 'ok',
  tags text[][],
  both_halves pair,
  pieces hstore,
  document jsonb,
  seen timestamptz,
  price numeric(30, 10),
  exact double precision,
  address inet,
  span int4range,
  image bytea,
  twin bigint
);
ALTER TABLE "mit Leerzeichen"."Straße" OWNER TO "owner of shops";
ALTER TABLE "mit Leerzeichen"."Straße" ADD FOREIGN KEY (twin) REFERENCES "mit Leerzeichen"."Straße" (id)
  DEFERRABLE INITIALLY DEFERRED;
INSERT INTO "mit Leerzeichen"."Straße"
  (name, length, feeling, tags, both_halves, pieces, document, seen, price, exact, address, span, image)
SELECT E'Tab\t, newline\n, backslash \\, \\N, ''quote'', ünï\U0001F600 ' || g, g, 'fröhlich',
  ARRAY[['a,b', NULL], ['{}', '"']], ROW ('x"y', ARRAY[g, NULL])::pair, 'a=>1, "b c"=>NULL', jsonb_build_object('k', g),
  '2024-02-29 12:34:56.789012+02'::timestamptz + g * interval '1 hour', g / 3.0::numeric(30, 10), 1 / (g + 0.1),
  '2001:db8::1', int4range(g, g + 5), decode(md5(g::text), 'hex')
FROM generate_series(1, 500) AS g;
UPDATE "mit Leerzeichen"."Straße" SET twin = 40 + (id + 1) % 500;
INSERT INTO "mit Leerzeichen"."Straße" (name, image, exact)
SELECT 'large', string_agg(decode(md5(g::text), 'hex'), ''), 'NaN' FROM generate_series(1, 200000) AS g;

CREATE TABLE hen (id integer PRIMARY KEY, egg integer);
CREATE TABLE egg (id integer PRIMARY KEY, hen integer NOT NULL REFERENCES hen DEFERRABLE);
ALTER TABLE hen ADD FOREIGN KEY (egg) REFERENCES egg DEFERRABLE;
INSERT INTO hen VALUES (1, NULL), (2, NULL);
INSERT INTO egg VALUES (10, 1), (20, 2);
UPDATE hen SET egg = 30 - id * 10;

CREATE TABLE sale (day date NOT NULL, region text NOT NULL, amount integer, PRIMARY KEY (day, region))
  PARTITION BY RANGE (day);
CREATE TABLE sale_2024 PARTITION OF sale FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY LIST (region);
CREATE TABLE sale_2024_north PARTITION OF sale_2024 FOR VALUES IN ('north');
CREATE TABLE sale_2024_rest PARTITION OF sale_2024 DEFAULT;
CREATE TABLE sale_else PARTITION OF sale DEFAULT;
INSERT INTO sale SELECT '2023-11-01'::date + g, CASE g % 2 WHEN 0 THEN 'north' ELSE 'süd' END, g
FROM generate_series(1, 600) AS g;
CREATE INDEX ON sale (amount) WHERE amount > 100;
CREATE INDEX ON "mit Leerzeichen"."Straße" USING gin (name public.gin_trgm_ops);
CREATE UNIQUE INDEX ON "mit Leerzeichen"."Straße" (lower(name), id);
CREATE STATISTICS related ON day, region FROM sale;

CREATE TABLE parent (id serial, note text);
CREATE TABLE child (extra text) INHERITS (parent);
CREATE UNLOGGED TABLE cache (key text PRIMARY KEY);
INSERT INTO child (note, extra) VALUES ('inherited', 'own');
INSERT INTO cache VALUES ('kept all the same');
CREATE TABLE nothing_in_it ();

CREATE FUNCTION public.total(which text) RETURNS bigint LANGUAGE sql STABLE
  AS $$ SELECT sum(amount) FROM public.sale WHERE region = which $$;
CREATE FUNCTION public.stamp() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  -- It must not run while rows are loaded.
  NEW.note := coalesce(NEW.note, '') || ' stamped';
  RETURN NEW;
END $body$;
CREATE PROCEDURE public.tidy(INOUT count integer) LANGUAGE plpgsql AS $$ BEGIN count := count + 1; END $$;
CREATE AGGREGATE public.product(integer) (SFUNC = int4mul, STYPE = integer, INITCOND = '1');
CREATE OPERATOR public.=~= (LEFTARG = text, RIGHTARG = text, FUNCTION = texteq);
CREATE TRIGGER stamped BEFORE INSERT OR UPDATE ON parent FOR EACH ROW EXECUTE FUNCTION public.stamp();
INSERT INTO parent (note) VALUES ('once');
CREATE VIEW totals AS SELECT region, public.total(region) AS total FROM sale GROUP BY region;
CREATE MATERIALIZED VIEW frozen AS SELECT * FROM totals WITH DATA;
CREATE MATERIALIZED VIEW colder AS SELECT sum(total) AS all_of_it FROM frozen;
CREATE MATERIALIZED VIEW unfilled AS SELECT 1 AS one WITH NO DATA;
CREATE UNIQUE INDEX ON frozen (region);
CREATE RULE silent AS ON DELETE TO cache DO INSTEAD NOTHING;

ALTER TABLE sale ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_region ON sale FOR SELECT TO clerk USING (region = 'north');
GRANT USAGE ON SCHEMA "mit Leerzeichen" TO staff;
GRANT SELECT (id, name), UPDATE (name) ON "mit Leerzeichen"."Straße" TO clerk;
GRANT SELECT, INSERT ON hen TO "die ""neue"" Käthe" WITH GRANT OPTION;
GRANT USAGE ON SEQUENCE tickets TO PUBLIC;
REVOKE EXECUTE ON FUNCTION public.total(text) FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE "owner of shops" IN SCHEMA "mit Leerzeichen" GRANT SELECT ON TABLES TO staff;
ALTER DEFAULT PRIVILEGES FOR ROLE clerk REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
COMMENT ON TABLE hen IS 'comes first; -- or ''not''';
COMMENT ON COLUMN hen.egg IS 'which';
CREATE PUBLICATION changes FOR TABLE hen;

SELECT lo_from_bytea(1234567, decode(repeat('00ff', 300000), 'hex')), lo_from_bytea(7654321, '');
ALTER LARGE OBJECT 1234567 OWNER TO clerk;
GRANT SELECT ON LARGE OBJECT 1234567 TO "die ""neue"" Käthe";
COMMENT ON LARGE OBJECT 7654321 IS 'empty';

CREATE FUNCTION public.forbid() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'tables are not made here';
END $$;
CREATE EVENT TRIGGER no_tables ON ddl_command_start WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION public.forbid();
"""

# Run by the superuser elsewhere, on the database that is put in for {name}.
OUTSIDE = """
COMMENT ON DATABASE {name} IS 'it''s all \\ "here"';
ALTER DATABASE {name} CONNECTION LIMIT 17;
ALTER DATABASE {name} SET search_path TO "$user", "mit Leerzeichen", public;
ALTER DATABASE {name} SET temp_tablespaces TO '';
ALTER DATABASE {name} SET timezone TO 'Europe/Berlin';
ALTER DATABASE {name} SET shop.motto TO 'it''s \\ cheap';
ALTER ROLE clerk IN DATABASE {name} SET work_mem TO '5MB';
ALTER ROLE clerk IN DATABASE {name} SET search_path TO '';
REVOKE ALL ON DATABASE {name} FROM PUBLIC;
GRANT CONNECT ON DATABASE {name} TO clerk WITH GRANT OPTION;
SET SESSION AUTHORIZATION clerk;
GRANT CONNECT ON DATABASE {name} TO "die ""neue"" Käthe";
"""

# Other encodings and orders than those of the server; each can hold what is INSIDE, but for LATIN1.
LATIN = "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER libc"
GERMAN = "ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'de-u-co-phonebk'"

_CHECKSUMS = """
SELECT format('SELECT %L, count(*), md5(string_agg(r::text, E''\\n'' ORDER BY r::text)) FROM ONLY %s r;', oid::regclass,
  oid::regclass)
FROM pg_class
WHERE relkind IN ('r', 'm') AND relispopulated AND relnamespace::regnamespace::text !~ '^(pg_|information_schema)'
ORDER BY oid::regclass::text;
"""
_LARGE_OBJECTS = "SELECT oid, md5(lo_get(oid)) FROM pg_largeobject_metadata ORDER BY oid;"


def quoted(name: str) -> str:
    """Return *name* as a statement has it."""
    return '"{}"'.format(name.replace('"', '""'))


def make_roles(server: PostgreSql) -> None:
    """Make the roles that the database needs, unless they are there."""
    if not server.run("SELECT 1 FROM pg_roles WHERE rolname = 'clerk'"):
        server.run(ROLES)


def make_database(server: PostgreSql, name: str, *, options: str = "") -> None:
    """Make the database *name* with one of nearly everything in it."""
    server.run(f"CREATE DATABASE {quoted(name)} TEMPLATE template0 OWNER {quoted(OWNER)} {options};")
    server.run(INSIDE, database=name)
    server.run(OUTSIDE.replace("{name}", quoted(name)))


def portrait(server: PostgreSql, name: str) -> str:
    """Return all there is to tell of a database but its name: statements, rows, and checksums of what these lack."""
    script = server.script_of(name, "--create")
    lines = [
        line for line in script.splitlines() if not re.match(r"\\((un)?restrict|connect|encoding) |-- Name: ", line)
    ]
    text = "\n".join(lines)
    for form in (quoted(name), name):
        text = re.sub(rf"DATABASE {re.escape(form)}(?=[ ;])", "DATABASE itself", text)
    checksums = server.run(server.run(_CHECKSUMS, database=name), database=name)
    return "\n".join([text, checksums, server.run(_LARGE_OBJECTS, database=name)])
