"""Reads during the scenario: lists, images, searches, and an outage of the search engine."""

import asyncio
from pathlib import Path

import grpc

from cluster.dashboards.prometheus import Prometheus
from core.model.image import image_id_of
from harness.grpc_client import expect_refusal
from harness.origin import Origin
from harness.system import System
from imageservice.v1 import image_service_pb2 as pb

CUSTOMER = "acme"
_ANSWERED = 'search_engine_calls_total{job="imageservice-server", operation="search", outcome="ok"}'
_UNANSWERED = _ANSWERED.replace("ok", "unavailable")


async def everything(running: System, prometheus: Prometheus) -> None:
    """Call each read method once the index has an image."""
    await prometheus.until('sum(indexer_documents_total{outcome="indexed"}) > 0')
    async with running.stub() as stub:
        listed = await stub.ListRequests(pb.ListRequestsRequest(customer_id=CUSTOMER))
        request_id = listed.requests[0].request_id
        await stub.GetStatus(pb.GetStatusRequest(request_id=request_id))
        await stub.ListImages(pb.ListImagesRequest(customer_id=CUSTOMER))
        image = await stub.GetImage(pb.GetImageRequest(image_id=image_id_of(request_id)))
        assert image.image.customer_id == CUSTOMER
        found = await stub.SearchImages(
            pb.SearchImagesRequest(customer_id=CUSTOMER, formats=["PNG"], facets=True)
        )
        assert found.total > 0
    await prometheus.until(f"{_ANSWERED} >= 1")


async def engine_outage(running: System, images: Origin, prometheus: Prometheus) -> None:
    """Remove the index until the indexer and a caller have noticed, then restore it."""
    file = Path(running.search["SEARCH_URL"].removeprefix("sqlite:///"))
    away = file.parent.with_name(f"{file.parent.name}-away")
    await asyncio.to_thread(file.parent.rename, away)
    try:
        await running.submit(images.image_url(0))
        async with running.stub() as stub:
            request = pb.SearchImagesRequest(customer_id=CUSTOMER)
            refusal = await expect_refusal(stub.SearchImages(request))
            assert refusal.code is grpc.StatusCode.UNAVAILABLE
            await prometheus.until("indexer_waiting == 1")
            await prometheus.until(f"{_UNANSWERED} >= 1")
    finally:
        await asyncio.to_thread(away.rename, file.parent)
    await prometheus.until("indexer_waiting == 0")
