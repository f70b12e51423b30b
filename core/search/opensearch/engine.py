"""Opens the reader and the writer of OpenSearch for core.search.engine."""

from core.search.engine import HasImages, no_images
from core.search.opensearch.client import OpenSearchClient
from core.search.opensearch.reader import PROBE_TIMEOUT_S, OpenSearchReader
from core.search.opensearch.writer import OpenSearchWriter
from core.search.settings import SearchSettings

_WRITE_TIMEOUT_FACTOR = 10
"""As the description of SEARCH_TIMEOUT_S says."""


def open_reader(settings: SearchSettings) -> OpenSearchReader:
    seconds = settings.search_timeout_s
    # The probe has connections of its own: slow searches may hold all others.
    probe = _client(settings, min(PROBE_TIMEOUT_S, seconds))
    return OpenSearchReader(_client(settings, seconds), probe, settings.search_index)


def open_writer(settings: SearchSettings, has_images: HasImages = no_images) -> OpenSearchWriter:
    return OpenSearchWriter(
        _client(settings, settings.search_timeout_s * _WRITE_TIMEOUT_FACTOR),
        settings.search_index,
        search_timeout_s=settings.search_timeout_s,
        has_images=has_images,
    )


def _client(settings: SearchSettings, seconds: float) -> OpenSearchClient:
    return OpenSearchClient(
        settings.search_location, seconds=seconds, signed=settings.search_signed
    )
