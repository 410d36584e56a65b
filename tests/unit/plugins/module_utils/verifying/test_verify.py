# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A verification reads what is stored, tells what is lost, and records it where the next backup looks."""

from __future__ import annotations

import itertools
import typing as t
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import (
    InterruptedTransferError,
    LockedError,
    RefusedError,
    StorageError,
    UnreachableError,
    UsageError,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native import names
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.damage import Damage, read_damage, write_damage
from ansible_collections.stowage.ftp_backup.plugins.module_utils.private_files import locked
from ansible_collections.stowage.ftp_backup.plugins.module_utils.registry import (
    Destination,
    DestinationState,
    FileRegistry,
    Host,
    Identity,
    keep_identity,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.verify import Request, verify
from ansible_collections.stowage.ftp_backup.plugins.module_utils.verifying.findings import DamageFoundError
from tests.outcomes import told, without_run
from tests.unit.storage_fake import FakeStorage
from tests.unit.stored_volumes import OUR_ID, JobWithVolumes, digest_of, entry_of, lay

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ansible_collections.stowage.ftp_backup.plugins.module_utils.outcome import Outcome
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import Path as RemotePath
    from ansible_collections.stowage.ftp_backup.plugins.module_utils.storage import Reader, Storage

    Option = t.Any

FAR = Destination("far", "ftp.example.com", "backup", max_connections=2)
NOW = datetime(2026, 11, 22, 4, tzinfo=timezone.utc)
CONTENTS = {f"/srv/{number}": f"content {number}\n".encode() * 40 for number in range(5)}
IN_FRAME, IN_CONTENT = 60, 600  # a byte of the first frame, and one of the first content without compression


class Site:
    """A host with one destination, which *storage* stands for."""

    def __init__(self, directory: Path, storage: FakeStorage) -> None:
        self.config = directory / "config"
        self.home = directory / "state"
        self.storage = storage
        self.registry = FileRegistry(self.config)
        self.registry.put(FAR)
        keep_identity(self.config, Identity(OUR_ID, "web01"))
        self._chance = itertools.count(1)

    @property
    def host(self) -> Host:
        return Host(self.config, self.home, now=lambda: NOW, chance=lambda: f"{next(self._chance):06x}")

    @property
    def state(self) -> DestinationState:
        return DestinationState(self.home, FAR.name, FAR.place)

    @contextmanager
    def _open(
        self, _destination: Destination, mark: str, _state: DestinationState, *, may_write: bool, warm: int = 0
    ) -> Iterator[Storage]:
        assert names.is_temporary(f"damage.json.{mark}-1.tmp")
        assert warm > 0
        before = dict(self.storage.files)
        yield self.storage
        assert may_write or self.storage.files == before

    def verify(
        self, *, check_mode: bool = False, clock: Callable[[], float] = lambda: 0.0, **options: Option
    ) -> Outcome:
        request = replace(Request(FAR.name, fails_on_damage=False), **options)
        return verify(self.registry, self.host, request, check_mode=check_mode, open_storage=self._open, clock=clock)

    def volumes_read(self, **options: Option) -> list[str]:
        """Verify, and return the names of the volumes that were read."""
        del self.storage.reads[:]
        self.verify(**options)
        return sorted(path.name for path in self.storage.reads if ".tar" in path.name)

    def files(self) -> dict[str, bytes]:
        """Return all that lies in the host's directories, with its content."""
        paths = [path for top in (self.config, self.home) for path in sorted(top.rglob("*")) if path.is_file()]
        return {str(path): path.read_bytes() for path in paths}


@pytest.fixture
def storage() -> FakeStorage:
    return FakeStorage()


@pytest.fixture
def site(tmp_path: Path, storage: FakeStorage) -> Site:
    return Site(tmp_path, storage)


@pytest.fixture
def job(storage: FakeStorage) -> JobWithVolumes:
    return JobWithVolumes(storage)


def damage_of(job: JobWithVolumes, pool: str = "s01") -> Damage:
    return read_damage(job.storage, job.directory / pool)


def put_volumes(job: JobWithVolumes, count: int, pool: str = "s01", *, seq: int = 1) -> list[RemotePath]:
    """Store a restore point of *count* files, each in a volume of its own, and return where these lie."""
    volumes = [lay(number, "none", {f"/srv/{number}": b"%d" % number * 700}) for number in range(count)]
    entries = [
        entry_of(name, b"%d" % number * 700, place)
        for number, volume in enumerate(volumes)
        for name, place in volume.places.items()
    ]
    paths = [job.put(pool, volume) for volume in volumes]
    job.add(pool, entries, seq=seq)
    return paths


def damaged(outcome: Outcome) -> list[dict[str, t.Any]]:
    return t.cast("list[dict[str, t.Any]]", outcome.values["damaged_files"])


# what is whole


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_what_is_whole_is_told_to_be(site: Site, job: JobWithVolumes, compression: str) -> None:
    volume, _manifest = job.keep_files("s01", compression, CONTENTS)

    outcome = site.verify()

    assert without_run(outcome.values) == {
        "verified": {"manifests": 1, "volumes": 1, "bytes": len(job.storage.files[volume]), "volumes_left": 0},
        "whole": True,
        "damaged_files": [],
        "damaged_file_count": 0,
    }
    assert (outcome.changed, outcome.warnings) == (False, ())
    assert not site.verify().changed


def test_nothing_but_what_was_verified_is_left_on_the_host(site: Site, job: JobWithVolumes) -> None:
    job.keep_files("s01", "gzip", CONTENTS)
    before = site.files().keys()

    site.verify()

    left = {name.rsplit("/", 1)[-1] for name in site.files().keys() - before}
    assert left == {"verify.lock", f"verified-{FAR.place}.sqlite", "verification.json"}


def test_the_copies_of_manifests_that_the_host_has_prove_nothing(site: Site, job: JobWithVolumes) -> None:
    _volume, manifest = job.keep_files("s01", "gzip", CONTENTS)
    copies = site.state.job("web01", "nightly").manifests
    copies.mkdir(parents=True)
    (copies / manifest.name).write_bytes(job.storage.files[manifest])
    job.spoil(manifest, 40)

    outcome = site.verify()

    assert not outcome.values["whole"]


def test_a_client_without_backups_is_warned_about(site: Site) -> None:
    outcome = site.verify()

    assert outcome.values["whole"]
    assert outcome.values["verified"] == {"manifests": 0, "volumes": 0, "bytes": 0, "volumes_left": 0}
    assert "no backups of client 'web01'" in outcome.warnings[0]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"job": "weekly"}, "no job 'weekly' of client 'web01'"),
        ({"sample": 0}, "from 1 to 100"),
        ({"sample": 101}, "from 1 to 100"),
        ({"all_clients": True, "job": "nightly"}, "neither client nor job"),
        ({"all_clients": True, "client": "web01"}, "neither client nor job"),
        ({"client": "a/b"}, "cannot be used"),
    ],
)
def test_what_cannot_be_verified_is_refused(
    site: Site, job: JobWithVolumes, options: dict[str, Option], reason: str
) -> None:
    job.keep_files("s01", "gzip", CONTENTS)

    with pytest.raises(UsageError, match=reason):
        site.verify(**options)


