# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One HTML page of how the backups of a fleet stand, which needs nothing but itself.

It has no script and asks for nothing from anywhere: its own policy forbids both. Everything that hosts have told is
text in it, whatever it holds.
"""

from __future__ import annotations

import base64
import hashlib
import typing as t
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ...module_utils.version import VERSION
from ...module_utils.words import age_text, counted, printable, size_text
from . import gathered, plots

if t.TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from .gathered import Fleet, Job, Restore, Verification

_HERE = Path(__file__).parent
#: What a person reads of each state, with a sign that tells it without its colour, and how bad it is.
_WORDS = {
    gathered.UNREACHABLE: ("Unreachable", "✖", "bad"),
    gathered.FAILED: ("Not gathered", "✖", "bad"),
    gathered.MISSING: ("Not gathered", "✖", "bad"),
    gathered.NEVER: ("No backup", "✖", "bad"),
    gathered.OVERDUE: ("Overdue", "✖", "bad"),
    gathered.DAMAGED: ("Damaged", "✖", "bad"),
    gathered.PARTIAL: ("Partial", "!", "warn"),
    gathered.UNKNOWN: ("Unknown", "?", "warn"),
    gathered.FAILING: ("Last run failed", "!", "warn"),
    gathered.NO_JOBS: ("No jobs", "\N{BULLET}", "idle"),
    gathered.FRESH: ("Fresh", "✔", "good"),
}
_KINDS = ("bad", "warn", "good", "idle")


class State(t.NamedTuple):
    """How a state is shown."""

    words: str
    sign: str
    kind: str


def page_of(fleet: Fleet, title: str, now: datetime, notes: Sequence[str] = ()) -> str:
    """Return the page that tells of *fleet* as it is *now*, with *notes* on the page itself."""
    style = _HERE.joinpath("page.css").read_text("utf-8")
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    groups = [
        ("attention", "Needs attention", fleet.in_need),
        ("order", "In order", fleet.in_order),
        ("idle", "Without jobs", fleet.without_jobs),
    ]
    return environment.get_template("page.html.j2").render(
        title=title,
        now=now,
        notes=notes,
        fleet=fleet,
        fingerprint=fleet.fingerprint(),
        groups=[(mark, heading, hosts) for mark, heading, hosts in groups if hosts],
        counts=[(state_of(state), count) for state, count in fleet.counts().items()],
        style=Markup(style),  # noqa: S704 - it is ours, and nothing from outside is in it
        policy=policy_of(style),
        version=VERSION,
        **{function.__name__: function for function in _FUNCTIONS},
    )


def policy_of(style: str) -> str:
    """Return the policy that allows a page its own *style*, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _shown(value: object) -> object:
    """Return *value* as the page holds it: what no screen shows, and what would turn text around, is written out."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else printable(value)


# -- what the template calls


def state_of(name: str) -> State:
    """Return how the state called *name* is shown."""
    return State(*_WORDS[name])


def moment(value: datetime) -> Markup:
    """Return a time in UTC, to the minute."""
    return Markup('<time datetime="{}">{}</time>').format(f"{value:%Y-%m-%dT%H:%M:%SZ}", f"{value:%Y-%m-%d %H:%M}")


def day(value: datetime) -> Markup:
    """Return the day of a time in UTC."""
    return Markup('<time datetime="{}">{}</time>').format(f"{value:%Y-%m-%dT%H:%M:%SZ}", f"{value:%Y-%m-%d}")


def age_at(value: datetime, now: datetime) -> float:
    """Return how many seconds before *now* it was."""
    return max(0.0, (now - value).total_seconds())


def structure_words(job: Job) -> str:
    """Return how the backups of a job are made, and where they go."""
    structure = "account of cPanel" if job.is_account else job.structure
    return f"{structure}, {job.destination}" if structure else job.destination


def count_words(job: Job) -> Markup:
    """Return how many restore points there are, and how much they need."""
    points = counted(job.point_count, "point", "points")
    least = "at least " if job.structure == "deduplicated" else ""
    since = Markup("") if job.oldest is None else Markup(" since {}").format(day(job.oldest))
    return Markup("{}{}, {}{} stored").format(points, since, least, size_text(job.stored_size))


def verification_words(verification: Verification) -> str:
    """Return what a verification has found, and how much of all it has read."""
    if not verification.is_whole:
        return "damage found"
    if verification.volumes_left:
        return f"nothing wrong so far, {counted(verification.volumes_left, 'volume', 'volumes')} left"
    read = size_text(verification.size)
    return f"whole, {read} read" if verification.sample >= 100 else f"a sample of {verification.sample} %, {read} read"


def restore_words(restore: Restore) -> str:
    """Return how much was brought back."""
    return f"{'all' if restore.is_whole else 'a part'}, {size_text(restore.size)}"


_FUNCTIONS: tuple[t.Callable[..., t.Any], ...] = (
    *(state_of, moment, day, age_at, structure_words, count_words, verification_words, restore_words),
    *(age_text, counted, size_text, plots.size_plot, plots.growth_plot, plots.growth_text, plots.meter),
)
