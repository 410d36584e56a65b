# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all tests share: real FTP servers, the length of the long suites, and skips that nobody overlooks.

A server is started once a session and serves all tests: a test gets an empty directory of its own inside it. Only a
test that wants a server with other options starts one, by a ``make_…`` fixture.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import tempfile
import typing as t
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

with contextlib.suppress(ImportError):
    # A failure repeats, and a machine that is busy with other things is none.
    from hypothesis import HealthCheck, settings

    settings.register_profile(
        "suite", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("suite")

if t.TYPE_CHECKING:
    from tests.servers.faults import Fault
    from tests.servers.scripted import ScriptedServer
    from tests.servers.server import FtpServer

PRODUCTS = ("pure_ftpd", "proftpd", "vsftpd", "embedded")

# Takes a server's options, and returns it running until the test ends.
MakeServer = Callable[..., "FtpServer"]
# Takes faults and the options of `scripted`, and returns the scripted server running until the test ends.
Serve = Callable[..., "ScriptedServer"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of the long suites."""
    parser.addoption("--soak", action="store_true", help="run long suites in full; without it they are sampled")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say of every skipped test why it was, however quiet pytest was asked to be."""
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        terminalreporter.write_line(f"SKIPPED: {reason.removeprefix('Skipped: ')} ({report.nodeid})", yellow=True)


def pytest_configure() -> None:
    """Give every test the umask whose outcome it states."""
    os.umask(0o022)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name a test for its argument, not for the bytes in it: whatever they pack, two processes collect the same."""
    return argname if isinstance(val, bytes) and not (val.isascii() and val.decode().isprintable()) else None


@pytest.fixture(scope="session")
def soak(pytestconfig: pytest.Config) -> bool:
    """Tell whether long suites are to run in full."""
    return bool(pytestconfig.getoption("--soak"))


@pytest.fixture(scope="session")
def running_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], FtpServer]]:
    """Return a function that gives the session's server of one of PRODUCTS, started when first asked for."""
    servers: dict[str, FtpServer] = {}
    with contextlib.ExitStack() as stack:

        def serve(product: str) -> FtpServer:
            if product not in servers:
                servers[product] = stack.enter_context(_context_of(product)(tmp_path_factory.mktemp(product)))
            return servers[product]

        yield serve


@pytest.fixture(scope="session")
def pure_ftpd_server(running_server: Callable[[str], FtpServer]) -> FtpServer:
    """Return the session's Pure-FTPd, which requires TLS for both connections."""
    return running_server("pure_ftpd")


@pytest.fixture
def ftp_scratch(pure_ftpd_server: FtpServer) -> Iterator[FtpServer]:
    """Give the session's Pure-FTPd with an empty directory of this test's own: see its ``directory`` and ``root``."""
    with _scratch(pure_ftpd_server) as server:
        yield server


@pytest.fixture(params=PRODUCTS)
def each_server(request: pytest.FixtureRequest, running_server: Callable[[str], FtpServer]) -> Iterator[FtpServer]:
    """Run the test once a product, each time with an empty directory of its own."""
    with _scratch(running_server(request.param)) as server:
        yield server


@pytest.fixture
def make_pure_ftpd(tmp_path: Path) -> Iterator[MakeServer]:
    """Return a function that starts a Pure-FTPd with the options of `pure_ftpd`."""
    with _maker("pure_ftpd", tmp_path) as make:
        yield make


@pytest.fixture
def make_proftpd(tmp_path: Path) -> Iterator[MakeServer]:
    """Return a function that starts a ProFTPD with the options of `proftpd`."""
    with _maker("proftpd", tmp_path) as make:
        yield make


@pytest.fixture
def make_vsftpd(tmp_path: Path) -> Iterator[MakeServer]:
    """Return a function that starts a vsftpd with the options of `vsftpd`."""
    with _maker("vsftpd", tmp_path) as make:
        yield make


@pytest.fixture
def make_embedded(tmp_path: Path) -> Iterator[MakeServer]:
    """Return a function that starts a pyftpdlib server with the options of `embedded`."""
    with _maker("embedded", tmp_path) as make:
        yield make


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Return a function that starts a scripted server with some faults and the options of `scripted`."""
    scripted = importlib.import_module("tests.servers.scripted").scripted
    with contextlib.ExitStack() as stack:

        def start(*faults: Fault, **options: object) -> ScriptedServer:
            directory = Path(tempfile.mkdtemp(prefix="scripted-", dir=tmp_path))
            return t.cast("ScriptedServer", stack.enter_context(scripted(directory, faults=faults, **options)))

        yield start


@contextlib.contextmanager
def _maker(product: str, directory: Path) -> Iterator[MakeServer]:
    context = _context_of(product)
    with contextlib.ExitStack() as stack:

        def make(**options: object) -> FtpServer:
            own = Path(tempfile.mkdtemp(prefix=f"{product}-", dir=directory))
            return stack.enter_context(context(own, **options))

        yield make


@contextlib.contextmanager
def _scratch(server: FtpServer) -> Iterator[FtpServer]:
    path = Path(tempfile.mkdtemp(prefix="test-", dir=server.root))
    owner = server.root.stat()
    if owner.st_uid != os.geteuid():
        os.chown(path, owner.st_uid, owner.st_gid)
    try:
        yield server.below(path.name)
    finally:
        shutil.rmtree(path)


def _context_of(product: str) -> Callable[..., contextlib.AbstractContextManager[FtpServer]]:
    """Return the context manager that runs *product*, or skip the test that needs it."""
    module = importlib.import_module(f"tests.servers.{product}")
    why = module.why_unavailable()
    if why:
        pytest.skip(why)
    return t.cast("Callable[..., contextlib.AbstractContextManager[FtpServer]]", getattr(module, product))