# whose jobs


def test_jobs_clients_or_everything_can_be_verified(site: Site, storage: FakeStorage) -> None:
    for client, name, client_id in (
        ("web01", "nightly", OUR_ID),
        ("web01", "hourly", OUR_ID),
        ("db01", "nightly", "another"),
    ):
        JobWithVolumes(storage, client, name, client_id=client_id).keep_files("s01", "gzip", CONTENTS)

    def count(**options: Option) -> int:
        return int(site.verify(**options).values["verified"]["volumes"])

    assert count() == 2
    assert count(job="nightly") == 1
    assert count(client="db01") == 1
    assert count(client="db01", job="nightly") == 1
    assert count(all_clients=True) == 3


def test_damage_in_a_job_of_another_host_is_told_and_not_recorded(site: Site, storage: FakeStorage) -> None:
    job = JobWithVolumes(storage, "db01", client_id="another")
    volume, _manifest = job.keep_files("s01", "gzip", CONTENTS)
    job.spoil(volume, IN_FRAME)
    before = dict(storage.files)

    outcome = site.verify(all_clients=True)

    (finding,) = damaged(outcome)
    assert (finding["client"], finding["recorded"]) == ("db01", False)
    assert not outcome.changed
    assert "belongs to another host" in outcome.warnings[-1]
    assert storage.files == before


