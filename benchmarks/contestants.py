# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is measured: one class a contestant, which says what commands do its work."""

from __future__ import annotations

import shutil
import typing as t
from dataclasses import dataclass

from .host import CONNECTIONS, AnsibleHost, Host, Job
from .measure import Command

if t.TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path, PurePosixPath

    from tests.servers.server import FtpServer


@dataclass(frozen=True)
class Place:
    """Where a contestant works: what it backs up, its directory on the server, and one of its own on the host."""

    source: Path
    server: FtpServer
    state: Path

    @property
    def ca_path(self) -> str:
        """The certificate that everybody has to verify the server's by."""
        return str(self.server.ca_path)

    @property
    def directory(self) -> str:
        """The directory on the server, relative to the login's home."""
        return str(self.server.directory.relative_to("/"))

    @property
    def address(self) -> str:
        return f"{self.server.host}:{self.server.port}"

    @property
    def login(self) -> str:
        return f"{self.server.username}:{self.server.password}"


class Contestant(t.Protocol):
    """A way to back up a tree to an FTP server that requires TLS, and to get it back."""

    name: str
    programs: tuple[str, ...]

    def prepare(self, place: Place) -> Sequence[Command]:
        """Return what is to be run before the first backup, once in the life of a host."""

    def back_up(self, place: Place) -> Command:
        """Return what makes a backup, one that rests on the backup before if there is such a thing."""

    def restore_all(self, place: Place, target: Path) -> Command:
        """Return what brings the tree back to somewhere below the empty directory *target*."""

    def restore_one(self, place: Place, path: PurePosixPath, target: Path) -> Command:
        """Return what brings one file of the tree back to somewhere below the empty directory *target*."""

    def restored_tree(self, place: Place, target: Path) -> Path:
        """Return where below *target* the tree appears."""


def what_is_missing(contestant: Contestant) -> list[str]:
    """Return the programs that *contestant* needs and this machine does not have."""
    return [program for program in contestant.programs if shutil.which(program) is None]


# -- the collection


class Engine:
    """The collection's use cases without Ansible, in a process that times the call alone."""

    def __init__(
        self, name: str, *, structure: str = "incremental", compression: str = "gzip", programs: tuple[str, ...] = ()
    ) -> None:
        self.name = f"ftp_backup {name}"
        self.programs = programs
        self._job = Job("tree", structure, compression)

    def prepare(self, place: Place) -> Sequence[Command]:
        return [Host(place.server, place.state).declare()]

    def back_up(self, place: Place) -> Command:
        return self._host(place).back_up(self._job, place.source)

    def restore_all(self, place: Place, target: Path) -> Command:
        return self._host(place).restore(self._job, target)

    def restore_one(self, place: Place, path: PurePosixPath, target: Path) -> Command:
        return self._host(place).restore(self._job, target, place.source / path)

    def restored_tree(self, place: Place, target: Path) -> Path:
        return target / place.source.relative_to("/")

    def _host(self, place: Place) -> Host:
        return Host(place.server, place.state)


class Ansible(Engine):
    """One task of the collection on localhost, from the start of Ansible to its end."""

    def __init__(self, name: str) -> None:
        super().__init__(name, programs=(str(AnsibleHost.program),))

    def _host(self, place: Place) -> Host:
        return AnsibleHost(place.server, place.state)


# -- the peers


class TarCurl:
    """An archive through a pipe: the least that can be done, and the measure for all others."""

    name = "tar | curl"
    programs: tuple[str, ...] = ("bash", "tar", "curl")

    def prepare(self, place: Place) -> Sequence[Command]:  # noqa: ARG002 - others have something to prepare
        return []

    def back_up(self, place: Place) -> Command:
        return self._pipe('tar -C "$1" -cf - . | curl -sS "${@:2}" -T -', place, str(place.source))

    def restore_all(self, place: Place, target: Path) -> Command:
        return self._pipe('curl -sS "${@:2}" | tar -C "$1" -xpf -', place, str(target))

    def restore_one(self, place: Place, path: PurePosixPath, target: Path) -> Command:
        return self._pipe(f'curl -sS "${{@:2}}" | tar -C "$1" -xpf - "./{path}"', place, str(target))

    def restored_tree(self, place: Place, target: Path) -> Path:  # noqa: ARG002 - for others it depends on the source
        return target

    def _pipe(self, script: str, place: Place, directory: str) -> Command:
        url = f"ftp://{place.address}/{place.directory}/tree.tar"
        curl = ("--ssl-reqd", "--cacert", place.ca_path, "--user", place.login, url)
        return Command(("bash", "-o", "pipefail", "-c", script, "bash", directory, *curl))


class Lftp:
    """A mirror of the files as they are."""

    name = "lftp mirror"
    programs: tuple[str, ...] = ("lftp",)

    def prepare(self, place: Place) -> Sequence[Command]:  # noqa: ARG002 - others have something to prepare
        return []

    def back_up(self, place: Place) -> Command:
        return self._script(place, f"mirror --reverse --delete --parallel={CONNECTIONS} {place.source} tree")

    def restore_all(self, place: Place, target: Path) -> Command:
        return self._script(place, f"mirror --parallel={CONNECTIONS} tree {target}/tree")

    def restore_one(self, place: Place, path: PurePosixPath, target: Path) -> Command:
        return self._script(place, f"get -O {target} tree/{path}")

    def restored_tree(self, place: Place, target: Path) -> Path:  # noqa: ARG002 - for others it depends on the source
        return target / "tree"

    def _script(self, place: Place, deed: str) -> Command:
        lines = [
            "set cmd:fail-exit true",
            "set ftp:ssl-force true",
            "set ftp:ssl-protect-data true",
            f"set ssl:ca-file {place.ca_path}",
            f"open --user {place.server.username} --password {place.server.password} ftp://{place.address}",
            f"cd {place.directory}",
            deed,
        ]
        return Command(("lftp", "-c", "\n".join(lines)), {"LFTP_HOME": str(place.state)})


