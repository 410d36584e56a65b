# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How client programs are run, with programs that every host has in their place."""

from __future__ import annotations

import os
import pwd
import signal
import tempfile
import time
import typing as t
from pathlib import Path

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases import programs as module
from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases.programs import Programs
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import DatabaseError

if t.TYPE_CHECKING:
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.databases.programs import Output

DEED = "The server cannot do it"
MUCH = bytes(range(256)) * 20_000  # more than any pipe holds
SECONDS = 20.0


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


def read_all(output: Output) -> bytes:
    content = bytearray()
    view = memoryview(bytearray(65536))
    while count := output.read_into(view):
        content += view[:count]
    return bytes(content)


def is_running(process: int) -> bool:
    """Tell whether there is a process that is not only waiting to be forgotten."""
    try:
        status = Path(f"/proc/{process}/stat").read_text("ascii", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] not in ("Z", "X")


def wait_for_end(process: int) -> None:
    deadline = time.monotonic() + SECONDS
    while is_running(process):
        assert time.monotonic() < deadline, f"{process} has not ended."
        time.sleep(0.01)


@pytest.fixture
def programs() -> Programs:
    return Programs("The server")


@pytest.fixture
def _short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.2)
    monkeypatch.setattr(module, "_LOOK", 0.1)


# how one is found


def test_the_first_of_its_names_that_there_is_is_the_program(programs: Programs) -> None:
    assert programs.find("no-such-program", "sh", "cat").endswith("/sh")


def test_a_program_is_only_looked_for_where_it_is_to_be(tmp_path: Path) -> None:
    with pytest.raises(
        DatabaseError, match=rf"^X needs the program sh or bash, which is not in the directory {tmp_path}"
    ):
        Programs("X", directory=str(tmp_path)).find("sh", "bash")


def test_a_program_that_cannot_be_run_is_told(programs: Programs, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()

    with pytest.raises(DatabaseError, match=r"^The server cannot do it: .*/folder cannot be run: Permission denied\.$"):
        programs.answer([str(tmp_path / "folder")], DEED)


# what one writes


def test_all_that_a_program_writes_is_read(programs: Programs) -> None:
    with programs.reading(["head", "-c", "5000000", "/dev/zero"], DEED) as output:
        assert read_all(output) == bytes(5_000_000)


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("echo part; exit 3", r"sh ended with 3\."),
        ("echo part; kill -9 $$", r"sh was ended by SIGKILL\."),
        ("echo part; echo 'It broke. ' >&2; exit 1", r"sh ended with 1 and said: It broke\."),
        ("echo part; echo 'Is it on?' >&2; exit 1", r"sh ended with 1 and said: Is it on\?"),
    ],
)
def test_an_end_is_only_told_of_a_program_that_ended_well(programs: Programs, script: str, sentence: str) -> None:
    with programs.reading(shell(script), DEED) as output:
        view = memoryview(bytearray(100))

        assert bytes(view[: output.read_into(view)]) == b"part\n"
        with pytest.raises(DatabaseError, match=rf"^{DEED}: {sentence}$"):
            output.read_into(view)


def test_a_program_that_is_not_read_to_its_end_ends_with_all_it_started(programs: Programs) -> None:
    with programs.reading(shell("sleep 1000 & echo $! $$; sleep 1000"), DEED) as output:
        view = memoryview(bytearray(100))
        processes = [int(number) for number in bytes(view[: output.read_into(view)]).split()]

    for process in processes:
        wait_for_end(process)