def test_a_job_whose_description_is_damaged_is_verified_all_the_same(site: Site, job: JobWithVolumes) -> None:
    volume, _manifest = job.keep_files("s01", "gzip", CONTENTS)
    job.spoil(volume, IN_FRAME)
    job.write(job.directory / "job.json", b"{")

    outcome = site.verify()

    assert [finding["file"] for finding in damaged(outcome)] == ["job.json", f"s01/v00/{volume.name}"]
    assert not outcome.changed


# damage


def test_damaged_content_is_told_with_what_it_costs_and_recorded(site: Site, job: JobWithVolumes) -> None:
    volume = lay(0, "gzip", {"/srv/0": CONTENTS["/srv/0"]}, {"/srv/1": CONTENTS["/srv/1"]})
    path = job.put("s01", volume)
    entries = [entry_of(name, CONTENTS[name], place) for name, place in volume.places.items()]
    job.add("s01", [*entries, entry_of("/srv/too", CONTENTS["/srv/1"], volume.places["/srv/1"])])
    place = volume.places["/srv/1"]
    job.spoil(path, place.offset + 50)

    outcome = site.verify()

    (finding,) = damaged(outcome)
    run = names.run_id(datetime(2026, 11, 2, 3, tzinfo=timezone.utc), "000001")
    assert "cannot be unpacked" in finding.pop("flaws")[0]
    assert finding == {
        "client": "web01",
        "job": "nightly",
        "file": f"s01/{volume.name}",
        "frames": [{"offset": place.offset, "length": place.length}],
        "points": [{"id": run, "seq": 1, "entries": 2}],
        "entries": 2,
        "paths": ["/srv/1", "/srv/too"],
        "recorded": True,
    }
    assert (outcome.changed, outcome.values["whole"], outcome.values["damaged_file_count"]) == (True, False, 1)
    assert "costs 2 entries of 1 restore point" in outcome.warnings[0]
    assert damage_of(job) == Damage(frames=frozenset({(volume.name, place.offset, place.length)}))
    line = f"web01 nightly s01/{volume.name} {place.length} bytes at {place.offset}"
    assert (outcome.before, outcome.after) == ((), (line,))


def test_damage_makes_the_task_fail_after_it_was_recorded(site: Site, job: JobWithVolumes) -> None:
    volume, _manifest = job.keep_files("s01", "gzip", CONTENTS)
    job.spoil(volume, IN_FRAME)

    with pytest.raises(DamageFoundError, match="1 restore point lacks 5 entries") as caught:
        site.verify(fails_on_damage=True)

    assert caught.value.kind == "damage"
    outcome = caught.value.outcome
    assert outcome is not None
    assert (outcome.changed, outcome.warnings) == (True, ())
    assert damaged(outcome)[0]["entries"] == 5
    assert damage_of(job)


def test_damage_that_is_known_already_changes_nothing(site: Site, job: JobWithVolumes) -> None:
    volume, _manifest = job.keep_files("s01", "gzip", CONTENTS)
    job.spoil(volume, IN_FRAME)
    site.verify()

    again = site.verify()

    assert (again.changed, damaged(again)[0]["recorded"]) == (False, True)


def test_what_is_found_whole_again_is_struck_out(site: Site, job: JobWithVolumes) -> None:
    volume, _manifest = job.keep_files("s01", "gzip", CONTENTS)
    job.spoil(volume, IN_FRAME)
    site.verify()
    job.spoil(volume, IN_FRAME)

    outcome = site.verify()

    assert (outcome.changed, outcome.values["whole"]) == (True, True)
    assert not damage_of(job)


