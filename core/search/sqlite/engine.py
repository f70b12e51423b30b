"""SQLite behind the port. SEARCH_INDEX says nothing here: a file is one index."""

from pathlib import Path

from core.search.engine import HasImages, no_images
from core.search.settings import SQLITE, SearchSettings
from core.search.sqlite.file import IndexFile
from core.search.sqlite.reader import SqliteReader
from core.search.sqlite.thread_pool import Calls
from core.search.sqlite.writer import SqliteWriter

_READING_THREADS = 4
_WRITING_THREADS = 2
"""Writers take turns; the second thread lets a rebuild wait without holding up the others."""
_WRITES_LONGER = 10


def open_reader(settings: SearchSettings) -> SqliteReader:
    file = IndexFile(_path(settings))
    return SqliteReader(Calls(file, threads=_READING_THREADS, seconds=settings.search_timeout_s))


def open_writer(settings: SearchSettings, has_images: HasImages = no_images) -> SqliteWriter:
    file = IndexFile(_path(settings))
    seconds = settings.search_timeout_s * _WRITES_LONGER
    calls = Calls(file, threads=_WRITING_THREADS, seconds=seconds)
    return SqliteWriter(calls, file.path, has_images)


def _path(settings: SearchSettings) -> Path:
    return Path(settings.search_location.removeprefix(SQLITE))
