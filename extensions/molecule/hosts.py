# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Create and destroy the hosts of the scenarios: podman's containers, with systemd or without, reached by SSH.

Usage: hosts.py CACHE create NAME…
       hosts.py CACHE destroy NAME…

CACHE is a directory. There lie the image's tree, the key that the hosts let in, and `addresses.json`, which tells where
each host is. Nothing is fetched but Debian's packages. Names that begin with `plain` or `fleet` get no systemd,
those that begin with `db` have database servers.
"""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
import time
from pathlib import Path

SUITE = "bookworm"
PACKAGES = (
    *("systemd", "systemd-sysv", "dbus", "cron", "openssh-server", "python3", "python3-apt"),
    *("ca-certificates", "curl", "iproute2", "openssl", "procps"),
)
# What a host has besides whose name begins so.
MORE_PACKAGES = {"db": ("mariadb-server", "postgresql")}
# What pure-ftpd and sshd need beyond podman's own list.
CAPABILITIES = "SYS_NICE,DAC_READ_SEARCH,SYS_CHROOT,AUDIT_WRITE,NET_BIND_SERVICE"
# podman's own limits are refused where the machine's are lower.
LIMITS = ("--ulimit", "nofile=1024:4096", "--ulimit", "nproc=4096:4096")
WITHOUT_SYSTEMD = ("/bin/sh", "-c", "mkdir -p /run/sshd && /usr/sbin/sshd && exec /usr/sbin/cron -f")
# What a host is called besides, as in the documentation.
ALIASES = {"storage01": "backup.example.com"}
PATIENCE = 60  # seconds until a host must have started


def said_by(*command: str, given: str | None = None, must: bool = True) -> str:
    """Run *command* and return what it printed."""
    ended = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    if must and ended.returncode:
        message = f"{' '.join(command)} ended with {ended.returncode}: {ended.stderr.strip()}"
        raise SystemExit(message)
    return ended.stdout.strip()


def packages_of(name: str) -> tuple[str, ...]:
    """Return the packages that the host *name* has from the beginning."""
    return sum((more for begin, more in MORE_PACKAGES.items() if name.startswith(begin)), PACKAGES)


class Hosts:
    """The containers of one checkout; those of another have other names."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        cache.mkdir(parents=True, exist_ok=True)
        self.prefix = f"ftp-backup-{hashlib.sha256(str(cache.resolve()).encode()).hexdigest()[:8]}"
        self.key = cache / "key"
        self.addresses = cache / "addresses.json"

    def ensure_image(self, name: str) -> str:
        """Return the image of the host *name*, made where there is none yet."""
        packages = packages_of(name)
        image = f"localhost/ftp-backup-host:{hashlib.sha256(' '.join((SUITE, *packages)).encode()).hexdigest()[:12]}"
        if not said_by("podman", "images", "--quiet", image):
            print(f"Making {image} from Debian's packages.", flush=True)
            tree = self.cache / "tree.tar"
            said_by("mmdebstrap", "--variant=minbase", f"--include={','.join(packages)}", SUITE, str(tree))
            said_by("podman", "import", str(tree), image)
            tree.unlink()
        return image

    def ensure_key(self) -> None:
        if not self.key.exists():
            said_by("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "molecule", "-f", str(self.key))

    def runtime(self, image: str) -> str:
        """Return the runtime that works here: crun refuses cgroups of two versions side by side."""
        for name in ("crun", "runc"):
            probe = ("podman", "--runtime", name, "run", "--rm", *LIMITS, image, "echo", "works")
            if said_by(*probe, must=False) == "works":
                return name
        message = "No container can be started, neither by crun nor by runc."
        raise SystemExit(message)

    def create(self, names: list[str]) -> None:
        images = {name: self.ensure_image(name) for name in names}
        self.ensure_key()
        self.destroy(names)
        runtime = self.runtime(images[names[0]])
        for name in names:
            self.start(name, images[name], runtime)
        addresses = self.known()
        for name in names:
            addresses[name] = self.await_start(name)
        self.tell(addresses)

    def start(self, name: str, image: str, runtime: str) -> None:
        has_systemd = not name.startswith(("plain", "fleet"))
        said_by(
            *("podman", "--runtime", runtime, "run", "--detach", "--name", f"{self.prefix}-{name}", "--hostname", name),
            *("--systemd", "always" if has_systemd else "false", "--cap-add", CAPABILITIES, *LIMITS, image),
            *(("/lib/systemd/systemd",) if has_systemd else WITHOUT_SYSTEMD),
        )
        self.inside(name, "mkdir", "-p", "-m", "700", "/root/.ssh")
        self.inside(name, "tee", "/root/.ssh/authorized_keys", given=self.key.with_suffix(".pub").read_text())

    def inside(self, name: str, *command: str, given: str | None = None, must: bool = True) -> str:
        return said_by("podman", "exec", "--interactive", f"{self.prefix}-{name}", *command, given=given, must=must)

    def await_start(self, name: str) -> str:
        """Return the address of the host *name*, once its SSH server answers."""
        form = "{{.NetworkSettings.IPAddress}}"
        address = said_by("podman", "inspect", "--format", form, f"{self.prefix}-{name}")
        end = time.monotonic() + PATIENCE
        while not _has_ssh(address):
            if time.monotonic() > end:
                message = f"{name} does not answer on {address} after {PATIENCE} seconds."
                raise SystemExit(message)
            time.sleep(0.1)
        return address

    def known(self) -> dict[str, str]:
        """Return the address of each host that is there."""
        return json.loads(self.addresses.read_text()) if self.addresses.exists() else {}

    def tell(self, addresses: dict[str, str]) -> None:
        """Let the inventory and every host know where the others are."""
        self.addresses.write_text(json.dumps(addresses, indent=1))
        for name in addresses:
            lines = "".join(f"{address}\t{other} {ALIASES.get(other, '')}\n" for other, address in addresses.items())
            self.inside(name, "tee", "/etc/hosts", given=f"127.0.0.1\tlocalhost\n{lines}")

    def destroy(self, names: list[str]) -> None:
        there = {f"{self.prefix}-{name}" for name in names}
        there &= set(said_by("podman", "ps", "--all", "--format", "{{.Names}}").split())
        if there:
            said_by("podman", "rm", "--force", "--time", "0", *sorted(there))
        addresses = {name: address for name, address in self.known().items() if name not in names}
        if self.addresses.exists():
            self.addresses.write_text(json.dumps(addresses, indent=1))


def _has_ssh(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), timeout=2) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def main(arguments: list[str]) -> int:
    """Do what *arguments* say, and return the exit code."""
    if len(arguments) < 3 or arguments[1] not in {"create", "destroy"}:
        print(__doc__, file=sys.stderr)
        return 2
    hosts = Hosts(Path(arguments[0]))
    if arguments[1] == "create":
        hosts.create(arguments[2:])
    else:
        hosts.destroy(arguments[2:])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
