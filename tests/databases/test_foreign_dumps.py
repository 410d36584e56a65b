# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dumps that others made, loaded into real servers: whole or not at all, and nothing beside the database is touched."""

from __future__ import annotations

import os
import re
import subprocess
import typing as t
from pathlib import Path

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases.mysql import MySqlServer
from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases.postgresql import PostgreSQL
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import DatabaseError
from tests.databases import mariadb_child, postgresql_content
from tests.databases.engines import MariaDbEngine, PostgreSqlEngine
from tests.databases.mariadb_content import NAME, fill, remembered
from tests.servers.postgresql import connection_to

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.servers.mariadb import MariaDb
    from tests.servers.postgresql import PostgreSql

GONE = "DEFINER=`gone`@`nowhere`"
ROOT = "DEFINER=`root`@`localhost`"
OLD = "CREATE TABLE one (id INT PRIMARY KEY, word VARCHAR(100)); INSERT INTO one VALUES (1, 'old'), (2, 'older');"
HEAD = "CREATE DATABASE /*!32312 IF NOT EXISTS*/ `shop` /*!40100 DEFAULT CHARACTER SET utf8mb4 */;\nUSE `shop`;\n"
SMALL = f"{HEAD}CREATE TABLE `t` (`id` int);\nINSERT INTO `t` VALUES (1),(2);\n"


def ours(server: MariaDb) -> MySqlServer:
    return MySqlServer(MariaDbEngine(server).login())


def load(server: MariaDb, name: str, dump: bytes | str, *, replace: bool = False, size: int = 65536) -> list[str]:
    content = dump if isinstance(dump, bytes) else dump.encode()
    pieces = (content[start : start + size] for start in range(0, len(content), size))
    return ours(server).load_foreign(name, pieces, replace=replace)


def dumped(server: MariaDb, name: str, *options: str) -> bytes:
    """Return what the real program dumps."""
    done = subprocess.run(
        [
            str(server.programs / "mariadb-dump"),
            *("--no-defaults", f"--socket={server.socket}", f"--user={server.username}"),
            *("--routines", "--events", "--triggers", *options, "--databases", name),
        ],
        capture_output=True,
        env={**os.environ, "MYSQL_PWD": server.password},
        check=True,
    )
    return done.stdout


def make(server: MariaDb, name: str) -> None:
    server.run(f"DROP DATABASE IF EXISTS `{name}`; CREATE DATABASE `{name}` CHARACTER SET utf8mb4;")
    server.run(OLD, database=name)


def scratches(server: MariaDb) -> list[str]:
    return server.run("SHOW DATABASES LIKE 'ftp\\_backup\\_%';").split()


def portrait(server: MariaDb, name: str) -> dict[str, str]:
    """Return all that must be the same again, but for whose rights count, and quotes around the names of a trigger."""
    kept = {
        what: re.sub(r"`(\w+)`", r"\1", told) if "TRIGGER" in what else told.replace(ROOT, GONE)
        for what, told in remembered(server, name).items()
    }
    return {what: re.sub(r"\s*SQL SECURITY \w+", "", told) for what, told in kept.items()}


def unlike(first: dict[str, str], second: dict[str, str]) -> list[str]:
    return sorted(what for what in first.keys() | second.keys() if first.get(what) != second.get(what))


@pytest.fixture(scope="module")
def rich(mariadb: MariaDb) -> dict[str, str]:
    """Make the database with all that is hard to bring back, and return what must be the same again."""
    fill(mariadb)
    found = portrait(mariadb, NAME)
    return {what: told.replace("root@localhost", "gone@nowhere") for what, told in found.items()}


def of_others(dump: bytes) -> bytes:
    """Return a dump as if somebody had made it whom the server does not know."""
    return dump.replace(ROOT.encode(), GONE.encode())


# What comes back


