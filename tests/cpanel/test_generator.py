# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backups that our tests are made of are what they claim to be, by the word of tools that are not ours."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tracemalloc
import typing as t
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from tests.cpanel import accounts, archives, hostile
from tests.cpanel.accounts import ACCOUNTS, DIRECTORY, FILE, HARD_LINK, MIB, SYMLINK, Who
from tests.cpanel.archives import DIRECTORY_FORM, SHAPES, TAR, TAR_GZ, Shape, shape_for
from tests.cpanel.expected import MAILBOX, Node, Strung, Tree, differences, expected_of
from tests.cpanel.hostile import CASES, Case, bytes_of

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cpanel.accounts import Account

ROOT = Path(__file__).resolve().parents[2]
QUICK = {name: case for name, case in CASES.items() if not case.is_long}
#: All shapes of the accounts that hold most, and two of each other one.
_ALL_SHAPES = ("everything", "home_only")
SOUND = [(name, shape) for name in ACCOUNTS for shape in (SHAPES if name in _ALL_SHAPES else ("plain", "nested"))]
_EXTRACT = ("tar", "--extract", "--preserve-permissions", "--warning=no-unknown-keyword")


def tree_of(account: Account) -> Tree:
    """Return the tree that unpacking *account* leaves; hard links are files with the content of what they point to.

    Times of directories are left open: tar leaves those of the moment where a directory comes after what is in it.
    """
    members = {member.name: member for member in account.members}
    return {
        name: Node(
            FILE if member.kind == HARD_LINK else member.kind,
            members[member.target].content if member.kind == HARD_LINK else member.target or member.content,
            None if member.kind == SYMLINK else member.mode,
            None if member.kind == DIRECTORY else member.mtime,
        )
        for name, member in members.items()
    }


def extract(archive: Path, top: Path) -> None:
    top.mkdir(exist_ok=True)
    subprocess.run([*_EXTRACT, f"--file={archive}", f"--directory={top}"], check=True)


def inside(top: Path, shape: Shape, account: Account) -> Path:
    """Return where in *top* the members are, once an archive of *shape* was unpacked there."""
    return top / shape.top_of(account).decode()


@pytest.mark.parametrize(("name", "shape_name"), SOUND)
@pytest.mark.parametrize("form", [TAR, TAR_GZ])
def test_gnu_tar_unpacks_just_what_the_account_holds(tmp_path: Path, name: str, shape_name: str, form: str) -> None:
    account = ACCOUNTS[name]()
    shape = shape_for(shape_name, account)
    archive = tmp_path / f"archive.{form}"
    archives.write_file(account, archive, form, shape)

    extract(archive, tmp_path / "out")
    top = inside(tmp_path / "out", shape, account)
    if shape.is_nested and not account.is_home_only:
        extract(top / "homedir.tar", top / "homedir")
        (top / "homedir.tar").unlink()

    assert differences(top, tree_of(account)) == []


@pytest.mark.parametrize("name", ACCOUNTS)
def test_gnu_tar_lists_an_archive_without_a_complaint(tmp_path: Path, name: str) -> None:
    account = ACCOUNTS[name]()
    archives.write_file(account, tmp_path / "archive.tar.gz")

    listed = subprocess.run(["tar", "-tzf", tmp_path / "archive.tar.gz"], check=True, capture_output=True)

    assert listed.stderr == b""
    assert len(listed.stdout.splitlines()) == len(account.members) + 1


def test_an_account_whose_names_are_short_fits_the_oldest_form(tmp_path: Path) -> None:
    account = accounts.small()
    archives.write_file(account, tmp_path / "archive.tar", TAR, Shape(tar_format=archives.USTAR))

    extract(tmp_path / "archive.tar", tmp_path / "out")

    assert b"././@LongLink" not in (tmp_path / "archive.tar").read_bytes()
    assert differences(tmp_path / "out" / "cpmove-harbour", tree_of(account)) == []


