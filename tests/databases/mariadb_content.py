# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database of MariaDB with all that is hard to bring back, and what is compared once it is back."""

from __future__ import annotations

import random
import re
import typing as t

if t.TYPE_CHECKING:
    from tests.servers.mariadb import MariaDb

NAME = "Büro -/`x`"

_TABLES = r"""
CREATE SEQUENCE `Nummer` START WITH 100 INCREMENT BY 10 CACHE 5;
CREATE TABLE `größe` (
  id INT AUTO_INCREMENT PRIMARY KEY, `naïve "col"` VARCHAR(200) CHARACTER SET latin1 COLLATE latin1_german2_ci,
  text_ TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin, old CHAR(20) CHARACTER SET cp1251,
  koi VARCHAR(20) CHARACTER SET koi8r
) AUTO_INCREMENT = 4711 DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_unicode_ci COMMENT = 'it''s; a "table" \\ `x`';
INSERT INTO `größe` VALUES (1, 'Größe', 'emoji 🎉 \\ '' " \n\r\t\0\Z %_;-- #/* */', 'Привет', 'Пока'),
  (2, NULL, '', '', ''), (3, 'NULL', '''),(4,''x'');\n(', 'x', 'y');
INSERT INTO `größe` (text_) VALUES ('after the gap'); DELETE FROM `größe` WHERE id = 4711;
CREATE TABLE kinds (
  id BIGINT UNSIGNED PRIMARY KEY, e ENUM('a', 'ü', '''q'), s SET('x', 'y', 'z'), j JSON, d DECIMAL(30, 10), f FLOAT,
  g DOUBLE, b BIT(10), day DATE, at DATETIME(6), stamp TIMESTAMP NULL, t TIME(3), y YEAR, u UUID, i INET6,
  p POINT, poly GEOMETRY, bin BINARY(16), vb VARBINARY(300)
);
SET sql_mode = '';
INSERT INTO kinds VALUES
  (18446744073709551615, 'ü', 'x,z', '{"k": ["ü", "\\"", null, 1.5]}', 12345678901234567890.0123456789, 1e-30, -0.1,
   b'1010101010', '0000-00-00', '0000-00-00 00:00:00', NULL, '-838:59:59', 1901, UUID(), '::1', POINT(1.5, -2),
   ST_GeomFromText('POLYGON((0 0, 1 0, 1 1, 0 0))'), X'00ff', X'27220a5c00'),
  (0, '', '', NULL, NULL, NULL, 1.7976931348623157e308, b'0', '2026-02-00', '9999-12-31 23:59:59.999999',
   '2026-03-29 01:30:00', '00:00:00.001', 2155, NULL, NULL, NULL, NULL, NULL, '');
SET sql_mode = DEFAULT;
CREATE TABLE numbered (id INT PRIMARY KEY DEFAULT NEXTVAL(`Nummer`), word VARCHAR(30) DEFAULT 'nextval(`a`.');
INSERT INTO numbered (word) VALUES ('a'), ('b');
CREATE TABLE person (
  id INT PRIMARY KEY, boss INT, home INT, CONSTRAINT boss_ FOREIGN KEY (boss) REFERENCES person (id)
);
CREATE TABLE house (id INT PRIMARY KEY, owner INT, FOREIGN KEY (owner) REFERENCES person (id) ON DELETE CASCADE);
ALTER TABLE person ADD FOREIGN KEY (home) REFERENCES house (id) ON UPDATE SET NULL;
INSERT INTO person VALUES (1, 1, NULL), (2, 1, NULL); INSERT INTO house VALUES (7, 2); UPDATE person SET home = 7;
CREATE TABLE derived (
  a INT, b INT AS (a * 2) STORED, c INT AS (a + 1) VIRTUAL, KEY (c), CHECK (a < 1000)
);
INSERT INTO derived (a) VALUES (1), (2), (NULL);
CREATE TABLE words (id INT PRIMARY KEY, body TEXT, FULLTEXT KEY (body)); INSERT INTO words VALUES (1, 'to be found');
CREATE TABLE parts (id INT, day DATE) PARTITION BY RANGE (YEAR(day)) (
  PARTITION old VALUES LESS THAN (2020), PARTITION young VALUES LESS THAN MAXVALUE);
INSERT INTO parts VALUES (1, '2019-01-01'), (2, '2024-01-01');
CREATE TABLE versions (id INT PRIMARY KEY, word VARCHAR(10)) WITH SYSTEM VERSIONING;
INSERT INTO versions VALUES (1, 'first'); UPDATE versions SET word = 'second'; DELETE FROM versions;
CREATE TABLE plain_aria (id INT PRIMARY KEY) ENGINE = Aria; INSERT INTO plain_aria VALUES (1);
CREATE TABLE plain_isam (id INT PRIMARY KEY, KEY (id)) ENGINE = MyISAM; INSERT INTO plain_isam VALUES (2);
CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY, line VARCHAR(100) CHARACTER SET utf8mb4);
CREATE TABLE `same` (`same` INT); INSERT INTO `same` VALUES (5);
CREATE TABLE blobs (id INT PRIMARY KEY, body LONGBLOB);
"""

_DEFINITIONS = r"""
CREATE FUNCTION twice(a INT) RETURNS INT DETERMINISTIC RETURN a * 2;
CREATE FUNCTION `größer`(a TEXT CHARACTER SET utf8mb4) RETURNS TEXT CHARACTER SET utf8mb4 NO SQL
  RETURN CONCAT(a, ' "größer" 🎉 \\ ''');
"""

