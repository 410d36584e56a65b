# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``ansible-playbook --check --diff`` prints of each module, as a person reads it."""

from __future__ import annotations

import re
import typing as t

from .hosts import CLIENT, DESTINATION, JOB

if t.TYPE_CHECKING:
    from .hosts import Host


def test_what_would_be_done_is_printed_with_the_reasons_and_without_a_secret(declared: Host) -> None:
    made = declared.do(declared.backup(retention={"last": 1})).values["point"]["id"]
    (declared.source / "a.txt").write_text("Good night, and good luck.\n")
    (declared.source / "below" / "b.bin").unlink()
    (declared.source / "new\x1b[2J").touch()
    before = declared.seen()

    tasks = [
        declared.destination(timeout=11, password="another one", validate=False),
        declared.backup(force=True, retention={"last": 1}, allow_shrink=True),
        declared.restore(target=None, in_place=True, delete_extra=True),
        declared.restore_point(point=made, protected=True),
        declared.reindex(),
    ]
    results = declared.play(*(task.in_check_mode() for task in tasks), diff=True)

    assert [result.failed for result in results] == [False] * len(tasks)
    assert declared.seen() == before
    output = results[0].output
    lines = output.splitlines()

    def has(pattern: str) -> bool:
        return any(re.fullmatch(pattern, line) for line in lines)

    assert f"--- before: the destination {DESTINATION}" in lines
    assert {"-timeout: 5", "+timeout: 11"} <= {re.sub(r"-timeout: \d+", "-timeout: 5", line) for line in lines}
    assert {"-password: (set)", "+password: (changed)"} <= set(lines)
    assert "another one" not in output
    assert declared.server.password not in output
    assert "\x1b" not in output

    assert f"+++ after: restore points of the job {JOB} of {CLIENT} on {DESTINATION}" in lines
    assert any(
        re.fullmatch(rf"-000001 {made}  \S+Z  s01  .+  goes: its slot s01 holds a newer one, 2", x) for x in lines
    )
    assert has(r"\+000002 \S+  \S+Z  s01  .+  made: force: true asks for one")
    assert has(
        "The restore point 000002 would be made in the slot s01, which holds 000001, .+: force: true asks for one."
    )
    assert has(r"1 new entry, \d changed, \d unchanged, 1 gone \(compared with .+\)\.")
    assert any(line.endswith(" would be uploaded, before compression: an estimate from the scan.") for line in lines)
    assert "1 older one would be removed." in lines

    assert f"+++ after: / as in the restore point {made}" in lines
    assert any(line.startswith(f"-{declared.source / 'a.txt'}  size 27 B, mtime ") for line in lines)
    assert f"+{declared.source / 'below' / 'b.bin'}  file, 100.0 KiB" in lines
    assert f"-{declared.source}/new\\x1b[2J  extra: goes" in lines
    assert has(rf"\+000001 {made}  \S+Z  s01  .+, protected")