@pytest.mark.parametrize("name", ACCOUNTS)
def test_the_directory_form_is_just_what_the_account_holds(tmp_path: Path, name: str) -> None:
    account = ACCOUNTS[name]()

    archives.write_directory(account, tmp_path / "harbour")

    assert differences(tmp_path / "harbour", tree_of(account)) == []


def test_hard_links_are_links(tmp_path: Path) -> None:
    account = accounts.everything()
    links = [(member.name, member.target) for member in account.members if member.kind == HARD_LINK]
    archives.write_file(account, tmp_path / "archive.tar", TAR)
    extract(tmp_path / "archive.tar", tmp_path / "out")
    archives.write_directory(account, tmp_path / "harbour")

    for top in (tmp_path / "out" / "cpmove-harbour", tmp_path / "harbour"):
        assert links
        assert all((top / os.fsdecode(name)).samefile(top / os.fsdecode(target)) for name, target in links)


@pytest.mark.parametrize("sparse", [archives.OLD_SPARSE, archives.PAX_SPARSE_01, archives.PAX_SPARSE_10])
def test_a_file_of_many_pieces_is_stored_without_its_holes(tmp_path: Path, sparse: str) -> None:
    pieces = tuple((number * 65536, b"piece %d" % number * 100) for number in range(60))
    member = accounts.Member(b"homedir/pieces", FILE, accounts.Sparse(64 * MIB, pieces))
    account = accounts.joined(Who(), accounts.Share((member,)))
    tar_format = archives.GNU if sparse == archives.OLD_SPARSE else archives.PAX
    archives.write_file(account, tmp_path / "archive.tar", TAR, Shape(tar_format=tar_format, sparse=sparse))

    extract(tmp_path / "archive.tar", tmp_path / "out")

    assert (tmp_path / "archive.tar").stat().st_size < MIB
    assert differences(tmp_path / "out" / "cpmove-harbour", tree_of(account)) == []


# -- what is expected


@pytest.mark.parametrize("name", ACCOUNTS)
def test_each_member_is_accounted_for_once(name: str) -> None:
    account = ACCOUNTS[name]()

    expected = expected_of(account)

    fates = [*expected.paths, *expected.read, *expected.skipped, *expected.left_out]
    assert sorted(fates) == sorted(member.name for member in account.members)
    assert {one for one, paths in expected.paths.items() if len(paths) > 1} == expected.shared


@pytest.mark.parametrize("name", ACCOUNTS)
def test_no_two_members_are_put_in_one_place_but_the_halves_of_a_dump(name: str) -> None:
    expected = expected_of(ACCOUNTS[name]())

    paths = [path for paths in expected.paths.values() for path in paths]
    twice = {path for path in paths if paths.count(path) > 1}

    strung = {path for path, node in expected.tree.items() if isinstance(node.content, Strung)}
    assert twice == strung
    assert all(path.startswith(b"database/") for path in strung)


@pytest.mark.parametrize("name", ACCOUNTS)
def test_a_part_stands_in_the_folder_of_its_kind(name: str) -> None:
    expected = expected_of(ACCOUNTS[name]())

    tops = {"/": b"files", "parts:/files": b"other"}
    for (kind, part), tree in expected.parts.items():
        top = tops[part] if kind == "files" else f"{kind}/{part}".encode()
        assert all(path == top or path.startswith(top + b"/") for path in tree), (kind, part)


def test_everything_has_parts_of_every_kind() -> None:
    kinds = {kind for kind, _name in expected_of(accounts.everything()).parts}

    assert kinds == {
        *("files", "database", "database_user", "mailbox", "mail_domain", "mailing_list", "domain", "dns_zone"),
        *("certificate", "cron", "ftp_account", "settings"),
    }


