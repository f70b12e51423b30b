"""How core.search.engine comes to this engine."""

from core.search.engine import HasImages, no_images
from core.search.opensearch.client import Link
from core.search.opensearch.reader import PROBE_S, OpenSearchReader
from core.search.opensearch.writer import OpenSearchWriter
from core.search.settings import SearchSettings

_WRITE_PATIENCE = 10
"""A write may take that many times as long as a search, as SEARCH_TIMEOUT_S tells."""


def open_reader(settings: SearchSettings) -> OpenSearchReader:
    seconds = settings.search_timeout_s
    # With connections of its own: those of the searches may all wait for slow ones.
    probe = _link(settings, min(PROBE_S, seconds))
    return OpenSearchReader(_link(settings, seconds), probe, settings.search_index)


def open_writer(settings: SearchSettings, has_images: HasImages = no_images) -> OpenSearchWriter:
    return OpenSearchWriter(
        _link(settings, settings.search_timeout_s * _WRITE_PATIENCE),
        settings.search_index,
        search_seconds=settings.search_timeout_s,
        has_images=has_images,
    )


def _link(settings: SearchSettings, seconds: float) -> Link:
    return Link(settings.search_location, seconds=seconds, signed=settings.search_signed)