_BODIES = r"""
CREATE PROCEDURE fill(IN many INT, OUT said TEXT) COMMENT 'it''s; said' BEGIN
  DECLARE i INT DEFAULT 0; -- a comment; with an end
  WHILE i < many DO SET i = i + 1; INSERT INTO log (line) VALUES (CONCAT('x;', i)); END WHILE;
  SET said = 'done;';
END$$
CREATE TRIGGER `{name}`.`auslöser` BEFORE INSERT ON `{name}`.person FOR EACH ROW BEGIN
  IF NEW.boss IS NULL THEN SET NEW.boss = NEW.id; END IF; INSERT INTO log (line) VALUES ('person; 🎉');
END$$
CREATE TRIGGER second BEFORE INSERT ON person FOR EACH ROW FOLLOWS `auslöser` INSERT INTO log (line) VALUES ('second')$$
CREATE EVENT `ereignis` ON SCHEDULE EVERY 1 HOUR STARTS '2026-01-01 00:00:00' ON COMPLETION PRESERVE DISABLE
  COMMENT 'üh' DO BEGIN DELETE FROM log; DELETE FROM log; END$$
CREATE EVENT soon ON SCHEDULE EVERY 5 DAY STARTS '2036-01-01 00:00:00' DO SET @x = 1$$
CREATE VIEW z_first AS SELECT id, twice(id) AS two, `größer`(body) AS more FROM words
  WHERE body <> 'it''s''`{name}`.`x`'$$
CREATE VIEW a_last AS SELECT two + 1 AS three, z.more FROM z_first AS z$$
CREATE VIEW joined AS SELECT w.id, `{name}`.`same`.`same` AS s, o.word FROM words AS w
  JOIN `{name}`.`same` JOIN beside.other AS o ON o.id = `{name}`.twice(w.id) AND o.word <> '`{name}`.`same`.`x`'$$
CREATE VIEW `--v` AS SELECT 1 AS `--c {x}`$$
CREATE ALGORITHM = MERGE SQL SECURITY INVOKER VIEW checked AS SELECT id, boss FROM person WHERE id < 100
  WITH CASCADED CHECK OPTION$$
"""


_AROUND = """
CREATE DATABASE IF NOT EXISTS beside;
CREATE OR REPLACE TABLE beside.other (id INT, word VARCHAR(10));
INSERT INTO beside.other VALUES (2, 'two');
DROP DATABASE IF EXISTS `{name}`;
CREATE DATABASE `{name}` CHARACTER SET latin2 COLLATE latin2_czech_cs;
"""
_TABLES_THERE = "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = {text} ORDER BY 1;"
_ROUTINES_THERE = """
SELECT CONCAT('SHOW CREATE ', routine_type), routine_name FROM information_schema.routines
WHERE routine_schema = {text} UNION ALL
SELECT 'SHOW CREATE TRIGGER', trigger_name FROM information_schema.triggers WHERE trigger_schema = {text} UNION ALL
SELECT 'SHOW CREATE EVENT', event_name FROM information_schema.events WHERE event_schema = {text} ORDER BY 1, 2;
"""
_ROWS = "SELECT * FROM {table};"


def fill(server: MariaDb, name: str = NAME) -> None:
    """Make the database *name* and the one beside it, to which one of its views looks."""
    quoted = name.replace("`", "``")
    server.run(_AROUND.replace("{name}", quoted))
    bodies = _BODIES.replace("{name}", quoted)
    server.run(f"{_TABLES}{_DEFINITIONS}DELIMITER $$\n{bodies}", database=name)
    blobs = [bytes(range(256)) * 20, b"", random.Random(1).randbytes(2_000_000), bytes(100_000)]
    rows = ", ".join(f"({number}, X'{blob.hex()}')" for number, blob in enumerate(blobs))
    server.run("INSERT INTO blobs VALUES {rows};".replace("{rows}", rows), database=name)


def remembered(server: MariaDb, name: str) -> dict[str, str]:
    """Return all that must be the same again in the database *name*, by what it is."""
    quoted = name.replace("`", "``")
    text = f"_utf8mb4 x'{name.encode().hex()}'"
    tables = server.run(_TABLES_THERE.replace("{text}", text))
    kept = {"kind": server.run(f"SHOW CREATE DATABASE `{quoted}`;").partition("\t")[2], "tables": tables}
    for line in tables.splitlines():
        table, kind = line.split("\t")
        kept[f"made {table}"] = server.run(f"SHOW CREATE TABLE `{table}`;", database=name)
        if kind != "VIEW":
            kept[f"sum {table}"] = server.run(f"CHECKSUM TABLE `{table}` EXTENDED;", database=name).split("\t")[1]
        if kind != "SEQUENCE":  # of which the server has taken more than it has given
            history = " FOR SYSTEM_TIME ALL" if kind == "SYSTEM VERSIONED" else ""
            kept[f"rows {table}"] = server.run(_ROWS.replace("{table}", f"`{table}`{history}"), database=name)
    for line in server.run(_ROUTINES_THERE.replace("{text}", text)).splitlines():
        statement, one = line.split("\t")
        shown = server.run(f"{statement} `{one}`;", database=name)
        kept[line] = re.sub(r"\t\d{4}-\d\d-\d\d [\d:.]+\n", "\n", shown)  # when a trigger was made
    # What names its own database may name another one now, but not in a text; before a trigger it need not be named.
    own = re.compile(rf"(?<!')`{re.escape(quoted)}`(?:\.| (?=/\*))")
    return {what: own.sub("", told) for what, told in kept.items()}