def test_a_secret_is_expected_to_be_private_wherever_it_stands() -> None:
    tree = expected_of(accounts.everything()).tree
    secrets = {path: node for path, node in tree.items() if path.rpartition(b"/")[2] in (b"shadow", b"proftpdpasswd")}
    secrets |= {path: node for path, node in tree.items() if path.endswith((b".pem", b".key")) and path[:5] != b"files"}

    assert {node.mode for path, node in secrets.items()} == {0o600}
    assert len(secrets) > 10


def test_what_gives_lines_and_statements_stands_nowhere_as_it_is() -> None:
    tree = expected_of(accounts.everything()).tree

    sources = [path for path in tree if path.endswith((b"mysql.sql", b"auth.json", b"users.sql", b"grants.sql"))]
    assert sources == []
    assert b"other/proftpdpasswd" not in tree


def test_lines_of_a_mailbox_are_its_own() -> None:
    account = accounts.everything()
    expected = expected_of(account)

    passwd = account.member(b"homedir/etc/example.com/passwd").content
    lines = [
        tree[path].content
        for (kind, _name), tree in expected.parts.items()
        for path in tree
        if kind == MAILBOX and path.endswith(b"/passwd")
    ]

    assert isinstance(passwd, bytes)
    assert len(lines) == len(passwd.splitlines()) - 1
    assert all(isinstance(line, bytes) and line in passwd for line in lines)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda top: (top / "version").unlink(), "b'version' is missing"),
        (lambda top: (top / "foreign").touch(), "b'foreign' is there"),
        (lambda top: (top / "shell").chmod(0o600), "b'shell': its mode is 600, not 644"),
        (lambda top: os.utime(top / "shell", (1, 1)), "b'shell': its time is 1000000000, not "),
        (lambda top: _rewrite(top / "shell"), "b'shell': its content of 10 bytes is another one"),
        (lambda top: _relink(top / "homedir/www"), "b'homedir/www': it points to b'tmp', not b'public_html'"),
    ],
)
def test_a_difference_is_told(tmp_path: Path, change: Callable[[Path], None], sentence: str) -> None:
    account = accounts.small()
    top = tmp_path / "harbour"
    archives.write_directory(account, top)
    wanted = tree_of(account)
    assert differences(top, wanted) == []

    change(top)

    assert len(told := differences(top, wanted)) == 1
    assert told[0].startswith(sentence)


def _rewrite(path: Path) -> None:
    status = path.stat()
    path.write_bytes(b"/bin/dash\n")
    os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns))


def _relink(path: Path) -> None:
    status = path.lstat()
    path.unlink()
    path.symlink_to("tmp")
    os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns), follow_symlinks=False)


# -- the same each time


@pytest.mark.parametrize("shape", [Shape(), Shape(order=archives.SHUFFLED, is_nested=True)])
def test_the_same_seed_gives_the_same_bytes_in_every_process(shape: Shape) -> None:
    here = hashlib.sha256(bytes_of(lambda sink: archives.write(accounts.everything(), sink, TAR_GZ, shape))).hexdigest()
    program = (
        "import hashlib; from tests.cpanel import accounts; from tests.cpanel.archives import Shape, write;"
        "from tests.cpanel.hostile import bytes_of;"
        f"made = bytes_of(lambda sink: write(accounts.everything(), sink, 'tar.gz', {shape!r}));"
        "print(hashlib.sha256(made).hexdigest())"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"}

    there = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, env=environment)

    assert there.stdout.strip() == here


def test_another_seed_gives_other_content_and_another_order() -> None:
    def written(who: Who, seed: int) -> bytes:
        return bytes_of(lambda sink: archives.write_tar(accounts.small(who), sink, Shape(order="shuffled", seed=seed)))

    first = written(Who(seed=1), 1)

    assert written(Who(seed=2), 1) != first
    assert written(Who(seed=1), 2) != first
    assert written(Who(seed=1), 1) == first


