# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of the pages: podman's containers, made once, brought back to their beginning before each page.

They are made by `extensions/molecule/hosts.py`, reached by SSH, and have the names that the pages call them by. The
names mean the containers only in what `Hosts.on_controller` runs, which sees an `/etc/hosts` of its own; the machine's
stays as it is.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import typing as t
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
INVENTORY = HERE / "inventory"
NAMES = ("storage01", "web01", "web02", "db01")
PROGRAMS = ("podman", "mmdebstrap", "ssh", "ssh-keygen", "unshare")
SSH_OPTIONS = (
    *("-o", "ControlMaster=auto", "-o", "ControlPersist=600s"),
    *("-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"),
)
#: The ordinary user on the hosts.
USER = "anna"
#: Seconds that one command, or one playbook, of a page may take on a machine that is busy with other things.
PATIENCE = 600
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")


def why_unavailable() -> str | None:
    """Return why there can be no hosts on this machine, or None."""
    if os.geteuid() != 0:
        return "the pages of the documentation need root, to make hosts"
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    return f"the pages of the documentation need {', '.join(missing)}" if missing else None


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed on both of its outputs."""

    code: int
    printed: str


class Hosts:
    """The containers, and the ways to run something: on one of them, or where the user's Ansible is."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.key = cache / "key"
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")} | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(cache / "home"),
            "LC_ALL": "C.UTF-8",
            "PYTHONWARNINGS": "",
            "COLUMNS": "80",
            "ANSIBLE_HOME": str(cache / "ansible"),
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
            "ANSIBLE_HOST_KEY_CHECKING": "false",
            "ANSIBLE_INTERPRETER_PYTHON": "/usr/bin/python3",
            "ANSIBLE_PYTHON_INTERPRETER": "/usr/bin/python3",
            "ANSIBLE_NOCOLOR": "true",
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_PRIVATE_KEY_FILE": str(self.key),
            "ANSIBLE_REMOTE_USER": "root",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(cache / "ssh"),
            "ANSIBLE_SSH_ARGS": " ".join(SSH_OPTIONS),
            "ANSIBLE_LOCALHOST_WARNING": "false",
        }

    def addresses(self) -> dict[str, str]:
        """Return the address of each container that is there."""
        path = self.cache / "addresses.json"
        return dict(json.loads(path.read_text())) if path.exists() else {}

    # -- Making and removing them

    def ensure(self) -> None:
        """Have the hosts, as they were made before or new."""
        wanted = self._recipe()
        stamp = self.cache / "prepared"
        if stamp.exists() and stamp.read_text() == wanted and self._answer():
            return
        stamp.unlink(missing_ok=True)
        (self.cache / "home").mkdir(parents=True, exist_ok=True)
        if not self._answer():
            self.destroy()
            self._make("create")
            self._tell_controller()
        self._prepare()
        stamp.write_text(wanted)

    def destroy(self) -> None:
        """Remove the containers and end the connections to them."""
        for socket in (self.cache / "ssh").glob("*"):
            subprocess.run(
                ["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "host"], capture_output=True, check=False
            )
        shutil.rmtree(self.cache / "ssh", ignore_errors=True)
        self._make("destroy")

    def _make(self, deed: str) -> None:
        program = ROOT / "extensions" / "molecule" / "hosts.py"
        _must([sys.executable, str(program), str(self.cache), deed, *NAMES])

    def _recipe(self) -> str:
        parts = [*sorted((HERE / "machines").iterdir()), *sorted(INVENTORY.rglob("*.yml"))]
        return hashlib.sha256(b"\0".join(part.read_bytes() for part in parts)).hexdigest()

    def _answer(self) -> bool:
        if set(self.addresses()) != set(NAMES):
            return False
        return all(ended.code == 0 for ended in self._on_all("true", patience=10))

    def _tell_controller(self) -> None:
        names = "".join(
            f"{address}\t{name}{' backup.example.com' if name == 'storage01' else ''}\n"
            for name, address in self.addresses().items()
        )
        (self.cache / "hosts").write_text(f"127.0.0.1\tlocalhost\n{names}")

    def _prepare(self) -> None:
        archive = self.cache / "bob.tar.gz"
        if not archive.exists():
            code = (
                "import pathlib, sys\n"
                "from tests.cpanel.accounts import Who, everything\n"
                "from tests.cpanel.archives import write_file\n"
                "write_file(everything(Who('bob')), pathlib.Path(sys.argv[1]))\n"
            )
            _must([sys.executable, "-c", code, str(archive)])
        command = [
            *("ansible-playbook", "-i", str(INVENTORY / "inventory"), str(HERE / "machines" / "prepare.yml")),
            *("-e", f"documentation_cache={self.cache}"),
        ]
        ended = self.on_controller(shlex.join(command), HERE, patience=600)
        if ended.code:
            message = f"The hosts could not be prepared:\n{ended.printed}"
            raise RuntimeError(message)
        authorities = AUTHORITIES.read_text() if AUTHORITIES.exists() else ""
        (self.cache / "authorities.pem").write_text(authorities + (self.cache / "storage.pem").read_text())

    # -- Running something

    def reset(self) -> None:
        """Make all hosts what every page begins with."""
        for name, ended in zip(NAMES, self._on_all("reset-documentation"), strict=True):
            if ended.code:
                message = f"{name} could not be reset: {ended.printed}"
                raise RuntimeError(message)

    def _on_all(self, command: str, *, patience: int = PATIENCE) -> list[Ended]:
        with ThreadPoolExecutor(len(NAMES)) as threads:
            return list(threads.map(lambda name: self.on_host(name, command, as_root=True, patience=patience), NAMES))

    def on_host(self, name: str, command: str, *, as_root: bool, patience: int = PATIENCE) -> Ended:
        """Run *command* in a login shell of root, or of USER, on the host *name*."""
        shell = ["bash", "-lc", command] if as_root else ["runuser", "-l", USER, "-c", command]
        (self.cache / "ssh").mkdir(mode=0o700, exist_ok=True)
        words = [
            *("ssh", "-i", str(self.key), "-o", f"ControlPath={self.cache / 'ssh'}/own-%C", *SSH_OPTIONS),
            *("-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"),
            *(f"root@{self.addresses()[name]}", f"exec 2>&1; {shlex.join(shell)}"),
        ]
        return _run(words, Path.cwd(), self.environment, patience)

    def on_controller(self, command: str, directory: Path, *, patience: int = PATIENCE) -> Ended:
        """Run *command* by bash in *directory*, where the names of the hosts are known and the storage is trusted."""
        binds = [f"mount --bind {shlex.quote(str(self.cache / 'hosts'))} /etc/hosts"]
        if AUTHORITIES.exists() and (self.cache / "authorities.pem").exists():
            binds.append(f"mount --bind {shlex.quote(str(self.cache / 'authorities.pem'))} {AUTHORITIES}")
        (self.cache / "ssh").mkdir(mode=0o700, exist_ok=True)
        inside = f"{' && '.join(binds)} && exec bash -c {shlex.quote(command)} 2>&1"
        words = ["unshare", "--mount", "--propagation", "private", "bash", "-c", inside]
        return _run(words, directory, self.environment, patience)


@contextmanager
def borrowed(cache: Path, *, stay: bool) -> Iterator[Hosts]:
    """Give the hosts of *cache*, to nobody else at the same time, and remove them unless they are to *stay*."""
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        hosts = Hosts(cache)
        try:
            hosts.ensure()
            yield hosts
        finally:
            if not stay:
                hosts.destroy()
                (cache / "prepared").unlink(missing_ok=True)


def _run(words: list[str], directory: Path, environment: dict[str, str], patience: int) -> Ended:
    # Ansible's own connections outlive it with its output in hand, so that goes to a file and not to a pipe.
    with (Path(environment["HOME"]).parent / f"printed-{os.getpid()}-{os.urandom(4).hex()}").open("w+b") as printed:
        Path(printed.name).unlink()
        try:
            ended = subprocess.run(
                words,
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                timeout=patience,
                check=False,
            )
            code, more = ended.returncode, ""
        except subprocess.TimeoutExpired:
            code, more = 124, f"\nIt was ended after {patience} seconds.\n"
        printed.seek(0)
        return Ended(code, printed.read().decode("utf-8", "replace") + more)


def _must(words: list[str]) -> None:
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    if ended.returncode:
        message = f"{shlex.join(words)} ended with {ended.returncode}: {ended.stdout}{ended.stderr}"
        raise RuntimeError(message)
