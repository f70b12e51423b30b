"""Opens the reader and the writer of SQLite for core.search.engine. SEARCH_INDEX is ignored: a file is one index."""

from pathlib import Path

from core.search.engine import HasImages, no_images
from core.search.settings import SQLITE, SearchSettings
from core.search.sqlite.file import IndexFile
from core.search.sqlite.reader import SqliteReader
from core.search.sqlite.thread_pool import SqliteThreadPool
from core.search.sqlite.writer import SqliteWriter

_READER_THREADS = 4
_WRITER_THREADS = 2
"""SQLite has one writer at a time; the second thread lets a rebuild wait without blocking other writes."""
_WRITE_TIMEOUT_FACTOR = 10
"""As the description of SEARCH_TIMEOUT_S says."""


def open_reader(settings: SearchSettings) -> SqliteReader:
    file = IndexFile(_path(settings))
    return SqliteReader(
        SqliteThreadPool(file, threads=_READER_THREADS, seconds=settings.search_timeout_s)
    )


def open_writer(settings: SearchSettings, has_images: HasImages = no_images) -> SqliteWriter:
    file = IndexFile(_path(settings))
    seconds = settings.search_timeout_s * _WRITE_TIMEOUT_FACTOR
    pool = SqliteThreadPool(file, threads=_WRITER_THREADS, seconds=seconds)
    return SqliteWriter(pool, file.path, has_images)


def _path(settings: SearchSettings) -> Path:
    return Path(settings.search_location.removeprefix(SQLITE))
