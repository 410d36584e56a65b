# The commands of the work on this collection. `make demo` and `make test` are all that a newcomer needs.

# What every tool below sees: the virtual environment, this checkout as an installed collection, and UTF-8, which Ansible insists on.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/.collections
export ANSIBLE_HOME := $(CURDIR)/.cache/ansible
export LC_ALL := C.UTF-8

package := .collections/ansible_collections/stowage/ftp_backup

.PHONY: help demo test lint types units matrix sanity pages molecule docs release format soak bench pins clean
.DEFAULT_GOAL := help

help:  ## Tell what there is
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

demo: .venv/demo.installed $(package)  ## Back up and restore against an FTP server of its own
	playbooks/demo/run

test: .venv/dev.installed .venv/molecule.installed $(package)  ## Run everything that continuous integration runs
	@python -m tests.run

lint types units matrix sanity: .venv/dev.installed $(package)
	@python -m tests.run $@

lint:    ## Check form: ruff, yamllint, ansible-lint, documentation and its site, shell scripts, changelog, archive and its import
types:   ## Check types: mypy --strict
units:   ## Run all of pytest on this Python
matrix:  ## Run the unit tests on the other ones of Python 3.9 to 3.13, as far as they are there
sanity:  ## Run ansible-test sanity in a clean copy

pages: .venv/dev.installed .venv/molecule.installed $(package)  ## Run every block of the documentation on hosts of their own (root, on Debian)
	@python -m tests.run pages

molecule: .venv/dev.installed .venv/molecule.installed $(package)  ## Run the roles on hosts of their own (root, on Debian)
	@python -m tests.run molecule

docs: .venv/dev.installed  ## Build the documentation as a site below .cache/site
	@python -m release.build_site

release: .venv/dev.installed  ## Make a release: VERSION=1.2.0, with DRY=1 to leave nothing of it
	@python -m release.making "$(VERSION)" $(if $(DRY),--dry)

format: .venv/dev.installed  ## Let ruff mend what it can
	ruff check --fix-only .
	ruff format .

soak: .venv/dev.installed .venv/molecule.installed $(package)  ## Run the tests that take long as well
	@python -m tests.run matrix
	python -m pytest --soak --numprocesses=2 --dist=loadfile

bench: .venv/dev.installed $(package)  ## Measure side by side with other programs
	benchmarks/run

pins: .venv/dev.installed  ## Pin anew, to the latest that fits
	requirements/compile.sh

clean:  ## Remove all that the other commands made
	rm -rf .venv .cache .collections .ansible .hypothesis collections tests/output
	find . -name __pycache__ -prune -exec rm -rf {} +

.venv/molecule.installed: requirements/debian-molecule.txt requirements/install.sh
	@requirements/install.sh molecule

.venv/%.installed: requirements/%.txt requirements/install.sh
	@requirements/install.sh $*

# The checkout under the name that Ansible and absolute imports know it by. The __init__.py makes it win over a package
# `ansible_collections` that may lie in site-packages.
$(package):
	@mkdir -p $(@D)
	@touch .collections/ansible_collections/__init__.py
	@ln -sfn ../../.. $@
