"""Writes images as a consumer and an indexer do, and reads all pages of searches."""

import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.dynamodb.tables import Tables
from core.model.image import ImageRecord
from core.model.request import new_request
from core.search.document import SearchDocument, document_of
from core.search.engine import SearchWriter, WriteStatus, open_writer
from core.search.settings import SearchSettings
from harness.outcomes import image_record
from imageservice.v1 import image_service_pb2 as pb
from imageservice.v1 import image_service_pb2_grpc

_SEARCH_TIMEOUT_S = 30.0


def search_url(folder: Path) -> str:
    return f"sqlite:///{folder / 'search.db'}"


@dataclass(frozen=True, slots=True)
class Index:
    """An index and its tables, for a server under test."""

    settings: dict[str, Any]
    """The settings of a server that searches in it."""
    writer: SearchWriter
    tables: Tables

    async def add(
        self,
        customer: str,
        *,
        created_at: int,
        url: str = "https://a.example/1",
        labels: Mapping[str, str] | None = None,
        **metadata: Any,
    ) -> ImageRecord:
        """Add an image that searches find. `metadata` has the fields that differ from the default."""
        request_id = str(uuid.uuid4())
        plain = image_record(request_id, customer)
        record = replace(plain, created_at=created_at, metadata=replace(plain.metadata, **metadata))
        request = new_request(
            request_id=request_id,
            customer_id=customer,
            url=url,
            labels=dict(labels or {}),
            now=created_at,
        )
        await self.tables.write(self.tables.statements.insert_image(record))
        await self.write(document_of(record, request))
        return record

    async def write(self, *documents: SearchDocument) -> None:
        written = await self.writer.write(documents)
        assert {each.status for each in written} == {WriteStatus.INDEXED}, written
        await self.writer.refresh()


@asynccontextmanager
async def index(url: str, tables: Tables) -> AsyncIterator[Index]:
    """Open the index at this SEARCH_URL."""
    settings: dict[str, Any] = {"search_url": url}
    # On a busy machine a write may be slow.
    writer = open_writer(SearchSettings(**settings, search_timeout_s=_SEARCH_TIMEOUT_S))
    try:
        await writer.prepare()
        yield Index(settings, writer, tables)
    finally:
        await writer.close()


async def search_pages(
    stub: "image_service_pb2_grpc.ImageServiceAsyncStub", **fields: Any
) -> AsyncIterator[pb.SearchImagesResponse]:
    """Yield all pages of a search. `fields` are those of the first call."""
    call = pb.SearchImagesRequest(**fields)
    while True:
        page = await stub.SearchImages(call, timeout=30)
        yield page
        call.page_token = page.next_page_token
        if not call.page_token:
            return


async def search_image_ids(
    stub: "image_service_pb2_grpc.ImageServiceAsyncStub", **fields: Any
) -> list[str]:
    """Return the ids of all images of a search."""
    return [image.image_id async for page in search_pages(stub, **fields) for image in page.images]
