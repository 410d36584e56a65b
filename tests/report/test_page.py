# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a report as text: what it tells of which host, in which order, and what it makes of hostile input."""

from __future__ import annotations

import random
import re
import typing as t
from dataclasses import dataclass, field
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError, AnsibleTypeError

from ansible_collections.stowage.ftp_backup.plugins.filter.report_page import FilterModule as PageFilters
from ansible_collections.stowage.ftp_backup.plugins.filter.report_page import report_page
from ansible_collections.stowage.ftp_backup.plugins.filter.report_summary import FilterModule as SummaryFilters
from ansible_collections.stowage.ftp_backup.plugins.filter.report_summary import report_summary
from ansible_collections.stowage.ftp_backup.plugins.plugin_utils.report import gathered as facts
from ansible_collections.stowage.ftp_backup.plugins.plugin_utils.report.plots import growth_text, size_plot
from tests.report.fleets import (
    GIB,
    MIB,
    NOW,
    fleet,
    gathered,
    in_trouble,
    job,
    point,
    points,
    text_of,
    told,
    unreachable,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    Values = dict[str, t.Any]

_CSS = Path("plugins/plugin_utils/report/page.css")
_WITHOUT_END = {"meta", "img", "br", "link", "input"}
_TEXTS = [("text", "back"), ("text", "card"), ("muted", "back"), ("muted", "head"), ("muted", "card"), ("warn", "back")]
_BADGES = [(kind, f"{kind}-back") for kind in ("bad", "warn", "good", "idle")]
_SHAPES = [("plot", "back"), ("plot", "card"), ("good", "track"), ("bad", "track")]


@dataclass
class Read(HTMLParser):
    """A page that was read: its tags with their attributes, its cells, and the text that a person sees."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    open_tags: list[str] = field(default_factory=list)
    rows: list[list[tuple[str, dict[str, str | None]]]] = field(default_factory=list)
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append((tag, dict(attrs)))
        if tag not in _WITHOUT_END:
            self.open_tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open_tags.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "title"} & set(self.open_tags):
            self.text += data


def _read(page: str) -> Read:
    read = Read()
    read.feed(page)
    read.close()
    assert read.open_tags == []
    read.text = " ".join(read.text.split())
    return read


def _page(*hosts: Values, title: str = "Backup report") -> Read:
    return _read(report_page(list(hosts), title=title, now=text_of(NOW)))


def _summary(*hosts: Values) -> Values:
    return report_summary(list(hosts), now=text_of(NOW))


# -- what it tells


def test_the_filters_have_the_names_by_which_they_are_documented() -> None:
    assert PageFilters().filters()["report_page"] is report_page
    assert SummaryFilters().filters()["report_summary"] is report_summary


@pytest.mark.parametrize(
    ("hosts", "summary"),
    [
        ([], "There are no hosts to report on."),
        ([gathered("web01", job())], "The host needs no attention."),
        ([gathered("web01", job()), gathered("web02")], "None of 2 hosts needs attention. 1 host has no jobs."),
        ([gathered("web01", job()), unreachable("web02")], "1 of 2 hosts needs attention."),
        (fleet(42), "6 of 42 hosts need attention. 1 host has no jobs."),
    ],
)
def test_one_sentence_says_how_many_hosts_need_attention(hosts: list[Values], summary: str) -> None:
    assert _summary(*hosts)["summary"] == summary
    assert summary in _page(*hosts).text


def test_the_worst_comes_first_and_names_are_in_the_order_of_their_numbers() -> None:
    hosts = [gathered("web10", job()), gathered("web9", job()), *in_trouble()]
    expected = {
        "web03": "unreachable",
        "app01": "failed",
        "mail01": "never",
        "web02": "overdue",
        "db01": "partial",
        "web04": "failing",
        "web9": "fresh",
        "web10": "fresh",
    }

    told_of = _summary(*hosts)["hosts"]
    text = _page(*hosts).text
    places = [re.search(rf"\b{name}\b (?!port|says)", text) for name in expected]

    assert list(told_of.items()) == list(expected.items())
    assert all(places)
    assert _summary(*hosts)["states"] == {
        "unreachable": 1,
        "failed": 1,
        "never": 1,
        "overdue": 1,
        "partial": 1,
        "unknown": 1,
        "failing": 1,
        "fresh": 3,
    }


def test_what_failed_and_why_stands_beside_each_job() -> None:
    text = _page(*in_trouble()).text

    assert "The newest complete restore point is 3 d old, and 36 h is the limit." in text
    assert "Last run failed, 2026-11-26 03:00: Cannot log in to backup.example.com:21 as 'web02'" in text
    assert "with 3 problems, the first: mysql/shop (Access denied for user 'backup'@'localhost')." in text
    assert "Cannot read /etc/ftp_backup/client.json: Permission denied." in text
    assert "mailboxes-1f2e3d4c.json is no job" in text


def test_a_host_that_cannot_be_reached_is_there_with_what_others_know_of_it() -> None:
    seen = job("web sites", client="web03", reason="The newest complete restore point is 9 h old.")

    text = _page(unreachable("web03"), gathered("storage01", seen)).text

    assert "ssh: connect to host web03 port 22: No route to host" in text
    assert "It should have backups of: web sites on Provider storage." in text
    assert "storage01 says of its job web sites: The newest complete restore point is 9 h old." in text


def test_of_a_host_that_cannot_be_reached_there_is_what_it_told_before() -> None:
    before = told("web03", job("web sites"), job("weekly", max_age=8 * 86400), time=text_of(NOW - timedelta(days=2)))
    later = NOW + timedelta(days=2)
    hosts = [{**unreachable("web03"), "remembered": before}]

    read = _read(report_page(hosts, now=text_of(later)))
    lines = report_summary(hosts, now=text_of(later))["lines"]

    assert "What stands here of its jobs is what it told at 2026-11-24 12:00 UTC." in read.text
    assert "✖ Overdue No newer good restore point is known of. 2026-11-26 03:00 2 d old, limit 36 h" in read.text
    assert "✔ Fresh 2026-11-26 03:00 2 d old, limit 8 d" in read.text
    assert "It should have backups of" not in read.text
    assert [line.partition(":")[0] for line in lines] == ["web03", "web03, web sites"]


def test_a_host_of_which_nothing_is_known_is_there_as_well() -> None:
    text = _page({"host": "web05", "result": None}).text

    assert (
        "web05 ✖ Not gathered Nothing was gathered here: the host failed before, or could not be reached then." in text
    )


def test_age_limit_size_growth_and_proof_stand_there() -> None:
    made = [point(timedelta(hours=9), 1200 * MIB), point(timedelta(days=10), GIB)]

    text = _page(gathered("web01", job(points=made))).text

    assert "2026-11-26 03:00 9 h old, limit 36 h" in text
    assert "1.2 GiB" in text
    assert "+176.0 MiB in 10 d" in text
    assert "2 points since 2026-11-16, 2.7 GiB stored" in text
    assert "Restored 2026-11-20 all, 698.0 MiB" in text
    assert "Verified 2026-11-22 whole, 25.4 GiB read" in text


def test_what_was_never_proved_and_what_was_found_is_said() -> None:
    never = job(last_verification=None, last_restore=None)
    verification = {**job()["last_verification"]}
    found = job(
        last_verification={**verification, "whole": False}, last_restore={**job()["last_restore"], "whole": False}
    )
    sampled = job(last_verification={**verification, "sample": 10})
    begun = job(last_verification={**verification, "volumes_left": 7})

    texts = [_page(gathered("web01", one)).text for one in (never, found, sampled, begun)]

    assert "Never restored here Never verified here" in texts[0]
    assert "damage found" in texts[1]
    assert "a part, 698.0 MiB" in texts[1]
    assert "a sample of 10 %, 25.4 GiB read" in texts[2]
    assert "nothing wrong so far, 7 volumes left" in texts[3]


def test_trouble_of_the_host_itself_is_told() -> None:
    places = [{"name": "NAS", "engine": None, "host": None, "failure": {"kind": "local", "msg": "It is damaged."}}]
    reindexed = [{"failed": False, "failure": {"kind": "login"}, "msg": "Cannot log in."}, {"failed": False}]
    host = gathered("web01", job(), time=text_of(NOW + timedelta(hours=3)), destinations=places)

    text = _page({**host, "reindexed": reindexed}).text

    assert "Its clock is ahead: it said 2026-11-26 15:00:00 UTC." in text
    assert "Destination NAS: It is damaged." in text
    assert text.count("The index could not be made anew, so this may be old: Cannot log in.") == 1


_REFUSED = {"failed": False, "failure": {"kind": "login"}, "msg": "Cannot log in."}
_DAMAGED_PLACE = {"name": "NAS", "engine": None, "host": None, "failure": {"kind": "local", "msg": "It is damaged."}}


@pytest.mark.parametrize(
    ("host", "line"),
    [
        (gathered("web01", job(), troubles=["mail.json is no job."]), "mail.json is no job."),
        (gathered("web01", job(), destinations=[_DAMAGED_PLACE]), "Destination NAS: It is damaged."),
        (
            gathered("web01", job(), destinations=[{**_DAMAGED_PLACE, "failure": {"msg": 5}}]),
            "Destination NAS: nobody knows what is wrong.",
        ),
        (
            {**gathered("web01", job()), "reindexed": [_REFUSED]},
            "The index could not be made anew, so this may be old: Cannot log in.",
        ),
        (
            {**gathered("web01", job()), "reindexed": [{"unreachable": True, "msg": "No route to host"}]},
            "The index could not be made anew, so this may be old: No route to host",
        ),
    ],
)
def test_a_host_with_fresh_jobs_and_trouble_of_its_own_needs_attention(host: Values, line: str) -> None:
    summary, text = _summary(host), _page(host).text

    assert summary["hosts"] == {"web01": "unknown"}
    assert summary["states"] == {"unknown": 1, "fresh": 1}
    assert summary["lines"] == [f"web01: {line}"]
    assert summary["summary"] == "1 of 1 host needs attention."
    assert f"? Unknown {line}" in text


def test_what_is_only_information_makes_no_host_unknown() -> None:
    ahead = gathered("web01", job(), time=text_of(NOW + timedelta(hours=3)))

    assert _summary(ahead)["hosts"] == {"web01": "fresh"}
    assert _summary(gathered("web01", time=text_of(NOW + timedelta(hours=3))))["hosts"] == {"web01": "no_jobs"}


def test_a_clock_that_is_behind_is_told_and_makes_no_job_fresh() -> None:
    behind = gathered(
        "web01",
        job(points=[point(timedelta(days=16), GIB)]),
        job("torn", points=[point(timedelta(days=16), GIB)], state="partial", reason="A later one is partial."),
        time=text_of(NOW - timedelta(days=16)),
    )

    summary, text = _summary(behind), _page(behind).text

    old = "The newest good restore point is older than its limit, by the clock of the controller."
    assert "Its clock is behind, or it was asked long ago: it said 2026-11-10 12:00:00 UTC." in text
    assert f"✖ Overdue {old}" in text
    assert summary["states"] == {"overdue": 2}
    assert f"web01, torn: {old} A later one is partial." in summary["lines"]


@pytest.mark.parametrize("state", ["damaged", "partial", "unknown", "fresh"])
@pytest.mark.parametrize("has_good", [True, False])
def test_what_was_told_long_ago_is_overdue_whatever_it_was(state: str, has_good: bool) -> None:  # noqa: FBT001 - a case
    one = job(state=state, reason="So it was.") | ({} if has_good else {"point": None})
    lost = {**unreachable("web03"), "remembered": told("web03", one)}

    later = report_summary([lost], now=text_of(NOW + timedelta(days=90)))

    more = "" if state == "fresh" else " So it was."
    assert f"web03, web sites: No newer good restore point is known of.{more}" in later["lines"]


def test_accounts_of_cpanel_and_jobs_of_other_clients_are_told_from_jobs() -> None:
    account = job(account="bob", job=None, client=None, structure="cpanel")

    text = _page(gathered("web01", account, job("etc", client="web07"))).text

    assert "bob account of cPanel, Provider storage" in text
    assert "etc of web07" in text


# -- the same input, the same page


def test_the_same_input_makes_the_same_page() -> None:
    assert report_page(fleet(12), now=text_of(NOW)) == report_page(fleet(12), now=text_of(NOW))


def test_the_order_of_hosts_does_not_matter() -> None:
    hosts = fleet(12)

    assert report_page(hosts[::-1], now=text_of(NOW)) == report_page(hosts, now=text_of(NOW))


def test_the_fingerprint_tells_what_has_happened_from_time_that_has_passed() -> None:
    hosts = fleet(12)
    before = report_summary(hosts, now=text_of(NOW))["fingerprint"]
    later = report_summary(hosts, now=text_of(NOW + timedelta(hours=1)))["fingerprint"]
    older = [gathered("web01", job(reason="The newest complete restore point is 10 h old, within its limit of 36 h."))]
    newer = [gathered("web01", job(points=[point(timedelta(hours=1), GIB)]))]
    failed = [gathered("web01", job(last_failure={"ended": text_of(NOW), "kind": "login", "msg": "No."}))]
    prints = [_summary(*one)["fingerprint"] for one in ([gathered("web01", job())], older, newer, failed)]

    assert before == later
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3
    assert f'<meta name="fingerprint" content="{before}">' in report_page(hosts, now=text_of(NOW))


# -- hostile input


_EVIL = (
    "</title></style></script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}{% for x in y %}",
    "&lt;script&gt;&#0;",
)


def _everywhere(text: str) -> Values:
    """Return a host that tells *text* wherever it can tell any."""
    failure = {"ended": text_of(NOW), "kind": text, "msg": text}
    one = job(text, client=text, state="overdue", destination=text, structure=text, reason=text, last_failure=failure)
    place = {"name": text, "engine": text, "host": text, "failure": {"kind": text, "msg": text}}
    made = told("web02", one, destinations=[place], troubles=[text])
    return {"host": text, "result": made, "reindexed": [{"failed": True, "msg": text}]}


@pytest.mark.parametrize("text", _EVIL)
def test_what_hosts_tell_is_text_and_nothing_else(text: str) -> None:
    plain, page = _page(_everywhere("x"), title="x"), _page(_everywhere(text), title=text)

    assert [tag for tag, _attributes in page.tags] == [tag for tag, _attributes in plain.tags]
    assert page.text.count(" ".join(text.split())) >= 8
    names = {name for _tag, attributes in page.tags for name in attributes}
    assert not {name for name in names if name.startswith("on") or name in {"src", "href", "style", "srcset", "action"}}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("a\u2066b\u2069c", "a\\u2066b\\u2069c"),
        ("bell\a and escape\x1b[2J", "bell\\x07 and escape\\x1b[2J"),
        ("\udcff\ud800", "\\xff\\ud800"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
    ],
)
def test_what_no_screen_shows_or_turns_text_around_is_written_out(text: str, shown: str) -> None:
    page = report_page([_everywhere(text)], title=text, now=text_of(NOW))

    assert text not in page
    assert _read(page).text.count(shown) >= 8
    assert page.encode("utf-8").decode("utf-8") == page


def test_the_page_has_no_script_asks_for_nothing_and_forbids_both() -> None:
    page = report_page(fleet(12), now=text_of(NOW))
    policy = next(a["content"] for _t, a in _read(page).tags if a.get("http-equiv") == "Content-Security-Policy")

    assert re.fullmatch(
        r"default-src 'none'; style-src 'sha256-[A-Za-z0-9+/]{43}='; base-uri 'none'; form-action 'none'", policy or ""
    )
    assert not re.search(r"<(script|link|img|iframe|object|embed|base|form|audio|video|source|use)\b", page)
    assert not re.search(r"url\(|@import|https?:", page)


def _nonsense(value: object, chance: random.Random) -> object:
    """Return *value* with some of what is in it replaced by something of another type."""
    if chance.random() < 0.08:
        return chance.choice(
            [None, True, -1, 10**30, 1.5, float("nan"), "", "nonsense", [], {}, [[]], {"msg": 5}, b"x"]
        )
    if isinstance(value, dict):
        return {key: _nonsense(item, chance) for key, item in value.items() if chance.random() > 0.03}
    if isinstance(value, list):
        return [_nonsense(item, chance) for item in value]
    return value


def _enormous(value: object, number: int, moment: str) -> object:
    """Return *value* with each number in it as large, and each time as far away, as it can be."""
    if isinstance(value, dict):
        return {key: _enormous(item, number, moment) for key, item in value.items()}
    if isinstance(value, list):
        return [_enormous(item, number, moment) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return number
    return moment if isinstance(value, str) and re.fullmatch(r"[0-9-]+T[0-9:]+Z", value) else value


@pytest.mark.parametrize("number", [0, 10**18, 10**40])
@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", text_of(NOW), "9999-12-31T23:59:59Z"])
def test_enormous_numbers_of_a_host_stop_nothing(number: int, moment: str) -> None:
    made = _enormous(told("web02", job(), job("torn", state="partial")), number, moment)
    hosts = [
        {"host": "web02", "result": made, "remembered": made},
        {**unreachable("web03"), "remembered": made},
        {**unreachable("web04"), "remembered": {**t.cast("Values", made), "time": text_of(NOW)}},
    ]

    assert "a sound job" in _page(*hosts, gathered("sound01", job("a sound job"))).text
    assert len(_summary(*hosts)["hosts"]) == 3


@pytest.mark.parametrize("seed", range(40))
def test_whatever_a_host_tells_the_others_are_on_the_page(seed: int) -> None:
    chance = random.Random(seed)
    hosts = [{**host, "result": _nonsense(host["result"], chance)} for host in fleet(9)]

    text = _page(*hosts, gathered("sound01", job("a sound job"))).text

    assert "a sound job" in text
    assert [host["host"] for host in hosts if host["host"] not in text] == []


def test_a_host_cannot_fill_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "_MOST_JOBS", 20)
    result = told("web01", *[job(f"job{number}", points=[point(timedelta(hours=1), 1)]) for number in range(25)])
    long = gathered("web02", job("x" * 10_000))

    page = report_page([{"host": "web01", "result": result}, long], now=text_of(NOW))

    assert "It told of 25 jobs; those after the first 20 are left out." in page
    assert page.count("x" * 197 + "...") == 1
    assert "x" * 200 not in page


def test_the_page_of_a_host_that_tells_as_much_as_it_can_is_bounded() -> None:
    much = job("x" * 1000, reason="y" * 5000, points=[point(timedelta(hours=1), 1)] * 300)
    hosts = [gathered("web01", *[much] * 600)]

    page = report_page(hosts, now=text_of(NOW))

    assert len(page) < 4_000_000
    assert "It told of 600 jobs; those after the first 500 are left out." in page
    assert "Of a job with more than 40 restore points, the plots show the newest ones." in page
    assert "y" * 500 not in page
    assert _summary(*hosts)["hosts"] == {"web01": "fresh"}


@pytest.mark.parametrize("given", [None, "web01", {"host": "web01"}, [5], [{"result": {}}], [{"host": 5}]])
def test_what_is_no_list_of_hosts_is_refused(given: object) -> None:
    with pytest.raises(AnsibleTypeError, match="The filter report_page takes a list of what was gathered"):
        report_page(given)


def test_a_time_that_is_none_is_refused_and_none_is_now() -> None:
    with pytest.raises(AnsibleFilterError, match="The time 'soon' cannot be read"):
        report_page([], now="soon")
    assert "As of 20" in _read(report_page([])).text


# -- form


def test_every_row_fills_the_seven_columns() -> None:
    remembered = {**unreachable("web98"), "remembered": told("web98", job(), job("etc"))}
    rows = _page(*fleet(12), gathered("web99", troubles=["Something is wrong."]), remembered).rows
    left = 0
    for cells in rows:
        spans = [int(attributes.get("colspan") or 1) for _tag, attributes in cells]
        heads = [int(attributes.get("rowspan") or 1) for _tag, attributes in cells]
        assert sum(spans) + (left > 0) == 7, cells
        left = max(left - 1, max(heads) - 1)
    assert left == 0
    assert len(rows) > 20


def test_tables_say_what_they_are_and_heads_what_they_are_heads_of() -> None:
    page = _page(*fleet(12))
    tables = [tag for tag, _attributes in page.tags if tag == "table"]
    heads = [attributes.get("scope") for tag, attributes in page.tags if tag == "th"]

    assert len(tables) == len([tag for tag, _attributes in page.tags if tag == "caption"]) == 2
    assert set(heads) == {"col", "row", "rowgroup"}


def _colours(scheme: str) -> dict[str, str]:
    light, dark, printed = re.findall(r":root \{(.*?)\}", _CSS.read_text("utf-8"), re.DOTALL)
    text = {"light": light, "dark": dark, "print": printed}[scheme]
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", text))


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _pairs() -> Iterator[tuple[str, str, str, float]]:
    for scheme in ("light", "dark", "print"):
        yield from ((scheme, one, other, 4.5) for one, other in (*_TEXTS, *_BADGES))
        yield from ((scheme, one, other, 3.0) for one, other in _SHAPES)


@pytest.mark.parametrize(("scheme", "one", "other", "least"), list(_pairs()))
def test_text_and_shapes_stand_out_enough(scheme: str, one: str, other: str, least: float) -> None:
    colours = _colours(scheme)
    brighter, darker = sorted((_luminance(colours[one]), _luminance(colours[other])), reverse=True)

    assert (brighter + 0.05) / (darker + 0.05) >= least


# -- plots


def _job_of(made: list[Values]) -> t.Any:  # noqa: ANN401 - a job of the page, whose type is private to it
    from ansible_collections.stowage.ftp_backup.plugins.plugin_utils.report.gathered import fleet_of  # noqa: PLC0415

    return fleet_of([gathered("web01", job(points=made))], NOW).hosts[0].jobs[0]


def test_a_plot_is_described_in_words() -> None:
    made = points(30, timedelta(hours=9), GIB, random.Random(1))

    (size, growth) = re.findall(
        r'<svg class="plot"[^>]*aria-label="([^"]*)"', report_page([gathered("w", job(points=made))])
    )

    assert size.startswith("Size of 30 restore points from 2026-10-28 to 2026-11-26: first ")
    assert growth.startswith("Sent by 30 runs: last ")


def test_where_it_is_not_known_what_was_sent_the_change_of_size_is_shown() -> None:
    made = [point(timedelta(days=age), size * MIB, bytes_sent=None) for age, size in ((1, 90), (2, 100), (3, 50))]

    page = report_page([gathered("web01", job(points=made))], now=text_of(NOW))

    assert "Change of size over 2 runs: last \N{MINUS SIGN}10.0 MiB, smallest \N{MINUS SIGN}10.0 MiB, largest" in page
    assert "change by each run" in page


@pytest.mark.parametrize("made", [[point(timedelta(days=1), 5)], [point(timedelta(days=1), 5, created=None)] * 3])
def test_what_cannot_be_plotted_is_not(made: list[Values]) -> None:
    assert 'class="plot"' not in report_page([gathered("web01", job(points=made))])


@pytest.mark.parametrize("size", [0, 1, 10**18])
def test_plots_stay_within_their_frame(size: int) -> None:
    same_moment = [point(timedelta(days=1), size)] * 2
    numbers = [
        float(number)
        for number in re.findall(r"[0-9.]+", str(re.findall(r'points="([^"]*)"', size_plot(_job_of(same_moment)))))
    ]

    assert numbers
    assert 0 <= min(numbers) <= max(numbers) <= 150
    assert growth_text(_job_of(same_moment)) == "no change in 1 d"
