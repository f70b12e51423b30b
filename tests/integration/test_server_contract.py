"""The contract from a client's view: reflection, health, violations, states."""

import asyncio
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from core.dynamodb.tables import Tables
from core.model.image import image_id_of
from harness.grpc_client import expect_refusal, submit_request
from harness.image_metadata import METADATA
from harness.index_fixture import search_url
from harness.outcomes import complete, fail
from harness.running_server import ServerFactory
from imageservice.v1 import image_service_pb2 as pb

SERVICE = "imageservice.v1.ImageService"
METHODS = {
    "SubmitImage",
    "SubmitImages",
    "GetStatus",
    "WatchRequest",
    "ListRequests",
    "GetImage",
    "ListImages",
    "SearchImages",
    "CreateRenditions",
}
PRESETS = {"presets": {"thumbnail": {"longest_side": 256, "format": "WEBP"}}}


class ReflectionClient:
    """Only knows the address, as grpcurl does. All methods except `call` block: use them in a thread."""

    def __init__(self, port: int) -> None:
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self._database = ProtoReflectionDescriptorDatabase(self._channel)
        self._service = DescriptorPool(self._database).FindServiceByName(SERVICE)

    def services(self) -> set[str]:
        return set(self._database.get_services())

    def methods(self) -> set[str]:
        return set(self._service.methods_by_name)

    async def call(self, name: str, **fields: object) -> list[dict[str, Any]]:
        """Call a method with one message. Returns each response message as JSON."""
        return await asyncio.to_thread(self._call, name, fields)

    def _call(self, name: str, fields: Mapping[str, object]) -> list[dict[str, Any]]:
        method = self._service.methods_by_name[name]
        request = GetMessageClass(method.input_type)(**fields)
        kinds = {
            (False, False): self._channel.unary_unary,
            (False, True): self._channel.unary_stream,
            (True, True): self._channel.stream_stream,
        }
        make: Any = kinds[method.client_streaming, method.server_streaming]
        rpc = make(
            f"/{SERVICE}/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        answer = rpc(iter([request]) if method.client_streaming else request)
        messages = list(answer) if method.server_streaming else [answer]
        return [MessageToDict(message) for message in messages]

    def close(self) -> None:
        self._channel.close()


async def test_every_method_can_be_called_by_reflection(
    servers: ServerFactory, tables: Tables, tmp_path: Path
) -> None:
    """Reflection lists the service, and its descriptors are enough to call each method."""
    request_id = str(uuid.uuid4())
    url = search_url(tmp_path)
    async with servers.running(search_url=url, renditions_file=PRESETS) as server:
        client = await asyncio.to_thread(ReflectionClient, server.port)
        try:
            services = await asyncio.to_thread(client.services)
            assert {SERVICE, "grpc.health.v1.Health"} <= services
            assert client.methods() == METHODS
            customer = f"reflection-{request_id}"
            fields = {"url": "https://a.example/", "customer_id": customer}
            fields["request_id"] = request_id
            submitted = await client.call("SubmitImage", **fields)
            assert submitted[0]["state"] == "STATE_PENDING"
            item = {"item_id": "one", "image": fields}
            (streamed,) = await client.call("SubmitImages", **item)
            assert streamed["results"] == [{"itemId": "one", "accepted": submitted[0]}]
            await complete(tables, request_id, customer=customer)
            (status,) = await client.call("GetStatus", request_id=request_id)
            watched = await client.call("WatchRequest", request_ids=[request_id])
            assert watched == [status]
            (requests,) = await client.call("ListRequests", customer_id=customer)
            assert requests == {"requests": [status["request"]]}
            image = {"image": status["request"]["image"]}
            image_id = image["image"]["imageId"]
            assert await client.call("GetImage", image_id=image_id) == [image]
            wanted = {"image_id": image_id, "presets": ["thumbnail"]}
            (created,) = await client.call("CreateRenditions", **wanted)
            assert created == {"pending": ["thumbnail"]}
            (images,) = await client.call("ListImages", customer_id=customer)
            assert images == {"images": [image["image"]]}
            # The image is not indexed.
            assert await client.call("SearchImages", customer_id=customer) == [{}]
        finally:
            await asyncio.to_thread(client.close)


@pytest.mark.parametrize("name", ["", SERVICE])
async def test_health_is_not_serving_during_a_drain(servers: ServerFactory, name: str) -> None:
    """SERVING from the start, for the server and for the service; NOT_SERVING during a drain."""
    request = health_pb2.HealthCheckRequest(service=name)
    async with (
        servers.running() as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        watch = health_pb2_grpc.HealthStub(channel).Watch(request)
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        draining = asyncio.create_task(server.lifecycle.drain())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        await draining


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.SubmitImageRequest(url="ftp://a.example/", customer_id="acme"), "url"),
        (pb.SubmitImageRequest(url="http://127.1/", customer_id="acme"), "url"),
        (pb.SubmitImageRequest(url="https://a.example/"), "customer_id"),
        (submit_request("not-a-uuid"), "request_id"),
        (
            pb.SubmitImageRequest(
                url="https://a.example/", customer_id="acme", labels={"key": "v" * 65}
            ),
            'labels["key"]',
        ),
    ],
)
async def test_an_invalid_field_is_named(
    servers: ServerFactory, request_: pb.SubmitImageRequest, field: str
) -> None:
    """INVALID_ARGUMENT contains the invalid field in BadRequest."""
    async with servers.running() as server:
        refusal = await expect_refusal(server.stub.SubmitImage(request_))
    assert (refusal.code, refusal.reason, refusal.fields) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "INVALID_REQUEST",
        (field,),
    )


