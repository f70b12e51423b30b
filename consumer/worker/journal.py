"""The journal of isolated decodings. It shows which images a process was decoding when it died.

An image whose message was received before is decoded alone, in a decoder of its own. Its process writes an entry just
before the decoder gets the image, and clears it just after the answer. So what is left in the file of a dead process
was being decoded when the process died. The deaths are counted in the rows of the requests; too many end as CRASHED.

Each worker has one file, which it locks. The kernel releases the lock when the process dies, so neither a clock nor a
process id tells whether it lives. Nothing is flushed to the disk: the page cache survives the process. If the machine
dies as well, no image is the reason.
"""

import asyncio
import fcntl
import os
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import orjson
import structlog

from core.dynamodb.tables import ConditionNotMet, Tables
from core.errors import MalformedRow, RequestRejected
from core.model.message import MalformedMessage, decode_members
from core.model.request import ImageRequest, MessageStatus, message_status

_log = structlog.get_logger()

_RECORD_BYTES = 512
"""Of one entry. It divides the size of a page, so the kernel writes an entry as a whole."""
_PATTERN = "*.journal"


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One isolated decoding. Its `id` is unique, so the death that it shows is counted once."""

    id: str
    request_id: str
    customer_id: str
    revision: int


class Journal:
    """The entries of this process. Without a file nothing is recorded, so its death counts for no image.

    If an entry cannot be cleared, all are discarded: an entry that stays would count against an image whose
    decoding has ended.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._fd = -1 if path is None else _create(path)
        self._used: set[int] = set()

    def add(self, entry: JournalEntry) -> int:
        """Record an entry. Returns its place in the file."""
        place = next(number for number in range(len(self._used) + 1) if number not in self._used)
        self._used.add(place)
        self._write(place, orjson.dumps(asdict(entry)))
        return place

    def clear(self, place: int) -> None:
        if not self._write(place, b""):
            self._discard()
        self._used.discard(place)

    def close(self) -> None:
        """Remove the file. A process that ends by itself decodes nothing any more."""
        if self._path is None or self._fd < 0:
            return
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            _log.error("journal not removed", error=str(error))
        os.close(self._fd)
        self._fd = -1

    def _write(self, place: int, text: bytes) -> bool:
        """Return whether the record was written. A full disk must not fail an image."""
        if self._fd < 0:
            return True
        record = text.ljust(_RECORD_BYTES - 1) + b"\n"
        try:
            written = os.pwrite(self._fd, record, place * _RECORD_BYTES)
        except OSError as error:
            _log.error("journal not written", error=str(error))
            return False
        if written < len(record):
            _log.error("journal not written", error=f"{written} bytes of a record")
            return False
        return True

    def _discard(self) -> None:
        """Empty the file, which needs no space on the disk, or else remove it."""
        try:
            os.ftruncate(self._fd, 0)
        except OSError:
            self.close()


class IsolatedDecoding:
    """The isolation of one image: the sandbox calls `begin` and `end` around each of its runs in a decoder."""

    def __init__(self, journal: Journal, request: ImageRequest | None) -> None:
        self._journal = journal
        self._request = request
        self._place: int | None = None

    def begin(self) -> None:
        if (request := self._request) is not None:
            entry = JournalEntry(
                uuid4().hex, request.request_id, request.customer_id, request.revision
            )
            self._place = self._journal.add(entry)

    def end(self) -> None:
        if self._place is not None:
            self._journal.clear(self._place)
            self._place = None


@dataclass(frozen=True, slots=True)
class DeadJournal:
    """The file of a dead process, which this process has locked."""

    path: Path
    fd: int
    entries: Sequence[JournalEntry]

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Release the file. If it was not removed, its deaths are counted later."""
        os.close(self.fd)


class JournalFolder:
    """The journals of the workers of one installation on this machine. Another user cannot write to the folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def open_journal(self) -> Journal:
        """Return a journal for this process. If there can be no file, log that and record nothing."""
        try:
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_private(self._path)
            return Journal(self._path / f"{uuid4().hex}.journal")
        except OSError as error:
            _log.error("no journal, so no death of this process is counted", error=str(error))
            return Journal()

    async def take_over(self) -> list[DeadJournal]:
        """Lock and read the journals of dead processes. The caller closes each of them."""
        return await asyncio.to_thread(self._take_over)

    def _take_over(self) -> list[DeadJournal]:
        try:
            _check_private(self._path)
        except OSError:
            return []
        taken = [_take(path) for path in sorted(self._path.glob(_PATTERN))]
        return [journal for journal in taken if journal is not None]