@pytest.mark.parametrize(
    "options",
    [
        ["--dump-history"],
        ["--dump-history", "--complete-insert", "--skip-extended-insert", "--hex-blob"],
        ["--dump-history", "--skip-opt", "--create-options", "--no-autocommit", "--insert-ignore"],
        ["--replace", "--add-drop-database", "--skip-comments", "--single-transaction", "--skip-add-drop-table"],
        ["--dump-history", "--compact", "--create-options"],
        ["--dump-history", "--net-buffer-length=16M", "--order-by-primary", "--skip-tz-utc"],
    ],
)
def test_what_the_real_program_dumps_comes_back_under_another_name(
    mariadb: MariaDb, rich: dict[str, str], options: list[str]
) -> None:
    dump = of_others(dumped(mariadb, NAME, *options))

    (warning,) = load(mariadb, "-- ein 'Name'", dump, replace=True)

    lost = [] if "--dump-history" in options else ["rows versions", "sum versions"]
    assert unlike(portrait(mariadb, "-- ein 'Name'"), rich) == lost
    assert warning.startswith("12 of the views, triggers, routines and events belong to accounts that the server lacks")
    assert "`gone`@`nowhere`" in warning
    assert scratches(mariadb) == []


def test_it_comes_back_under_its_own_name_though_that_is_there(mariadb: MariaDb, rich: dict[str, str]) -> None:
    dump = of_others(dumped(mariadb, NAME, "--dump-history"))

    with pytest.raises(DatabaseError, match=r"is there and not empty"):
        load(mariadb, NAME, dump)
    load(mariadb, NAME, dump, replace=True, size=999)

    assert unlike(portrait(mariadb, NAME), rich) == []
    fill(mariadb)