def test_an_archive_of_many_files_is_written_without_holding_them() -> None:
    def peak(count: int) -> int:
        tracemalloc.start()
        archives.write(accounts.many_files(count), archives.Counter(), TAR)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(10)  # what is cached is made now

    assert peak(4000) < peak(1000) + MIB // 4


def test_a_large_file_is_written_without_holding_it() -> None:
    counter = archives.Counter()
    account = accounts.everything(large_size=40 * MIB)
    tracemalloc.start()

    archives.write(account, counter, TAR)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert counter.size > 40 * MIB
    assert most < 16 * MIB


# -- secrets that are none


@pytest.mark.parametrize(
    ("password", "crypt", "scheme", "salt"),
    [
        (accounts.ACCOUNT_PASSWORD, accounts.ACCOUNT_CRYPT, "-6", "stowagesalt1"),
        (accounts.MAIL_PASSWORD, accounts.MAIL_CRYPT, "-6", "stowagesalt1"),
        (accounts.FTP_PASSWORD, accounts.FTP_CRYPT, "-6", "stowagesalt1"),
        (accounts.OLD_PASSWORD, accounts.OLD_CRYPT, "-1", "stowage1"),
    ],
)
def test_a_crypt_is_that_of_its_password(password: str, crypt: str, scheme: str, salt: str) -> None:
    command = ["openssl", "passwd", scheme, "-salt", salt, "-stdin"]

    made = subprocess.run(command, input=password + "\n", check=True, capture_output=True, text=True)

    assert made.stdout.strip() == crypt


def test_a_hash_is_the_one_that_mysql_is_known_to_make() -> None:
    assert accounts.mysql_hash("password") == "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"


@pytest.mark.parametrize("name", ["example.com", "example.net", "shop.example.com"])
def test_a_pem_holds_the_key_of_its_certificate_and_who_signed_it(name: str) -> None:
    pem = accounts.everything().member(f"apache_tls/{name}".encode()).content
    assert isinstance(pem, bytes)

    leaf, authority = x509.load_pem_x509_certificates(pem)
    at = pem.index(b"-----BEGIN " + (b"EC " if b"BEGIN EC " in pem else b"PRIVATE "))
    key = serialization.load_pem_private_key(pem[at:], None)

    leaf.verify_directly_issued_by(authority)
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert key.public_key().public_bytes(*form) == leaf.public_key().public_bytes(*form)


# -- destinations


def test_a_destination_holds_what_is_told_of_it_and_nothing_else(tmp_path: Path) -> None:
    there = [accounts.small(), accounts.old()]

    layout = archives.layout(tmp_path, there)

    tops = [*(placed.path for placed in layout.backups), *layout.others]
    files = [path for path in tmp_path.rglob("*") if not path.is_dir() or path.is_symlink()]
    assert len(set(tops)) == len(tops)
    for path in files:
        name = str(path.relative_to(tmp_path))
        assert sum(name == top or name.startswith(f"{top}/") for top in tops) == 1, name
    for placed in layout.backups:
        assert (tmp_path / placed.path).is_dir() == (placed.form == DIRECTORY_FORM)
        assert placed.path.endswith({TAR: ".tar", TAR_GZ: ".tar.gz", DIRECTORY_FORM: placed.account}[placed.form])
    assert {placed.form for placed in layout.backups} == {TAR, TAR_GZ, DIRECTORY_FORM}
    assert {placed.cycle for placed in layout.backups} == {"daily", "weekly", "monthly", ""}


# -- those that lie, and those that are damaged


def _unpacked(case: Case) -> bytes:
    """Return what can be unpacked of *case*, as far as that goes."""
    raw = bytes_of(case.write)
    if case.form == TAR or not raw.startswith(b"\x1f\x8b"):
        return raw
    found = b""
    while raw.startswith(b"\x1f\x8b"):
        unpacker = zlib.decompressobj(31)
        for at in range(0, len(raw), 64):
            try:
                found += unpacker.decompress(raw[at : at + 64])
            except zlib.error:
                return found
        raw = unpacker.unused_data
    return found