async def test_a_status_of_an_unknown_or_invalid_id(servers: ServerFactory) -> None:
    """An unknown id is NOT_FOUND, an invalid one INVALID_ARGUMENT."""
    async with servers.running() as server:
        unknown = pb.GetStatusRequest(request_id=str(uuid.uuid4()))
        refusal = await expect_refusal(server.stub.GetStatus(unknown))
        assert (refusal.code, refusal.reason) == (
            grpc.StatusCode.NOT_FOUND,
            "REQUEST_NOT_FOUND",
        )
        refusal = await expect_refusal(server.stub.GetStatus(pb.GetStatusRequest()))
        assert (refusal.reason, refusal.fields) == ("INVALID_REQUEST", ("request_id",))


async def test_a_completed_request_has_its_image(servers: ServerFactory, tables: Tables) -> None:
    """COMPLETED has the public URL and the metadata of the image."""
    request_id = str(uuid.uuid4())
    async with servers.running() as server:
        await server.stub.SubmitImage(submit_request(request_id))
        await complete(tables, request_id)
        answer = await server.stub.GetStatus(pb.GetStatusRequest(request_id=request_id))
    request = answer.request
    assert (request.state, request.revision) == (pb.STATE_COMPLETED, 2)
    assert request.image.image_id == image_id_of(request_id)
    assert request.image.public_url == f"{servers.stack.public_base_url}images/aa/tag/a.jpg"
    assert request.image.metadata.sha256 == METADATA.sha256
    assert request.image.metadata.provenance.etag == '"1"'
    assert not request.HasField("failure")


async def test_a_failed_request_is_an_ok_answer(servers: ServerFactory, tables: Tables) -> None:
    """A failed image is not an RPC error: the answer contains code, message and attempts."""
    request_id = str(uuid.uuid4())
    async with servers.running() as server:
        await server.stub.SubmitImage(submit_request(request_id))
        await fail(tables, request_id)
        answer = await server.stub.GetStatus(pb.GetStatusRequest(request_id=request_id))
    request = answer.request
    assert (request.state, request.revision) == (pb.STATE_FAILED, 2)
    assert request.failure == pb.Failure(
        code=pb.FAILURE_CODE_NOT_FOUND, message="There is nothing at this URL", attempts=1
    )
    assert not request.HasField("image")