class Rclone:
    """A mirror of the files as they are."""

    name = "rclone"
    programs: tuple[str, ...] = ("rclone",)

    def prepare(self, place: Place) -> Sequence[Command]:
        server = place.server
        words = ("rclone", "config", "create", "benchmark", "ftp", "host", server.host, "port", str(server.port))
        login = ("user", server.username, "pass", server.password, "explicit_tls", "true")
        return [Command((*words, *login, "--obscure", "--non-interactive"), self._environment(place))]

    def back_up(self, place: Place) -> Command:
        return self._command(place, "sync", str(place.source), self._remote(place))

    def restore_all(self, place: Place, target: Path) -> Command:
        return self._command(place, "copy", self._remote(place), str(target))

    def restore_one(self, place: Place, path: PurePosixPath, target: Path) -> Command:
        return self._command(place, "copyto", f"{self._remote(place)}/{path}", str(target / path.name))

    def restored_tree(self, place: Place, target: Path) -> Path:  # noqa: ARG002 - for others it depends on the source
        return target

    def _command(self, place: Place, *words: str) -> Command:
        return Command(("rclone", *words, "--transfers", str(CONNECTIONS)), self._environment(place))

    def _remote(self, place: Place) -> str:
        return f"benchmark:{place.directory}/tree"

    def _environment(self, place: Place) -> dict[str, str]:
        return {
            "RCLONE_CONFIG": str(place.state / "rclone.conf"),
            "SSL_CERT_FILE": place.ca_path,
            # Pure-FTPd sometimes does not answer when a download is broken off, as restic's are, and rclone then waits
            # for a minute. Nobody who has met that would leave it so.
            "RCLONE_FTP_CLOSE_TIMEOUT": "5s",
        }


class Restic(Rclone):
    """A deduplicating, compressing, encrypting repository, which reaches FTP by way of rclone."""

    name = "restic over rclone"
    programs: tuple[str, ...] = ("restic", "rclone")

    def prepare(self, place: Place) -> Sequence[Command]:
        return [*super().prepare(place), self._restic(place, "init")]

    def back_up(self, place: Place) -> Command:
        return self._restic(place, "backup", str(place.source))

    def restore_all(self, place: Place, target: Path) -> Command:
        return self._restic(place, "restore", "latest", "--target", str(target))

    def restore_one(self, place: Place, path: PurePosixPath, target: Path) -> Command:
        wanted = ("--include", str(place.source / path))
        return self._restic(place, "restore", "latest", "--target", str(target), *wanted)

    def restored_tree(self, place: Place, target: Path) -> Path:
        return target / place.source.relative_to("/")

    def _restic(self, place: Place, *words: str) -> Command:
        environment = {
            **self._environment(place),
            "RESTIC_REPOSITORY": f"rclone:benchmark:{place.directory}/repository",
            "RESTIC_PASSWORD": "benchmark",
            "RESTIC_CACHE_DIR": str(place.state / "cache"),
        }
        return Command(("restic", "--quiet", *words), environment)


class Duplicity:
    """Full archives and chains of changes, unencrypted here, which reach FTP by way of lftp."""

    name = "duplicity"
    programs: tuple[str, ...] = ("duplicity", "lftp")

    def prepare(self, place: Place) -> Sequence[Command]:  # noqa: ARG002 - others have something to prepare
        return []

    def back_up(self, place: Place) -> Command:
        return self._command(place, str(place.source), self._url(place))

    def restore_all(self, place: Place, target: Path) -> Command:
        return self._command(place, "restore", self._url(place), str(target / "tree"))

    def restore_one(self, place: Place, path: PurePosixPath, target: Path) -> Command:
        return self._command(
            place, "restore", "--file-to-restore", str(path), self._url(place), str(target / path.name)
        )

    def restored_tree(self, place: Place, target: Path) -> Path:  # noqa: ARG002 - for others it depends on the source
        return target / "tree"

    def _url(self, place: Place) -> str:
        return f"ftpes://{place.server.username}@{place.address}/{place.directory}"

    def _command(self, place: Place, *words: str) -> Command:
        archive = ("--no-encryption", "--archive-dir", str(place.state / "archive"))
        environment = {"FTP_PASSWORD": place.server.password, "HOME": str(place.state)}
        return Command(("duplicity", *archive, "--ssl-cacert-file", place.ca_path, *words), environment)


CONTESTANTS: tuple[Contestant, ...] = (
    TarCurl(),
    Engine("none", compression="none"),
    Engine("gzip", compression="gzip"),
    Engine("zstd", compression="zstd", programs=("zstd",)),
    Engine("deduplicated", structure="deduplicated"),
    Ansible("gzip, as a task of Ansible"),
    Restic(),
    Duplicity(),
    Lftp(),
    Rclone(),
)
