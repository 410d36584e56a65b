# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's own commands around a backup, which are real ones here."""

from __future__ import annotations

import os
import signal
import tracemalloc
import typing as t
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils import commands
from ansible_collections.stowage.ftp_backup.plugins.module_utils.commands import Command, Commands, run
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import CommandError, StorageError

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SHORT = timedelta(seconds=1)
ALL_THE_SAME = "The restore point 20260101T000000Z was made all the same."


def failure_of(line: str, timeout: timedelta = timedelta(hours=1), **variables: str) -> str:
    """Return how the command *line* fails."""
    failure = run(Command(line, timeout), variables)
    assert failure is not None
    return failure


def around(pre: Sequence[str] = (), post: Sequence[str] = (), **variables: str) -> Commands:
    return Commands([Command(line) for line in pre], [Command(line) for line in post], variables)


@contextmanager
def input_of(content: bytes) -> Iterator[None]:
    """Have something to read on this process's standard input for a while."""
    before = os.dup(0)
    reading, writing = os.pipe()
    os.write(writing, content)
    os.dup2(reading, 0)
    for descriptor in (reading, writing):
        os.close(descriptor)
    try:
        yield
    finally:
        os.dup2(before, 0)
        os.close(before)


#: What interrupts these tests once they listen: more than a pipe holds is said before.
INTERRUPT = f"head -c 200000 /dev/zero; kill -INT {os.getpid()}"


def is_running(process: int) -> bool:
    """Tell whether there is a process that is not only waiting to be forgotten."""
    try:
        status = Path(f"/proc/{process}/stat").read_text("ascii", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in ("Z", "X")


def numbers_in(path: Path) -> list[int]:
    return [int(number) for number in path.read_text().split()]


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """Give an empty file in which commands note what they have to tell."""
    path = tmp_path / "notes"
    path.touch()
    return path


@pytest.fixture
def _short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "_GRACE", 0.3)


@pytest.fixture(autouse=True)
def _short_last_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait no longer for the system to forget what was killed."""
    monkeypatch.setattr(commands, "_LAST_GRACE", 0.5)


@pytest.fixture
def _usable_signals() -> Iterator[None]:
    """Have an interrupt interrupt, though a shell that started the tests in its background may ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


# how one ends


def test_a_command_that_ends_well_is_no_failure() -> None:
    assert run(Command("true"), {}) is None


def test_what_a_command_that_ends_well_has_said_does_not_matter() -> None:
    assert run(Command("echo something; echo else >&2"), {}) is None


def test_a_command_that_fails_is_told_with_its_exit_code_and_the_last_it_has_said() -> None:
    assert failure_of("echo one; echo '  two  ' >&2; exit 3") == "ended with 3: one two"


def test_a_command_that_fails_in_silence_is_told_with_its_exit_code() -> None:
    assert failure_of("exit 7") == "ended with 7"


def test_a_signal_is_told_by_its_name() -> None:
    assert failure_of("echo gone; kill -KILL $$") == "was ended by SIGKILL: gone"


def test_a_program_that_may_not_be_executed_is_a_failure(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")

    assert failure_of(str(program)).startswith("ended with 126: ")


def test_a_program_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    assert failure_of(f"{tmp_path}/nothing").startswith("ended with 127: ")


@pytest.mark.parametrize(
    ("line", "reason"),
    [("true \0", "embedded null byte"), (f"true {'a' * 3_000_000}", "Argument list too long")],
    ids=["a NUL", "too long"],
)
def test_a_command_that_the_system_refuses_could_not_be_run(line: str, reason: str) -> None:
    assert failure_of(line) == f"could not be run: {reason}"


def test_a_command_reads_nothing() -> None:
    with input_of(b"something"):
        failure = failure_of("cat; exit 1")

    assert failure == "ended with 1"


def test_a_command_stands_in_the_root_directory() -> None:
    assert failure_of("pwd; exit 1") == "ended with 1: /"


def test_a_command_sees_our_environment_and_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "kept")

    assert failure_of('echo "$OURS, $FTP_BACKUP_JOB"; exit 1', FTP_BACKUP_JOB="etc") == "ended with 1: kept, etc"


def test_a_command_is_the_leader_of_a_session() -> None:
    assert failure_of('test "$(ps -o sid= -p $$ | tr -d " ")" = $$ && exit 9') == "ended with 9"


# what it says


def test_output_that_is_no_utf_8_is_told_as_far_as_it_can_be() -> None:
    assert failure_of(r"printf 'a\377b\000c\033[31m\n'; exit 1") == "ended with 1: a\N{REPLACEMENT CHARACTER}b c [31m"


def test_of_long_output_the_end_is_told() -> None:
    failure = failure_of("seq 1 1000; exit 1")

    words = failure.removeprefix("ended with 1: ")
    assert words.startswith("... ")
    assert words.endswith(" 998 999 1000")
    assert 290 < len(words) <= 300