def test_what_no_restore_point_names_any_more_is_struck_out(site: Site, job: JobWithVolumes) -> None:
    first, manifest = job.keep_files("s01", "gzip", CONTENTS)
    job.spoil(first, IN_FRAME)
    site.verify()
    job.storage.delete([first, manifest])
    job.keep_files("s01", "gzip", CONTENTS, seq=2, number=1)

    outcome = site.verify()

    assert (outcome.changed, outcome.values["whole"]) == (True, True)
    assert not damage_of(job)


@pytest.mark.parametrize("sample", [1, 100])
def test_what_was_sent_again_is_struck_out_though_its_volume_is_still_needed(
    site: Site, job: JobWithVolumes, sample: int
) -> None:
    put_volumes(job, 9, "s02", seq=2)
    volume = lay(20, "gzip", *({name: content} for name, content in CONTENTS.items()))
    path = job.put("s01", volume)
    entries = {name: entry_of(name, CONTENTS[name], place) for name, place in volume.places.items()}
    manifest = job.add("s01", list(entries.values()))
    job.spoil(path, volume.places["/srv/1"].offset + 50)
    site.verify()
    assert damage_of(job)

    again = lay(21, "gzip", {"/srv/1": CONTENTS["/srv/1"]})
    job.put("s01", again)
    entries["/srv/1"] = entry_of("/srv/1", CONTENTS["/srv/1"], again.places["/srv/1"])
    job.storage.delete([manifest])
    job.add("s01", list(entries.values()), seq=3)
    outcome = site.verify(sample=sample)

    assert (outcome.changed, outcome.values["whole"], outcome.warnings) == (True, True, ())
    assert not damage_of(job)
    assert site.verify().values["whole"], "what is left of it costs nothing, and was told"


def test_what_others_noted_and_nothing_names_any_more_is_struck_out_unread(site: Site, job: JobWithVolumes) -> None:
    volume, _manifest = job.keep_files("s01", "gzip", CONTENTS)
    noted = Damage(frames=frozenset({(f"v00/{volume.name}", 4711, 12)}))
    write_damage(job.storage, job.directory / "s01", noted)

    outcome = site.verify(max_duration=timedelta(0))

    assert outcome.changed
    assert not damage_of(job)


def test_what_others_noted_stays_noted_until_it_was_read(site: Site, job: JobWithVolumes) -> None:
    volumes = put_volumes(job, 10)
    noted = Damage(frames=frozenset({(f"v00/{volumes[7].name}", 512, 700)}))
    write_damage(job.storage, job.directory / "s01", noted)

    assert not site.verify(max_duration=timedelta(0)).changed
    assert damage_of(job) == noted

    assert site.volumes_read(sample=10) == [volumes[7].name]
    assert not damage_of(job)


@pytest.mark.parametrize(("content", "problem"), [(None, "is missing"), (b"short", "has 5 bytes")])
def test_a_volume_that_is_missing_or_cut_off_is_lost_as_a_whole(
    site: Site, job: JobWithVolumes, content: bytes | None, problem: str
) -> None:
    volume, _manifest = job.keep_files("s01", "gzip", CONTENTS)
    whole = job.storage.files[volume]
    job.storage.delete([volume])
    if content is not None:
        job.write(volume, content)

    outcome = site.verify(sample=1)

    (finding,) = damaged(outcome)
    assert problem in finding["flaws"][0]
    assert (finding["frames"], finding["entries"], finding["recorded"]) == ([], 5, True)
    assert damage_of(job) == Damage(frozenset({f"v00/{volume.name}"}))
    job.write(volume, whole)
    assert site.verify().values["whole"]
    assert not damage_of(job)


def test_all_restore_points_that_need_what_is_lost_are_told(site: Site, job: JobWithVolumes) -> None:
    volume = lay(0, "gzip", CONTENTS)
    path = job.put("pool", volume)
    for seq in (1, 2, 3):
        names_of = list(CONTENTS)[seq:]
        job.add("pool", [entry_of(name, CONTENTS[name], volume.places[name]) for name in names_of], seq=seq)
    job.storage.delete([path])

    (finding,) = damaged(site.verify())

    assert [(point["seq"], point["entries"]) for point in finding["points"]] == [(1, 4), (2, 3), (3, 2)]
    assert finding["entries"] == 9
    assert finding["paths"] == list(CONTENTS)[1:]