def test_a_program_that_does_not_obey_is_killed(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_GRACE", 0.2)

    with programs.reading(shell("trap '' TERM; echo $$; while :; do sleep 1000; done"), DEED) as output:
        view = memoryview(bytearray(100))
        process = int(bytes(view[: output.read_into(view)]))

    assert not is_running(process)


@pytest.mark.usefixtures("_short_patience")
def test_a_program_that_does_nothing_is_given_up(programs: Programs) -> None:
    with (
        programs.reading(["sleep", "1000"], DEED) as output,
        pytest.raises(DatabaseError, match=r": sleep did nothing"),
    ):
        output.read_into(memoryview(bytearray(1)))


def test_waiting_tells_whether_there_is_something_to_read(programs: Programs) -> None:
    with programs.talking(["cat"], DEED) as (given, output):
        assert not output.wait(0.01)
        given.write(b"word")
        assert output.wait(SECONDS)


def test_what_a_program_complains_of_is_kept_whole_while_it_is_read(programs: Programs) -> None:
    with programs.talking(shell("while read -r word; do echo $word >&2; echo; done"), DEED) as (given, output):
        for count in range(1, 4):
            output._child._complaints.seek(0)  # as if it were being read right now
            given.write(b"again\n")
            output.read_into(memoryview(bytearray(1)))

            assert output.complaints == "again\n" * count


# what one reads


def test_all_that_is_written_reaches_the_program(programs: Programs, tmp_path: Path) -> None:
    with programs.writing(shell(f"cat > '{tmp_path}/all'"), DEED) as given:
        given.write(MUCH)

    assert (tmp_path / "all").read_bytes() == MUCH


def test_a_program_that_ends_badly_once_it_has_read_all_is_no_success(programs: Programs) -> None:
    with (
        pytest.raises(DatabaseError, match=rf"^{DEED}: sh ended with 4 and said: no room\.$"),
        programs.writing(shell("cat > /dev/null; echo no room >&2; exit 4"), DEED) as given,
    ):
        given.write(MUCH)


@pytest.mark.parametrize(
    ("script", "sentence"),
    [("echo enough >&2; exit 5", r"sh ended with 5 and said: enough\."), ("exit 0", r"sh ended before it had read")],
)
def test_a_program_that_reads_no_more_is_no_success(programs: Programs, script: str, sentence: str) -> None:
    with (
        pytest.raises(DatabaseError, match=rf"^{DEED}: {sentence}"),
        programs.writing(shell(script), DEED) as given,
    ):
        given.write(MUCH)


def test_what_fails_while_it_writes_ends_the_program(programs: Programs, tmp_path: Path) -> None:
    script = f"echo $$ > '{tmp_path}/number'; cat > /dev/null; sleep 1000"

    def fail() -> None:
        with programs.writing(shell(script), DEED) as given:
            given.write(MUCH)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert not is_running(int((tmp_path / "number").read_text()))


# question and answer


def test_an_answer_may_be_larger_than_any_pipe(programs: Programs) -> None:
    assert programs.answer(["cat"], DEED, MUCH) == MUCH
    assert programs.answer(["cat"], DEED) == b""


def test_a_program_need_not_hear_everything_to_answer(programs: Programs) -> None:
    assert programs.answer(shell("echo yes"), DEED, MUCH) == b"yes\n"


def test_an_answer_without_end_is_refused(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ANSWER_LIMIT", 1000)

    with pytest.raises(DatabaseError, match=r"the answer of yes has no end\.$"):
        programs.answer(["yes"], DEED, MUCH)


def test_a_file_is_read_from_its_beginning(programs: Programs, tmp_path: Path) -> None:
    with tempfile.TemporaryFile(dir=tmp_path) as file:
        file.write(b"whole")

        programs.run(shell(f"cat > '{tmp_path}/copy'"), DEED, file)

    assert (tmp_path / "copy").read_bytes() == b"whole"


# what is told of it


def test_no_secret_is_told(tmp_path: Path) -> None:
    hidden = Programs("The server", secrets=("hunter2",), environment={"PASSWORD": "hunter2"})

    with pytest.raises(DatabaseError, match=r"said: bad password: \*{8} or \*{8}\.$"):
        hidden.answer(shell('echo "bad password: $PASSWORD or $PASSWORD" >&2; exit 1'), DEED)

    assert "hunter2" not in repr(hidden)
    assert list(tmp_path.iterdir()) == []


def test_of_much_the_beginning_and_the_end_are_told(programs: Programs) -> None:
    with pytest.raises(DatabaseError) as told:
        programs.answer(shell("echo first >&2; seq 100000 >&2; echo last >&2; exit 1"), DEED)

    assert "said: first 1 2 3 " in str(told.value)
    assert str(told.value).endswith(" 99999 100000 last.")
    assert len(str(told.value)) < 600


# as whom, and with what


def test_no_variable_of_ours_leads_elsewhere(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "elsewhere")
    monkeypatch.setenv("MYSQL_HOST", "elsewhere")

    seen = programs.answer(["env"], DEED).decode()

    assert "elsewhere" not in seen
    assert "LC_ALL=C.UTF-8\n" in seen


def test_a_program_runs_as_the_user_it_is_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("Only root can become another user.")
    monkeypatch.setenv("HOME", "/root")
    nobody = pwd.getpwnam("nobody")

    seen = Programs("The server", run_as="nobody").answer(shell("id -u; id -g; id -G; echo ${HOME-none}"), DEED)

    groups = " ".join(map(str, os.getgrouplist("nobody", nobody.pw_gid)))
    assert seen.decode().splitlines() == [str(nobody.pw_uid), str(nobody.pw_gid), groups, "none"]


def test_a_user_whom_the_host_lacks_is_told() -> None:
    with pytest.raises(
        DatabaseError, match=r"^The server is to be reached as the user 'nemo', whom this host lacks\.$"
    ):
        Programs("The server", run_as="nemo").answer(["true"], DEED)


def test_an_interrupt_of_ours_is_not_one_of_the_program(programs: Programs) -> None:
    with programs.talking(shell("echo $$; read -r word; echo $word"), DEED) as (given, output):
        view = memoryview(bytearray(100))
        process = int(bytes(view[: output.read_into(view)]))

        assert os.getpgid(process) != os.getpgid(0)
        assert os.getsid(process) == process
        os.killpg(process, signal.SIGCONT)
        given.write(b"on\n")
        assert bytes(view[: output.read_into(view)]) == b"on\n"