def test_huge_output_takes_little_memory() -> None:
    run(Command("true"), {})  # what is imported by then does not count
    tracemalloc.start()
    try:
        failure = failure_of("yes | head -c 50M; echo; echo the end; exit 1")
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert failure.endswith("y y the end")
    assert peak < 1024 * 1024


@pytest.mark.parametrize(
    "line",
    [
        "cat /proc/$$/cmdline; exit 1 # geheim",
        "cat /proc/$$/cmdline; printf '%1980s' x; exit 1 # geheim",  # of which only the end is among what is kept
        "set -x\nfalse   geheim\n",
        "case geheim in",  # which some shells show in their complaint
    ],
    ids=["told", "cut", "traced", "wrong"],
)
def test_the_command_line_is_not_told_even_if_the_command_tells_it(line: str) -> None:
    failure = failure_of(line)

    assert failure.startswith("ended with ")
    assert "geheim" not in failure


def test_the_command_line_does_not_stand_in_any_sentence_nor_in_what_python_shows_of_a_command() -> None:
    line = "exit 3 # geheim"
    wanted = around(pre=[line], post=[line])

    with pytest.raises(CommandError) as raised, wanted.surrounding():
        pass

    assert "geheim" not in str(raised.value)
    assert "geheim" not in repr(Command(line))


# how long it may take


@pytest.mark.usefixtures("_short_grace")
def test_a_command_that_takes_too_long_is_stopped(notes: Path) -> None:
    failure = failure_of(f"echo $$ > {notes}; echo waiting; sleep 600; true", SHORT)

    assert failure == "did not end within 1 second and was stopped: waiting"
    assert [is_running(process) for process in numbers_in(notes)] == [False]


def test_a_command_that_takes_too_long_may_tidy_up_and_have_the_last_word() -> None:
    # It must have come to its trap by then, also on a machine that is busy with other things.
    failure = failure_of("trap 'echo tidied up; exit 0' TERM; sleep 600 & wait", timedelta(seconds=4))

    assert failure == "did not end within 4 seconds and was stopped: tidied up"


@pytest.mark.usefixtures("_short_grace")
def test_nothing_is_left_of_a_command_whose_children_ignore_the_request_to_end(notes: Path) -> None:
    stubborn = f"(trap '' TERM; (echo $$ >> {notes}; sleep 600 & echo $! >> {notes}; wait))"

    failure = failure_of(f"{stubborn} & echo $! >> {notes}; wait", SHORT)

    processes = numbers_in(notes)
    assert failure == "did not end within 1 second and was stopped"
    assert len(processes) == 3
    assert not any(is_running(process) for process in processes)


@pytest.mark.usefixtures("_short_grace")
def test_a_command_that_closes_its_output_is_still_waited_for_and_stopped(notes: Path) -> None:
    failure = failure_of(f"exec >&- 2>&-; echo $$ > {notes}; sleep 600; true", SHORT)

    assert failure == "did not end within 1 second and was stopped"
    assert not any(is_running(process) for process in numbers_in(notes))


def test_a_command_that_floods_its_output_is_stopped_all_the_same() -> None:
    assert failure_of("yes", SHORT).startswith("did not end within 1 second and was stopped: ")


@pytest.mark.parametrize(
    ("timeout", "text"),
    [
        (timedelta(seconds=90), "90 seconds"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(minutes=90), "90 minutes"),
        (timedelta(hours=1), "1 hour"),
        (timedelta(days=2), "48 hours"),
        (timedelta(seconds=0.5), "0.5 seconds"),
    ],
)
def test_a_time_limit_is_told_in_a_unit_that_suits_it(timeout: timedelta, text: str) -> None:
    assert commands._span(timeout) == text


@pytest.mark.parametrize("holder", ["sleep 600", "yes"], ids=["silent", "loud"])
def test_what_is_left_in_the_background_with_the_output_is_not_waited_for(
    holder: str, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "_AFTERWARDS", 0.1)

    assert failure_of(f"{holder} & echo $! > {notes}; exit 4").startswith("ended with 4")

    (process,) = numbers_in(notes)
    if holder != "yes":  # the other one ends, now that nobody reads what it says
        assert is_running(process)
        os.kill(process, signal.SIGKILL)


def test_what_is_said_in_the_background_right_after_the_end_is_still_heard() -> None:
    assert failure_of("(while kill -0 $$ 2>/dev/null; do :; done; echo late) & exit 4") == "ended with 4: late"


@pytest.mark.usefixtures("_short_grace", "_usable_signals")
def test_an_interrupt_ends_the_command_with_all_it_has_started(notes: Path) -> None:
    line = f"(trap '' TERM; exec sleep 600) & echo $! $$ > {notes}; {INTERRUPT}; wait"

    with pytest.raises(KeyboardInterrupt):
        run(Command(line), {})

    processes = numbers_in(notes)
    assert len(processes) == 2
    assert not any(is_running(process) for process in processes)


# what comes when