def test_of_many_lost_files_all_are_counted_and_the_first_hundred_shown(site: Site, job: JobWithVolumes) -> None:
    contents = {f"/srv/{number:04d}": b"%d" % number for number in range(1, 251)}
    volume, _manifest = job.keep_files("s01", "none", contents)
    job.write(volume, bytes(len(job.storage.files[volume])))

    (finding,) = damaged(site.verify())

    assert finding["entries"] == 250
    assert finding["paths"] == list(contents)[:100]
    assert damage_of(job) == Damage(frozenset({f"v00/{volume.name}"})), "as a whole, since nothing of it is left"


def test_what_costs_nothing_is_warned_about_and_neither_recorded_nor_a_failure(site: Site, job: JobWithVolumes) -> None:
    volume, _manifest = job.keep_files("s01", "gzip", CONTENTS)
    job.spoil(volume, 5)  # the time in the header of the frame

    outcome = site.verify(fails_on_damage=True)

    (finding,) = damaged(outcome)
    assert (finding["entries"], finding["points"], finding["recorded"]) == (0, [], False)
    assert (outcome.changed, outcome.values["whole"]) == (False, False)
    assert "no restore point lacks anything" in outcome.warnings[0]
    assert not damage_of(job)


def test_damage_that_only_a_checkpoint_needs_is_recorded_and_costs_no_restore_point(
    site: Site, job: JobWithVolumes
) -> None:
    volume = lay(0, "gzip", CONTENTS)
    path = job.put("s01", volume)
    job.add("s01", [entry_of(name, CONTENTS[name], place) for name, place in volume.places.items()], checkpoint=True)
    job.spoil(path, IN_FRAME)

    (finding,) = damaged(site.verify())

    assert (finding["points"], finding["recorded"]) == ([], True)
    assert damage_of(job)


# manifests


def test_a_damaged_block_of_a_manifest_costs_its_entries(site: Site, job: JobWithVolumes) -> None:
    volume, manifest = job.keep_files("s01", "gzip", CONTENTS)
    job.spoil(manifest, 330)

    (finding,) = damaged(site.verify())

    assert finding["file"] == str(manifest.relative_to(job.directory))
    assert "from '/srv/0' on cannot be read" in finding["flaws"][0]
    assert [(point["seq"], point["entries"]) for point in finding["points"]] == [(1, 5)]
    assert finding["recorded"] is False
    assert volume.name in {path.name for path in job.storage.reads}


def test_beside_a_damaged_block_of_a_manifest_everything_else_is_verified(site: Site, job: JobWithVolumes) -> None:
    contents = {f"/srv/{number:04d}{'-' * 900}": b"%d" % number for number in range(1, 2500)}
    volume = lay(0, "none", contents)
    path = job.put("s01", volume)
    manifest = job.add("s01", [entry_of(name, contents[name], place) for name, place in volume.places.items()])
    blocks = job.reader(manifest).trailer.blocks
    assert len(blocks) == 4
    job.spoil(manifest, blocks[2].offset + 40)
    last = list(contents)[-1]
    job.spoil(path, volume.places[last].offset)

    of_manifest, of_volume = damaged(site.verify())

    assert 0 < of_manifest["entries"] < len(contents)
    assert (of_volume["entries"], of_volume["paths"]) == (1, [last])


@pytest.mark.parametrize("at", [30, -50, -20])
def test_a_manifest_that_cannot_be_read_costs_an_unknown_number(site: Site, job: JobWithVolumes, at: int) -> None:
    _volume, manifest = job.keep_files("s01", "gzip", CONTENTS)
    job.keep_files("s02", "gzip", CONTENTS, seq=2, number=1)
    job.spoil(manifest, at % len(job.storage.files[manifest]))

    outcome = site.verify()

    (finding,) = damaged(outcome)
    assert (finding["entries"], finding["points"][0]["entries"]) == (None, None)
    assert outcome.values["verified"]["volumes"] == 1
    with pytest.raises(DamageFoundError, match="1 restore point lacks an unknown number of entries"):
        site.verify(fails_on_damage=True)


