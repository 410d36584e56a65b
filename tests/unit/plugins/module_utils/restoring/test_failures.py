# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What could not be restored, told in one sentence."""

from __future__ import annotations

import errno

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import (
    DamageError,
    InterruptedTransferError,
    LocalError,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.restoring.failures import Failures


def test_one_failure_is_told_with_its_path_and_reason() -> None:
    failures = Failures()

    failures.add(b"/srv/a", PermissionError(errno.EACCES, "Permission denied"))
    error = failures.told("could not be restored", " Nothing was deleted.")

    assert isinstance(error, LocalError)
    assert str(error) == "One thing could not be restored: /srv/a (Permission denied). Nothing was deleted."


def test_a_path_that_cannot_be_printed_is_written_out() -> None:
    failures = Failures()

    failures.add(b"/srv/line\nbreak \xff \x1b[2J", LocalError("reason"))

    assert "/srv/line\\nbreak \\udcff \\x1b[2J (reason)" in str(failures.told("failed"))


def test_of_many_failures_the_first_are_told_by_reason_and_the_others_counted() -> None:
    failures = Failures()

    for number in range(7):
        failures.add(b"/srv/%d" % number, DamageError("the volume is missing."))
    for number in range(4):
        failures.add(b"/etc/%d" % number, LocalError(f"reason {number}"))
    error = failures.told("could not be restored")

    assert isinstance(error, DamageError)
    assert str(error) == (
        "11 things could not be restored: /srv/0, /srv/1, /srv/2, /srv/3, /srv/4 and 2 more (the volume is missing);"
        " /etc/0 (reason 0); /etc/1 (reason 1); and more for 2 other reasons."
    )


def test_the_code_of_the_first_reply_is_kept() -> None:
    failures = Failures()

    failures.add(b"/srv/a", InterruptedTransferError("the transfer broke", code=426))
    error = failures.told("could not be restored")

    assert isinstance(error, InterruptedTransferError)
    assert error.code == 426


def test_very_many_failures_for_as_many_reasons_are_kept_in_little_memory() -> None:
    failures = Failures()

    for number in range(110_000):
        failures.add(b"/%d" % number, LocalError(f"reason {number}"))

    assert str(failures.told("failed")).endswith("; and more for 109,997 other reasons.")
    assert len(failures._counts) == len(failures._paths) == 1000


def test_whoever_asks_too_late_is_told_that_any_path_may_have_failed() -> None:
    failures = Failures()

    failures.add(b"/a", LocalError("reason"))
    assert (failures.may_have(b"/a"), failures.may_have(b"/b")) == (True, False)
    for number in range(100_000):
        failures.add(b"/%d" % number, LocalError("reason"))

    assert failures.may_have(b"/b")
