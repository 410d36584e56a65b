#!/usr/bin/env bash
# Pin anew, to the latest that fits, what the *.in files ask for. Usage: requirements/compile.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

tool=../.cache/pins
[ -x "$tool/bin/uv" ] || {
  ../.venv/bin/python -m venv --clear "$tool"
  "$tool/bin/python" -m pip install -qq --disable-pip-version-check uv
}

# uv reads no configuration of pip, and what it is told about indexes stays out of the files.
compile() {
  "$tool/bin/uv" pip compile --quiet --universal --upgrade --no-config --no-python-downloads \
    --no-emit-index-url --no-emit-find-links --custom-compile-command 'make pins' "$@"
}

# One resolution serves the demo and the development: the demo's pins are a selection of the development's.
compile --python-version 3.11 --output-file dev.txt dev.in
compile --python-version 3.11 --output-file demo.txt --constraints dev.txt demo.in
compile --python-version 3.9 --output-file matrix.txt matrix.in