def test_a_manifest_in_the_place_of_another_one_is_found(site: Site, job: JobWithVolumes) -> None:
    _volume, first = job.keep_files("s01", "gzip", CONTENTS)
    _volume, second = job.keep_files("s02", "gzip", CONTENTS, seq=2, number=1)
    job.write(second, job.storage.files[first])

    (finding,) = damaged(site.verify())

    assert "the manifest of another restore point" in finding["flaws"][0]


def test_a_note_of_damage_that_cannot_be_read_is_written_anew(site: Site, job: JobWithVolumes) -> None:
    volume, _manifest = job.keep_files("s01", "gzip", CONTENTS)
    job.spoil(volume, IN_FRAME)
    site.verify()
    note = names.damage_path(job.directory / "s01")
    job.write(note, b"{")

    outcome = site.verify()

    assert str(note.relative_to(job.directory)) in [finding["file"] for finding in damaged(outcome)]
    assert damage_of(job)
    assert not site.verify().changed


# check mode


def test_check_mode_tells_the_same_and_touches_nothing(tmp_path: Path) -> None:
    sites = []
    for name in ("dry", "wet"):
        storage = FakeStorage()
        (tmp_path / name).mkdir()
        sites.append(Site(tmp_path / name, storage))
        job = JobWithVolumes(storage)
        volume, _manifest = job.keep_files("s01", "gzip", CONTENTS)
        lost, _manifest = job.keep_files("s02", "gzip", CONTENTS, seq=2, number=1)
        job.spoil(volume, IN_FRAME)
        job.storage.delete([lost])
    dry, wet = sites
    before = (dry.files(), dict(dry.storage.files))

    foretold = dry.verify(check_mode=True)

    assert (dry.files(), dry.storage.files) == before
    assert told(foretold) == told(wet.verify())
    assert foretold.changed


def test_check_mode_knows_what_was_verified_before(site: Site, job: JobWithVolumes) -> None:
    volumes = put_volumes(job, 10)

    assert site.volumes_read(sample=10) == [volumes[0].name]
    assert site.volumes_read(sample=10, check_mode=True) == [volumes[1].name]
    assert site.volumes_read(sample=10) == [volumes[1].name]


# samples, and verifications that are broken off


def test_ten_samples_of_ten_percent_have_read_everything_once(site: Site, job: JobWithVolumes) -> None:
    volumes = put_volumes(job, 23)

    read = [name for _number in range(10) for name in site.volumes_read(sample=10)]

    assert set(read) == {volume.name for volume in volumes}
    assert len(read) == 30


def test_a_sample_reads_new_and_damaged_volumes_first(site: Site, job: JobWithVolumes) -> None:
    volumes = put_volumes(job, 10)
    job.spoil(volumes[4], IN_CONTENT)
    site.verify()

    assert site.volumes_read(sample=10) == [volumes[4].name]
    new, _manifest = job.keep_files("s02", "gzip", CONTENTS, seq=2, number=77)
    assert site.volumes_read(sample=10) == [volumes[4].name, new.name]


def test_what_time_does_not_allow_is_gone_on_with_next_time(site: Site, job: JobWithVolumes) -> None:
    volumes = put_volumes(job, 10)
    ticks = itertools.count()

    def clock() -> float:
        return float(next(ticks))

    first = site.verify(max_duration=timedelta(seconds=4), clock=clock)
    rest = site.volumes_read()

    assert first.values["verified"]["volumes"] == 3
    assert first.values["verified"]["volumes_left"] == 7
    assert rest == [volume.name for volume in volumes[3:]]
    assert len(site.volumes_read()) == 10, "that one was complete, so the next begins anew"


