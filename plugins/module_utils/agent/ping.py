# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls an address after a scheduled run, so that somebody far away notices when a host falls silent.

The convention is that of https://healthchecks.io: the address itself says that all is well, and with ``/fail`` that it
is not, with the reason as the body. Whoever knows the address can say so, too: it is a secret, and no sentence here
holds any of it.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import typing as t
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from ..version import VERSION

if t.TYPE_CHECKING:
    from email.message import Message

_LONGEST = 10_000  # bytes of a body; such services keep no more


@dataclass(frozen=True)
class Ping:
    """One call; *complaint* is why all is not well, None where it is."""

    url: str = field(repr=False)
    timeout: int
    complaint: str | None = None

    def request(self) -> urllib.request.Request:
        headers = {"User-Agent": f"ftp-backup/{VERSION}"}
        if self.complaint is None:
            return urllib.request.Request(self.url, headers=headers)
        body = self.complaint.encode("utf-8", "backslashreplace")[:_LONGEST]
        headers["Content-Type"] = "text/plain; charset=utf-8"
        return urllib.request.Request(failing(self.url), body, headers)


def failing(url: str) -> str:
    """Return the address that says that all is not well."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/fail"))


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to where the same is spoken, or from http to https, and nowhere else."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: t.IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme not in (req.type, "https"):
            raise _RefusedError
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type] # its stub is stricter than what it is called with


class _RefusedError(OSError):
    """The answer leads to where nothing is verified."""


def send(ping: Ping) -> str | None:
    """Call; return why that failed, or None.

    It ends in time whatever the far side does: what is still under way then ends with this process.
    """
    told: list[str | None] = []
    thread = threading.Thread(target=lambda: told.append(_called(ping)), name="ping", daemon=True)
    thread.start()
    thread.join(ping.timeout)
    return told[0] if told else _late(ping)


def _late(ping: Ping) -> str:
    return f"there was no answer within {ping.timeout} s"


def _called(ping: Ping) -> str | None:
    opener = urllib.request.build_opener(_Redirects)
    try:
        with opener.open(ping.request(), timeout=ping.timeout):
            return None
    except urllib.error.HTTPError as error:
        with error:
            return f"the answer was the status {error.code}"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return _why(error, ping)


def _why(error: Exception, ping: Ping) -> str:
    """Return the reason without any word that could be the address, as some errors' own words hold it."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, _RefusedError):
        return "the answer leads to where https is not spoken"
    if isinstance(reason, ssl.SSLCertVerificationError):
        return "the certificate could not be verified"
    if isinstance(reason, (TimeoutError, socket.timeout)):  # which are two things up to Python 3.9
        return _late(ping)
    if isinstance(reason, ssl.SSLError):
        return "TLS failed"
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    return "it could not be sent, or what came back is no HTTP"
