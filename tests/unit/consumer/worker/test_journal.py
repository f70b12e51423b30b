"""The journal of isolated decodings, and the deaths that it shows."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from errno import ENOSPC, EPERM
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from consumer.worker.journal import DeathCounter, Journal, JournalFolder, default_folder
from core.dynamodb.statements import Statement, Statements
from core.dynamodb.tables import ConditionNotMet
from core.errors import DependencyUnavailable
from core.model.request import ImageRequest, State, new_request

REQUEST = new_request(
    request_id=str(UUID(int=1)),
    customer_id="acme",
    url="http://a.example/1",
    labels={},
    now=1,
)
OTHER = replace(REQUEST, request_id=str(UUID(int=2)))


def die(journal: Journal) -> None:
    """Release the lock of a journal as the kernel does, and leave the file."""
    os.close(journal._fd)
    journal._fd = -1


@dataclass
class Rows:
    """Stands for Tables: counts deaths in one row, and may lose the answers to its writes."""

    row: ImageRequest | None = REQUEST
    lost: int = 0
    writes: int = 0
    statements: Statements = field(default_factory=lambda: Statements("requests", "images"))

    async def read_request(self, request_id: str) -> ImageRequest | None:
        return self.row if self.row and self.row.request_id == request_id else None

    async def write(self, statement: Statement) -> None:
        assert self.row is not None
        self.writes += 1
        count, ids = (next(iter(each.values())) for each in statement.parameters[:2])
        read = statement.parameters[-1]["N"]
        if int(read) != self.row.retry_count:
            raise ConditionNotMet
        self.row = replace(self.row, retry_count=int(count), run_ids=tuple(ids.split(",")))
        if self.lost:
            self.lost -= 1
            raise DependencyUnavailable("its answer is lost")


def counter_of(rows: Rows, folder: JournalFolder) -> DeathCounter:
    tables: Any = rows
    return DeathCounter(tables, folder, Journal())


def begin(folder: JournalFolder, *requests: ImageRequest) -> Journal:
    """Return the journal of a process that decodes the images of these requests."""
    journal = folder.open_journal()
    deaths = DeathCounter(None, folder, journal)  # type: ignore[arg-type]
    for request in requests:
        deaths.isolation(request).begin()
    return journal


def test_a_death_in_a_decoding_is_counted_once(tmp_path: Path) -> None:
    """The journal is gone afterwards."""
    folder, rows = JournalFolder(tmp_path / "journals"), Rows()
    die(begin(folder, REQUEST))
    for _ in range(2):
        asyncio.run(counter_of(rows, folder).count())
    assert rows.row is not None
    assert (rows.row.retry_count, rows.writes) == (1, 1)
    assert not list((tmp_path / "journals").iterdir())


def test_a_decoding_that_ended_is_not_counted(tmp_path: Path) -> None:
    """Another one of the same process is."""
    folder, rows = JournalFolder(tmp_path), Rows()
    journal = folder.open_journal()
    deaths = DeathCounter(None, folder, journal)  # type: ignore[arg-type]
    ended, going_on = deaths.isolation(REQUEST), deaths.isolation(OTHER)
    ended.begin()
    going_on.begin()
    ended.end()
    die(journal)
    (dead,) = asyncio.run(folder.take_over())
    assert [entry.request_id for entry in dead.entries] == [OTHER.request_id]
    dead.close()
    asyncio.run(counter_of(rows, folder).count())
    assert rows.row == REQUEST


def test_a_place_is_used_again(tmp_path: Path) -> None:
    """So the file stays small."""
    journal = JournalFolder(tmp_path).open_journal()
    isolation = DeathCounter(None, JournalFolder(tmp_path), journal).isolation(REQUEST)  # type: ignore[arg-type]
    for _ in range(100):
        isolation.begin()
        isolation.end()
    (file,) = tmp_path.iterdir()
    assert file.stat().st_size == 512
    journal.close()
    assert not list(tmp_path.iterdir())


def _no_space(*_: Any) -> int:
    raise OSError(ENOSPC, "No space left on device")


def _short(fd: int, record: bytes, offset: int) -> int:
    return os.write(fd, record[:9]) if os.lseek(fd, offset, os.SEEK_SET) == offset else 0


def _denied(*_: Any) -> None:
    raise OSError(EPERM, "Operation not permitted")


@pytest.mark.parametrize("write", [_no_space, _short])
@pytest.mark.parametrize("truncate", [os.ftruncate, _denied], ids=["emptied", "removed"])
def test_a_decoding_that_ended_is_not_counted_although_the_disk_is_full(
    tmp_path: Path, write: Callable[..., int], truncate: Callable[..., None]
) -> None:
    """The process may die later, of something else."""
    folder, rows = JournalFolder(tmp_path), Rows()
    journal = folder.open_journal()
    isolation = DeathCounter(None, folder, journal).isolation(REQUEST)  # type: ignore[arg-type]
    isolation.begin()
    with (
        patch.object(os, "pwrite", write),
        patch.object(os, "ftruncate", truncate),
        capture_logs() as lines,
    ):
        isolation.end()
    assert [line["log_level"] for line in lines] == ["error"]
    if journal._fd >= 0:
        die(journal)
    asyncio.run(counter_of(rows, folder).count())
    assert rows.row == REQUEST


def test_entries_are_recorded_after_one_that_could_not_be_cleared(tmp_path: Path) -> None:
    """The file is used again when the disk has space."""
    folder, rows = JournalFolder(tmp_path), Rows()
    journal = folder.open_journal()
    deaths = DeathCounter(None, folder, journal)  # type: ignore[arg-type]
    ended, other = deaths.isolation(OTHER), deaths.isolation(OTHER)
    other.begin()
    ended.begin()
    with patch.object(os, "pwrite", _no_space):
        ended.end()
    deaths.isolation(REQUEST).begin()
    other.end()
    die(journal)
    asyncio.run(counter_of(rows, folder).count())
    assert rows.row is not None
    assert rows.row.retry_count == 1


def test_the_journal_of_a_living_process_stays(tmp_path: Path) -> None:
    """Its lock tells that it lives."""
    folder, rows = JournalFolder(tmp_path), Rows()
    journal = begin(folder, REQUEST)
    asyncio.run(counter_of(rows, folder).count())
    assert rows.row == REQUEST
    assert len(list(tmp_path.iterdir())) == 1
    journal.close()


def test_a_count_whose_answer_is_lost_is_not_repeated(tmp_path: Path) -> None:
    """The row has the id of the decoding. The journal stays until that is seen."""
    folder, rows = JournalFolder(tmp_path), Rows(lost=1)
    die(begin(folder, REQUEST))
    with pytest.raises(DependencyUnavailable):
        asyncio.run(counter_of(rows, folder).count())
    asyncio.run(counter_of(rows, folder).count())
    assert rows.row is not None
    assert (rows.row.retry_count, rows.writes) == (1, 1)
    assert not list(tmp_path.iterdir())


def test_a_count_beside_another_one_is_repeated(tmp_path: Path) -> None:
    """The condition of the write has failed, because another process has counted another death."""
    folder, rows = JournalFolder(tmp_path), Rows()
    die(begin(folder, REQUEST))
    read, first = rows.read_request, [REQUEST]

    async def read_late(request_id: str) -> ImageRequest | None:
        return first.pop() if first else await read(request_id)

    rows.row = replace(REQUEST, retry_count=1, run_ids=("other",))
    with patch.object(rows, "read_request", read_late):
        asyncio.run(counter_of(rows, folder).count())
    assert (rows.row.retry_count, rows.writes) == (2, 2)
    assert rows.row.run_ids[0] == "other"


@pytest.mark.parametrize(
    "row",
    [
        None,
        replace(REQUEST, state=State.COMPLETED, revision=2),
        replace(REQUEST, revision=3),
        replace(REQUEST, customer_id="other"),
    ],
    ids=["gone", "ended", "reopened", "another customer's"],
)
def test_a_death_is_counted_for_its_own_request_only(
    tmp_path: Path, row: ImageRequest | None
) -> None:
    """The journal is removed all the same."""
    folder, rows = JournalFolder(tmp_path), Rows(row)
    die(begin(folder, REQUEST))
    asyncio.run(counter_of(rows, folder).count())
    assert (rows.row, rows.writes) == (row, 0)
    assert not list(tmp_path.iterdir())


def _public(folder: Path) -> None:
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)


def _link(folder: Path) -> None:
    folder.with_name("target").mkdir()
    folder.symlink_to(folder.with_name("target"))


def _file(folder: Path) -> None:
    folder.write_bytes(b"")


@pytest.mark.parametrize("make", [_public, _link, _file])
def test_a_folder_that_others_control_is_not_used(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    """Others could make requests CRASHED. The process works without a journal, and says so."""
    make(tmp_path / "folder")
    folder = JournalFolder(tmp_path / "folder")
    with capture_logs() as lines:
        journal = begin(folder, REQUEST)
    assert [line["log_level"] for line in lines] == ["error"]
    assert not asyncio.run(folder.take_over())
    journal.close()


def test_a_damaged_journal_counts_nothing(tmp_path: Path) -> None:
    """It is removed."""
    folder, rows = JournalFolder(tmp_path), Rows()
    (tmp_path / "1.journal").write_bytes(b"{}\n")
    with capture_logs() as lines:
        asyncio.run(counter_of(rows, folder).count())
    assert [line["log_level"] for line in lines] == ["error"]
    assert rows.row == REQUEST
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "damaged",
    [
        b"{}",
        b"garbage \xff\n and more\n",
        b'{"id":"a","request_id":5,"customer_id":"acme","revision":1}',
        b'{"id":"a","request_id":"00000000-0000-0000-0000-000000000001","customer_id":[],"revision":1}',
        b'{"id":"a","request_id":"00000000-0000-',
        b"[1]",
    ],
)
def test_only_a_damaged_record_is_lost(tmp_path: Path, damaged: bytes) -> None:
    """Those around it are counted."""
    folder, rows = JournalFolder(tmp_path), Rows()
    journal = begin(folder, REQUEST, OTHER, REQUEST)
    os.pwrite(journal._fd, damaged.ljust(512), 512)
    die(journal)
    with capture_logs() as lines:
        asyncio.run(counter_of(rows, folder).count())
    assert [line["log_level"] for line in lines] == ["error", "warning", "warning"]
    assert rows.row is not None
    assert rows.row.retry_count == 2
    assert not list(tmp_path.iterdir())


def test_each_queue_has_a_folder_of_its_own() -> None:
    """A worker of another installation cannot count the deaths of this one."""
    assert default_folder("https://sqs/one") != default_folder("https://sqs/two")