def test_a_verification_that_is_broken_off_is_gone_on_with(site: Site, job: JobWithVolumes) -> None:
    volumes = put_volumes(job, 10)
    job.spoil(volumes[0], IN_CONTENT)
    healthy = site.storage
    site.storage = BreaksAt(healthy, volumes[6], UnreachableError("The server is gone."))

    with pytest.raises(UnreachableError):
        site.verify()
    read_before = len({path for path in site.storage.reads if ".tar" in path.name})
    site.storage = healthy
    outcome = site.verify()

    assert outcome.values["verified"]["volumes"] <= 10 - read_before + 2
    (finding,) = damaged(outcome)
    assert finding["file"].endswith(volumes[0].name), "it was found before the verification was broken off"
    assert finding["recorded"]


def test_each_scope_has_a_verification_of_its_own(site: Site, job: JobWithVolumes) -> None:
    put_volumes(job, 4)

    site.verify(max_duration=timedelta(0))

    assert len(site.volumes_read(job="nightly")) == 4
    assert site.volumes_read() == [], "all of it was read since that one began"
    assert len(site.volumes_read()) == 4


def test_what_was_verified_is_kept_for_jobs_that_there_are(site: Site, storage: FakeStorage) -> None:
    job = JobWithVolumes(storage)
    volume, _manifest = job.keep_files("s01", "gzip", CONTENTS)
    job.spoil(volume, IN_FRAME)
    site.verify()
    for path in [path for path in storage.files if job.directory in path.parents]:
        storage.delete([path])
    JobWithVolumes(storage, job="hourly").keep_files("s01", "gzip", CONTENTS)

    assert site.verify().values["whole"]


def test_a_state_that_cannot_be_used_is_begun_anew(site: Site, job: JobWithVolumes) -> None:
    put_volumes(job, 3)
    site.verify()
    (kept,) = site.state.directory.glob("verified-*.sqlite")
    kept.write_bytes(b"this is no database, and never was one" * 50)

    assert len(site.volumes_read()) == 3


# what happens meanwhile


class BreaksAt(FakeStorage):
    """A storage with the files of another one, which fails where *path* is read."""

    def __init__(self, other: FakeStorage, path: RemotePath, error: StorageError) -> None:
        super().__init__()
        self.files, self.directories = other.files, other.directories
        self._path = path
        self._error = error
        self.times = 0

    @contextmanager
    def open(self, path: RemotePath, offset: int = 0, length: int | None = None) -> Iterator[Reader]:
        if path == self._path:
            self.times += 1
            self.on_break()
            self._error.is_final = isinstance(self._error, UnreachableError)  # as a pool says it
            raise self._error
        with super().open(path, offset, length) as reader:
            yield reader

    def on_break(self) -> None:
        """Do what else happens at that moment."""


def test_a_backup_that_removes_a_restore_point_meanwhile_makes_no_damage(site: Site, job: JobWithVolumes) -> None:
    put_volumes(job, 3)
    volume, manifest = job.keep_files("s02", "gzip", CONTENTS, seq=2, number=9)

    class Pruned(BreaksAt):
        def on_break(self) -> None:
            self.delete([manifest])
            self.files.pop(volume)

    job.spoil(volume, IN_FRAME)
    site.storage = Pruned(site.storage, volume, RefusedError("550 No such file", code=550))

    outcome = site.verify()

    assert (outcome.values["whole"], outcome.changed) == (True, False)


def test_a_restore_point_that_is_published_anew_meanwhile_keeps_its_damage(site: Site, job: JobWithVolumes) -> None:
    volume, manifest = job.keep_files("pool", "gzip", CONTENTS)
    job.spoil(volume, IN_FRAME)
    anew = manifest.with_name(manifest.name.replace(".manifest", ".g2.manifest"))

    class Published(FakeStorage):
        @contextmanager
        def open(self, path: RemotePath, offset: int = 0, length: int | None = None) -> Iterator[Reader]:
            if path == volume and manifest in self.files:
                self.files[anew] = self.files.pop(manifest)
            with super().open(path, offset, length) as reader:
                yield reader

    published = Published()
    published.files, published.directories = site.storage.files, site.storage.directories
    site.storage = published

    site.verify()

    job.storage = published
    assert damage_of(job, "pool")