MYSQL_8 = r"""-- MySQL dump 10.13  Distrib 8.0.36, for Linux (x86_64)
--
-- Host: localhost    Database: shop
-- ------------------------------------------------------
-- Server version	8.0.36

/*!40101 SET @OLD_CHARACTER_SET_CLIENT=@@CHARACTER_SET_CLIENT */;
/*!40101 SET @OLD_CHARACTER_SET_RESULTS=@@CHARACTER_SET_RESULTS */;
/*!40101 SET @OLD_COLLATION_CONNECTION=@@COLLATION_CONNECTION */;
/*!50503 SET NAMES utf8mb4 */;
/*!40103 SET @OLD_TIME_ZONE=@@TIME_ZONE */;
/*!40103 SET TIME_ZONE='+00:00' */;
/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */;
/*!40014 SET @OLD_FOREIGN_KEY_CHECKS=@@FOREIGN_KEY_CHECKS, FOREIGN_KEY_CHECKS=0 */;
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;
/*!40111 SET @OLD_SQL_NOTES=@@SQL_NOTES, SQL_NOTES=0 */;
SET @MYSQLDUMP_TEMP_LOG_BIN = @@SESSION.SQL_LOG_BIN;
SET @@SESSION.SQL_LOG_BIN= 0;

--
-- GTID state at the beginning of the backup
--

SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ 'b0c8a9c0-0000-0000-0000-000000000000:1-77';

--
-- Current Database: `shop`
--

CREATE DATABASE /*!32312 IF NOT EXISTS*/ `shop` /*!40100 DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci */@
 /*!80016 DEFAULT ENCRYPTION='N' */;

USE `shop`;

DROP TABLE IF EXISTS `orders`;
/*!40101 SET @saved_cs_client     = @@character_set_client */;
/*!50503 SET character_set_client = utf8mb4 */;
CREATE TABLE `orders` (
  `id` int unsigned NOT NULL AUTO_INCREMENT,
  `word` varchar(200) COLLATE utf8mb4_0900_ai_ci DEFAULT NULL COMMENT 'COLLATE utf8mb4_0900_ai_ci',
  `bin` varbinary(300) DEFAULT NULL,
  `made` timestamp NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (`id`),
  KEY `word` (`word`) /*!80000 INVISIBLE */
) ENGINE=InnoDB AUTO_INCREMENT=9 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci;
/*!40101 SET character_set_client = @saved_cs_client */;

LOCK TABLES `orders` WRITE;
/*!40000 ALTER TABLE `orders` DISABLE KEYS */;
INSERT INTO `orders` VALUES (0,'zero; -- it''s \'quoted\' /* COLLATE utf8mb4_0900_ai_ci */ # \\',NULL,@
'2026-01-01 00:00:00'),(1,'Größe 🎉\n\r\Z',_binary '@bytes@',NULL);
/*!40000 ALTER TABLE `orders` ENABLE KEYS */;
UNLOCK TABLES;
/*!50003 SET @saved_cs_client      = @@character_set_client */ ;
/*!50003 SET @saved_cs_results     = @@character_set_results */ ;
/*!50003 SET @saved_col_connection = @@collation_connection */ ;
/*!50003 SET character_set_client  = utf8mb4 */ ;
/*!50003 SET character_set_results = utf8mb4 */ ;
/*!50003 SET collation_connection  = utf8mb4_0900_ai_ci */ ;
/*!50003 SET @saved_sql_mode       = @@sql_mode */ ;
/*!50003 SET sql_mode              = @
'ONLY_FULL_GROUP_BY,STRICT_TRANS_TABLES,TIME_TRUNCATE_FRACTIONAL,NO_AUTO_CREATE_USER' */ ;
DELIMITER ;;
/*!50003 CREATE*/ /*!50017 DEFINER=`shop`@`localhost`*/ /*!50003 TRIGGER `stamp`@
 BEFORE INSERT ON `orders` FOR EACH ROW BEGIN
  IF NEW.word IS NULL THEN SET NEW.word = 'none;'; END IF; -- it's "so"
END */;;
DELIMITER ;
/*!50003 SET sql_mode              = @saved_sql_mode */ ;
/*!50003 SET character_set_client  = @saved_cs_client */ ;
/*!50003 SET character_set_results = @saved_cs_results */ ;
/*!50003 SET collation_connection  = @saved_col_connection */ ;

--
-- Temporary view structure for view `words`
--

DROP TABLE IF EXISTS `words`;
/*!50001 DROP VIEW IF EXISTS `words`*/;
SET @saved_cs_client     = @@character_set_client;
/*!50503 SET character_set_client = utf8mb4 */;
/*!50001 CREATE VIEW `words` AS SELECT
 1 AS `id`,
 1 AS `word`*/;
SET character_set_client = @saved_cs_client;
/*!50003 DROP PROCEDURE IF EXISTS `tidy` */;
DELIMITER ;;
CREATE DEFINER=`shop`@`localhost` PROCEDURE `tidy`(IN a varchar(10) CHARSET utf8mb4 COLLATE utf8mb4_0900_ai_ci)
BEGIN
  -- a comment; that stays
  DECLARE done INT DEFAULT 0;
  l: LOOP SET done = done + 1; IF done > 3 THEN LEAVE l; END IF; END LOOP;
END ;;
DELIMITER ;
/*!50106 SET @save_time_zone= @@TIME_ZONE */ ;
/*!50106 DROP EVENT IF EXISTS `nightly` */;
DELIMITER ;;
/*!50106 SET TIME_ZONE= 'SYSTEM' */ ;;
/*!50106 CREATE*/ /*!50117 DEFINER=`shop`@`localhost`*/ /*!50106 EVENT `nightly`@
 ON SCHEDULE EVERY 1 DAY STARTS '2036-01-01 00:00:00' ON@
 COMPLETION NOT PRESERVE ENABLE COMMENT 'DO' DO DELETE FROM orders WHERE id > 99 */ ;;
DELIMITER ;
/*!50106 SET TIME_ZONE= @save_time_zone */ ;

USE `shop`;

/*!50001 DROP VIEW IF EXISTS `words`*/;
/*!50001 CREATE ALGORITHM=UNDEFINED */
/*!50013 DEFINER=`shop`@`localhost` SQL SECURITY DEFINER */
/*!50001 VIEW `words` AS select `orders`.`id` AS `id`,`shop`.`orders`.`word` AS `word` from `shop`.`orders` */;
SET @@SESSION.SQL_LOG_BIN = @MYSQLDUMP_TEMP_LOG_BIN;
/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;

/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;
/*!40014 SET FOREIGN_KEY_CHECKS=@OLD_FOREIGN_KEY_CHECKS */;
/*!40014 SET UNIQUE_CHECKS=@OLD_UNIQUE_CHECKS */;
/*!40101 SET CHARACTER_SET_CLIENT=@OLD_CHARACTER_SET_CLIENT */;
/*!40101 SET CHARACTER_SET_RESULTS=@OLD_CHARACTER_SET_RESULTS */;
/*!40101 SET COLLATION_CONNECTION=@OLD_COLLATION_CONNECTION */;
/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;

-- Dump completed on 2026-01-01  1:23:45
"""
_ESCAPED = {0: b"\\0", 10: b"\\n", 13: b"\\r", 34: b'\\"', 39: b"\\'", 92: b"\\\\", 26: b"\\Z"}
BYTES = b"".join(_ESCAPED.get(number, bytes([number])) for number in range(256))
#: Lines that are too long here go on behind a sign.
MYSQL_8_DUMP = MYSQL_8.replace("@\n", "").encode().replace(b"@bytes@", BYTES)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_a_dump_of_mysql_8_comes_back_with_what_this_server_has_for_it(mariadb: MariaDb, line_end: bytes) -> None:
    dump = MYSQL_8_DUMP.replace(b"\n", line_end)

    warnings = load(mariadb, "shop of 8", dump, replace=True)

    def told(statement: str) -> str:
        return mariadb.run(statement, database="shop of 8")

    assert told(
        "SELECT id, HEX(word), HEX(bin), made FROM words JOIN orders USING (id) ORDER BY id;".replace(
            "HEX(word)", "HEX(orders.word)"
        )
    ).splitlines() == [
        "0\t{}\tNULL\t2026-01-01 00:00:00".format(
            b"zero; -- it's 'quoted' /* COLLATE utf8mb4_0900_ai_ci */ # \\".hex().upper()
        ),
        f"1\t{'Größe 🎉'.encode().hex().upper()}0A0D1A\t{bytes(range(256)).hex().upper()}\tNULL",
    ]
    assert "COMMENT 'COLLATE utf8mb4_0900_ai_ci'" in told("SHOW CREATE TABLE orders;")
    assert "utf8mb4_uca1400_nopad_ai_ci" in told("SHOW CREATE TABLE orders;")
    assert "utf8mb4_uca1400_nopad_ai_ci" in told("SHOW CREATE DATABASE `shop of 8`;")
    assert "-- a comment; that stays" in told("SHOW CREATE PROCEDURE tidy;")
    assert "from `orders`" in told("SHOW CREATE VIEW words;")
    assert "COMMENT 'DO' DO DELETE FROM orders" in told("SHOW CREATE EVENT nightly;")
    assert '-- it\'s "so"' in told("SHOW CREATE TRIGGER stamp;")
    told("CALL tidy('x');")
    assert [warning.split(" (")[0] for warning in warnings] == [
        "The server lacks 1 collation(s) of the dump, which were replaced in 5 place(s) of its definitions",
        "The server does not know all SQL modes of the dump; these were left out: TIME_TRUNCATE_FRACTIONAL.",
        "4 of the views, triggers, routines and events belong to accounts that the server lacks",
    ]


