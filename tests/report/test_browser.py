# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a report in a real browser, from disk and without a network: wide, narrow, light, dark and on paper."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.stowage.ftp_backup.plugins.filter.report_page import report_page
from tests.report.browser import Browser, browsing, why_unavailable
from tests.report.fleets import NOW, fleet, gathered, job, text_of

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WIDE, MIDDLE, NARROW = 1280, 900, 390
# What reaches beyond the window on the right; what only a screen reader sees does not count.
_BEYOND = """
[...document.querySelectorAll("body *")].filter(element => {
  const box = element.getBoundingClientRect();
  return box.width > 1 && box.right > window.innerWidth + 0.5;
}).map(element => element.tagName + " " + element.className).slice(0, 5)
"""
_CLIPPED = """
[...document.querySelectorAll("th, td, p, li, span, h1, h2")].filter(element =>
  element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).display != "inline"
).map(element => element.tagName + " " + element.className + " " + element.textContent.slice(0, 40)).slice(0, 5)
"""
_LONG = "a-name-that-nobody-would-give-a-host-but-a-machine-" * 5


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Return a browser that all tests of this file share."""
    why = why_unavailable()
    if why:
        pytest.skip(why)
    with browsing(tmp_path_factory.mktemp("browser")) as running:
        yield running


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the pages of small and large fleets, and of one with names that no screen was made for."""
    directory = tmp_path_factory.mktemp("pages")
    evil = job(
        "<img src=http://evil.example/x onerror=hacked=1>",
        state="overdue",
        reason=f"</td></table><script>hacked=1</script>{_LONG}",
        destination=_LONG,
        last_failure={"ended": text_of(NOW), "kind": None, "msg": f"'\"><style>*{{display:none}}</style> {_LONG}"},
    )
    fleets = {
        "one": fleet(1),
        "some": fleet(12),
        "many": fleet(200),
        "hostile": [gathered(f"<script>hacked=1</script>{_LONG}", evil), gathered("\u202egnp.exe\u0000\u0007", job())],
    }
    made = {}
    for name, hosts in fleets.items():
        made[name] = directory / f"{name}.html"
        made[name].write_text(report_page(hosts, now=text_of(NOW)), encoding="utf-8")
    return made


@pytest.mark.parametrize("name", ["one", "some", "many", "hostile"])
@pytest.mark.parametrize("width", [WIDE, MIDDLE, NARROW])
def test_nothing_is_cut_off_or_reaches_beyond_the_window(
    browser: Browser, pages: dict[str, Path], name: str, width: int
) -> None:
    browser.open(pages[name], width)

    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value(_BEYOND) == []
    assert browser.value(_CLIPPED) == []


@pytest.mark.parametrize("name", ["some", "hostile"])
def test_nothing_is_asked_for_and_nothing_runs(browser: Browser, pages: dict[str, Path], name: str) -> None:
    browser.open(pages[name], WIDE)

    assert browser.requested() == [pages[name].as_uri()]
    assert browser.complaints() == []
    assert browser.value("document.scripts.length") == 0
    assert browser.value("document.images.length") == 0
    assert browser.value("typeof hacked") == "undefined"
    assert browser.value("document.styleSheets.length") == 1


def test_the_policy_of_the_page_forbids_what_somebody_might_get_into_it(
    browser: Browser, pages: dict[str, Path], tmp_path: Path
) -> None:
    forged = tmp_path / "forged.html"
    more = '<script>hacked=1</script><style>body{color:red}</style><img src="https://evil.example/x.png"></main>'
    forged.write_text(pages["one"].read_text("utf-8").replace("</main>", more), encoding="utf-8")

    browser.open(forged, WIDE)

    assert browser.value("typeof hacked") == "undefined"
    assert browser.value("document.scripts.length") == 1
    assert browser.value("getComputedStyle(document.body).color") != "rgb(255, 0, 0)"
    assert [complaint for complaint in browser.complaints() if "Content Security Policy" in complaint]


def test_hostile_text_is_read_as_it_is_written(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["hostile"], NARROW)

    text = browser.value("document.body.innerText")
    assert "<img src=http://evil.example/x onerror=hacked=1>" in text
    assert "\\u202egnp.exe\\x00\\x07" in text


def test_it_is_a_table_on_a_wide_screen_and_cards_on_a_narrow_one(browser: Browser, pages: dict[str, Path]) -> None:
    seen = {}
    for width in (WIDE, NARROW):
        browser.open(pages["some"], width)
        seen[width] = [
            browser.value(f'getComputedStyle(document.querySelector("{what}")).display') for what in ("tr", "thead")
        ]
        assert browser.value('document.querySelector("thead").getBoundingClientRect().height') > (width == WIDE) * 20

    assert seen == {WIDE: ["table-row", "table-header-group"], NARROW: ["grid", "block"]}
    label = 'getComputedStyle(document.querySelector("td.size"), "::before").content'
    assert browser.value(label) == '"Size"'


def test_the_page_is_dark_where_that_is_wished_and_never_on_paper(browser: Browser, pages: dict[str, Path]) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    seen = []
    for scheme, medium in (("light", ""), ("dark", ""), ("dark", "print")):
        browser.open(pages["one"], WIDE, scheme=scheme, medium=medium)
        seen.append(browser.value(colour))

    assert seen == ["rgb(255, 255, 255)", "rgb(20, 23, 28)", "rgb(255, 255, 255)"]


def test_plots_and_tables_are_read_out(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["some"], WIDE)

    images = browser.names_of("image")
    assert len(images) == browser.value('document.querySelectorAll("svg.plot").length') > 10
    assert [name for name in images if not name.startswith(("Size of ", "Sent by ", "Change of size "))] == []
    assert [name for name in browser.names_of("table") if not name] == []
    assert {"Host", "Job", "State", "Newest good point", "Size", "Growth", "Proof"} <= set(
        browser.names_of("columnheader")
    )
    assert "web02" in browser.names_of("rowheader")


def test_a_picture_of_the_page_shows_something(browser: Browser, pages: dict[str, Path], tmp_path: Path) -> None:
    browser.open(pages["some"], NARROW)
    browser.picture(tmp_path / "page.png")

    picture = (tmp_path / "page.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 50_000
