# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that do something, against a real server: what they do, say and return."""

from __future__ import annotations

import json
import os
import shutil
import socket
import typing as t

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.names import job_directory
from ansible_collections.stowage.ftp_backup.plugins.module_utils.private_files import locked
from ansible_collections.stowage.ftp_backup.plugins.module_utils.registry import DestinationState

from .hosts import CLIENT, DESTINATION, JOB

if t.TYPE_CHECKING:
    from pathlib import Path

    from .hosts import Host


def points_on(host: Host, job: str = JOB) -> list[Path]:
    """Return the restore points of a job on the server's own disk."""
    return sorted((host.server.root / job_directory(CLIENT, job)).glob("points/*/*.manifest.gz"))


# -- backup


def test_a_backup_makes_a_restore_point_and_ends_with_one_line(host: Host) -> None:
    said = host.do("backup", JOB)

    assert len(points_on(host)) == 1
    assert said.line.startswith("web sites: restore point 2")
    assert ": 5 entries with 97.7 KiB, " in said.line


def test_a_second_backup_is_not_needed_unless_it_is_forced(host: Host) -> None:
    host.do("backup", JOB)

    again = host.do("backup", JOB)
    assert again.line.startswith("web sites: nothing to do, ")
    forced = host.do("backup", JOB, "--force")
    assert " made in " in forced.line
    assert len(points_on(host)) == 2


def test_check_mode_makes_nothing(host: Host) -> None:
    host.do("backup", JOB)

    said = host.do("backup", JOB, "--force", "--check")

    assert " would be made: " in said.out.splitlines()[0]
    assert "  made: force: true asks for one" in said.out
    assert " would be uploaded, before compression: an estimate from the scan." in said.out
    assert len(points_on(host)) == 1


def test_the_only_job_needs_no_name(host: Host) -> None:
    assert host.do("backup").line.startswith("web sites: restore point ")


def test_of_several_jobs_one_must_be_named(host: Host) -> None:
    host.job("other")

    said = host.call("backup")

    assert said.code == 2
    assert said.error == "It is not said which job: give its name, or say --all; there are: 'other', 'web sites'."
    assert said.out == ""


def test_a_job_is_found_by_the_name_of_its_file_as_well(host: Host) -> None:
    assert host.do("backup", host.job().stem).line.startswith("web sites: restore point ")


def test_all_jobs_are_done_although_one_fails(host: Host, tmp_path: Path) -> None:
    host.job("a bad one", paths=[str(tmp_path / "missing")])
    host.job("z last")

    said = host.call("backup", "--all")

    assert said.code == 2
    assert [line.split(":")[0] for line in said.out.splitlines()] == ["web sites", "z last"]
    assert said.error.startswith("a bad one: ")
    assert len(points_on(host, "z last")) == 1


def test_a_corrupt_job_file_is_named_and_stops_no_other_job(host: Host) -> None:
    path = host.file("jobs/broken-00000000.json", '{"version": 1, "name"')

    said = host.call("backup", "--all")

    assert said.code == 1
    assert said.error.startswith(f"The file {path} is no JSON: ")
    assert len(points_on(host)) == 1


def test_a_partial_restore_point_is_told_by_the_exit_code_and_a_warning(host: Host) -> None:
    if os.geteuid() == 0:
        host.job(databases=[{"type": "sqlite", "path": str(host.home / "none.db"), "on_failure": "partial"}])
    else:
        (host.source / "index.html").chmod(0)

    said = host.call("backup", JOB)

    assert said.code == 3
    assert "web sites: partial restore point " in said.line
    assert "ftp-backup: warning: The restore point of 'web sites' is partial: " in said.err


def test_a_job_that_is_locked_is_told_by_the_exit_code(host: Host) -> None:
    destination = host.registry.get(DESTINATION)
    assert destination is not None
    state = DestinationState(host.state, destination.name, destination.place).job(CLIENT, JOB)
    with locked(state.directory / "lock", "in a test"):
        said = host.call("backup", JOB)

    assert said.code == 4
    assert "already being backed up" in said.error
    assert points_on(host) == []


