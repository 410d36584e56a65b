# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have programs of Debian packages without installing them: servers that conflict as packages do not as files."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import re
import shutil
import subprocess
import tempfile
import typing as t
from dataclasses import dataclass
from pathlib import Path

from .server import UnavailableError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "servers"

_SECONDS_TO_DOWNLOAD = 300
_DEPTH_OF_LIBRARIES = 3


@dataclass(frozen=True)
class Unpacked:
    """A tree with the files of some packages and the libraries this machine lacks for them."""

    root: Path

    def command(self, program: str) -> list[str]:
        """Return the beginning of a command line that runs *program*, a path inside the tree."""
        path = str(self.root / program)
        libraries = _library_path(self.root)
        return ["env", f"LD_LIBRARY_PATH={libraries}", path] if libraries else [path]


@functools.cache
def why_unavailable(unpack: Callable[[], Unpacked]) -> str | None:
    """Say in one sentence why a server that needs root and what *unpack* gives cannot run here, or return None.

    It is tried once in a process: without a network every try takes long.
    """
    if os.geteuid() != 0:
        return "Only root can start this FTP server, and the tests run as an ordinary user."
    try:
        unpack()
    except UnavailableError as error:
        return str(error)
    return None


def unpacked(packages: Sequence[str], binaries: Sequence[str]) -> Unpacked:
    """Return the unpacked *packages*, downloaded the first time, with all the libraries *binaries* need.

    Raises UnavailableError when they cannot be had.
    """
    tree = CACHE / packages[0]
    if not tree.is_dir():
        CACHE.mkdir(parents=True, exist_ok=True)
        with _locked(CACHE / f"{packages[0]}.lock"):
            if not tree.is_dir():
                _unpack_into(tree, packages, binaries)
    return Unpacked(tree)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _unpack_into(tree: Path, packages: Sequence[str], binaries: Sequence[str]) -> None:
    """Make *tree* appear whole or not at all."""
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        fresh = Path(scratch, "tree")
        fresh.mkdir(mode=0o755)
        dependencies = _fetch(packages, fresh)
        for _round in range(_DEPTH_OF_LIBRARIES):
            if not _missing_libraries(fresh, binaries):
                break
            dependencies = _fetch(_absent(dependencies), fresh)
        missing = _missing_libraries(fresh, binaries)
        if missing:
            raise UnavailableError(f"The package {packages[0]} needs libraries that cannot be had: {missing}.")
        fresh.rename(tree)


def _fetch(packages: Sequence[str], tree: Path) -> list[str]:
    """Unpack *packages* into *tree* and return the libraries they depend on."""
    dependencies: list[str] = []
    with tempfile.TemporaryDirectory(dir=CACHE) as downloads:
        _download(packages, Path(downloads))
        for archive in sorted(Path(downloads).glob("*.deb")):
            _told(["dpkg", "-x", str(archive), str(tree)])
            field = _told(["dpkg-deb", "-f", str(archive), "Depends"])
            dependencies += re.findall(r"(?:^|[,|]\s*)(lib[a-z0-9.+-]+)", field)
    return dependencies


def _download(packages: Sequence[str], directory: Path) -> None:
    command = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=3", "download", *packages]
    try:
        _told(command, directory)
    except UnavailableError:
        # Package lists that were never fetched, or are too old, are the usual cause, and only root may mend it.
        if os.geteuid() != 0:
            raise
        _told(["apt-get", "-q", "-o", "Acquire::Retries=3", "-o", "DPkg::Lock::Timeout=60", "update"])
        _told(command, directory)


def _absent(packages: Sequence[str]) -> list[str]:
    return [package for package in dict.fromkeys(packages) if not _is_installed(package)]


def _is_installed(package: str) -> bool:
    query = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Status}", package],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return query.stdout.endswith(b" installed")


def _missing_libraries(tree: Path, binaries: Sequence[str]) -> list[str]:
    environment = {**os.environ, "LD_LIBRARY_PATH": _library_path(tree)}
    listing = "".join(_told(["ldd", str(tree / binary)], environment=environment) for binary in binaries)
    return sorted(set(re.findall(r"(\S+) => not found", listing)))


def _library_path(tree: Path) -> str:
    directories = {str(library.parent) for library in tree.glob("**/lib*.so*")}
    return ":".join(sorted(directories))


def _told(
    command: Sequence[str],
    directory: Path | None = None,
    *,
    environment: dict[str, str] | None = None,
) -> str:
    """Return what *command* prints, or raise UnavailableError with what it complains of."""
    if shutil.which(command[0]) is None:
        raise UnavailableError(f"This machine has no {command[0]}, so it cannot unpack an FTP server from Debian.")
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS_TO_DOWNLOAD,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"{' '.join(command)} did not end within {_SECONDS_TO_DOWNLOAD} s.") from error
    if done.returncode:
        complaint = " ".join((done.stderr or done.stdout).split())
        raise UnavailableError(f"{' '.join(command)} ended with {done.returncode}: {complaint[-500:]}.")
    return done.stdout