MYSQL_5_1 = """-- MySQL dump 10.13  Distrib 5.1.73, for redhat-linux-gnu (x86_64)
--
-- Host: localhost    Database: shop
-- ------------------------------------------------------
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;
/*!40111 SET @OLD_SQL_NOTES=@@SQL_NOTES, SQL_NOTES=0 */;
/*!40101 SET NAMES utf8 */;

DROP TABLE IF EXISTS `a_view`;
/*!50001 DROP VIEW IF EXISTS `a_view`*/;
SET @saved_cs_client     = @@character_set_client;
SET character_set_client = utf8;
/*!50001 CREATE TABLE `a_view` (
  `id` tinyint NOT NULL
) ENGINE=MyISAM */;
SET character_set_client = @saved_cs_client;
CREATE TABLE `old` (
  `id` int(11) NOT NULL DEFAULT '0',
  `made` datetime NOT NULL DEFAULT '0000-00-00 00:00:00',
  KEY `id` (`id`)
) ENGINE=MyISAM DEFAULT CHARSET=latin1
/*!50100 PARTITION BY HASH (id) PARTITIONS 2 */;
INSERT INTO `old` VALUES (0,'0000-00-00 00:00:00');
ALTER DATABASE `shop` CHARACTER SET latin1 COLLATE latin1_swedish_ci ;
/*!50003 SET sql_mode = 'NO_AUTO_CREATE_USER' */ ;
DELIMITER ;;
/*!50003 CREATE*/ /*!50020 DEFINER=`shop`@`%`*/ /*!50003 FUNCTION `one`() RETURNS int(11)
    DETERMINISTIC
RETURN 1 */;;
DELIMITER ;
/*!50003 SET sql_mode = @OLD_SQL_MODE */ ;
ALTER DATABASE `shop` CHARACTER SET utf8 COLLATE utf8_general_ci ;
/*!50001 DROP TABLE `a_view`*/;
/*!50001 DROP VIEW IF EXISTS `a_view`*/;
/*!50001 CREATE ALGORITHM=UNDEFINED */
/*!50013 DEFINER=`shop`@`%` SQL SECURITY DEFINER */
/*!50001 VIEW `a_view` AS select `z_view`.`id` AS `id` from `z_view` */;
/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;
"""


