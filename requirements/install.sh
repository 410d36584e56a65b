#!/usr/bin/env bash
# Make .venv hold the packages of one pinned set, or have what hosts are made with. Usage: requirements/install.sh demo|dev|molecule
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
wanted=$1

say() { printf '%s\n' "$*" >&2; }

install_debian_packages() {
  say "Installing Debian packages: $*"
  apt-get update --quiet=2 && DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends "$@" >&2
}

# Print the first interpreter on PATH that ansible-core 2.19 can run on and that passes the extra check $1.
find_python() {
  local candidate
  for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 /usr/bin/python3}; do
    if "$candidate" -c "import sys; assert (3, 11) <= sys.version_info[:2] <= (3, 13); $1" 2>/dev/null; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  return 1
}

make_venv() {
  local python
  if ! find_python 'pass' >/dev/null; then
    say "No Python 3.11, 3.12 or 3.13 was found, and ansible-core 2.19 needs one on the controller: install it, or name it with PYTHON=/path/to/python3."
    exit 1
  fi
  # Debian ships the module venv without ensurepip, which it cannot work without, until python3-venv is there.
  if ! python=$(find_python 'import ensurepip'); then
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
      install_debian_packages python3-venv
    fi
    if ! python=$(find_python 'import ensurepip'); then
      say "This Python cannot make virtual environments: install what is missing with 'sudo apt-get install python3-venv' and try again."
      exit 1
    fi
  fi
  say "Making .venv with $("$python" --version)"
  "$python" -m venv --clear .venv
}

# Not fatal: what misses a tool fails by its own name, and the tool may be there by other means than a package.
require_debian_packages() {
  local file=$1 package missing=()
  command -v dpkg-query >/dev/null || return 0
  while read -r package; do
    [ "$(dpkg-query --show --showformat='${db:Status-Abbrev}' "$package" 2>/dev/null)" = 'ii ' ] || missing+=("$package")
  done < <(grep -v '^#' "requirements/$file")

  if [ "$(id -u)" -ne 0 ]; then
    [ ${#missing[@]} -eq 0 ] || say "The tests need Debian packages that are not installed: sudo apt-get install ${missing[*]}"
  elif [ ${#missing[@]} -gt 0 ]; then
    install_debian_packages "${missing[@]}" || say "Could not install the Debian packages that the tests need: ${missing[*]}"
  elif ! apt-cache show pure-ftpd >/dev/null 2>&1; then
    # The tests unpack Pure-FTPd from its package, for which apt must know where it lies.
    apt-get update --quiet=2 || say "Could not update the lists of Debian's packages."
  fi
}

if [ "$wanted" = molecule ]; then
  require_debian_packages debian-molecule.txt
  touch .venv/molecule.installed
  exit
fi
if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
  make_venv
fi
if [ "$wanted" = dev ]; then
  require_debian_packages debian.txt
fi
say "Installing requirements/$wanted.txt into .venv"
.venv/bin/python -m pip install -qq --disable-pip-version-check --requirement "requirements/$wanted.txt"
touch ".venv/$wanted.installed"
