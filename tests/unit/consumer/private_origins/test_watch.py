"""A changed file is read again; a faulty one changes nothing."""

import os
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from consumer.private_origins.file import read_private_origins
from consumer.private_origins.watch import WatchedFile
from core.model.origin_url import parse_origin_url

URL = parse_origin_url("https://a.example/")


def write(file: Path, token: str) -> None:
    file.write_text(
        f'[[origins]]\nname="a"\nhosts=["a.example"]\ncustomers=["*"]\nbearer="{token}"\n'
    )


def token_of(watch: WatchedFile) -> str:
    """The token of requests after the next poll."""
    watch.read_if_changed()
    return watch.headers_for(URL, "acme").get("Authorization", "").removeprefix("Bearer ")


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    """Written in place, replaced, or behind a link that is replaced, as a volume of Kubernetes does it."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "file.toml", name)
    (tmp_path / "current").symlink_to("first")
    file = tmp_path / "current" / "file.toml"
    watch = WatchedFile(read_private_origins(file))
    assert token_of(watch) == "first"
    (tmp_path / "next").symlink_to("second")
    os.replace(tmp_path / "next", tmp_path / "current")  # noqa: PTH105  the same call as the kubelet's
    assert token_of(watch) == "second"
    write(file, "in place")
    assert token_of(watch) == "in place"


def test_a_faulty_version_keeps_the_last_good_one(tmp_path: Path) -> None:
    """It is logged once, without its values. So is a file that is gone."""
    file = tmp_path / "file.toml"
    write(file, "good")
    watch = WatchedFile(read_private_origins(file))
    with capture_logs() as logs:
        write(file, "se cret\\n")
        assert not watch.faulty
        assert [token_of(watch), token_of(watch)] == ["good", "good"]
        assert watch.faulty
        write(file, "good")
        assert token_of(watch) == "good"
        assert not watch.faulty
        file.unlink()
        assert [token_of(watch), token_of(watch)] == ["good", "good"]
        assert watch.faulty
        write(file, "better")
        assert token_of(watch) == "better"
        assert not watch.faulty
    assert [line["log_level"] for line in logs] == ["error", "info", "error", "info"]
    assert "cret" not in str(logs)


def test_a_file_is_read_again_although_its_time_was_set_back(tmp_path: Path) -> None:
    """Programs that copy a file may keep its time of modification, and a new token may be as long as the old one."""
    file = tmp_path / "file.toml"
    write(file, "token-1")
    watch = WatchedFile(read_private_origins(file))
    assert token_of(watch) == "token-1"
    times = file.stat()
    write(file, "token-2")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert token_of(watch) == "token-2"


@pytest.mark.parametrize("version", ["same", "other"])
def test_a_file_that_changed_before_the_first_poll_is_read(tmp_path: Path, version: str) -> None:
    """The settings read it, and the first poll comes later."""
    file = tmp_path / "file.toml"
    write(file, "same")
    watch = WatchedFile(read_private_origins(file))
    write(file, version)
    with capture_logs() as logs:
        assert token_of(watch) == version
    assert logs == []


async def test_without_a_file_nothing_is_read() -> None:
    watch = WatchedFile(None)
    await watch.poll_forever()
    assert (watch.headers_for(URL, "acme"), watch.allows_object("b", "k", "acme")) == ({}, False)