@pytest.mark.parametrize("name", [name for name, case in QUICK.items() if case.whole])
def test_what_lies_before_the_damage_is_whole(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    (tmp_path / "out").mkdir()

    command = [*_EXTRACT, "--file=-", f"--directory={tmp_path / 'out'}"]
    subprocess.run(command, input=_unpacked(case), check=False, capture_output=True)

    account = accounts.small()
    extra = {b"homedir/zz-last", b"zz-behind"}
    wanted = {path: node for path, node in tree_of(account).items() if path in case.whole and node.kind == FILE}
    found = differences(tmp_path / "out" / "cpmove-harbour", wanted)
    assert [sentence for sentence in found if not sentence.endswith("is there")] == []
    assert case.whole <= {member.name for member in account.members} | extra
    assert len(wanted) > 5


def test_damage_begins_where_the_case_says() -> None:
    archive = hostile.sound()

    names = [name for name, *_places in archive.spans]

    for name, begin, middle, content_end, end in archive.spans:
        header = tarfile.TarInfo.frombuf(archive.content[middle - 512 : middle], "utf-8", "surrogateescape")
        assert header.name.encode() == b"cpmove-harbour/" + name
        assert (header.size, begin % 512, end % 512) == (content_end - middle, 0, 0)
        assert name in archive.whole(content_end)
        assert name not in archive.whole(content_end - 1)
    assert archive.whole(len(archive.content)) == set(names)


@pytest.mark.parametrize(
    "name", [name for name in QUICK if "gzip" in name or name in ("cut where a member ends", "empty packed file")]
)
def test_gzip_agrees_on_what_is_damaged(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    (tmp_path / "archive.gz").write_bytes(bytes_of(case.write))

    ended = subprocess.run(["gzip", "--test", tmp_path / "archive.gz"], check=False, capture_output=True)

    is_cut_between = name == "cut between two gzip members"  # what is left is whole for gzip
    assert (ended.returncode == 1) == bool(case.is_damaged and not is_cut_between)


@pytest.mark.parametrize("name", [name for name, case in QUICK.items() if case.is_damaged is False])
def test_an_archive_that_only_lies_has_the_form_of_a_sound_one(name: str) -> None:
    content = _unpacked(CASES[name])

    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        found = {os.fsencode(member.name) for member in archive}

    assert {b"cpmove-harbour/version", b"cpmove-harbour/mysql.sql"} <= found


def test_a_bomb_is_over_a_thousand_times_its_size() -> None:
    packed = bytes_of(CASES["bomb"].write)

    with tarfile.open(fileobj=io.BytesIO(packed), mode="r|gz") as archive:
        sizes = [member.size for member in archive]

    assert sum(sizes) > 1000 * len(packed)
    assert sum(sizes) > 200 * MIB


def test_a_sparse_bomb_claims_a_tebibyte() -> None:
    content = bytes_of(CASES["sparse bomb"].write)

    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        member = archive.getmember("cpmove-harbour/homedir/sparse")

    assert member.size == 1 << 40
    assert len(content) < MIB


def test_many_members_are_each_a_member() -> None:
    content = bytes_of(lambda sink: hostile.write_many(sink, 1234))

    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        names = [member.name for member in archive if "/many/" in member.name]

    assert names == [f"cpmove-harbour/homedir/many/{number:07d}" for number in range(1234)]


def test_every_case_says_what_must_happen() -> None:
    assert len(hostile.cases()) == len(CASES)
    assert all(case.must.endswith(".") for case in CASES.values())


def test_nothing_of_what_is_written_has_a_time_of_today() -> None:
    account = replace(accounts.everything(large_size=9 * MIB), who=Who())

    assert all(1_600_000_000 <= member.mtime < 1_630_000_000 for member in account.members)
