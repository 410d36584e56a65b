# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The virtual accounts of Pure-FTPd: their lines, their directories, and which of them only upload.

The role runs this text on the storage host. Standard input is a JSON object, see ``Wish``; the passwords come that way
and by no other. Standard output is JSON again: ``changed``, ``changes`` in words without secrets, and ``sealed``, the
names of the accounts that only upload. With ``check`` nothing is written, and the answer is the same.

A password is compared with the hash that is there, so the same one again changes nothing. The hash is crypt's SHA-512
with a number of rounds of our choice, which takes a server milliseconds; what pure-pw makes takes it seconds a login.
Format of a line: pure-pw(8) and README.Virtual-Users of Pure-FTPd.
"""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import fcntl
import json
import os
import secrets
import stat
import subprocess
import sys
import typing as t
from pathlib import Path

FIELDS = 18
PURE_PW = "/usr/bin/pure-pw"
PURE_QUOTACHECK = "/usr/sbin/pure-quotacheck"
SEALED = 0o1770  # the sticky bit: what belongs to the keeper can be removed by nobody else
OPEN = 0o750
SALT = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
QUOTA = ".ftpquota"
LEVELS = 32  # as many as ftp_seal.py goes down
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY


class Account(t.TypedDict, total=False):
    """One account as the role is given it."""

    name: str
    password: str
    state: str
    directory: str
    quota_size: int
    quota_files: int
    max_connections: int
    upload_only: bool
    prunes: str


class Wish(t.TypedDict):
    """What standard input holds."""

    accounts: list[Account]
    exclusive: bool
    storage: str
    text: str
    database: str
    sealed: str
    seal_after: int
    user: list[int]
    keeper: list[int]
    rounds: int
    check: bool


class Accounts:
    """The accounts of this host, and what it takes to make them what was wished."""

    def __init__(self, wish: Wish) -> None:
        self.wish = wish
        self.check = wish["check"]
        self.changes: list[str] = []
        self.present = [account for account in wish["accounts"] if account.get("state", "present") == "present"]
        self.by_name = {account["name"]: account for account in self.present}
        self.unnamed: set[str] = set()
        self.sealed: dict[str, str] = {}

    def ensure(self) -> None:
        """Make everything what was wished."""
        self._ensure_lines()
        storing = [account for account in self.present if not account.get("prunes")]
        for account in storing:
            self._ensure_there(account)
        # Before the directories: what is given back must not be sealed again meanwhile.
        self._ensure_sealed_list()
        for account in storing:
            self._ensure_directory(account)

    # -- lines

    def _ensure_lines(self) -> None:
        text, database = Path(self.wish["text"]), Path(self.wish["database"])
        before = text.read_text(encoding="utf-8") if text.exists() else ""
        lines = {line.split(":")[0]: line for line in before.splitlines() if line.strip()}
        named = {account["name"] for account in self.wish["accounts"]}
        for name in list(lines):
            is_unwanted = name in named or self.wish["exclusive"]
            if is_unwanted and name not in self.by_name:
                del lines[name]
                self.changes.append(f"{name}: the account is removed; its files stay.")
        self.unnamed = set(lines) - set(self.by_name)
        for account in self.present:
            name = account["name"]
            current = lines.get(name)
            lines[name] = self._line(account, current)
            if current is None:
                self.changes.append(f"{name}: the account is new.")
            elif current.split(":")[1] != lines[name].split(":")[1]:
                self.changes.append(f"{name}: the password is another, or its hash costs another number of rounds.")
            if current is not None and _without_hash(current) != _without_hash(lines[name]):
                self.changes.append(f"{name}: {_without_hash(current)} becomes {_without_hash(lines[name])}.")
        after = "".join(f"{line}\n" for line in lines.values())
        is_stale = not database.exists() or not text.exists() or database.stat().st_mtime < text.stat().st_mtime
        if before == after and not is_stale:
            return
        if before == after:
            self.changes.append("The database is made anew.")
        if not self.check:
            _replace(text, after, 0o600)
            subprocess.run([PURE_PW, "mkdb", str(database), "-f", str(text)], check=True, capture_output=True)

    def _line(self, account: Account, current: str | None) -> str:
        uid, gid = self.wish["user"]
        quota = account
        if account.get("prunes"):
            # Whoever prunes works in the directory of the other, is whom its files belong to, and keeps its account of
            # the quota up to date.
            uid = self.wish["keeper"][0]
            quota = self.by_name[account["prunes"]]
        kept = current.split(":")[1] if current else ""
        fields = [account["name"], self._hash(account["password"], kept), str(uid), str(gid), ""]
        fields += [f"{self._directory(account)}/./", "", "", "", ""]
        size = quota.get("quota_size") or 0
        fields += [_number(account.get("max_connections")), _number(quota.get("quota_files"))]
        fields += [_number(size * 1024 * 1024)]
        return ":".join(fields + [""] * (FIELDS - len(fields)))

    def _hash(self, password: str, kept: str) -> str:
        """Return *kept* if it is the hash of *password* and costs what it should, else a new one."""
        prefix = f"$6$rounds={self.wish['rounds']}$"
        if kept.startswith(prefix) and secrets.compare_digest(_crypt(password, kept), kept):
            return kept
        return _crypt(password, prefix + "".join(secrets.choice(SALT) for _number in range(16)))

    # -- directories

    def _directory(self, account: Account) -> Path:
        if account.get("prunes"):
            return self._directory(self.by_name[account["prunes"]])
        return Path(account.get("directory") or f"{self.wish['storage']}/{account['name']}")

    def _ensure_there(self, account: Account) -> None:
        directory = self._directory(account)
        if not directory.is_dir():
            self.changes.append(f"{account['name']}: the directory {directory} is made.")
            if not self.check:
                directory.mkdir(mode=0o700, parents=True)

    def _ensure_directory(self, account: Account) -> None:
        directory = self._directory(account)
        if not directory.is_dir():
            return  # only foretold
        uid, gid = self.wish["keeper" if account.get("upload_only") else "user"]
        gid = self.wish["user"][1]
        mode = SEALED if account.get("upload_only") else OPEN
        status = directory.stat()
        was_sealed = status.st_uid == self.wish["keeper"][0]
        if (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) != (uid, gid, mode):
            self.changes.append(f"{account['name']}: the directory {directory} is given owner and mode.")
            if not self.check:
                if was_sealed:
                    # Before the top: by that the next run sees that this one was broken off.
                    top = os.open(directory, DIRECTORY)
                    _release(top, uid, gid)
                    os.close(top)
                os.chown(directory, uid, gid)
                directory.chmod(mode)
        has_quota = bool(account.get("quota_size") or account.get("quota_files"))
        if has_quota and not (directory / QUOTA).exists():
            self.changes.append(f"{account['name']}: what lies in {directory} is counted for the quota.")
            if not self.check:
                command = [PURE_QUOTACHECK, "-u", str(uid), "-g", str(gid), "-d", str(directory)]
                subprocess.run(command, check=True, capture_output=True)
        if has_quota and not self.check and (directory / QUOTA).exists():
            # The one who uploads and the one who prunes both count in it.
            os.chown(directory / QUOTA, uid, gid, follow_symlinks=False)
            (directory / QUOTA).chmod(0o660 if account.get("upload_only") else 0o600)

    def _ensure_sealed_list(self) -> None:
        path = Path(self.wish["sealed"])
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        known: dict[str, str] = json.loads(before)["directories"] if before else {}
        # An account that this run says nothing about stays sealed as long as it is there.
        self.sealed = {name: directory for name, directory in known.items() if name in self.unnamed}
        for account in self.present:
            if account.get("upload_only"):
                self.sealed[account["name"]] = str(self._directory(account))
        after = ""
        if self.sealed:
            wish = self.wish
            keeper, group, seal_after = wish["keeper"][0], wish["user"][1], wish["seal_after"]
            content = {"keeper": keeper, "group": group, "after": seal_after, "directories": self.sealed}
            after = json.dumps(content, indent=1, sort_keys=True) + "\n"
        if before == after:
            return
        self.changes.append(f"{path}: what is sealed, or when, is another.")
        if self.check:
            return
        if after:
            _replace(path, after, 0o644)
        else:
            path.unlink()


def _without_hash(line: str) -> str:
    fields = line.split(":")
    return ":".join([fields[0], "(hash)", *fields[2:]])


def _number(value: int | None) -> str:
    return str(value) if value else ""


def _crypt(password: str, setting: str) -> str:
    """Return crypt(3)'s hash; Python's own module for it has gone with 3.13."""
    library = ctypes.CDLL(ctypes.util.find_library("crypt") or "libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    library.crypt.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    made = library.crypt(password.encode("utf-8"), setting.encode("ascii"))
    if not made or not made.startswith(b"$6$"):
        message = "The host's libcrypt makes no SHA-512 hash."
        raise SystemExit(message)
    return t.cast("str", made.decode("ascii"))


def _replace(path: Path, content: str, mode: int) -> None:
    aside = path.with_name(f"{path.name}.new")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    aside.replace(path)


def _release(directory: int, uid: int, gid: int, levels: int = LEVELS) -> None:
    """Give everything below *directory*, which was sealed, back to the account."""
    for name in os.listdir(directory):
        # The account may be at work. What it can have renamed or removed was its own already.
        with contextlib.suppress(FileNotFoundError):
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            is_directory = stat.S_ISDIR(status.st_mode) and levels > 0
            if not is_directory and not (stat.S_ISREG(status.st_mode) and status.st_nlink == 1):
                continue
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
            try:
                if is_directory:
                    _release(descriptor, uid, gid, levels - 1)
                os.fchmod(descriptor, OPEN if is_directory else 0o640)
                os.fchown(descriptor, uid, gid)
            finally:
                os.close(descriptor)


def main() -> None:
    """Do what standard input wishes."""
    wish: Wish = json.load(sys.stdin)
    accounts = Accounts(wish)
    if wish["check"]:
        accounts.ensure()
    else:
        # What seals holds it while it does.
        lock = os.open(Path(wish["sealed"]).parent, DIRECTORY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        accounts.ensure()
        os.close(lock)
    answer = {"changed": bool(accounts.changes), "changes": accounts.changes, "sealed": sorted(accounts.sealed)}
    sys.stdout.write(json.dumps(answer) + "\n")


main()