def test_the_commands_before_run_in_order_before_the_block_and_those_after_behind_it(notes: Path) -> None:
    wanted = around([f"echo 1 >> {notes}", f"echo 2 >> {notes}"], [f"echo 4 >> {notes}", f"echo 5 >> {notes}"])

    with wanted.surrounding():
        with notes.open("a") as file:
            file.write("3\n")
        wanted.tell_made(ALL_THE_SAME)

    assert numbers_in(notes) == [1, 2, 3, 4, 5]
    assert wanted.failures == []


def test_without_commands_nothing_is_run() -> None:
    with around().surrounding():
        is_done = True

    assert is_done


def test_the_first_command_before_that_fails_ends_the_run_and_those_after_run_all_the_same(notes: Path) -> None:
    wanted = around(
        [f"echo 1 >> {notes}", f"echo 2 >> {notes}; echo no; exit 3", f"echo 3 >> {notes}"],
        [f"echo 4 >> {notes}; exit 5", f"echo 6 >> {notes}"],
    )

    with pytest.raises(CommandError) as raised, wanted.surrounding(), notes.open("a") as file:
        file.write("0")

    assert numbers_in(notes) == [1, 2, 4, 6]
    assert str(raised.value) == (
        "The command 2 of pre_commands ended with 3: no. The command 1 of post_commands ended with 5."
        " No restore point was made."
    )
    assert raised.value.kind == "command"


def test_the_error_of_the_block_is_raised_and_those_after_run_all_the_same(notes: Path) -> None:
    wanted = around(post=["echo stuck.; exit 1", f"echo 1 >> {notes}"])
    error = StorageError("The server is gone.")

    with pytest.raises(StorageError) as raised, wanted.surrounding():
        raise error

    assert raised.value is error
    assert numbers_in(notes) == [1]
    assert wanted.failures == ["The command 1 of post_commands ended with 1: stuck."]


def test_a_command_after_that_fails_tells_that_the_restore_point_was_made(notes: Path) -> None:
    wanted = around(post=["exit 1", f"echo 1 >> {notes}", "exit 2"])

    with pytest.raises(CommandError) as raised, wanted.surrounding():
        wanted.tell_made(ALL_THE_SAME)

    assert numbers_in(notes) == [1]
    assert str(raised.value) == (
        f"The command 1 of post_commands ended with 1. The command 3 of post_commands ended with 2. {ALL_THE_SAME}"
    )


def test_the_commands_after_run_when_the_block_is_interrupted(notes: Path) -> None:
    with pytest.raises(KeyboardInterrupt), around(post=[f"echo 1 >> {notes}"]).surrounding():
        raise KeyboardInterrupt

    assert numbers_in(notes) == [1]


@pytest.mark.usefixtures("_usable_signals")
def test_the_commands_after_run_when_one_before_is_interrupted(notes: Path) -> None:
    wanted = around([f"{INTERRUPT}; sleep 600", f"echo 1 >> {notes}"], [f"echo 2 >> {notes}", f"echo 3 >> {notes}"])

    with pytest.raises(KeyboardInterrupt), wanted.surrounding():
        pass

    assert numbers_in(notes) == [2, 3]


@pytest.mark.usefixtures("_usable_signals")
def test_an_interrupt_ends_one_command_after_and_not_those_that_follow(notes: Path) -> None:
    wanted = around(post=[f"{INTERRUPT}; sleep 600", f"echo 1 >> {notes}"])

    with pytest.raises(KeyboardInterrupt), wanted.surrounding():
        pass

    assert numbers_in(notes) == [1]


# what they see


def test_the_commands_see_the_variables_and_those_after_see_the_outcome(notes: Path) -> None:
    line = f'echo "$FTP_BACKUP_JOB ${{FTP_BACKUP_OUTCOME-none}}" >> {notes}'
    wanted = around([line], [line], FTP_BACKUP_JOB="etc")

    with wanted.surrounding():
        wanted.tell_made(ALL_THE_SAME)

    assert notes.read_text() == "etc none\netc made\n"


def test_the_outcome_of_a_run_that_failed_is_told(notes: Path) -> None:
    with (
        pytest.raises(StorageError),
        around(post=[f"echo $FTP_BACKUP_OUTCOME > {notes}"]).surrounding(),
    ):
        raise StorageError("The server is gone.")

    assert notes.read_text() == "failed\n"


def test_a_restore_point_that_was_made_counts_as_made_whatever_fails_behind_it(notes: Path) -> None:
    wanted = around(post=[f"echo $FTP_BACKUP_OUTCOME > {notes}"])

    def fail_late() -> None:
        wanted.tell_made(ALL_THE_SAME)
        raise StorageError("None of the old ones could be removed.")

    with pytest.raises(StorageError), wanted.surrounding():
        fail_late()

    assert notes.read_text() == "made\n"


def test_the_environment_of_this_process_stays_as_it_was() -> None:
    before = dict(os.environ)

    run(Command("true"), {"FTP_BACKUP_JOB": "etc"})

    assert dict(os.environ) == before