def default_folder(queue_url: str) -> Path:
    """Return the folder of one user and installation in the system's temporary directory."""
    installation = sha256(queue_url.encode()).hexdigest()[:8]
    try:
        temporary = tempfile.gettempdir()
    except FileNotFoundError:  # No directory can be written, and `open_journal` will report that.
        temporary = os.sep + "tmp"
    return Path(temporary) / f"imageservice-{os.getuid()}-{installation}"


class DeathCounter:
    """Counts the deaths that journals show, in the rows of the requests. `journal` is that of this process."""

    def __init__(self, tables: Tables, folder: JournalFolder, journal: Journal) -> None:
        self._tables = tables
        self._folder = folder
        self._journal = journal
        self._lock = asyncio.Lock()

    def isolation(self, request: ImageRequest | None) -> IsolatedDecoding:
        """Return how an image is decoded that may end this process. Without a request nothing is recorded."""
        return IsolatedDecoding(self._journal, request)

    def close(self) -> None:
        self._journal.close()

    async def count(self) -> None:
        """Count the deaths of all dead processes of this machine. Returns when other calls have counted theirs too.

        A count that fails is repeated by a later call. Raises Overloaded or DependencyUnavailable.
        """
        async with self._lock:
            for journal in await self._folder.take_over():
                try:
                    for entry in journal.entries:
                        await self._count_or_skip(entry)
                    journal.remove()
                finally:
                    journal.close()

    async def _count_or_skip(self, entry: JournalEntry) -> None:
        try:
            await self._count(entry)
        except (MalformedRow, RequestRejected) as error:
            # The other entries are counted all the same.
            _log.error("death not counted", request_id=entry.request_id, error=str(error))

    async def _count(self, entry: JournalEntry) -> None:
        """Count a death once, however often this is called. A request that has ended or was reopened is not changed."""
        while True:
            request = await self._tables.read_request(entry.request_id)
            if (
                request is None
                or request.customer_id != entry.customer_id
                or message_status(request, entry.revision) is not MessageStatus.OPEN
                or entry.id in request.run_ids
            ):
                return
            try:
                await self._tables.write(self._tables.statements.count_death(request, entry.id))
            except ConditionNotMet:
                # Another death was counted, or the answer to this write was lost. The row tells.
                continue
            _log.warning(
                "the process died while it decoded an image",
                request_id=request.request_id,
                deaths=request.retry_count + 1,
            )
            return


def _create(path: Path) -> int:
    """Create and lock a file. Raises OSError, also if another process has taken it over in between."""
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.fstat(fd).st_nlink:
            raise FileNotFoundError(f"{path} was removed")
    except OSError:
        os.close(fd)
        raise
    return fd


def _take(path: Path) -> DeadJournal | None:
    """Lock a file and read its entries. Returns None if its process lives, or another one has taken it over."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.fstat(fd).st_nlink:
            raise FileNotFoundError(f"{path} was removed")
        data = os.pread(fd, os.fstat(fd).st_size, 0)
    except OSError:
        os.close(fd)
        return None
    return DeadJournal(path, fd, _decode(data))


def _decode(data: bytes) -> list[JournalEntry]:
    """Decode all records. A damaged one is logged and left out."""
    entries = []
    for start in range(0, len(data), _RECORD_BYTES):
        record = data[start : start + _RECORD_BYTES].strip(b" \n\0")
        if not record:
            continue
        try:
            entries.append(decode_members(JournalEntry, record.decode(errors="replace")))
        except MalformedMessage as error:
            _log.error("record of a journal not readable", error=str(error))
    return entries


def _check_private(folder: Path) -> None:
    """Raise PermissionError unless only this user can write to the folder. FileNotFoundError if there is none."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PermissionError(f"others can write to {folder}")
