"""Keeps the private origins of a process up to date with their file."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import structlog

from consumer.private_origins.access import PrivateOrigins
from consumer.private_origins.file import FaultyFile, PrivateOriginFile, read_private_origins
from core.model.origin_url import OriginUrl

_log = structlog.get_logger()

_POLL_S = 5.0

_Version = tuple[int, int, int] | None
_NEVER_READ: _Version = (0, 0, 0)


class WatchedFile:
    """The private origins of the last version of the file that had no fault.

    faulty: whether the present version has one, so that an older one is in use.
    """

    def __init__(self, file: PrivateOriginFile | None) -> None:
        """`file` is None without private origins."""
        self.current = PrivateOrigins() if file is None else file.private_origins
        self.faulty = False
        self._path = None if file is None else file.path
        # The file may have changed since it was read, so the first poll reads it again.
        self._seen = _NEVER_READ

    def headers_for(self, url: OriginUrl, customer_id: str) -> Mapping[str, str]:
        return self.current.headers_for(url, customer_id)

    def allows_object(self, bucket: str, key: str, customer_id: str) -> bool:
        return self.current.allows_object(bucket, key, customer_id)

    async def poll_forever(self) -> None:
        while self._path is not None:
            await asyncio.to_thread(self.read_if_changed)
            await asyncio.sleep(_POLL_S)

    def read_if_changed(self) -> None:
        """Read the file if it has changed. A faulty version is logged once, and changes nothing."""
        if self._path is None or (version := _version_of(self._path)) == self._seen:
            return
        first, self._seen = self._seen == _NEVER_READ, version
        try:
            file = read_private_origins(self._path)
        except FaultyFile as faulty:
            self.faulty = True
            _log.error("faulty credentials file, the last good one is kept", faults=faulty.faults)
            return
        self.faulty = False
        self.current = file.private_origins
        if not first:
            _log.info("credentials file read again", origins=len(file.origins))


def _version_of(path: Path) -> _Version:
    """Return numbers that change with the file; None if it cannot be read.

    A volume of Kubernetes replaces the link to the file's folder, so the inode changes. The time is that of the last
    change of the file or its permissions; programs that copy files may set the time of modification back.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ctime_ns, status.st_ino, status.st_size
