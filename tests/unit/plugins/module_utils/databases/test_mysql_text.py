# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a stranger's dump is let through, and that nothing else ever is, however it is cut and quoted."""

from __future__ import annotations

import random
import typing as t
from dataclasses import dataclass

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases.mysql_collations import nearest_collation
from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases.mysql_text import DumpText, Tongue
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import DatabaseError

if t.TYPE_CHECKING:
    from collections.abc import Iterator

KNOWN = frozenset({"utf8mb4_general_ci", "utf8mb4_unicode_ci", "utf8mb4_bin", "latin1_swedish_ci"})
TONGUE = Tongue(KNOWN, is_mariadb=True)
END = "\n$end\n"
TABLE = "CREATE TABLE `t` (`a` int);\n"


@dataclass(frozen=True)
class Loaded:
    """What became of a dump."""

    rows: str
    definitions: str
    events: str
    dump: DumpText


def pieces_of(content: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def loaded(text: str | bytes, *, size: int = 1_000_000, tongue: Tongue = TONGUE, is_kept: bool = True) -> Loaded:
    content = text if isinstance(text, bytes) else text.encode()
    dump = DumpText(pieces_of(content, size), tongue, "$end", "It fails")
    dump.begin()
    rows = b"".join(map(bytes, dump.rows()))

    def settle(definer: tuple[str, str] | None) -> tuple[tuple[str, str], bool]:
        return (definer, True) if is_kept and definer is not None else (("nobody", "nowhere"), False)

    definitions = dump.definitions(settle, lambda view, _database: view)
    events = dump.events(settle)
    return Loaded(shown(rows), shown(definitions), shown(events), dump)


def shown(content: bytes) -> str:
    """Return what stands behind the preamble of a part, as text in which each byte is a letter."""
    return content.decode("latin-1").partition("unique_checks = 0" + END)[2].removesuffix("DELIMITER ;\n")


def refused(text: str | bytes) -> str:
    with pytest.raises(DatabaseError) as told:
        loaded(text)
    return str(told.value)


# What is let through


def test_a_table_and_its_rows_are_let_through_as_they_are() -> None:
    text = "CREATE TABLE `t` (\n  `a` int COMMENT 'it''s; -- \\' `x`'\n) ENGINE=InnoDB /*!50100 PARTITION BY KEY () */"
    rows = "(1,'a;\\'\\\\'),(-1.5e-3,NULL),\n(0xFF00,_binary '\\0'),(.5,x'00'),(b'1',TRUE),(DEFAULT,'--'),('','/*')"

    found = loaded("@;\nINSERT INTO `t` VALUES #;\n".replace("@", text).replace("#", rows))

    assert found.rows.split(END) == [text, "INSERT INTO `t` VALUES  @".replace("@", rows), ""]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_it_makes_no_difference_where_a_dump_is_cut_into_pieces(size: int) -> None:
    whole = loaded(RICH)

    assert loaded(RICH, size=size).rows == whole.rows
    assert loaded(RICH, size=size).definitions == whole.definitions
    assert loaded(RICH, size=size).events == whole.events


def test_rows_of_any_length_and_of_every_byte_are_passed_on_unchanged() -> None:
    chance = random.Random(4)
    texts = [chance.randbytes(chance.choice([0, 1, 3, 300, 700_000])) for _number in range(60)]
    quoted = [
        text.replace(b"\\", b"\\\\").replace(b"'", b"\\'" if place % 2 else b"''") for place, text in enumerate(texts)
    ]
    hexadecimal = chance.randbytes(900_000).hex().encode()
    rows = b",".join(b"(%d,_binary '%s',12345.678e5,NULL)" % (place, text) for place, text in enumerate(quoted))
    rows += b",(1,0x" + hexadecimal + b",-1,0x)"

    found = loaded(TABLE.encode() + b"INSERT INTO `t` VALUES " + rows + b";\nUNLOCK TABLES;\n", size=9973)

    assert found.rows.endswith(f"VALUES  {rows.decode('latin-1')}{END}")


def test_other_forms_of_inserting_are_let_through() -> None:
    found = loaded(
        "INSERT  IGNORE INTO `t` (`a`, `b``c`) VALUES (1,2);\r\nREPLACE INTO `t` VALUES (3,4);\r\n"
        "# a comment; '\r\n-- another; \"\r\nINSERT INTO t VALUES (5,6) ;\r\n--\r\n"
    )

    assert found.rows.split(END) == [
        "INSERT IGNORE INTO `t` (`a`, `b``c`) VALUES  (1,2)",
        "REPLACE INTO `t` VALUES  (3,4)",
        "INSERT INTO `t` VALUES  (5,6) ",
        "",
    ]


def test_what_is_of_the_server_and_of_the_database_itself_is_left_out() -> None:
    found = loaded(
        "/*!999999\\- enable the sandbox mode */ \n/*!40000 DROP DATABASE IF EXISTS `shop`*/;\n"
        "CREATE DATABASE /*!32312 IF NOT EXISTS*/ `shop` /*!40100 DEFAULT CHARACTER SET latin1 COLLATE"
        " latin1_swedish_ci */ /*!80016 DEFAULT ENCRYPTION='N' */;\nUSE `shop`;\n"
        "/*M!999999\\- enable the sandbox mode */\n"
        "SET @MYSQLDUMP_TEMP_LOG_BIN = @@SESSION.SQL_LOG_BIN;\nSET @@SESSION.SQL_LOG_BIN= 0;\n"
        "SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ 'a:1-5';\nLOCK TABLES `t` WRITE, u READ /*!32311 LOCAL */;\n"
        "/*!50717 SELECT COUNT(*) INTO @rocksdb_has_p_s FROM INFORMATION_SCHEMA.TABLES WHERE x = 'y' */;\n"
        "/*!50717 SET @rocksdb_get = IF (@rocksdb_has_p_s, 'SELECT \\'x\\'', 'SELECT 0') */;\n"
        "/*!50717 PREPARE s FROM @rocksdb_get */;\n/*!50717 EXECUTE s */;\n/*!50717 DEALLOCATE PREPARE s */;\n"
        "DROP TABLE IF EXISTS `shop`.`t`;\n/*!40000 ALTER TABLE `t` DISABLE KEYS */;\nUNLOCK TABLES;\nCOMMIT;\n"
    )

    assert found.rows == f"DROP TABLE IF EXISTS `t`{END}ALTER TABLE `t` DISABLE KEYS{END}COMMIT{END}"
    assert (found.dump.database, found.dump.charset, found.dump.collation) == ("shop", "latin1", "latin1_swedish_ci")


def test_a_dump_may_begin_with_a_statement_in_which_there_is_nothing() -> None:
    found = loaded("/*!40101 */;\nCREATE DATABASE `shop` CHARACTER SET latin1;\n" + TABLE)

    assert found.rows == f"CREATE TABLE `t` (`a` int){END}"
    assert found.dump.charset == "latin1"


RICH = r"""
-- Host: localhost    Database: shop
/*!40101 SET NAMES utf8 */;
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;
/*!40111 SET @OLD_SQL_NOTES=@@SQL_NOTES, SQL_NOTES=0 */;
CREATE TABLE `t` (`a` int DEFAULT nextval(`shop`.`s`), `c` text COLLATE utf8mb4_0900_ai_ci) COLLATE=utf8mb4_0900_ai_ci;
INSERT INTO `t` VALUES (1,'COLLATE utf8mb4_0900_ai_ci'),(2,'COLLATE=utf8mb4_0900_ai_ci');
/*!50003 SET sql_mode = 'NO_BACKSLASH_ESCAPES,NO_AUTO_CREATE_USER,ANSI_QUOTES' */ ;
DELIMITER ;;
/*!50003 CREATE*/ /*!50017 DEFINER=`anna`@`%`*/ /*!50003 TRIGGER `shop`.`tr` BEFORE INSERT ON `t` FOR EACH ROW BEGIN
  IF NEW.a = '\' THEN SET NEW.a = "a"; END IF; -- it's
END */;;
DELIMITER ;
/*!50003 SET sql_mode = @OLD_SQL_MODE */ ;
/*!50001 CREATE TABLE `v` (
  `a` tinyint NOT NULL
) ENGINE=MyISAM */;
/*!50106 SET TIME_ZONE= 'SYSTEM' */ ;
DELIMITER ;;
/*!50106 CREATE*/ /*!50117 DEFINER=`anna`@`%`*/ /*!50106 EVENT `e` ON SCHEDULE EVERY 1 DAY DO BEGIN SELECT 1; END */ ;;
CREATE DEFINER=`anna`@`%` FUNCTION `f`(a VARCHAR(10) CHARSET utf8 COLLATE utf8mb4_0900_ai_ci) RETURNS char(9)
    DETERMINISTIC
    COMMENT 'it''s'
RETURN a ;;
DELIMITER ;
/*!50001 DROP TABLE IF EXISTS `v`*/;
/*!50001 CREATE ALGORITHM=MERGE */
/*!50013 DEFINER=`anna`@`%` SQL SECURITY DEFINER */
/*!50001 VIEW `v` AS select `t`.`a` AS `a` from `t` */
/*!50002 WITH CASCADED CHECK OPTION */;
/*!40111 SET SQL_NOTES=@OLD_SQL_NOTES */;
"""


def test_what_is_defined_follows_the_rows_with_what_was_set_for_it() -> None:
    found = loaded(RICH)

    assert found.definitions == END.join(
        [
            "SET NAMES utf8",
            "SET @old_sql_mode = @@SESSION.sql_mode",
            "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO'",
            "SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES,NO_AUTO_CREATE_USER,ANSI_QUOTES'",
            (
                "CREATE DEFINER=`anna`@`%` TRIGGER `tr` BEFORE INSERT ON `t` FOR EACH ROW BEGIN\n"
                "  IF NEW.a = '\\' THEN SET NEW.a = \"a\"; END IF; -- it's\nEND"
            ),
            "SET SESSION sql_mode = @old_sql_mode",
            "CREATE TABLE `v` (\n  `a` tinyint NOT NULL\n) ENGINE=MyISAM  ",
            "SET SESSION time_zone = 'SYSTEM'",
            (
                "CREATE DEFINER=`anna`@`%` FUNCTION `f`(a VARCHAR(10) CHARSET utf8 COLLATE utf8mb4_unicode_ci) RETURNS"
                " char(9)\n     DETERMINISTIC COMMENT 'it''s' SQL SECURITY DEFINER RETURN a"
            ),
            "DROP TABLE IF EXISTS `v`",
            (
                "CREATE ALGORITHM=MERGE DEFINER=`anna`@`%` SQL SECURITY DEFINER VIEW `v` AS"
                " select `t`.`a` AS `a` from `t`  \n  WITH CASCADED CHECK OPTION"
            ),
            "",
        ]
    )
    assert found.events.endswith(
        f"CREATE DEFINER=`anna`@`%` EVENT `e` ON SCHEDULE EVERY 1 DAY DO BEGIN SELECT 1; END{END}"
    )
    assert "TRIGGER" not in found.rows
    assert "`v`" not in found.rows


def test_definitions_of_others_get_the_rights_of_nobody() -> None:
    found = loaded(RICH, is_kept=False)

    assert "anna" not in found.definitions + found.events
    assert "DEFINER=`nobody`@`nowhere` SQL SECURITY INVOKER VIEW" in found.definitions
    assert "COMMENT 'it''s' SQL SECURITY INVOKER RETURN a" in found.definitions


def test_definitions_of_nobody_get_the_rights_of_nobody() -> None:
    found = loaded("CREATE VIEW v AS SELECT * FROM t;\nCREATE DEFINER=CURRENT_USER() PROCEDURE p() SELECT 1;\n")

    assert found.definitions.count("DEFINER=`nobody`@`nowhere`") == 2
    assert found.dump.definers == [("VIEW", None), ("PROCEDURE", None)]


# Collations and modes


def test_unknown_collations_are_replaced_where_they_are_named_and_never_in_data() -> None:
    found = loaded(RICH)

    assert "`c` text COLLATE utf8mb4_unicode_ci) COLLATE=utf8mb4_unicode_ci" in found.rows
    assert "'COLLATE utf8mb4_0900_ai_ci'),(2,'COLLATE=utf8mb4_0900_ai_ci')" in found.rows
    assert found.dump.warnings() == [
        (
            "The server lacks 1 collation(s) of the dump, which were replaced in 3 place(s) of its definitions"
            " (utf8mb4_0900_ai_ci by utf8mb4_unicode_ci): texts may be sorted and compared otherwise."
        )
    ]


@pytest.mark.parametrize(
    ("collation", "known", "expected"),
    [
        ("utf8mb4_0900_ai_ci", "utf8mb4_unicode_520_nopad_ci utf8mb4_unicode_520_ci", "utf8mb4_unicode_520_nopad_ci"),
        ("utf8mb4_0900_ai_ci", "utf8mb4_uca1400_ai_ci utf8mb4_uca1400_nopad_ai_ci", "utf8mb4_uca1400_nopad_ai_ci"),
        ("utf8mb4_uca1400_ai_ci", "utf8mb4_0900_ai_ci utf8mb4_unicode_520_ci", "utf8mb4_unicode_520_ci"),
        ("utf8mb4_uca1400_nopad_ai_ci", "utf8mb4_0900_ai_ci utf8mb4_bin", "utf8mb4_0900_ai_ci"),
        ("utf8mb4_0900_as_cs", "utf8mb4_general_ci utf8mb4_bin", "utf8mb4_bin"),
        ("utf8mb4_0900_bin", "utf8mb4_general_ci utf8mb4_bin", "utf8mb4_bin"),
        ("utf8mb4_de_pb_0900_ai_ci", "utf8mb4_general_ci", "utf8mb4_general_ci"),
        ("utf8mb3_uca1400_ai_ci", "utf8_general_ci utf8_unicode_ci", "utf8_unicode_ci"),
        ("klingon_ci", "utf8_general_ci", None),
    ],
)
def test_the_nearest_collation_is_of_the_same_letters_and_compares_alike(
    collation: str, known: str, expected: str | None
) -> None:
    assert nearest_collation(collation, frozenset(known.split())) == expected


def test_modes_that_the_server_does_not_know_are_left_out() -> None:
    text = "SET sql_mode='NO_AUTO_CREATE_USER,TIME_TRUNCATE_FRACTIONAL,MSSQL,STRICT_ALL_TABLES';\nCOMMIT;"

    on_mariadb = loaded(text)
    on_mysql = loaded(text, tongue=Tongue(KNOWN, is_mariadb=False))

    assert "sql_mode = 'NO_AUTO_CREATE_USER,STRICT_ALL_TABLES,ANSI_QUOTES'" in on_mariadb.rows
    assert "sql_mode = 'TIME_TRUNCATE_FRACTIONAL,STRICT_ALL_TABLES,ANSI_QUOTES'" in on_mysql.rows
    (warning,) = on_mysql.dump.warnings()
    assert warning.endswith("left out: MSSQL.")


# What is refused

HOSTILE = [
    ("GRANT ALL ON *.* TO x@y;", "GRANT"),
    ("REVOKE ALL ON *.* FROM x@y;", "REVOKE"),
    ("SET GLOBAL general_log = 1;", "SET GLOBAL"),
    ("SET @@GLOBAL.general_log = 1;", "SET GLOBAL"),
    ("SET PASSWORD FOR root@localhost = 'x';", "SET PASSWORD"),
    ("SET PERSIST max_connections = 1;", "SET PERSIST"),
    ("/*!50000 SET SESSION sql_mode = (SELECT 1) */;", "SET"),
    ("SET SESSION init_connect = 'x';", "SET"),
    ("CREATE USER x;", "CREATE USER"),
    ("/*!50003 CREATE*/ /*!50003 USER x*/;", "CREATE USER"),
    ("CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (HOST 'x');", "CREATE SERVER"),
    ("CREATE FUNCTION f RETURNS STRING SONAME 'udf.so';", ""),
    ("CREATE TEMPORARY TABLE t (a int);", "CREATE TEMPORARY"),
    ("DROP USER x;", "DROP USER"),
    ("LOAD DATA INFILE '/etc/passwd' INTO TABLE t;", "LOAD DATA"),
    ("LOAD XML LOCAL INFILE 'x' INTO TABLE t;", "LOAD XML"),
    ("INSTALL PLUGIN x SONAME 'y';", "INSTALL PLUGIN"),
    ("SELECT * FROM t INTO OUTFILE '/tmp/x';", "SELECT"),
    ("SELECT SLEEP(1000);", "SELECT"),
    ("KILL 1;", "KILL"),
    ("SHUTDOWN;", "SHUTDOWN"),
    ("FLUSH PRIVILEGES;", "FLUSH"),
    ("CHANGE MASTER TO MASTER_HOST='x';", "CHANGE"),
    ("DO SLEEP(1);", "DO"),
    ("CALL p();", "CALL"),
    ("UPDATE t SET a = 1;", "UPDATE"),
    ("DELETE FROM t;", "DELETE"),
    ("TRUNCATE TABLE t;", "TRUNCATE"),
    ("RENAME TABLE t TO u;", "RENAME TABLE"),
    ("ALTER TABLE t RENAME TO u;", "ALTER TABLE"),
    ("ALTER USER root@localhost IDENTIFIED BY 'x';", "ALTER USER"),
    ("ALTER INSTANCE ROTATE INNODB MASTER KEY;", "ALTER INSTANCE"),
    ("PREPARE s FROM 'x';", "PREPARE"),
    ("HANDLER t OPEN;", "HANDLER"),
    ("XA START 'x';", "XA"),
    ("system rm;", "SYSTEM"),
    ("source /etc/passwd;", "SOURCE"),
    ("tee /tmp/x;", "TEE"),
    ("\\! id;", ""),
    ("\\. /etc/passwd;", ""),
    ("secret_word_of_theirs;", "of an unknown kind"),
]


@pytest.mark.parametrize(("text", "kind"), HOSTILE)
def test_what_no_dump_of_one_database_holds_is_refused_by_its_kind(text: str, kind: str) -> None:
    sentence = refused(f"{TABLE}{text}\nCOMMIT;\n")

    assert sentence.startswith("It fails: the statement 2 of the dump ")
    assert f"({kind}) " in sentence or not kind
    assert "secret" not in sentence
    assert "passwd" not in sentence


OTHER_DATABASES = [
    "INSERT INTO mysql.user VALUES (1);",
    "INSERT INTO `mysql` . `user` VALUES (1);",
    "CREATE TABLE mysql.t (a int);",
    "CREATE TABLE t (a int, FOREIGN KEY (a) REFERENCES `other`.`t` (a));",
    "CREATE TABLE t (a int) ENGINE=MERGE UNION=(`other`.`t`);",
    "DROP TABLE IF EXISTS mysql.user;",
    "LOCK TABLES mysql.user WRITE;",
    "ALTER TABLE mysql.user DISABLE KEYS;",
    "ALTER DATABASE `mysql` CHARACTER SET latin1;",
    "CREATE DATABASE `other`;",
    "DROP DATABASE `other`;",
    "USE `other`;",
    "CREATE TRIGGER other.t BEFORE INSERT ON x FOR EACH ROW SET @a = 1;",
    "CREATE TRIGGER t BEFORE INSERT ON other.x FOR EACH ROW SET @a = 1;",
    "CREATE VIEW other.v AS SELECT 1;",
    "DO SETVAL(`other`.`s`, 1, 0);",
]


@pytest.mark.parametrize("text", OTHER_DATABASES)
def test_what_is_for_another_database_is_refused(text: str) -> None:
    assert "another database than" in refused(f"CREATE DATABASE `shop`;\nUSE `shop`;\n{TABLE}{text}\nCOMMIT;\n")


TABLES = [
    "CREATE TABLE t SELECT * FROM x;",
    "CREATE TABLE t (a int) SELECT * FROM x;",
    "CREATE TABLE t (a int) /*!99999 SELECT * FROM x */;",
    "CREATE TABLE t (a int) AS TABLE x;",
    "CREATE TABLE t LIKE x;",
    "CREATE TABLE t (a text DEFAULT (load_file('/etc/passwd')));",
    "CREATE TABLE t (a text DEFAULT (`load_file`('/etc/passwd')));",
    "CREATE TABLE t (a int) DATA DIRECTORY='/tmp';",
    "CREATE TABLE t (a int) ENGINE=FEDERATED;",
    "CREATE TABLE t (a int) ENGINE CONNECT;",
    "CREATE TABLE t (a int) ENGINE='CONNECT';",
    "CREATE TABLE t (a int) ENGINE=InnoDB /*!50100 ENGINE=SPIDER */;",
    "CREATE TABLE t (a int DEFAULT @x);",
    "CREATE TABLE t (a int /*!99999 COMMENT '*/); DROP DATABASE x; /*' */);",
    "DELIMITER ;;\nCREATE TABLE t (a int); DROP DATABASE x;;",
]
ROWS = [
    "INSERT INTO t SELECT * FROM x;",
    "INSERT INTO t SET a = 1;",
    "INSERT INTO t VALUES (load_file('/etc/passwd'));",
    "INSERT INTO t VALUES (sleep(1));",
    "INSERT INTO t VALUES ((SELECT 1));",
    "INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE a = 1;",
    "INSERT INTO t VALUES (1) /* x */;",
    "INSERT INTO t VALUES (1) -- '\n;",
    "INSERT INTO t VALUES (1) # '\n;",
    "INSERT INTO t VALUES (@@version);",
    "INSERT INTO t VALUES (`a`);",
    'INSERT INTO t VALUES ("a");',
    "INSERT INTO t VALUES (\\N);",
    "INSERT INTO t VALUES (1--1);",
]
QUOTES = [
    "SET NAMES gbk;",
    "SET character_set_client = sjis;",
    "SET NAMES cp932;",
    "SET NAMES big5;",
    "SET character_set_client = @never_saved;",
    "CREATE TABLE `a\\` (a int);",
    'SET sql_mode = \'ANSI_QUOTES\';\nCREATE VIEW v AS SELECT "a\\"" ; DROP DATABASE x; -- ";',
    "SET NAMES latin1;\nCREATE PROCEDURE p() BEGIN IF a THEN SELECT 1; END\u00a0IF; END;".encode("latin-1"),
    "DELIMITER x\nSELECT 1 x",
    "CREATE TABLE t (a int) /*!50000 /*!50000 COMMENT 'x' */ */;",
    "CREATE TABLE t (a int) */;",
    "CREATE VIEW v AS SELECT 1 /*!99999 + 1 */ /*!50000;",
    "SET sql_mode = 'ORACLE';\nDELIMITER ;;\nCREATE PROCEDURE p AS BEGIN SELECT 1; END;;\n",
]


@pytest.mark.parametrize("text", [*TABLES, *ROWS, *QUOTES])
def test_what_could_hide_something_else_is_refused(text: str | bytes) -> None:
    content = text if isinstance(text, bytes) else text.encode()

    assert refused(b"CREATE TABLE `x` (`a` int);\n" + content + b"\nCOMMIT;\n").startswith("It fails: the ")


BODIES = [
    "SELECT 1",
    "BEGIN END",
    "BEGIN NOT ATOMIC SELECT 1; END",
    "a: BEGIN SELECT 1; END a",
    "IF x THEN SELECT 1; ELSEIF y = (CASE WHEN 1 THEN 2 END) THEN SELECT 2; ELSE SELECT 3; END IF",
    "IF CASE WHEN a THEN b ELSE c END THEN SELECT 1; END IF",
    "BEGIN CASE x WHEN 1 THEN SELECT 1; WHEN 2 THEN BEGIN END; ELSE SELECT IF(a, b, c); END CASE; END",
    "BEGIN CASE WHEN a THEN SELECT CASE x WHEN 1 THEN 2 END; END CASE; END",
    (
        "BEGIN DECLARE d INT DEFAULT 0; DECLARE c CURSOR FOR SELECT end FROM t; DECLARE CONTINUE HANDLER FOR NOT FOUND"
        " SET d = 1; DECLARE EXIT HANDLER FOR SQLSTATE '23000', 1062, SQLWARNING BEGIN ROLLBACK; END; OPEN c; l: LOOP"
        " FETCH c INTO d; IF d THEN LEAVE l; END IF; END LOOP l; WHILE d < 9 DO SET d = d + 1; END WHILE;"
        " REPEAT SET d = d - 1; UNTIL d = 0 END REPEAT; END"
    ),
    "FOR i IN 1..10 DO SELECT i; END FOR",
    "BEGIN SELECT ';', `;`, /* ; */ 1; -- ; END\nEND",
    "SELECT 1;",
]


@pytest.mark.parametrize("body", BODIES)
def test_a_body_is_followed_to_its_end(body: str) -> None:
    found = loaded(f"DELIMITER ;;\nCREATE DEFINER=a@b PROCEDURE `p`(IN a INT) READS SQL DATA {body}\n;;\nDELIMITER ;\n")

    assert found.definitions.endswith(f"READS SQL DATA SQL SECURITY DEFINER {body}{END}")


SMUGGLED = [
    "SELECT 1; DROP DATABASE x",
    "SELECT 1 AS begin; DROP DATABASE x; SELECT 1 AS end",
    "BEGIN SELECT 1; END; DROP DATABASE x",
    "BEGIN SELECT 1; END a; DROP DATABASE x; END",
    "BEGIN SELECT 1; END DROP DATABASE x",
    "IF a THEN SELECT 1; END IF; DROP DATABASE x; END IF",
    "IF CASE WHEN end THEN IF(a, b, c) END THEN SELECT 1; END IF; DROP DATABASE x; END IF",
    "IF CASE WHEN x.end THEN IF(a, b, c) END THEN SELECT 1; END IF; DROP DATABASE x; END IF",
    "IF CASE WHEN end THEN IF(a, b, c) WHEN 1 THEN 2 END THEN SELECT 1; END IF; DROP DATABASE x; END IF",
    "WHILE do DO SELECT 1; END WHILE; DROP DATABASE x; END WHILE",
    "SELECT begin; DROP DATABASE x; END",
    "SELECT CASE 1 WHEN 2 THEN begin END; DROP DATABASE x; END",
    "BEGIN CASE WHEN 1 THEN SELECT 1; END CASE; END; DROP DATABASE x; END",
    "REPEAT SELECT 1; UNTIL end END REPEAT; DROP DATABASE x; END REPEAT",
    "a: SELECT 1; DROP DATABASE x",
    "BEGIN SELECT 1; END /*!50000 ; DROP DATABASE x */",
    "BEGIN SELECT 1;",
    "BEGIN ; END",
    "",
]


@pytest.mark.parametrize("body", SMUGGLED)
def test_nothing_is_executed_behind_a_body(body: str) -> None:
    head = "DELIMITER ;;\nCREATE DEFINER=a@b "

    assert "It fails: the statement 1 " in refused(f"{head}PROCEDURE `p`() {body};;\n")
    assert "It fails: the statement 1 " in refused(f"{head}TRIGGER t BEFORE INSERT ON x FOR EACH ROW {body};;\n")
    assert "It fails: the statement 1 " in refused(f"{head}EVENT e ON SCHEDULE EVERY 1 DAY DO {body};;\n")


def test_statements_that_lie_too_deep_are_refused() -> None:
    assert "too deep" in refused(f"DELIMITER ;;\nCREATE PROCEDURE p() {'BEGIN ' * 5000};;\n")


CUT = [
    "CREATE TABLE `t` (`a` int",
    "CREATE TABLE `t` (`a` int)",
    "CREATE TABLE `t` (`a` int COMMENT 'x",
    "INSERT INTO `t` VALUES (1),(2",
    "INSERT INTO `t` VALUES (1),(2)",
    "INSERT INTO `t` VALUES (1),('x",
    "INSERT INTO `t` VALUES (0xab",
    "INSERT INTO `t`",
    "/*!40000 ALTER TABLE `t` DISABLE KEYS ",
    "/*!40111 SET @OLD_SQL_NOTES=@@SQL_NOTES, SQL_NOTES=0 */;\nCREATE TABLE `u` (`a` int);\n",
    "/*M!100616 SET @OLD_NOTE_VERBOSITY=@@NOTE_VERBOSITY, NOTE_VERBOSITY=0 */;\nCREATE TABLE `u` (`a` int);\n",
]


@pytest.mark.parametrize("text", CUT)
def test_a_dump_without_its_end_is_refused(text: str) -> None:
    assert "the dump lacks its end" in refused(f"{TABLE}{text}")


def test_a_statement_without_rows_is_never_held_beyond_a_limit() -> None:
    def endless() -> Iterator[bytes]:
        yield b"CREATE TABLE t (a int COMMENT '"
        while True:
            yield b"x" * 100_000

    dump = DumpText(endless(), TONGUE, "$end", "It fails")

    with pytest.raises(DatabaseError, match=r"statement 1 of the dump is longer than 2 MiB without rows in it"):
        dump.begin()


def test_definitions_are_never_held_beyond_a_limit() -> None:
    view = b"CREATE DEFINER=a@b VIEW v AS SELECT '" + b"x" * 1_000_000 + b"';\n"

    with pytest.raises(DatabaseError, match=r"together they are longer than 64 MiB"):
        loaded(view * 70)