def test_a_dump_of_mysql_5_1_comes_back(mariadb: MariaDb) -> None:
    dump = MYSQL_5_1.replace("`z_view`", "`old`")

    load(mariadb, "shop of 5", dump, replace=True)

    assert mariadb.run("SELECT one(), made FROM a_view JOIN old;", database="shop of 5") == "1\t0000-00-00 00:00:00\n"
    assert "PARTITION BY HASH" in mariadb.run("SHOW CREATE TABLE old;", database="shop of 5")
    assert "VIEW" in mariadb.run("SHOW FULL TABLES LIKE 'a_view';", database="shop of 5")


# Whose definitions run with which rights


def test_a_definer_who_may_only_use_this_database_stays_and_others_get_no_rights(mariadb: MariaDb) -> None:
    mariadb.run(
        "CREATE OR REPLACE USER tame@localhost; GRANT ALL ON `shop\\_1`.* TO tame@localhost;"
        "CREATE OR REPLACE USER wide@localhost; GRANT ALL ON `shop_1`.* TO wide@localhost;"
        "CREATE OR REPLACE USER twice@localhost; GRANT SELECT ON `shop\\_1`.* TO twice@localhost;"
        "GRANT SELECT ON other.* TO twice@localhost;"
    )
    definers = ["tame`@`localhost", "wide`@`localhost", "twice`@`localhost", "root`@`localhost", "gone`@`x"]
    view = "CREATE DEFINER=`@` SQL SECURITY DEFINER VIEW `v#` AS SELECT * FROM mysql.user;\n"
    views = "".join(
        view.replace("`@`", f"`{definer}`").replace("#", str(number)) for number, definer in enumerate(definers)
    )
    trigger = "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET @x = 1;\n"

    warnings = load(mariadb, "shop_1", f"{SMALL}{views}{trigger}", replace=True)

    made = [mariadb.run(f"SHOW CREATE VIEW v{number};", database="shop_1") for number in range(len(definers))]
    nobody = "DEFINER=`ftp_backup_nobody`@`localhost` SQL SECURITY INVOKER"
    expected = ["DEFINER=`tame`@`localhost` SQL SECURITY DEFINER", nobody, nobody, nobody]
    expected.append("DEFINER=`gone`@`x` SQL SECURITY INVOKER")
    assert [want in shown for want, shown in zip(expected, made)] == [True] * 5
    assert "DEFINER=`ftp_backup_nobody`@`localhost`" in mariadb.run("SHOW CREATE TRIGGER tr;", database="shop_1")
    assert "1 of the views" in warnings[0]
    assert "`gone`@`x`" in warnings[0]
    assert "4 of the views" in warnings[1]
    assert "`root`@`localhost`, `twice`@`localhost`, `wide`@`localhost`" in warnings[1]
    assert warnings[1].endswith("until they are made anew with another definer (1 fail).")


