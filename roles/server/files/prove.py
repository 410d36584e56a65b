# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove from outside that the server does what a backup needs, and refuses what it should.

The role runs this text on the controller, or on another host. Standard input is a JSON object, see ``Wish``; the
password comes that way and by no other. Standard output is one sentence a line, of what was seen. The first thing that
is not as it should be ends the program with its sentence. What it stores it removes.
"""

from __future__ import annotations

import ftplib
import hashlib
import io
import json
import secrets
import socket
import ssl
import sys
import time
import typing as t

PARTIAL_CHAIN = 0x80000  # X509_V_FLAG_PARTIAL_CHAIN; Python has a name for it since 3.10
PATIENCE = 30  # seconds until a server that has just been started must answer, or one that is busy must have room
PAUSE = 1


class Wish(t.TypedDict):
    """What standard input holds; without a *username* nothing is proved that needs an account."""

    address: str
    port: int
    hostname: str
    pem: str
    fingerprint: str
    clear_data: bool
    username: str
    password: str


class Proof:
    """What is seen of one server."""

    def __init__(self, wish: Wish) -> None:
        self.wish = wish
        # The chain may end with what the host shows: so exactly this certificate is trusted, and its name is checked.
        self.context = ssl.create_default_context(cadata=wish["pem"])
        self.context.verify_flags |= PARTIAL_CHAIN

    def of_everything(self) -> None:
        """Raise SystemExit with the first thing that is not as it should be."""
        self.of_no_plain_text()
        self.of_the_certificate()
        if not self.wish["username"]:
            _tell("There is no account to log in with, so no more was proved.")
            return
        self.of_no_wrong_password()
        with self._logged_in() as ftp:
            self.of_a_chroot(ftp)
            self.of_storing(ftp)
            if not self.wish["clear_data"]:
                self.of_no_clear_data(ftp)

    def of_no_plain_text(self) -> None:
        ftp = self._connected(ftplib.FTP())
        try:
            reply = ftp.sendcmd(f"USER {self.wish['username'] or 'nobody'}")
        except (ftplib.Error, EOFError) as error:
            _tell(f"A login in plain text is refused: {_first_line(error)}")
        else:
            _fail(f"The server does not refuse a login in plain text, but answers '{reply}'.")
        finally:
            ftp.close()

    def of_the_certificate(self) -> None:
        ftp = self._secured()
        socket_of_control = t.cast("ssl.SSLSocket", ftp.sock)
        seen = hashlib.sha256(socket_of_control.getpeercert(binary_form=True) or b"").hexdigest()
        if seen != self.wish["fingerprint"]:
            _fail(f"The server shows a certificate with the fingerprint {seen}, not {self.wish['fingerprint']}.")
        _tell(f"The certificate is ours and bears the name {self.wish['hostname']} ({socket_of_control.version()}).")
        ftp.close()

    def of_no_wrong_password(self) -> None:
        ftp = self._secured()
        try:
            ftp.login(self.wish["username"], secrets.token_urlsafe())
        except (ftplib.Error, EOFError) as error:
            _tell(f"A wrong password is refused: {_first_line(error)}")
        else:
            _fail(f"The server lets {self.wish['username']} in with a wrong password.")
        finally:
            ftp.close()

    def of_a_chroot(self, ftp: ftplib.FTP_TLS) -> None:
        ftp.cwd("..")
        if ftp.pwd() != "/":
            _fail(f"The account can leave its directory: after CWD .. it is in {ftp.pwd()}.")
        _tell("The account is shut in its directory.")

    def of_storing(self, ftp: ftplib.FTP_TLS) -> None:
        content = secrets.token_bytes(100_000)
        name = f"proof-{secrets.token_hex(8)}"
        stored = f"{name}.tmp"
        try:
            ftp.storbinary(f"STOR {stored}", io.BytesIO(content))
            if ftp.size(stored) != len(content):
                _fail(f"After an upload of {len(content)} bytes the server says that it holds {ftp.size(stored)}.")
            ftp.rename(stored, name)
            stored = name
            if name not in ftp.nlst():
                _fail("A file that was uploaded and renamed is not listed.")
            received = io.BytesIO()
            ftp.retrbinary(f"RETR {name}", received.write)
            if received.getvalue() != content:
                _fail("What was read back is not what was uploaded.")
        finally:
            ftp.delete(stored)
        if name in ftp.nlst():
            _fail("A file that was deleted is still listed.")
        _tell("A file was uploaded, renamed, listed, read back and deleted.")

    def of_no_clear_data(self, ftp: ftplib.FTP_TLS) -> None:
        ftp.prot_c()
        try:
            ftp.retrlines("NLST", lambda _line: None)
        except (ftplib.Error, EOFError, OSError) as error:
            _tell(f"Data in plain text is refused: {_first_line(error)}")
        else:
            _fail("The server sends data in plain text to whoever asks for it.")

    # -- connections

    def _logged_in(self) -> ftplib.FTP_TLS:
        end = time.monotonic() + PATIENCE
        while True:
            ftp = self._secured()
            try:
                ftp.login(self.wish["username"], self.wish["password"])
                ftp.prot_p()
            except ftplib.error_temp as error:
                ftp.close()
                if time.monotonic() > end:
                    _fail(f"The server was busy for {PATIENCE} seconds: {_first_line(error)}")
                time.sleep(PAUSE)
            except ftplib.Error as error:
                _fail(f"The server does not let {self.wish['username']} in: {_first_line(error)}")
            else:
                return ftp

    def _secured(self) -> ftplib.FTP_TLS:
        ftp = self._connected(ftplib.FTP_TLS(context=self.context))
        ftp.host = self.wish["hostname"]  # the name that the certificate must bear, wherever we connected to
        try:
            ftp.auth()
        except ssl.SSLError as error:
            _fail(f"The certificate of {self.wish['hostname']} is not the one that was made: {error}")
        return ftp

    def _connected(self, ftp: Ftp) -> Ftp:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                ftp.connect(self.wish["address"], self.wish["port"], timeout=PATIENCE)
            except (OSError, EOFError, ftplib.error_temp) as error:
                if time.monotonic() > end or isinstance(error, socket.gaierror):
                    _fail(f"No server answers at {self.wish['address']} port {self.wish['port']}: {error}")
                time.sleep(PAUSE)
            else:
                return ftp


Ftp = t.TypeVar("Ftp", bound=ftplib.FTP)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "the connection was closed")


def _tell(sentence: str) -> None:
    sys.stdout.write(f"{sentence}\n")


def _fail(sentence: str) -> t.NoReturn:
    raise SystemExit(sentence)


def main() -> None:
    """Prove what standard input describes."""
    wish: Wish = json.load(sys.stdin)
    try:
        Proof(wish).of_everything()
    except (ftplib.Error, OSError, EOFError) as error:
        _fail(f"The server was not proved: {error}")


main()
