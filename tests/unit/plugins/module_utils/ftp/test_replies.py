# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What servers answer, and which error it becomes: texts of real servers, from docs and issues."""

from __future__ import annotations

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import (
    BusyError,
    InterruptedTransferError,
    LoginError,
    MissingError,
    RefusedError,
    SpaceError,
    StorageError,
    TrustError,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.ftp.replies import Reply, error_for, shown

AT_LOGIN = [
    ("421 Too many connections (3) from this IP", BusyError),
    ("421 8 users (the maximum) are already logged in, sorry", BusyError),
    ("421 There are too many connected users, please try later.", BusyError),
    ("421 I can't accept more than 3 connections as the same user", BusyError),
    ("421 Service not available, closing control connection", BusyError),
    ("421-Sorry, cleartext sessions and weak ciphers are not accepted on this server.\r\n421 Bye.", TrustError),
    ("530 Sorry, the maximum number of clients (3) for this user are already connected.", BusyError),
    ("530 Sorry, the maximum number of allowed clients (10) are already connected.", BusyError),
    ("530 Login authentication failed", LoginError),
    ("530 Login incorrect.", LoginError),
    ("530 User backup cannot log in.", LoginError),
    ("534 Policy requires SSL.", TrustError),
    ("500 OOPS: cannot change directory:/home/backup", RefusedError),
]
IN_TRANSFER = [
    ("425 Unable to build data connection: Operation not permitted", InterruptedTransferError),
    ("425 No data connection", InterruptedTransferError),
    ("426 Failure reading network stream.", InterruptedTransferError),
    ("426 Connection closed; transfer aborted.", InterruptedTransferError),
    ("421 Timeout.", InterruptedTransferError),
    ("450 File busy", InterruptedTransferError),
    ("451 Error during write to file", InterruptedTransferError),
    ("451 x: Append/Restart not permitted, try again", RefusedError),
    ("452 Insufficient system storage.", SpaceError),
    ("552 Requested file action aborted. Exceeded storage allocation", SpaceError),
    ("552-2 files used (100%) - authorized: 10 files\n552 Quota exceeded: [x] won't be saved", SpaceError),
    ("553 Disk full - please upload later", SpaceError),
    ("550 x: No space left on device", SpaceError),
    ("451 Failure writing to local file: Disk quota exceeded", SpaceError),
    ("553 Can't open that file: Permission denied", RefusedError),
    ("550 x: Permission denied", RefusedError),
    ("536 Requested PROT level not supported by mechanism.", TrustError),
    ("500 Unknown command", RefusedError),
    ("502 Command not implemented.", RefusedError),
    ("522 SSL connection failed; session reuse required: see require_ssl_reuse option", RefusedError),
]
READING = [
    ("550 Can't open x: No such file or directory", MissingError),
    ("550 Failed to open file.", MissingError),
    ("550 The system cannot find the file specified.", MissingError),
]


def reply(text: str) -> Reply:
    return Reply(int(text[:3]), text)


@pytest.mark.parametrize(("text", "error"), AT_LOGIN)
def test_an_answer_at_login_becomes_its_error(text: str, error: type[StorageError]) -> None:
    assert error_for(reply(text), "Cannot log in", at_login=True).kind == error.kind


@pytest.mark.parametrize(("text", "error"), IN_TRANSFER)
def test_an_answer_to_a_transfer_becomes_its_error(text: str, error: type[StorageError]) -> None:
    assert error_for(reply(text), "Cannot upload x", in_transfer=True).kind == error.kind


@pytest.mark.parametrize(("text", "error"), READING)
def test_an_answer_to_reading_becomes_its_error(text: str, error: type[StorageError]) -> None:
    assert error_for(reply(text), "Cannot download x", in_transfer=True, reading=True).kind == error.kind


def test_the_sentence_tells_the_deed_and_the_servers_words_on_one_line() -> None:
    error = error_for(reply("552-First\r\n552 Quota\x1b[31m exceeded"), "Cannot upload x", in_transfer=True)

    assert str(error) == "Cannot upload x: the server answered '552-First 552 Quota [31m exceeded'."
    assert error.code == 552


def test_the_words_of_a_stranger_are_cut_where_they_run_on() -> None:
    assert len(shown("x" * 10_000)) < 400
    assert shown(" a\x00\x85\x9bb\t") == "a b"