# What is refused, and what it leaves


HOSTILE = [
    "GRANT ALL ON *.* TO evil@localhost;",
    "CREATE USER evil@localhost;",
    "SET GLOBAL general_log_file = '/tmp/evil';",
    "DROP DATABASE other;",
    "USE mysql;\nINSERT INTO `user` VALUES (1);",
    "INSERT INTO other.one VALUES (3, 'evil');",
    "INSERT INTO `t` SELECT id FROM other.one;",
    "CREATE TABLE other.evil (id int);",
    "CREATE TABLE `u` SELECT * FROM mysql.user;",
    "CREATE TABLE `u` (`a` longtext DEFAULT (load_file('/etc/passwd')));",
    "CREATE TABLE `u` (`a` int) ENGINE=CONNECT;",
    "SELECT 1 INTO OUTFILE '/tmp/evil';",
    "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t;",
    "INSTALL SONAME 'ha_connect';",
    "KILL CONNECTION_ID();",
    "\\! touch evil\n;",
    "system touch evil\n;",
    "source /etc/passwd\n;",
    "\\. /etc/passwd\n;",
    "\\C gbk\n;",
    "/*!50000 GRANT ALL ON *.* TO evil@localhost */;",
    "DELIMITER ;;\nCREATE PROCEDURE p() SELECT 1; CREATE USER evil@localhost;;\nDELIMITER ;",
    "DELIMITER ;;\nCREATE VIEW v AS SELECT 1; CREATE USER evil@localhost;;\nDELIMITER ;",
    "DELIMITER ;;\nCREATE TRIGGER r BEFORE INSERT ON t FOR EACH ROW SET @a = 1; CREATE USER evil@localhost;;\n",
    "SET NAMES gbk;\nINSERT INTO `t` VALUES ('\\\xbf\\'); CREATE USER evil@localhost; -- ');",
]


@pytest.mark.parametrize("statement", HOSTILE)
def test_a_dump_that_reaches_further_is_refused_and_changes_nothing(mariadb: MariaDb, statement: str) -> None:
    make(mariadb, "other")
    make(mariadb, "kept")
    looks = "SHOW DATABASES; SELECT user, host FROM mysql.user; SHOW GLOBAL VARIABLES LIKE '%log%'; SHOW PLUGINS;"
    before = mariadb.run(looks)

    with pytest.raises(DatabaseError, match=r"^Cannot load the database 'kept' on .* the statement \d+ of the dump"):
        load(mariadb, "kept", f"{SMALL}{statement}\nINSERT INTO `t` VALUES (3);\n", replace=True)

    assert mariadb.run(looks) == before
    assert mariadb.run("SELECT * FROM one;", database="other") == "1\told\n2\tolder\n"
    assert mariadb.run("SELECT * FROM one;", database="kept") == "1\told\n2\tolder\n"
    assert scratches(mariadb) == []
    assert not Path("evil").exists()


HIDDEN = (
    "x\n\\! touch evil\nDELIMITER x\nsystem touch evil\n;;\nCREATE USER evil@localhost;\n-- '' \\' # \\\\ \" ` /*! */"
)


def test_what_looks_like_commands_in_texts_stays_text(mariadb: MariaDb) -> None:
    dump = f"{HEAD}CREATE TABLE `t` (`a` text COMMENT '{HIDDEN}');\nINSERT INTO `t` VALUES ('{HIDDEN}');\n"
    routine = f"DELIMITER ;;\nCREATE PROCEDURE p() BEGIN SELECT '{HIDDEN}'; END\n;;\nDELIMITER ;\n"

    load(mariadb, "texts", dump + routine, replace=True)

    text = HIDDEN.replace("''", "'").replace("\\'", "'").replace("\\\\", "\\").replace("\\!", "!")
    assert bytes.fromhex(mariadb.run("SELECT HEX(a) FROM t;", database="texts")).decode() == text
    assert mariadb.run("CALL p();", database="texts").removesuffix("\n") == text
    assert "evil" not in mariadb.run("SELECT user FROM mysql.user;")
    assert not Path("evil").exists()


