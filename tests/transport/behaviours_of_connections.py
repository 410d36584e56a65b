# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the transport does about T01 to T15, and how each of it is taken out: TLS, channels, replies and retries."""

from __future__ import annotations

from tests.transport.taken_out import Behaviour

CONNECTIONS: tuple[Behaviour, ...] = (
    # -- T01
    Behaviour("T01", "a refused AUTH is final", "control.py", "if reply.code != 234:", "if False:"),
    Behaviour(
        "T01",
        "a refused AUTH names the option",
        "control.py",
        " a server without TLS can only be used with tls: false.",
        " that is all.",
    ),
    Behaviour(
        "T01",
        "a goodbye to AUTH is busy",
        "control.py",
        "raise error_for(reply, deed, at_login=True)",
        "raise error_for(reply, deed)",
    ),
    # -- T02
    Behaviour(
        "T02",
        "certificates are verified",
        "control.py",
        "if not address.validate_certs:",
        "if True:",
    ),
    Behaviour("T02", "ca_path is used", "control.py", "cafile=address.ca_path", "cafile=None"),
    Behaviour("T02", "the name is verified", "control.py", "context.check_hostname = False", "pass"),
    Behaviour("T02", "fingerprints are demanded", "control.py", "if seen not in accepted:", "if False:"),
    Behaviour(
        "T02",
        "each of several fingerprints is accepted",
        "control.py",
        "if seen not in accepted:",
        "if seen != accepted[0]:",
    ),
    Behaviour(
        "T02",
        "fingerprints are demanded of the data connection too",
        "control.py",
        "self._check_fingerprint(wrapped, deed)",
        "session or self._check_fingerprint(wrapped, deed)",
    ),
    Behaviour(
        "T02",
        "a bad certificate is final",
        "control.py",
        '            raise TrustError(\n                f"{deed}: its certificate',
        '            raise InterruptedTransferError(\n                f"{deed}: its certificate',
    ),
    # -- T03
    Behaviour("T03", "protection is asked for", "session.py", '["PBSZ 0", "PROT P"] if protect', '["NOOP"] if protect'),
    Behaviour(
        "T03",
        "a refused protection is final",
        "session.py",
        "if protection and not protection[-1].is_success:",
        "if False:",
    ),
    Behaviour(
        "T03",
        "data is encrypted",
        "data.py",
        "        if self._context is None:\n            return connection",
        "        if self._context is not None:\n            return connection",
    ),
    # -- T04
    Behaviour(
        "T04",
        "the session of the control connection is offered",
        "data.py",
        "self._control.wrap(connection, self._context, deed, self._control.tls_session)",
        "self._control.wrap(connection, self._context, deed)",
    ),
    Behaviour(
        "T04",
        "the name of the host is told",
        "control.py",
        "server_hostname=self.address.host,",
        "server_hostname=self.address.host if context.check_hostname else None,",
    ),
    Behaviour(
        "T04",
        "the handshake waits for the server's word",
        "data.py",
        "            while not answers.are_complete:\n                answers.hear()\n            control.acknowledge()"
        "\n            return self._protected(connection, deed), replies",
        "            wrapped = self._protected(connection, deed)\n            while not answers.are_complete:\n"
        "                answers.hear()\n            return wrapped, replies",
    ),
    Behaviour("T04", "a lack of reuse is named", "data.py", "_WANTS_REUSE and self.has_resumed is False", "()"),
    Behaviour("T04", "a lack of reuse twice is final", "storage.py", "if lacked_reuse:", "if False:"),
    Behaviour(
        "T04",
        "a lack of reuse once is not final",
        "storage.py",
        "lacked_reuse = False",
        "lacked_reuse = True",
    ),
    # -- T05
    Behaviour("T05", "an upload ends with a farewell", "data.py", "connection.unwrap()", "return"),
    Behaviour(
        "T05",
        "a failed farewell is no error",
        "data.py",
        "            except (OSError, ValueError):\n                return\n            else:",
        "            except ZeroDivisionError:\n                return\n            else:",
    ),
    Behaviour(
        "T05",
        "the wait for a farewell has an end",
        "data.py",
        "if self._control.has_pending(wait, connection):",
        "if self._control.has_pending(None, connection):",
    ),
    Behaviour("T05", "a ragged end is seen", "control.py", "suppress_ragged_eofs=False", "suppress_ragged_eofs=True"),
    Behaviour(
        "T05",
        "a ragged end is seen on Python 3.9",
        "control.py",
        "context.options &= ~ssl.Options(_IGNORE_UNEXPECTED_EOF)",
        "pass",
    ),
    Behaviour(
        "T05",
        "a ragged end is none where the length is right",
        "data.py",
        "if not is_cut_off(error):",
        "if True:",
    ),
    Behaviour(
        "T05",
        "a ragged end is an error where no length is known",
        "data.py",
        "if self._cut_off is not None and len(content) != size:",
        "if False:",
    ),
    Behaviour("T05", "the size of an upload decides", "storage.py", "if size != expected:", "if False:"),
    Behaviour("T05", "the size of a download decides", "session.py", "len(content) != expected:", "False:"),
    # -- T06
    Behaviour(
        "T06", "plain text is called so", "control.py", 'if error.reason == "WRONG_VERSION_NUMBER":', "if False:"
    ),
    Behaviour(
        "T06",
        "what came before TLS is no reply",
        "control.py",
        "if self._ftp.has_read_ahead:\n                self.close()",
        "if False:\n                self.close()",
    ),
    # -- T07
    Behaviour("T07", "EPSV comes first", "known.py", "extended_passive: bool = True", "extended_passive: bool = False"),
    Behaviour("T07", "522 is followed by PASV", "doors.py", "(500, 501, 502, 504, 522)", "(500, 501, 502, 504)"),
    Behaviour(
        "T07",
        "a bad 229 is followed by PASV",
        "doors.py",
        "reply.code != 229 and reply.code not in _NO_EPSV",
        "reply.code not in _NO_EPSV",
    ),
    Behaviour(
        "T07",
        "PASV is remembered",
        "doors.py",
        "self._is_extended = self._known.extended_passive = False",
        "self._is_extended = False",
    ),
    Behaviour(
        "T07",
        "a port that cannot be reached is followed by PASV",
        "doors.py",
        "self._known.extended_passive = not self._is_extended",
        "pass",
    ),
    Behaviour(
        "T07",
        "several that fail at once learn the same",
        "doors.py",
        "self._known.extended_passive = not self._is_extended",
        "self._known.extended_passive = not self._known.extended_passive",
    ),
    Behaviour(
        "T07",
        "a server that gives up first is followed by PASV",
        "doors.py",
        "if refusal.code is not None:",
        "if False:",
    ),
    Behaviour(
        "T07",
        "the address of PASV is not believed",
        "doors.py",
        "            port = ftplib.parse227(reply.text.splitlines()[-1])[1]",
        "            host, port = ftplib.parse227(reply.text.splitlines()[-1])\n"
        "            self._control.at_peer = lambda port: (host, port)",
    ),
    Behaviour("T07", "a port is a port", "doors.py", "return port if 0 < port < 65536 else None", "return port"),
    # -- T08
    Behaviour("T08", "a stranger is sent away", "doors.py", "if peer[0] == control.peer:", "if True:"),
    Behaviour(
        "T08",
        "we listen where the server knows us",
        "doors.py",
        "control.at_local(0)",
        '("", 0)',
    ),
    Behaviour("T08", "IPv6 has EPRT", "doors.py", "if self._control.family == socket.AF_INET6:", "if False:"),
    Behaviour(
        "T08",
        "the wait for the server has an end",
        "doors.py",
        "deadline = time.monotonic() + control.address.timeout\n        while (wait :=",
        "deadline = time.monotonic() + 10_000\n        while (wait :=",
    ),
    Behaviour(
        "T08",
        "a refusal ends the wait for the server",
        "doors.py",
        "            if control.has_pending(wait, self._listener):\n                answers.hear()",
        "            control.has_pending(wait, self._listener)",
    ),
    Behaviour("T08", "the port is closed", "doors.py", "self._listener.close()", "self._kept = [self._listener]"),
    # -- T09
    Behaviour("T09", "small things are sent at once", "control.py", "socket.TCP_NODELAY, 1", "socket.TCP_NODELAY, 0"),
    Behaviour(
        "T09", "the control connection is kept alive", "control.py", "socket.SO_KEEPALIVE, 1", "socket.SO_KEEPALIVE, 0"
    ),
    Behaviour(
        "T09",
        "connecting and replies are bounded",
        "control.py",
        "super().__init__(timeout=timeout,",
        "super().__init__(timeout=90,",
    ),
    Behaviour(
        "T09",
        "data that stands still is given up",
        "doors.py",
        "connection.settimeout(control.address.timeout)\n            connection.connect",
        "connection.settimeout(90)\n            connection.connect",
    ),
    Behaviour(
        "T09",
        "a final reply may be late",
        "data.py",
        "self._control.reply(timeout=max(_FINAL_REPLY_TIMEOUT, self._control.address.timeout))",
        "self._control.reply()",
    ),
    Behaviour("T09", "a drip is no reply", "control.py", "elif now > self._deadline:", "elif False:"),
    # -- T10
    Behaviour("T10", "an idle connection is looked at", "pool.py", "if not lent.session.is_stale():", "if True:"),
    Behaviour(
        "T10",
        "a connection that ended is replaced",
        "storage.py",
        "except _WORTH_ANOTHER_TRY as error:",
        "except ZeroDivisionError as error:",
    ),
    Behaviour(
        "T10",
        "nothing is said while data flows",
        "data.py",
        "                sent += len(chunk)",
        '                sent += len(chunk)\n                self._control.send("NOOP")',
    ),
    # -- T11
    Behaviour(
        "T11",
        "the lines of a reply are counted",
        "control.py",
        "len(lines) < _REPLY_LINES and size < _REPLY_SIZE",
        "True",
    ),
    Behaviour("T11", "a line has an end", "control.py", "if len(self._buffer) > _REPLY_LINE:", "if False:"),
    Behaviour(
        "T11", "a bare line feed ends a line", "control.py", 'self._buffer.find(b"\\n")', 'self._buffer.find(b"\\r\\n")'
    ),
    Behaviour(
        "T11",
        "no reply fails to decode",
        "control.py",
        'super().__init__(timeout=timeout, encoding="latin-1")',
        'super().__init__(timeout=timeout, encoding="utf-8")',
    ),
    Behaviour(
        "T11",
        "ftplib's errors are ours",
        "control.py",
        "except (ftplib.Error, ValueError) as error:",
        "except ZeroDivisionError as error:",
    ),
    # -- T12
    Behaviour(
        "T12",
        "the pending reply is read",
        "data.py",
        "reply = control.pending_reply(doors.PENDING_REPLY_WAIT)",
        "reply = None",
    ),
    Behaviour(
        "T12",
        "without a pending reply the connection is dropped",
        "data.py",
        "                return self._refusal(reply, deed)\n            control.close()",
        "                return self._refusal(reply, deed)",
    ),
    Behaviour(
        "T12",
        "a final reply must belong",
        "data.py",
        "if reply.code not in _SUCCESS:",
        "if reply.code >= 400:",
    ),
    Behaviour("T12", "an answer must belong", "control.py", "if not can_answer(line, reply.code):", "if False:"),
    # -- T13
    Behaviour("T13", "a 530 may mean busy", "replies.py", "(code == 530 or code // 100 == 4)", "(code // 100 == 4)"),
    Behaviour("T13", "421 at login is busy", "replies.py", "(code == 421 or (", "(False or ("),
    Behaviour("T13", "425 and 426 are transient", "replies.py", "code in (421, 425, 426) or (", "code in (421,) or ("),
    Behaviour(
        "T13", "450 and 451 are transient in a transfer", "replies.py", "in_transfer and code in (450, 451)", "False"
    ),
    Behaviour("T13", "what is not permitted is final", "replies.py", ' and "not permitted" not in text.lower()', ""),
    Behaviour(
        "T13", "534 and 536 are about trust", "replies.py", "(code in (534, 536), TrustError)", "(False, TrustError)"
    ),
    Behaviour(
        "T13",
        "what cannot be read is missing",
        "replies.py",
        "(reading and code in (450, 550), MissingError)",
        "(False, MissingError)",
    ),
    # -- T14
    Behaviour("T14", "failed attempts are counted", "pool.py", "0 < self.retries <= tries.failed", "False"),
    Behaviour("T14", "0 is without end", "pool.py", "0 < self.retries <= tries.failed", "self.retries <= tries.failed"),
    Behaviour(
        "T14",
        "a busy server is no failure",
        "pool.py",
        "self.failed += not isinstance(error, BusyError)",
        "self.failed += 1",
    ),
    Behaviour(
        "T14", "a place is asked for often", "pool.py", "cap = _LONGEST_PAUSE_FOR_A_PLACE if is_busy else", "cap ="
    ),
    Behaviour("T14", "pauses grow", "pool.py", "_FIRST_PAUSE * 2 ** min(tries.count - 1, 16)", "_FIRST_PAUSE"),
    Behaviour("T14", "pauses are capped", "pool.py", "min(cap, ", "max(0, "),
    Behaviour("T14", "pauses differ", "pool.py", "longest * (0.5 + self.jitter() / 2)", "longest"),
    Behaviour("T14", "what is final ends it", "pool.py", "if not is_worth_it or ", "if "),
    Behaviour("T14", "a limit has a deadline", "pool.py", " or is_spent or is_late:", " or is_spent:"),
    Behaviour("T14", "attempts are reported", "pool.py", "self.reports.failed += 1", "pass"),
    Behaviour("T14", "a broken transfer is sent again", "storage.py", "_ATTEMPTS = 4", "_ATTEMPTS = 1"),
    # -- T15
    Behaviour("T15", "452 and 552 are about space", "replies.py", "code in (452, 552) or", "False or"),
    Behaviour("T15", "texts tell of space", "replies.py", "(code >= 400 and _SPACE.search(text))", "False"),
    Behaviour("T15", "the figures are kept", "control.py", "self.quota = quota_in(text) or self.quota", "pass"),
    Behaviour("T15", "what a full disk left is removed", "session.py", 'f"DELE {path}"', '"NOOP"'),
)
