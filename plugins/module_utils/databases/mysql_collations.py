# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which collation stands in for one that a server lacks: MySQL's newest are not MariaDB's, and the other way round."""

from __future__ import annotations

import re


def nearest_collation(collation: str, known: frozenset[str]) -> str | None:
    """Return the one of the *known* collations that is nearest to one that is not, in the same character set.

    What is compared counts more than the language, and with it how spaces at the end are: a unique key must not find
    two values to be one that were two.
    """
    charset, _underscore, rest = collation.partition("_")
    charsets = [charset]
    if charset in ("utf8", "utf8mb3"):
        charsets = ["utf8mb3", "utf8"]
    found = re.search(r"_(?:(ai|as)_)?(ci|cs)$|_(bin)$", f"_{rest}")
    accents, case = (found.group(1) or "", found.group(2) or "bin") if found else ("", "ci")
    is_nopad = "nopad" in rest or "0900" in rest
    if case == "bin":
        wanted = ["nopad_bin", "bin"] if is_nopad else ["bin"]
    elif case == "cs" or accents == "as":
        kind = f"{accents or 'as'}_{case}"
        wanted = [f"uca1400_nopad_{kind}", f"0900_{kind}", f"uca1400_{kind}", "nopad_bin", "bin"]
        if not is_nopad:
            wanted = [f"uca1400_{kind}", f"0900_{kind}", "bin"]
    elif is_nopad:
        wanted = ["uca1400_nopad_ai_ci", "0900_ai_ci", "unicode_520_nopad_ci", "unicode_nopad_ci"]
    else:
        wanted = ["uca1400_ai_ci"]
    wanted += ["unicode_520_ci", "unicode_ci", "general_ci", "bin"] if case == "ci" else []
    names = (f"{name}_{ending}" for name in charsets for ending in wanted)
    by_rank = sorted((name for name in names if name in known), key=lambda name: wanted.index(name.partition("_")[2]))
    return by_rank[0] if by_rank else None
