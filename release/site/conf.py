# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of Sphinx, for release/build_site.py."""

from __future__ import annotations

import re
import typing as t

from docutils import nodes

if t.TYPE_CHECKING:
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

project = "stowage.ftp_backup"
copyright = "2026, the stowage.ftp_backup contributors"  # noqa: A001 - Sphinx's own name for it
extensions = ["sphinx_antsibull_ext", "myst_parser"]
include_patterns = [
    *("index.md", "README.md", "docs/*.md", "roles/*/README.md", "reference/**.rst"),
    *("CONTRIBUTING.md", "benchmarks/README.md", "extensions/molecule/README.md", "tests/documentation/README.md"),
]
nitpicky = True
default_role = "any"
highlight_language = "YAML+Jinja"

# A heading of a page in Markdown can be linked to, as the web page of a repository allows.
myst_heading_anchors = 4

html_theme = "furo"
html_title = "stowage.ftp_backup"
html_copy_source = False
html_show_sphinx = False
html_use_index = False
pygments_style = "ansible"
pygments_dark_style = "monokai"

#: Ansible's own pages that antsibull-docs refers to, by their labels. An inventory of them would have to be downloaded.
ANSIBLE = "https://docs.ansible.com/projects/ansible/latest/"
LABELS = {
    "action_plugins": "plugins/action.html",
    "common_return_values": "reference_appendices/common_return_values.html",
    "ansible_configuration_settings": "reference_appendices/config.html",
}
#: The list of its headings that antsibull-docs puts on each page, and that the theme has at its side.
CONTENTS = re.compile(r"^\.\. contents::\n(?:   :\w+:.*\n)*", re.MULTILINE)
PLUGIN = re.compile(r"ansible_collections\.ansible\.builtin\.(\w+_(?:module|filter|lookup))")


def resolve(_app: Sphinx, _env: BuildEnvironment, node: pending_xref, content: nodes.Element) -> nodes.Node | None:
    """Return the link to a page of Ansible's that *node* refers to, or nothing if that is no such page."""
    target = node["reftarget"]
    plugin = PLUGIN.fullmatch(target)
    page = f"collections/ansible/builtin/{plugin[1]}.html" if plugin else LABELS.get(target)
    return nodes.reference("", "", content, internal=False, refuri=ANSIBLE + page) if page else None


def take_contents_out(_app: Sphinx, name: str, text: list[str]) -> None:
    """Drop what the theme has already from *text*, the only item of which is the source of the page *name*."""
    if name.startswith("reference/"):
        text[0] = CONTENTS.sub("", text[0])


def setup(app: Sphinx) -> None:
    """Have Sphinx ask before it reads a page, and before it calls a reference broken."""
    app.connect("source-read", take_contents_out)
    app.connect("missing-reference", resolve)
