# Copyright (c) 2026, the stowage.ftp_backup contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files that tell the command what there is on the host, good ones and bad ones."""

from __future__ import annotations

import json
import typing as t

import pytest

from ansible_collections.stowage.ftp_backup.plugins.module_utils.agent.settings import (
    Declarations,
    DeclaredSettings,
    Settings,
    is_address,
    read_job,
    read_reindexing,
    read_settings,
)
from ansible_collections.stowage.ftp_backup.plugins.module_utils.errors import UsageError
from ansible_collections.stowage.ftp_backup.plugins.module_utils.native.names import slug
from ansible_collections.stowage.ftp_backup.plugins.module_utils.private_files import UnusableFileError

if t.TYPE_CHECKING:
    from pathlib import Path

OPTIONS = {"job": "web sites", "destination": "Provider storage", "paths": ["/srv/www"]}
JOB = {"version": 1, "name": "web sites", "backup": OPTIONS, "agent": {"ping_url": "https://hc.example/uuid"}}


def written(directory: Path, values: object, name: str = "job.json") -> Path:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(values if isinstance(values, str) else json.dumps(values), encoding="utf-8")
    return path


def test_a_job_file_is_read(tmp_path: Path) -> None:
    job = read_job(written(tmp_path, JOB))

    assert (job.name, job.job, job.destination, job.client) == ("web sites", "web sites", "Provider storage", None)
    assert job.ping_url == "https://hc.example/uuid"
    assert job.slug == slug("web sites")


def test_a_job_without_a_name_is_called_as_its_restore_points_are(tmp_path: Path) -> None:
    values = {key: value for key, value in JOB.items() if key not in ("name", "agent")}

    job = read_job(written(tmp_path, values))

    assert job.name == "web sites"
    assert job.ping_url is None


def test_a_job_may_say_after_what_age_it_is_stale(tmp_path: Path) -> None:
    assert read_job(written(tmp_path, JOB)).stale_after is None
    assert read_job(written(tmp_path, {**JOB, "agent": {"stale_after": "8d"}})).stale_after == 8 * 86400


def test_nothing_secret_is_in_what_is_printed_of_a_job(tmp_path: Path) -> None:
    values = {**JOB, "backup": {**OPTIONS, "databases": [{"type": "mysql", "password": "tr0ub4dor"}]}}

    shown = repr(read_job(written(tmp_path, values)))

    assert "tr0ub4dor" not in shown
    assert "uuid" not in shown


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"version": 2}, "is of version 2"),
        ({"version": None}, "is of version None"),
        ({"extra": 1}, "holds 'extra', which means nothing here"),
        ({"backup": None}, "'backup' has no options"),
        ({"backup": {**OPTIONS, "state_directory": "/x"}}, "state_directory is an option of the command"),
        ({"backup": {**OPTIONS, "config_directory": "/x"}}, "config_directory is an option of the command"),
        ({"backup": {**OPTIONS, "pathes": ["/x"]}}, "pathes"),
        ({"backup": {"job": "x", "paths": ["/x"]}}, "destination"),
        ({"backup": {"job": "x", "destination": "y"}}, "paths"),
        ({"backup": {**OPTIONS, "structure": "sideways"}}, "sideways"),
        ({"backup": {**OPTIONS, "max_age": "soon"}}, "soon"),
        ({"backup": {**OPTIONS, "volume_size": "1K"}}, "volume_size"),
        ({"backup": {**OPTIONS, "retention": {"within": "ages"}}}, "ages"),
        ({"name": 7}, "it has no name"),
        ({"name": "a/b"}, "'a/b' cannot be used"),
        ({"name": "x" * 41}, "41 characters"),
        ({"agent": {"ping_url": "ftp://x/y"}}, "ping_url is no address"),
        ({"agent": {"ping_url": 5}}, "ping_url is no text"),
        ({"agent": {"stale_after": "soon"}}, "stale_after 'soon' cannot be read"),
        ({"agent": {"stale_after": 36}}, "stale_after is no text"),
        ({"agent": []}, None),
        ({"agent": "x"}, "'agent' holds no options"),
    ],
)
def test_what_is_wrong_with_a_job_file_is_told_with_the_file(
    tmp_path: Path, changes: dict[str, object], sentence: str | None
) -> None:
    path = written(tmp_path, {**JOB, **changes})
    if sentence is None:
        read_job(path)
        return

    with pytest.raises(UnusableFileError) as told:
        read_job(path)

    assert str(path) in str(told.value)
    assert sentence in str(told.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "\xff"])
def test_what_is_no_object_is_told(tmp_path: Path, text: str) -> None:
    with pytest.raises(UnusableFileError, match=r"job\.json"):
        read_job(written(tmp_path, text))


def test_a_sentence_on_a_job_file_holds_no_address(tmp_path: Path) -> None:
    path = written(tmp_path, {**JOB, "agent": {"ping_url": "https://user@hc.example/uuid"}})

    with pytest.raises(UnusableFileError) as told:
        read_job(path)

    assert "uuid" not in str(told.value)


