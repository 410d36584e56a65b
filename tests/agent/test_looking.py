# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that only look: what they list and find, and that what they propose works."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import typing as t

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.registry import Identity, keep_identity
from ansible_collections.stowage.ftp_backup.plugins.module_utils.version import VERSION

from .hosts import CLIENT, DESTINATION, JOB

if t.TYPE_CHECKING:
    from pathlib import Path

    from .hosts import Host

COMMANDS = ("list", "find", "backup", "restore", "reindex", "verify", "scheduled", "failed")
CHECKS = ("check-job", "check-reindex", "check-settings")
ESCAPES = b"evil\x1b]0;owned\x07\nname\xff"


def test_the_version_is_the_collections(host: Host) -> None:
    assert host.do("--version").line == f"ftp-backup {VERSION}"


def test_the_command_alone_shows_what_there_is_and_what_is_done_most_often(host: Host) -> None:
    said = host.do()

    assert "web sites" in said.out
    assert "Provider storage" in said.out
    assert "ftp-backup restore NAME PATH --target DIR" in said.out


def test_a_host_without_anything_says_so(bare_host: Host) -> None:
    said = bare_host.do("list")

    assert said.out.splitlines() == ["There are no jobs on this host.", "There are no destinations on this host."]


@pytest.mark.parametrize("command", [*COMMANDS, *CHECKS])
def test_each_command_has_help(host: Host, command: str) -> None:
    said = host.do(command, "--help")

    assert said.out.startswith(f"usage: ftp-backup {command} ")
    assert said.err == ""


def test_the_help_tells_commands_examples_and_exit_codes(host: Host) -> None:
    said = host.do("--help")

    assert all(f"\n  {command} " in said.out for command in COMMANDS)
    assert all(command in said.out for command in CHECKS)
    assert "\nexamples:\n" in said.out
    assert all(f"\n  {code}  " in said.out for code in range(6))


