# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fleets as a role would have gathered them: what `job_info` tells, of hosts in every state."""

from __future__ import annotations

import random
import typing as t
from datetime import datetime, timedelta, timezone

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    Values = dict[str, t.Any]

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=timezone.utc)
MIB, GIB = 1024**2, 1024**3
_JOBS = ("web sites", "home directories", "databases", "configuration")


def text_of(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def point(age: timedelta, size: int, **changes: object) -> Values:
    """Return a restore point as `job_info` tells it."""
    created = NOW - age
    values = {
        "id": f"{created:%Y%m%dt%H%M%Sz}-1f9c2a",
        "seq": 42,
        "created": text_of(created),
        "complete": True,
        "damaged": False,
        "protected": False,
        "entries": 18_211,
        "bytes": size,
        "stored_bytes": size // 3,
        "bytes_sent": size // 40,
        "problem_count": 0,
    }
    return {**values, **changes}


def points(count: int, age: timedelta, size: int, chance: random.Random) -> list[Values]:
    """Return *count* daily restore points, newest first, that have grown to *size*."""
    return [
        point(
            age + timedelta(days=number),
            max(1, int(size * (1 - 0.006 * number) * chance.uniform(0.985, 1.015))),
            bytes_sent=int(size * chance.uniform(0.002, 0.03)) if number < 45 else None,
        )
        for number in range(count)
    ]


def job(name: str = "web sites", **changes: object) -> Values:
    """Return a job as `job_info` tells it, which is fresh unless *changes* say otherwise."""
    made = t.cast("list[Values]", changes.pop("points", None) or points(30, timedelta(hours=9), GIB, random.Random(1)))
    values: Values = {
        "destination": "Provider storage",
        "client": "web01",
        "job": name,
        "account": None,
        "structure": "incremental",
        "state": "fresh",
        "reason": "The newest complete restore point is 9 h old, within its limit of 36 h.",
        "max_age": 129_600,
        "age": 32_400,
        "point": made[0],
        "newest": made[0],
        "oldest": made[-1]["created"],
        "point_count": len(made),
        "stored_bytes": 7 * made[0]["stored_bytes"],
        "points": made,
        "last_failure": None,
        "last_verification": {
            "ended": text_of(NOW - timedelta(days=4)),
            "whole": True,
            "sample": 100,
            "manifests": 7,
            "volumes": 812,
            "bytes": 27_246_198_784,
            "volumes_left": 0,
            "damaged_file_count": 0,
            "msg": None,
        },
        "last_restore": {
            "ended": text_of(NOW - timedelta(days=6)),
            "id": "20261120t030000z-7b60d1",
            "created": text_of(NOW - timedelta(days=6, hours=9)),
            "entries": 18_190,
            "bytes": 731_906_048,
            "whole": True,
        },
    }
    return {**values, **changes}


def told(client: str, *jobs: Values, **changes: object) -> Values:
    """Return what `register` keeps of `job_info` on the host *client*."""
    values = {
        "changed": False,
        "failed": False,
        "time": text_of(NOW),
        "client": client,
        "destinations": [
            {"name": "Provider storage", "engine": "native", "host": "backup.example.com", "failure": None}
        ],
        "jobs": [{**one, "client": one["client"] if one["client"] != "web01" else client} for one in jobs],
        "troubles": [],
    }
    return {**values, **changes}


def gathered(host: str, *jobs: Values, **changes: object) -> Values:
    """Return a host that has told of *jobs*."""
    return {"host": host, "result": told(host, *jobs, **changes)}


def unreachable(host: str) -> Values:
    message = f"Failed to connect to the host via ssh: ssh: connect to host {host} port 22: No route to host"
    expected = [{"destination": "Provider storage", "job": "web sites"}]
    return {"host": host, "result": {"unreachable": True, "changed": False, "msg": message}, "expected": expected}


def in_trouble() -> Iterator[Values]:
    """Yield a host in each kind of trouble."""
    chance = random.Random(7)
    old = points(25, timedelta(days=3, hours=4), 3 * GIB, chance)
    refused = {
        "ended": text_of(NOW - timedelta(hours=9)),
        "kind": "login",
        "msg": "Cannot log in to backup.example.com:21 as 'web02': the server answered '530 Login incorrect'.",
    }
    yield unreachable("web03")
    yield gathered(
        "web02",
        job(
            "shop",
            state="overdue",
            reason="The newest complete restore point is 3 d old, and 36 h is the limit.",
            points=old,
            last_failure=refused,
            last_restore=None,
        ),
        job("configuration"),
    )
    made = points(12, timedelta(hours=9), 80 * MIB, chance)
    partial = point(timedelta(hours=2), 79 * MIB, complete=False, problem_count=3)
    yield gathered(
        "db01",
        job(
            "databases",
            structure="deduplicated",
            state="partial",
            reason="A later restore point is partial, with 3 problems, the first: mysql/shop (Access denied for user"
            " 'backup'@'localhost').",
            points=[partial, *made],
            point=made[0],
            last_verification=None,
        ),
    )
    yield gathered(
        "mail01",
        job(
            "mailboxes",
            state="never",
            reason="There is no restore point yet.",
            structure=None,
            point=None,
            newest=None,
            oldest=None,
            point_count=0,
            stored_bytes=0,
            last_verification=None,
            last_restore=None,
        )
        | {"points": []},
        troubles=["The file /etc/ftp_backup/jobs/mailboxes-1f2e3d4c.json is no job: 'backup' has no options."],
    )
    yield gathered("web04", job("web sites", last_failure=refused))
    yield {
        "host": "app01",
        "result": {"failed": True, "msg": "Cannot read /etc/ftp_backup/client.json: Permission denied."},
    }


def fleet(count: int) -> list[Values]:
    """Return *count* hosts, some of them in trouble if there are enough."""
    chance = random.Random(count)
    hosts = list(in_trouble()) if count > 6 else []
    if count > 6:
        hosts.append(gathered("storage01", destinations=[]))
    for number in range(count - len(hosts)):
        size = int(chance.uniform(0.05, 60) * GIB)
        names = _JOBS[: 1 + number % 3]
        jobs = [
            job(
                name,
                points=points(chance.choice([1, 5, 30, 60]), timedelta(hours=chance.randrange(1, 30)), size, chance),
            )
            for name in names
        ]
        hosts.append(gathered(f"web{number + 11:02}", *jobs))
    return hosts