def test_a_name_in_ansi_quotes_cannot_end_where_the_client_and_the_server_differ(mariadb: MariaDb) -> None:
    trick = 'SET sql_mode = \'ANSI_QUOTES\';\nCREATE VIEW v AS SELECT 1 AS "a\\"" ; CREATE USER evil@localhost; -- ";\n'

    with pytest.raises(DatabaseError, match=r"has a backslash outside of a text"):
        load(mariadb, "tricked", SMALL + trick, replace=True)

    assert "evil" not in mariadb.run("SELECT user FROM mysql.user;")


@pytest.mark.parametrize("share", [0.02, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97])
def test_a_dump_that_was_cut_leaves_what_was_there(mariadb: MariaDb, share: float) -> None:
    make(mariadb, "kept")
    dump = MYSQL_8_DUMP[: int(len(MYSQL_8_DUMP) * share)]

    with pytest.raises(DatabaseError, match=r"lacks its end"):
        load(mariadb, "kept", dump, replace=True)

    assert mariadb.run("SELECT word FROM one;", database="kept") == "old\nolder\n"
    assert scratches(mariadb) == []


def test_what_the_storage_fails_to_give_leaves_what_was_there(mariadb: MariaDb) -> None:
    make(mariadb, "kept")

    def half() -> Iterator[bytes]:
        yield MYSQL_8_DUMP[:3000]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        ours(mariadb).load_foreign("kept", half(), replace=True)

    assert mariadb.run("SELECT word FROM one;", database="kept") == "old\nolder\n"
    assert scratches(mariadb) == []


def test_a_load_that_is_killed_leaves_what_was_there_and_the_next_removes_the_rest(
    mariadb: MariaDb, tmp_path: Path
) -> None:
    make(mariadb, "kept")
    rows = ",".join(f"({number})" for number in range(300_000))
    dump = tmp_path / "dump"
    insertion = "INSERT INTO `t` VALUES @;\n".replace("@", rows)
    dump.write_text(SMALL + insertion + insertion, encoding="utf-8")

    place = dump.stat().st_size - 1_000_000
    with mariadb_child.loading(MariaDbEngine(mariadb).login(), "kept", None, dump, place) as child:
        child.kill()
        child.wait()
    (left,) = scratches(mariadb)
    mariadb.run(f"SELECT GET_LOCK('{left}', 60);")  # the server knows that nobody holds it

    assert mariadb.run("SELECT word FROM one;", database="kept") == "old\nolder\n"
    load(mariadb, "kept", dump.read_bytes(), replace=True)
    assert mariadb.run("SELECT COUNT(*) FROM t;", database="kept") == "600002\n"
    assert scratches(mariadb) == []


# PostgreSQL


def archive_of(server: PostgreSql, name: str) -> bytes:
    """Return what the real program dumps in the form of tar."""
    return subprocess.run(
        [str(server.programs / "pg_dump"), "--format=tar", "--no-password", f"--dbname={connection_to(name)}"],
        capture_output=True,
        env=server.environment(),
        check=True,
    ).stdout


def load_archive(server: PostgreSql, name: str, archive: bytes, *, replace: bool = False) -> list[str]:
    return PostgreSQL(PostgreSqlEngine(server).login()).load_foreign(name, [archive], replace=replace)


def fresh(server: PostgreSql, name: str, statements: str) -> None:
    server.run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    server.run(f'CREATE DATABASE "{name}"')
    server.run(statements, database=name)


def roles(server: PostgreSql) -> str:
    return server.run("SELECT rolname, rolcanlogin, rolsuper FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY 1")