@pytest.mark.parametrize("url", ["https://hc.example/uuid", "http://10.0.0.1:8000/ping", "https://hc.example?x=1"])
def test_an_address_that_can_be_called(url: str) -> None:
    assert is_address(url)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "hc.example",
            "ftp://hc.example/",
            "file:///etc/passwd",
            "https://",
            "https:///x",
            "https://u:p@hc.example/",
        ),
        *("https://hc.example/a b", "https://hc.example/\r\nHost: x", "https://hc.example:port/", "https://[::1/"),
        *("https://hc.example:99999/", "https://hc.example/ü"),
    ],
)
def test_an_address_that_cannot_be_called(url: str) -> None:
    assert not is_address(url)


# -- directories of them


def test_jobs_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("zebra", "ant"):
        written(tmp_path, {**JOB, "name": name}, f"jobs/{slug(name)}.json")
    written(tmp_path, "{", "jobs/.hidden.json")
    written(tmp_path, "{", "jobs/readme.txt")

    jobs = Declarations(tmp_path).jobs()

    assert [job.name for job in jobs.found] == ["ant", "zebra"]
    assert jobs.errors == ()


def test_a_file_that_is_called_otherwise_than_its_job_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, JOB, "jobs/copy.json")

    jobs = Declarations(tmp_path).jobs()

    assert jobs.found == ()
    assert [str(error) for error in jobs.errors] == [
        f"The file {path} declares 'web sites', so it should be called {slug('web sites')}.json."
    ]


def test_no_directory_is_no_jobs(tmp_path: Path) -> None:
    assert Declarations(tmp_path).jobs().found == ()
    with pytest.raises(UsageError, match="there are: none"):
        Declarations(tmp_path).job("x")


def test_a_damaged_job_that_is_asked_for_is_told_as_damaged(tmp_path: Path) -> None:
    written(tmp_path, "{", f"jobs/{slug('web sites')}.json")

    with pytest.raises(UnusableFileError):
        Declarations(tmp_path).job("web sites")


def test_a_reindexing_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, {"version": 1, "name": "Provider storage", "agent": {"ping_url": None}})

    assert read_reindexing(path).name == "Provider storage"


def test_a_reindexing_without_a_name_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnusableFileError, match="names no destination"):
        read_reindexing(written(tmp_path, {"version": 1}))


# -- the settings


def test_there_need_be_no_settings(tmp_path: Path) -> None:
    assert Declarations(tmp_path).settings() == DeclaredSettings(Settings())


def test_settings_are_read(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {
            "version": 1,
            "metrics_directory": "/var/lib/node_exporter",
            "ping_url": "https://hc.example/uuid",
            "ping_timeout": 5,
            "on_failure": "mail -s failed root",
        },
    )

    settings = read_settings(path)

    assert str(settings.metrics_directory) == "/var/lib/node_exporter"
    assert settings.ping_timeout == 5
    assert settings.on_failure == "mail -s failed root"
    assert "uuid" not in repr(settings)


def test_empty_texts_are_none(tmp_path: Path) -> None:
    values = {"version": 1, "metrics_directory": "", "ping_url": "", "on_failure": ""}

    assert read_settings(written(tmp_path, values)) == Settings()


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 3},
        {"ping_timeout": 0},
        {"ping_timeout": True},
        {"ping_timeout": 301},
        {"ping_timeout": None},
        {"metrics_directory": "relative"},
        {"metrics_directory": 1},
        {"ping_url": "nonsense"},
        {"on_failure": ["x"]},
        {"ping_urls": "x"},
    ],
)
def test_settings_that_cannot_be_meant_are_told(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(UnusableFileError, match=r"job\.json"):
        read_settings(written(tmp_path, {"version": 1, **changes}))


GOOD = {
    "metrics_directory": "/var/lib/node_exporter",
    "ping_url": "https://hc.example/uuid",
    "ping_timeout": 5,
    "on_failure": "mail -s failed root",
}


@pytest.mark.parametrize(
    ("name", "value"),
    [("metrics_directory", "relative"), ("ping_url", "hc.example/uuid"), ("ping_timeout", 0), ("on_failure", ["x"])],
)
def test_a_setting_that_cannot_be_meant_leaves_the_others_as_they_are(tmp_path: Path, name: str, value: object) -> None:
    written(tmp_path, {"version": 1, **GOOD, name: value}, "agent.json")
    others = {key: good for key, good in GOOD.items() if key != name}
    written(tmp_path, {"version": 1, **others}, "others.json")

    declared = Declarations(tmp_path).settings()

    assert declared.usable == read_settings(tmp_path / "others.json")
    (error,) = declared.errors
    assert f"agent.json cannot be used: {name} " in str(error)


def test_a_setting_that_means_nothing_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    written(tmp_path, {"version": 1, **GOOD, "ping_urls": "x"}, "agent.json")

    declared = Declarations(tmp_path).settings()

    assert declared.usable.on_failure == GOOD["on_failure"]
    (error,) = declared.errors
    assert str(error).endswith("agent.json holds 'ping_urls', which means nothing here.")


@pytest.mark.parametrize("text", ["{", '{"version": 2, "on_failure": "true"}'])
def test_settings_of_which_nothing_can_be_used_are_told(tmp_path: Path, text: str) -> None:
    written(tmp_path, text, "agent.json")

    declared = Declarations(tmp_path).settings()

    assert declared.usable == Settings()
    assert len(declared.errors) == 1