def test_a_server_that_lets_no_volume_be_read_is_told_and_nothing_is_recorded(site: Site, job: JobWithVolumes) -> None:
    put_volumes(job, 5)

    class Refusing(FakeStorage):
        @contextmanager
        def open(self, path: RemotePath, offset: int = 0, length: int | None = None) -> Iterator[Reader]:
            if ".tar" in path.name:
                raise RefusedError("550 Permission denied", code=550)
            with super().open(path, offset, length) as reader:
                yield reader

    refusing = Refusing()
    refusing.files, refusing.directories = site.storage.files, site.storage.directories
    site.storage = refusing

    with pytest.raises(RefusedError):
        site.verify()

    assert not damage_of(job)


def test_one_volume_that_the_server_cannot_read_is_damage(site: Site, job: JobWithVolumes) -> None:
    volumes = put_volumes(job, 5)
    site.storage = BreaksAt(site.storage, volumes[2], InterruptedTransferError("451 Input/output error", code=451))

    outcome = site.verify()

    (finding,) = damaged(outcome)
    assert "451 Input/output error" in finding["flaws"][0]
    assert (finding["file"], finding["recorded"]) == (f"s01/v00/{volumes[2].name}", True)


# locks


def test_damage_of_a_job_that_is_being_backed_up_is_recorded_by_the_next_verification(
    site: Site, job: JobWithVolumes
) -> None:
    volumes = put_volumes(job, 10)
    job.spoil(volumes[0], IN_CONTENT)
    with site.state.job("web01", "nightly").lock("nightly"):
        outcome = site.verify(sample=10)

        assert (outcome.changed, damaged(outcome)[0]["recorded"]) == (False, False)
        assert "the next verification does that" in outcome.warnings[-1]
        assert not damage_of(job)

    again = site.verify(sample=10, max_duration=timedelta(0))

    assert (again.changed, damaged(again)[0]["recorded"]) == (True, True)
    assert damage_of(job)


def test_the_lock_is_given_back_and_the_job_is_as_clean_as_it_was(site: Site, job: JobWithVolumes) -> None:
    volume, _manifest = job.keep_files("s01", "gzip", CONTENTS)
    job.spoil(volume, IN_FRAME)
    state = site.state.job("web01", "nightly")
    site.verify()
    assert not state.is_clean()
    state.set_clean(is_clean=True)
    job.spoil(volume, IN_FRAME)

    site.verify()

    assert state.is_clean()
    assert not job.storage.has_directory(job.directory / "lock")
    assert [path for path in job.storage.files if path.name.endswith(".tmp")] == []


def test_a_destination_is_verified_once_at_a_time(site: Site, job: JobWithVolumes) -> None:
    job.keep_files("s01", "gzip", CONTENTS)

    with locked(site.state.directory / "verify.lock", "Taken"), pytest.raises(LockedError, match="already being verif"):
        site.verify()


# many of everything


def test_segments_that_several_files_share_are_proved_once_and_cost_each_of_them(
    site: Site, job: JobWithVolumes
) -> None:
    content = (b"first half", b"second half")
    volume = lay(0, "gzip", {"/srv/big.part-000001": content[0]}, {"/srv/big.part-000002": content[1]})
    path = job.put("pool", volume)
    places = [place._replace(digest=digest_of(part)) for place, part in zip(volume.places.values(), content)]
    whole = b"".join(content)
    job.add("pool", [entry_of("/srv/big", whole, *places), entry_of("/srv/copy", whole, *places)])
    job.add("pool", [entry_of("/srv/big", content[1], places[1]._replace(digest=""))], seq=2)
    assert site.verify().values["whole"]
    job.spoil(path, places[1].offset + 20)

    (finding,) = damaged(site.verify())

    assert [(point["seq"], point["entries"]) for point in finding["points"]] == [(1, 2), (2, 1)]
    assert finding["paths"] == ["/srv/big", "/srv/copy"]
