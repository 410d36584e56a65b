# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The layers of ``docs/architecture.md`` hold: imports point one way, and only what may know Ansible or FTP does."""

from __future__ import annotations

import ast
import importlib.util
from collections import defaultdict
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
UTILS = "module_utils"
ANSIBLE = frozenset({"modules", "action", "filter", "plugin_utils", "doc_fragments"})
COMMAND = frozenset({"agent", "agent_options", "agent_installation", "job_info_options"})
OPTIONS = frozenset({"options"})
FOUNDATION = frozenset({"native", "cpanel", "databases", "ftp"})
BESIDE = {"cpanel": {"databases", "native"}}  # what folders of the foundation know of one another
KNOW_FTP = frozenset({"connections", "destination", "proof"})


def source_files() -> list[Path]:
    return sorted(path for path in PLUGINS.rglob("*.py") if path.name != "__init__.py")


def place_of(path: Path) -> str:
    """Return to which folder of ``module_utils`` a file belongs, or its own name there; else its kind of plugin."""
    parts = path.relative_to(PLUGINS).with_suffix("").parts
    return parts[1] if parts[0] == UTILS else parts[0]


def is_ours_below(path: Path) -> bool:
    return path.relative_to(PLUGINS).parts[0] == UTILS


def imported(path: Path) -> tuple[set[Path], set[str]]:
    """Return which of our files *path* imports, and the first words of all else that it does."""
    ours: set[Path] = set()
    others: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            others |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            others.add((node.module or "").partition(".")[0])
        elif isinstance(node, ast.ImportFrom):
            base = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            for alias in node.names:
                found = [
                    file for file in ((base / alias.name).with_suffix(".py"), base.with_suffix(".py")) if file.exists()
                ]
                assert found, f"{path} imports {alias.name} from {base}, where nothing is"
                ours.add(found[0])
    return ours, others


IMPORTS = {path: imported(path) for path in source_files()}


def places_known_by() -> dict[str, set[str]]:
    known: dict[str, set[str]] = defaultdict(set)
    for path, (ours, _others) in IMPORTS.items():
        known[place_of(path)] |= {place_of(file) for file in ours} - {place_of(path)}
    return known


KNOWN = places_known_by()


def reach_of(place: str) -> set[str]:
    """Return all places that *place* rests on."""
    reached: set[str] = set()
    pending = {place}
    while pending:
        pending = {below for one in pending for below in KNOWN[one]} - reached
        reached |= pending
    return reached


def test_no_files_import_one_another_in_a_circle() -> None:
    finished: set[Path] = set()

    def visit(path: Path, above: tuple[Path, ...]) -> None:
        assert path not in above, f"a circle: {[str(one.relative_to(PLUGINS)) for one in (*above, path)]}"
        if path not in finished:
            for below in sorted(IMPORTS[path][0]):
                visit(below, (*above, path))
            finished.add(path)

    for path in IMPORTS:
        visit(path, ())


def test_each_layer_knows_only_those_below_it() -> None:
    below_options = set(KNOWN) - ANSIBLE - COMMAND - OPTIONS
    wrong = {place: KNOWN[place] & (ANSIBLE | COMMAND | OPTIONS) for place in below_options}

    assert {place: found for place, found in wrong.items() if found} == {}
    assert KNOWN["options"] & (ANSIBLE | COMMAND) == set()
    assert set().union(*(KNOWN[place] for place in COMMAND)) & ANSIBLE == set()


@pytest.mark.parametrize("place", sorted(FOUNDATION))
def test_formats_and_protocols_rest_on_the_ground_alone(place: str) -> None:
    beside = BESIDE.get(place, set())

    assert KNOWN[place] & FOUNDATION == beside
    for below in KNOWN[place] - FOUNDATION:
        assert reach_of(below) & FOUNDATION == set(), f"{place} rests on {below}"


def test_few_know_that_the_storage_is_an_ftp_server() -> None:
    assert {place for place in KNOWN if "ftp" in KNOWN[place]} == KNOW_FTP


def test_below_the_modules_one_file_knows_ansible() -> None:
    know = {
        path.relative_to(PLUGINS / UTILS)
        for path, (_ours, others) in IMPORTS.items()
        if is_ours_below(path) and "ansible" in others
    }

    assert know == {Path("module.py")}


def is_standard(name: str) -> bool:
    found = importlib.util.find_spec(name)
    return found is not None and not {"site-packages", "dist-packages"} & set(Path(found.origin or "").parts)


def test_on_hosts_only_the_standard_library_is_needed() -> None:
    names = {name for path, (_ours, others) in IMPORTS.items() if is_ours_below(path) for name in others}

    assert [name for name in sorted(names - {"ansible"}) if not is_standard(name)] == []


def test_the_page_names_each_folder() -> None:
    page = PLUGINS.parent.joinpath("docs", "architecture.md").read_text("utf-8")
    folders = {path.parent.relative_to(PLUGINS) for path in IMPORTS}

    assert [str(folder) for folder in sorted(folders) if f"{folder.name}/" not in page] == []