def test_an_archive_comes_back_without_owners_and_what_reaches_further(postgresql: PostgreSql) -> None:
    postgresql_content.make_roles(postgresql)
    name = "rich of others"
    postgresql.run(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    postgresql_content.make_database(postgresql, name)
    archive = archive_of(postgresql, name)
    postgresql.run(f'ALTER DATABASE "{name}" RESET ALL')  # which is no part of an archive

    warnings = load_archive(postgresql, "copy of it", archive, replace=True)

    kinds = ("--no-owner", "--no-acl", "--no-publications", "--no-subscriptions")
    told = [plain(postgresql.script_of(database, *kinds)) for database in (name, "copy of it")]
    assert told[0] == told[1]
    assert "belongs to the new role ftp_backup_copy_of_it_" in warnings[0]
    assert warnings[1].endswith("ACL, DEFAULT ACL, EVENT TRIGGER, PUBLICATION, PUBLICATION TABLE.")
    owner = postgresql.run("SELECT rolname, rolcanlogin, rolsuper FROM pg_roles WHERE rolname ~ '^ftp_backup_copy'")
    assert owner.endswith("\tf\tf")


def plain(script: str) -> list[str]:
    """Return the lines of a script without comments, and without what only a superuser makes."""
    kept = re.sub(r"CREATE EVENT TRIGGER .*?;", "", script, flags=re.DOTALL).splitlines()
    return [line for line in kept if not re.match(r"--|\\(un)?restrict|COMMENT ON EXTENSION|$", line)]


# A check is executed for each row that is restored, and an index for each row that is there.
_EVIL = """
CREATE FUNCTION evil(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
  IF current_database() <> 'evil' THEN {deed}; END IF;
  RETURN i;
END $$;
CREATE TABLE t (id int{check});
INSERT INTO t VALUES (1);
CREATE INDEX ON t ({key});
"""
_MAKE_ROLE, _READ_FILE = "CREATE ROLE evil SUPERUSER", "PERFORM pg_read_file('/etc/passwd')"
REACHING = [
    _EVIL.format(deed=deed, check=check, key=key)
    for deed in (_MAKE_ROLE, _READ_FILE, "ALTER ROLE CURRENT_USER SUPERUSER", "COPY t TO PROGRAM 'touch evil'")
    for check, key in ((" CHECK (public.evil(id) > 0)", "id"), ("", "public.evil(id)"))
]


@pytest.mark.parametrize("statements", REACHING)
def test_what_an_archive_executes_has_no_rights_beyond_its_database(postgresql: PostgreSql, statements: str) -> None:
    fresh(postgresql, "evil", statements)
    fresh(postgresql, "kept", "CREATE TABLE old (id int)")
    archive = archive_of(postgresql, "evil")
    before = roles(postgresql)

    with pytest.raises(DatabaseError, match=r"permission denied|must be superuser|cannot"):
        load_archive(postgresql, "kept", archive, replace=True)

    assert roles(postgresql) == before
    assert postgresql.run("SELECT count(*) FROM old", database="kept") == "0"
    assert "ftp_backup_kept" not in postgresql.run("SELECT datname FROM pg_database")


@pytest.mark.parametrize("missing", [1, 512, 1024, 3000, 40000])
def test_an_archive_that_was_cut_leaves_what_was_there(postgresql: PostgreSql, missing: int) -> None:
    fresh(postgresql, "full", "CREATE TABLE t AS SELECT n, repeat('x', 90) AS word FROM generate_series(1, 2000) AS n")
    fresh(postgresql, "kept", "CREATE TABLE old (id int)")
    archive = archive_of(postgresql, "full")

    with pytest.raises(DatabaseError, match=r"the dump lacks its end"):
        load_archive(postgresql, "kept", archive[:-missing], replace=True)
    assert postgresql.run("SELECT count(*) FROM old", database="kept") == "0"
    load_archive(postgresql, "kept", archive, replace=True)

    assert postgresql.run("SELECT count(*) FROM t", database="kept") == "2000"