def test_no_line_of_any_help_is_wider_than_a_terminal_often_is(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    for words in ((), *((command,) for command in (*COMMANDS, *CHECKS))):
        assert all(len(line) <= 118 for line in host.do(*words, "--help").out.splitlines())


def test_help_may_be_asked_for_by_its_name(host: Host) -> None:
    assert host.do("help").out == host.do("--help").out
    assert host.do("help", "restore").out == host.do("restore", "--help").out


def test_a_list_tells_the_newest_restore_point_and_how_it_is(host: Host) -> None:
    host.do("backup", JOB)

    lines = host.do("list").out.splitlines()

    job = next(line for line in lines if line.startswith("web sites"))
    assert job.split()[-1] == "good"
    assert "97.7 KiB" in job
    destination = next(line for line in lines if line.startswith("Provider storage"))
    assert destination.split()[-1] == "indexed"


def test_a_job_that_never_ran_says_so(host: Host) -> None:
    assert host.do("list").out.splitlines()[1].endswith("no restore point yet")


def aged_job(host: Host) -> dict[str, t.Any]:
    """Return what the list tells of the only job, once its newest restore point has any age, in seconds, at all."""
    while True:
        (job,) = host.do("list", "--json").document["jobs"]
        if job["newest"]["age"] > 0:
            return t.cast("dict[str, t.Any]", job)


def test_a_stale_job_says_so(host: Host) -> None:
    host.do("backup", JOB)
    assert host.do("list", "--json").document["jobs"][0]["good"] is True
    host.job(stale_after="0s")

    job = aged_job(host)

    assert job["newest"]["complete"] is True
    assert job["good"] is False
    assert job["state"].startswith("stale: no good one for ")


def test_a_job_that_is_backed_up_daily_is_good_although_its_max_age_is_small(host: Host) -> None:
    host.job(max_age="0s")
    host.do("backup", JOB)

    job = aged_job(host)

    assert job["state"] == "good"


@pytest.mark.parametrize(
    ("check", "file", "good", "bad"),
    [
        ("check-settings", "agent.json", {"ping_timeout": 5}, {"ping_timeout": 0}),
        ("check-settings", "agent.json", {"ping_url": "https://hc.example/uuid"}, {"ping_url": "hc.example/uuid"}),
        ("check-reindex", "reindexes/x.json", {"name": DESTINATION}, {"name": "a\nb"}),
    ],
)
def test_a_file_that_cannot_be_used_is_wrong_usage(
    host: Host, check: str, file: str, good: dict[str, object], bad: dict[str, object]
) -> None:
    path = host.file(file, {"version": 1, **good})
    assert host.do(check, str(path)).line.endswith(" can be used.")
    host.file(file, {"version": 1, **bad})

    said = host.call(check, str(path))

    assert said.code == 2
    assert said.error.startswith(f"The file {path} ")
    assert "uuid" not in said.err


def test_a_job_whose_destination_is_not_declared_says_so(host: Host) -> None:
    host.job("astray", destination="elsewhere")

    lines = host.do("list").out.splitlines()

    assert any(line.startswith("astray") and "There is no destination 'elsewhere'" in line for line in lines)


def test_corrupt_files_are_named_and_hide_nothing(host: Host) -> None:
    job = host.file("jobs/broken-00000000.json", "[]")
    destination = host.file("destinations/broken-00000000.json", "nonsense")

    said = host.call("list")

    assert said.code == 1
    assert str(job) in said.err
    assert str(destination) in said.err
    assert "web sites" in said.out
    assert "Traceback" not in said.err


def test_a_list_of_a_job_has_its_restore_points_and_the_command_to_bring_one_back(host: Host) -> None:
    first = host.do("backup", JOB, "--json").document["point"]["id"]
    second = host.do("backup", JOB, "--force", "--json").document["point"]["id"]

    lines = host.do("list", JOB).out.splitlines()

    assert [line.split()[0] for line in lines[1:3]] == [second, first]
    assert lines[-1].strip() == f"ftp-backup restore 'web sites' --point {second} --target restored"


def test_a_list_of_a_destination_tells_whose_each_is(host: Host) -> None:
    host.job("other")
    host.do("backup", "--all")

    lines = host.do("list", "--destination", DESTINATION).out.splitlines()

    assert lines[0].startswith("CLIENT  JOB ")
    assert sorted(line.split("  ")[1].strip() for line in lines[1:3]) == ["other", "web sites"]


def test_a_list_says_when_there_is_more(host: Host) -> None:
    host.do("backup", JOB)
    host.do("backup", JOB, "--force")

    said = host.do("list", JOB, "--limit", "1")

    assert "There is more, which --limit 10 shows." in said.out


def test_the_client_is_the_host_itself_where_the_job_names_none(host: Host) -> None:
    host.job(client=None)
    keep_identity(host.config, Identity("0123456789abcdef", "db07"))
    host.do("backup", JOB)

    assert host.do("list", JOB, "--json").document["points"][0]["client"] == "db07"


# -- find


def test_a_version_is_found_with_the_command_that_brings_it_back(host: Host, tmp_path: Path) -> None:
    old = host.do("backup", JOB, "--json").document["point"]["id"]
    (host.source / "index.html").write_text("changed", encoding="utf-8")
    host.do("backup", JOB, "--force")

    lines = host.do("find", "index.html").out.splitlines()

    assert lines[0] == f"{host.source}/index.html  (web sites of web01 on Provider storage)"
    commands = [shlex.split(line) for line in lines if line.startswith("      ftp-backup ")]
    assert len(commands) == 2
    assert old in commands[1]
    host.do(*commands[1][1:-1], str(tmp_path / "old"))
    assert (tmp_path / "old" / (host.source / "index.html").relative_to("/")).read_text("utf-8") == "<p>Welcome</p>\n"


def test_a_glob_finds_below_directories(host: Host) -> None:
    host.do("backup", JOB)

    paths = [version["path"] for version in host.do("find", f"{host.source}/**/*.conf", "--json").document["versions"]]

    assert paths == [f"{host.source}/conf/site.conf"]


def test_what_was_at_a_date_is_found_alone(host: Host) -> None:
    old = host.do("backup", JOB, "--json").document["point"]["id"]
    (host.source / "index.html").write_text("changed", encoding="utf-8")
    host.do("backup", JOB, "--force")

    versions = host.do("find", "index.html", "--at", old, "--json").document["versions"]

    assert [version["bytes"] for version in versions] == [15]


def test_parts_are_found_with_their_commands(host: Host) -> None:
    host.do("backup", JOB)

    lines = host.do("find", "--part", "files").out.splitlines()

    assert lines[0].startswith(f"files:{host.source}  (")
    assert lines[2].endswith(f"--target restored --part files:{host.source}")


def test_a_file_of_a_job_of_no_job_file_has_a_command_that_says_where_it_is_from(host: Host) -> None:
    host.do("backup", JOB)
    shutil.rmtree(host.config / "jobs")

    command = host.do("find", "index.html").out.splitlines()[2]

    assert f"--destination '{DESTINATION}' --client {CLIENT} --job 'web sites'" in command
    host.do(*shlex.split(command)[1:-1], str(host.target))
    assert host.restored(host.source / "index.html").exists()


def test_nothing_found_is_said(host: Host) -> None:
    host.do("backup", JOB)

    assert host.do("find", "nonesuch").line == "Nothing was found."


def test_where_nothing_is_indexed_that_is_said(host: Host) -> None:
    said = host.do("find", "index.html")
    assert "warning: The destination 'Provider storage' is not indexed yet" in said.err

    asked = host.call("find", "index.html", "--destination", DESTINATION)
    assert asked.code == 2
    assert "run reindex first" in asked.error


@pytest.mark.parametrize(
    "words",
    [(), ("x", "--destination", "nope"), ("/a/../b", "--destination", DESTINATION), ("x", "--at", "yesterday-ish")],
)
def test_a_question_that_makes_no_sense_is_wrong_usage(host: Host, words: tuple[str, ...]) -> None:
    host.do("backup", JOB)

    said = host.call("find", *words)

    assert "Traceback" not in said.err
    assert said.code in (2, 0)
    assert said.code == 2 or "Nothing was found" in said.out


# -- strange names


def test_no_name_reaches_a_terminal_as_it_is_and_its_command_still_works(host: Host, tmp_path: Path) -> None:
    strange = os.fsencode(host.source) + b"/" + ESCAPES
    with open(strange, "wb") as file:  # noqa: PTH123 - a name that is no text
        file.write(b"found")
    host.do("backup", JOB)

    said = host.run("find", "evil*")

    assert said.code == 0
    assert all(line.isprintable() for line in said.out.splitlines())
    assert r"evil\x1b]0;owned\x07\nname\xff" in said.out
    command = said.out.splitlines()[2].strip()
    script = f'cd {shlex.quote(str(tmp_path))} && ftp-backup() {{ "$PYTHON" -c "$PROGRAM" "$@"; }} && {command}'
    subprocess.run(["bash", "-c", script], check=True, env=host.shell_environment, capture_output=True)
    back = os.fsencode(tmp_path / "restored") + strange
    with open(back, "rb") as file:  # noqa: PTH123 - the same
        assert file.read() == b"found"


def test_a_command_that_is_proposed_brings_back_no_other_file(host: Host) -> None:
    for name in ("what*", "whatever"):
        (host.source / name).touch()
    host.do("backup", JOB)

    (version,) = [one for one in host.do("find", "what*", "--json").document["versions"] if "*" in one["path"]]
    host.do(*shlex.split(version["restore"])[1:-1], str(host.target))

    assert [path.name for path in host.restored(host.source).iterdir()] == ["what*"]


def test_json_of_a_strange_name_is_what_the_modules_return(host: Host) -> None:
    with open(os.fsencode(host.source) + b"/" + ESCAPES, "wb"):  # noqa: PTH123 - a name that is no text
        pass
    host.do("backup", JOB)

    (version,) = host.do("find", "evil*", "--json").document["versions"]

    assert version["path"] == f"{host.source}/evil\x1b]0;owned\x07\nname\\udcff"


def test_a_locale_that_knows_no_letters_is_no_obstacle(host: Host) -> None:
    host.job("grün")
    (host.source / "Übersicht.txt").touch()
    environment = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}

    made = host.run("backup", "grün", environment=environment)
    listed = host.run("list", environment=environment)
    found = host.run("find", "*.txt", environment=environment)

    assert (made.code, listed.code, found.code) == (0, 0, 0)
    assert r"gr\xfcn" in listed.out
    assert r"\xdcbersicht.txt" in found.out


# -- directories


def test_directories_come_from_options_before_the_environment(bare_host: Host, host: Host, tmp_path: Path) -> None:
    said = host.do("--config-directory", str(tmp_path / "other"), "list")
    assert "There are no jobs" in said.out

    behind = host.do("list", "--config-directory", str(tmp_path / "other"))
    assert behind == said
    assert bare_host.config == host.config


def test_a_command_that_is_proposed_means_the_same_directories(host: Host) -> None:
    host.do("backup", JOB)

    words = ("--config-directory", str(host.config), "--state-directory", str(host.state))
    said = host.do("find", "index.html", *words)

    assert f"ftp-backup {shlex.join(words)} restore" in said.out


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_user_who_may_look_at_nothing_is_told_so_in_one_sentence(host: Host) -> None:
    host.config.chmod(0o700)

    said = host.call_as_nobody("list")

    assert said.code == 1
    assert said.error == f"Cannot look into {host.config}: Permission denied."
