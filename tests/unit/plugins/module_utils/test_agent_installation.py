# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command comes to a host whole, is replaced while it runs or an installation dies, and goes without a trace."""

from __future__ import annotations

import importlib
import os
import stat
import subprocess
import sys
import typing as t
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils import agent_installation
from ansible_collections.stowage.ftp_backup.plugins.module_utils.agent_installation import (
    Agent,
    ensure_absent,
    ensure_present,
    read_sources,
    stable_python,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import LocalError, UsageError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.outcome import Outcome

#: A package of the same shape: what begins imports the rest only when it is wanted.
BEGINNING = b"""
import os, sys

def main(arguments):
    if arguments[:1] == ["wait"]:
        print("ready", flush=True)
        sys.stdin.readline()
    from ..deep.words import WORD
    place = ["in", os.environ["DIRECTORY"]] if "DIRECTORY" in os.environ else []
    print(WORD, *place, *arguments)
    return 3
"""


def main(arguments: list[str]) -> int:
    """Stand for the function with which the command begins; of it only the name is used."""
    raise AssertionError(arguments)


main.__module__ = f"{agent_installation.__name__.rpartition('.')[0]}.agent.start"


def sources(word: str) -> dict[str, bytes]:
    return {"agent/start.py": BEGINNING, "deep/words.py": f"WORD = {word!r}\n".encode()}


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    tmp_path.joinpath("bin").mkdir()
    return Agent(tmp_path / "lib", tmp_path / "bin" / "ftp-backup", stable_python(sys.executable))


def install(agent: Agent, word: str, *, check_mode: bool = False) -> Outcome:
    return ensure_present(agent, sources(word), main, check_mode=check_mode)


def run(agent: Agent, *arguments: str) -> str:
    """Return what the command says, which must end as its function does."""
    ended = subprocess.run([agent.command, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 3, ended.stderr
    return ended.stdout.strip()


@contextmanager
def waiting(agent: Agent) -> Iterator[Callable[[], str]]:
    """Have the command run and wait; the function lets it end and returns what it says."""
    command = [str(agent.command), "wait"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"

        def end() -> str:
            said: str = process.communicate("\n", timeout=60)[0]
            return said.strip()

        yield end


def everything(directory: Path) -> list[str]:
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*"))


def test_the_command_runs_what_was_installed(agent: Agent) -> None:
    outcome = install(agent, "first")

    assert outcome.changed
    assert run(agent, "list", "a b") == "first list a b"


def test_the_command_has_an_environment_of_its_own_which_that_of_its_caller_overrides(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Agent(agent.library_directory, agent.command, agent.python, (("DIRECTORY", "/srv/it's"),))

    install(other, "first")
    alone = run(agent)
    monkeypatch.setenv("DIRECTORY", "/mine")

    assert alone == "first in /srv/it's"
    assert run(agent) == "first in /mine"


def test_the_environment_cannot_make_the_command_run_something_else(
    agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(agent, "first")
    tmp_path.joinpath("fcntl.py").write_text("raise SystemExit('not ours')")

    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    assert run(agent) == "first"


def test_installing_the_same_again_changes_nothing(agent: Agent) -> None:
    install(agent, "first")
    run(agent)

    again = install(agent, "first")

    assert not again.changed
    assert again.before == again.after


def test_check_mode_tells_the_same_and_touches_nothing(agent: Agent, tmp_path: Path) -> None:
    before = everything(tmp_path)

    foretold = install(agent, "first", check_mode=True)
    seen = everything(tmp_path)

    assert seen == before
    assert foretold == install(agent, "first")


def test_an_update_leaves_nothing_of_the_older_version(agent: Agent) -> None:
    ensure_present(agent, {**sources("first"), "deep/gone.py": b""}, main, check_mode=False)

    outcome = install(agent, "second")

    assert run(agent) == "second"
    assert len(list(agent.versions.iterdir())) == 1
    assert "ftp_backup/deep/gone.py" not in everything(agent.library_directory)
    assert any(line.startswith("ftp_backup/deep/gone.py: ") for line in outcome.before or ())


def test_only_an_update_changes_what_the_diff_shows(agent: Agent) -> None:
    install(agent, "first")

    outcome = install(agent, "second", check_mode=True)

    assert outcome.before is not None
    assert outcome.after is not None
    differing = {line.partition(": ")[0] for line in set(outcome.before) ^ set(outcome.after)}
    assert differing == {"ftp_backup/deep/words.py"}


def test_a_command_that_runs_keeps_its_version_until_it_ends(agent: Agent) -> None:
    install(agent, "first")

    with waiting(agent) as end:
        update = install(agent, "second")
        meanwhile = install(agent, "second")
        said = end()
    afterwards = install(agent, "second")

    assert (said, run(agent)) == ("first wait", "second")
    assert "A command is at work" in "".join(update.warnings)
    assert [meanwhile.changed, afterwards.changed] == [False, True]
    assert not install(agent, "second").changed


@pytest.mark.parametrize("spoil", ["write", "chmod", "add", "forget", "compiled"])
def test_what_was_changed_by_hand_is_put_right(agent: Agent, spoil: str) -> None:
    install(agent, "first")
    words = agent.link / "deep" / "words.py"
    spoiling: dict[str, Callable[[], object]] = {
        "write": lambda: words.write_text("WORD = 'spoilt'"),
        "chmod": lambda: words.chmod(0o666),
        "add": lambda: words.with_name("more.py").touch(),
        "forget": lambda: words.rename(words.with_suffix(".away")),
        "compiled": lambda: [path.rename(path.with_suffix(".away")) for path in agent.link.rglob("*.pyc")],
    }
    spoiling[spoil]()

    outcome = install(agent, "first")

    assert outcome.changed
    assert run(agent) == "first"
    assert not install(agent, "first").changed


def test_a_command_that_others_could_change_is_put_right(agent: Agent) -> None:
    install(agent, "first")
    agent.command.chmod(0o777)

    outcome = install(agent, "first")

    assert outcome.changed
    assert stat.S_IMODE(agent.command.stat().st_mode) == 0o755


def test_all_may_run_it_and_only_its_owner_may_change_it_whatever_the_umask(agent: Agent) -> None:
    former = os.umask(0o077)
    try:
        install(agent, "first")
    finally:
        os.umask(former)

    paths = [agent.command, *agent.versions.rglob("*"), agent.versions, agent.library_directory]
    modes = {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_dir() or path == agent.command}
    assert modes == {0o755}
    assert {stat.S_IMODE(path.stat().st_mode) for path in agent.versions.rglob("*.py*")} == {0o644}


def test_a_foreign_file_is_neither_replaced_nor_removed(agent: Agent) -> None:
    agent.command.write_text("#!/bin/sh\n")

    with pytest.raises(LocalError, match="was not written by this collection"):
        install(agent, "first")
    outcome = ensure_absent(agent, check_mode=False)

    assert not outcome.changed
    assert agent.command.read_text() == "#!/bin/sh\n"


def test_a_foreign_package_is_not_replaced(agent: Agent) -> None:
    agent.link.mkdir(parents=True)

    with pytest.raises(LocalError, match="was not made by this collection"):
        install(agent, "first")


@pytest.mark.parametrize("path", ["lib", "/nowhere/at/all"])
def test_a_place_that_cannot_be_is_refused(agent: Agent, path: str) -> None:
    elsewhere = Agent(Path(path), agent.command, agent.python)

    with pytest.raises((UsageError, LocalError), match="library_directory"):
        install(elsewhere, "first")


def test_a_python_that_cannot_begin_a_script_is_refused() -> None:
    with pytest.raises(UsageError, match="must have no spaces"):
        stable_python("/opt/my python/bin/python")
    with pytest.raises(UsageError, match="too long"):
        stable_python(f"/{'x' * 200}/python")


def test_removing_it_leaves_no_trace(agent: Agent, tmp_path: Path) -> None:
    before = everything(tmp_path)
    install(agent, "first")

    foretold = ensure_absent(agent, check_mode=True)
    outcome = ensure_absent(agent, check_mode=False)
    again = ensure_absent(agent, check_mode=False)

    assert everything(tmp_path) == before
    assert foretold == outcome
    assert [outcome.changed, again.changed] == [True, False]


def test_removing_it_spares_what_is_not_ours(agent: Agent) -> None:
    install(agent, "first")
    agent.library_directory.joinpath("notes").touch()

    ensure_absent(agent, check_mode=False)

    assert everything(agent.library_directory) == ["notes"]


def test_an_installation_that_is_killed_leaves_a_command_that_works(agent: Agent) -> None:
    install(agent, "first")

    said = []
    for deed in range(1, 200):
        install(agent, "first")
        if dies_at(deed, lambda: install(agent, "second")) == 0:
            break
        said.append(run(agent))
        install(agent, "second")
        assert run(agent) == "second"
        assert len(list(agent.versions.iterdir())) == 1
        assert everything(agent.command.parent) == ["ftp-backup"]
    else:
        pytest.fail("It never came to an end.")

    assert said == sorted(said)  # the old one, up to one moment, and the new one from then on
    assert set(said) == {"first", "second"}


def test_a_removal_that_is_killed_is_completed_by_the_next(agent: Agent, tmp_path: Path) -> None:
    before = everything(tmp_path)

    for deed in range(1, 200):
        install(agent, "first")
        if dies_at(deed, lambda: ensure_absent(agent, check_mode=False)) == 0:
            break
        ensure_absent(agent, check_mode=False)
        assert everything(tmp_path) == before
    else:
        pytest.fail("It never came to an end.")


def dies_at(deed: int, act: Callable[[], object]) -> int:
    """Have a child *act*, and die at the deed of that number on the file system; return 0 if it came to the end."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    remaining = deed

    def count(event: str, _arguments: tuple[object, ...]) -> None:
        nonlocal remaining
        if event == "open" or event.startswith("os."):
            remaining -= 1
            if remaining == 0:
                os._exit(9)

    sys.addaudithook(count)
    try:
        act()
    finally:
        os._exit(0)


def test_the_sources_come_from_the_files_of_the_collection() -> None:
    assert agent_installation.__spec__ is not None

    found = read_sources(agent_installation.__spec__)

    assert found["agent_installation.py"] == Path(agent_installation.__file__).read_bytes()
    assert "native/recover.py" in found
    assert "module.py" not in found


def test_the_sources_come_from_the_archive_that_ansible_has_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "payload.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        for path in ("sent_here/__init__.py", "sent_here/utils/__init__.py", "sent_here/utils/deep/__init__.py"):
            opened.writestr(path, b"")
        opened.writestr("sent_here/utils/known.py", b"KNOWN = 1\n")
        opened.writestr("sent_here/utils/module.py", b"")
        opened.writestr("sent_here/utils/deep/words.py", b"WORD = 1\n")
    monkeypatch.syspath_prepend(str(archive))

    spec = importlib.import_module("sent_here.utils.known").__spec__
    assert spec is not None

    assert read_sources(spec) == {
        "__init__.py": b"",
        "known.py": b"KNOWN = 1\n",
        "deep/__init__.py": b"",
        "deep/words.py": b"WORD = 1\n",
    }