def test_a_server_that_is_not_there_is_told_by_the_exit_code(host: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    host.declare(port=port, max_retries=1)

    said = host.call("backup", JOB)

    assert said.code == 5
    assert f"127.0.0.1:{port}" in said.error


def test_a_wrong_password_fails_and_is_not_shown(host: Host) -> None:
    host.declare(password="tr0ub4dor")

    said = host.call("backup", JOB)

    assert said.code == 1
    assert said.out == ""
    assert "tr0ub4dor" not in said.err


def test_a_destination_that_is_not_declared_is_wrong_usage(host: Host) -> None:
    host.job(destination="elsewhere")

    said = host.call("backup", JOB)

    assert said.code == 2
    assert said.error == "There is no destination 'elsewhere' on this host; declared are: 'Provider storage'."


# -- restore


def test_a_restore_by_the_name_of_a_job_brings_everything_back(host: Host) -> None:
    host.do("backup", JOB)

    said = host.do("restore", JOB, "--target", str(host.target))

    assert said.line.startswith("Restored from 2")
    assert ": 3 files, 2 directories; " in said.line
    for name in ("index.html", "data.bin", "conf/site.conf"):
        assert host.restored(host.source / name).read_bytes() == (host.source / name).read_bytes()
    again = host.do("restore", JOB, "--target", str(host.target))
    assert again.line.startswith("Nothing to do, everything is as in 2")


def test_paths_may_stand_anywhere_behind_the_name(host: Host) -> None:
    host.do("backup", JOB)

    host.do("restore", JOB, str(host.source / "conf"), "--target", str(host.target), str(host.source / "index.html"))

    assert host.restored(host.source / "conf" / "site.conf").exists()
    assert host.restored(host.source / "index.html").exists()
    assert not host.restored(host.source / "data.bin").exists()


def test_a_restore_without_a_job_file_says_where_it_is_from(host: Host) -> None:
    host.do("backup", JOB)
    shutil.rmtree(host.config / "jobs")

    whose = ("--destination", DESTINATION, "--job", JOB, "--client", CLIENT)
    host.do("restore", *whose, str(host.source / "index.html"), "--target", str(host.target))

    assert host.restored(host.source / "index.html").exists()
    assert not host.restored(host.source / "conf").exists()


def test_a_restore_in_place_brings_back_what_was_lost_and_deletes_what_is_extra(host: Host) -> None:
    host.do("backup", JOB)
    before = (host.source / "index.html").read_bytes()
    (host.source / "index.html").write_text("defaced", encoding="utf-8")
    (host.source / "evil.php").touch()

    foretold = host.do("restore", JOB, "--in-place", "--delete-extra", "--check")
    assert foretold.out.startswith("Would be restored from ")
    assert f"-{host.source / 'evil.php'}  extra: goes" in foretold.out.splitlines()
    assert f"-{host.source / 'index.html'}  size 7 B, mtime " in foretold.out
    assert (host.source / "evil.php").exists()
    said = host.do("restore", JOB, "--in-place", "--delete-extra")

    assert "1 extra thing deleted" in said.line
    assert (host.source / "index.html").read_bytes() == before
    assert not (host.source / "evil.php").exists()


def test_a_relative_target_is_one_of_the_directory_that_one_is_in(
    host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    host.do("backup", JOB)
    monkeypatch.chdir(tmp_path)

    host.do("restore", JOB, "--target", "back")

    assert (tmp_path / "back" / (host.source / "index.html").relative_to("/")).exists()


def test_an_older_restore_point_is_had_by_its_id(host: Host) -> None:
    old = host.do("backup", JOB, "--json").document["point"]["id"]
    (host.source / "index.html").write_text("new", encoding="utf-8")
    host.do("backup", JOB, "--force")

    host.do("restore", JOB, "--point", old, "--target", str(host.target))

    assert host.restored(host.source / "index.html").read_text(encoding="utf-8") == "<p>Welcome</p>\n"


def test_a_part_is_brought_back_alone(host: Host, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    host.job(paths=[str(host.source), str(other)])
    host.do("backup", JOB)

    host.do("restore", JOB, "--part", str(other), "--target", str(host.target))

    assert host.restored(other).is_dir()
    assert not host.restored(host.source).exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "It is not said what to restore: give the NAME of a job, or --destination. 'list' shows both."),
        (("nope",), "There is no job 'nope' on this host; there are: 'web sites'."),
        (("--job", JOB), "With --job or --account, give --destination, too; or else the NAME of a job of this host."),
        (
            ("--destination", DESTINATION),
            "With --destination, give --job, or --account for a backup that cPanel made.",
        ),
        (
            (JOB, "--part", ":x", "--target", "/x"),
            "The part ':x' cannot be read: give KIND or KIND:NAME, such as database:shop.",
        ),
        (
            (JOB, "--load", "--into", "x", "--target", "/x"),
            "With --into, give exactly one --part: it is the new name of that database.",
        ),
        ((JOB, "--owner", "me"), None),
        ((JOB, "--server-port", "x"), None),
        ((JOB,), "It is not said where to: give --target DIR, or --in-place."),
        (
            (JOB, "--target", "/x", "--in-place"),
            "Argument --in-place: not allowed with argument --target. See 'ftp-backup restore --help'.",
        ),
        ((JOB, "--target", "/x", "--replace"), None),
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(host: Host, words: tuple[str, ...], sentence: str | None) -> None:
    said = host.call("restore", *words)

    assert said.code == 2
    assert said.out == ""
    assert said.error == sentence or (sentence is None and said.error.endswith((".", "'.")))


def test_how_to_log_in_to_a_database_server_reaches_the_engine(host: Host) -> None:
    host.do("backup", JOB)

    said = host.call(
        *("restore", JOB, "--load", "--part", "database:shop", "--into", "old"),
        *("--server-host", "127.0.0.1", "--server-socket", "/run/x"),
    )

    assert said.code == 2
    assert "server.host and server.socket" in said.error


# -- reindex


def test_a_reindex_finds_what_lies_on_a_destination(host: Host) -> None:
    host.do("backup", JOB)
    shutil.rmtree(host.state)

    said = host.do("reindex", DESTINATION)

    assert said.line == "Provider storage: 1 restore point of 1 job: 1 new, 0 updated, 0 gone."
    assert host.do("reindex").line == "Provider storage: 1 restore point of 1 job: 0 new, 0 updated, 0 gone."


def test_all_destinations_are_reindexed_although_one_fails(host: Host) -> None:
    host.declare("A broken one", host="127.0.0.1", port=1, max_retries=1)
    path = host.file("destinations/bad-00000000.json", "{}")

    said = host.call("reindex", "--all")

    assert said.code == 1
    assert said.line.startswith("Provider storage: 0 restore points")
    told = [line for line in said.err.splitlines() if "Provider" not in line]
    assert str(path) in told[0]
    assert any(line.startswith("ftp-backup: A broken one: ") for line in told)


# -- verify


def test_a_verification_says_that_all_is_whole(host: Host) -> None:
    host.do("backup", JOB)

    assert host.do("verify", JOB).line.startswith("web sites: whole, 1 manifest and 1 volume with ")
    assert host.do("verify", "--destination", DESTINATION, "--client", CLIENT).line.startswith(
        "Provider storage: whole, "
    )


def test_damage_fails_and_is_named(host: Host) -> None:
    host.do("backup", JOB)
    (volume,) = host.server.root.rglob("s01/v00/*.tar*")
    content = bytearray(volume.read_bytes())
    content[len(content) // 2] ^= 1
    volume.write_bytes(content)

    said = host.call("verify", JOB)

    assert said.code == 1
    assert volume.name in said.error
    assert host.call("verify", JOB, "--on-damage", "warn").code == 3


@pytest.mark.parametrize("words", [("--job", JOB), ("--client", CLIENT), ("--all-clients",), ("--all", JOB), ("nope",)])
def test_a_verification_of_what_cannot_be_meant_is_wrong_usage(host: Host, words: tuple[str, ...]) -> None:
    assert host.call("verify", *words).code == 2


# -- JSON, and how much is said


def test_json_is_one_document_and_nothing_else(host: Host) -> None:
    said = host.do("backup", JOB, "--json")

    assert said.document["changed"] is True
    assert said.document["point"]["complete"] is True
    assert said.document["warnings"] == []
    assert said.document["reason"] == "it is the first one of the job"
    assert said.document["diff"]["before"] == ""
    assert said.document["diff"]["after"].endswith("made: it is the first one of the job\n")
    assert said.err == ""


def test_several_runs_are_one_document(host: Host) -> None:
    host.job("bad", paths=["/nonexistent/of/course"])

    said = host.call("--json", "backup", "--all")

    assert said.code == 2
    results = {result["name"]: result for result in said.document["results"]}
    assert results["bad"]["failed"] is True
    assert results["bad"]["failure"]["kind"] == "usage"
    assert results[JOB]["changed"] is True
    assert said.document["changed"] is True
    assert said.document["failed"] is True


def test_a_failure_is_a_document_as_well(host: Host) -> None:
    said = host.call("restore", "nope", "--json")

    assert said.code == 2
    assert said.document == {
        "failed": True,
        "msg": "There is no job 'nope' on this host; there are: 'web sites'.",
        "failure": {"kind": "usage"},
    }
    assert said.error == said.document["msg"]


def test_arguments_that_make_no_sense_are_a_document_too(host: Host) -> None:
    assert host.call("backup", "--jsno", "--json").document["failure"] == {"kind": "usage"}
    assert host.call("nonsense", "--json").document["failed"] is True


@pytest.mark.parametrize(
    "words",
    [
        ("list",),
        ("list", JOB),
        ("find", "index.html"),
        ("restore", JOB, "--target", "TARGET"),
        ("reindex",),
        ("verify", JOB),
        ("backup", "--all"),
        ("scheduled", "backup", JOB),
        ("check-job", "FILE"),
    ],
)
def test_every_command_has_a_document(host: Host, words: tuple[str, ...]) -> None:
    host.do("backup", JOB)
    places = {"TARGET": str(host.target), "FILE": str(host.job())}

    said = host.do(*(places.get(word, word) for word in words), "--json")

    assert "changed" in json.loads(said.out)
    assert said.err == ""


@pytest.mark.parametrize("words", [("backup", JOB), ("verify", JOB), ("reindex",)])
def test_quiet_says_nothing_where_all_is_well(host: Host, words: tuple[str, ...]) -> None:
    host.do("backup", JOB, "--force")

    said = host.do("--quiet", *words)

    assert (said.out, said.err) == ("", "")


def test_quiet_still_tells_errors(host: Host) -> None:
    said = host.call("--quiet", "restore", "nope")

    assert said.err == "ftp-backup: There is no job 'nope' on this host; there are: 'web sites'.\n"


def test_a_log_tells_the_phases_in_plain_lines(host: Host) -> None:
    said = host.do("backup", JOB)

    lines = said.err.splitlines()
    assert "web sites: uploading" in lines
    assert all(line.startswith("web sites: ") for line in lines)
    assert "\r" not in said.err
    assert "\x1b" not in said.err
