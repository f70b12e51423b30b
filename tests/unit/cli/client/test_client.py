"""The client retries calls that are safe to retry, resumes watches and reads error details."""

import uuid
from collections.abc import AsyncIterator

import grpc
import pytest

from cli.client.client import CallFailed, Client, RetryPolicy, connect
from cli.rpc_error import RpcError, Violation, _last_cause
from core.resilience.backoff import Backoff
from harness.scripted_service import (
    Refusal,
    ScriptedService,
    cancelled,
    completed,
    draining,
    failed,
    invalid,
    overloaded,
    serve,
)
from imageservice.v1 import image_service_pb2 as pb

URL = "http://origin/a.png"
QUICK = RetryPolicy(backoff=Backoff(0.001, 0.01))


@pytest.fixture
def service() -> ScriptedService:
    return ScriptedService()


@pytest.fixture
async def client(service: ScriptedService) -> AsyncIterator[Client]:
    async with serve(service) as address, connect(address, QUICK) as client:
        yield client


def new_id() -> str:
    return str(uuid.uuid4())


def submit_of(url: str, request_id: str) -> pb.SubmitImageRequest:
    return pb.SubmitImageRequest(url=url, customer_id="acme", request_id=request_id)


async def refused(client: Client) -> RpcError:
    with pytest.raises(CallFailed) as raised:
        await client.submit(submit_of(URL, new_id()))
    return raised.value.fault


def pending(request_id: str) -> pb.ImageRequest:
    return pb.ImageRequest(request_id=request_id, state=pb.STATE_PENDING, revision=1)


async def test_a_submit_to_an_overloaded_server_is_retried(
    service: ScriptedService, client: Client
) -> None:
    """A submit that is refused with OVERLOADED is repeated with the same id until it is accepted."""
    service.refusals[URL] = [overloaded(), overloaded(retry_after_ms=20)]
    request_id = new_id()
    answer = await client.submit(submit_of(URL, request_id))
    assert answer.request_id == request_id
    assert service.submits[URL] == 3
    assert service.submitted == {request_id: URL}


async def test_calls_that_the_server_cancels_are_retried(
    service: ScriptedService, client: Client
) -> None:
    """A submit keeps its id. So does every other call: status, watch and list."""
    service.refusals[URL] = [cancelled()]
    request_id = new_id()
    await client.submit(submit_of(URL, request_id))
    assert (service.submits[URL], service.submitted) == (2, {request_id: URL})
    service.refusals[URL] = [cancelled()]
    assert (await client.status(request_id)).request_id == request_id
    service.watches = [([pending(request_id)], cancelled())]
    assert [r.revision async for r in client.watch([request_id])] == [1, 2]
    service.pages = [cancelled(), pb.ListRequestsResponse(requests=[pending(request_id)])]
    listed = client.requests(pb.ListRequestsRequest(customer_id="acme"))
    assert [r.request_id async for r in listed] == [request_id]


async def test_attempts_are_bounded(service: ScriptedService, client: Client) -> None:
    """If the server stays overloaded, the call fails with its reason after the last attempt."""
    service.refusals[URL] = [overloaded()] * (QUICK.attempts + 1)
    fault = await refused(client)
    assert fault.reason == "OVERLOADED"
    assert service.submits[URL] == QUICK.attempts


async def test_an_invalid_request_is_not_retried(service: ScriptedService, client: Client) -> None:
    """The error names the reason and each invalid field."""
    service.refusals[URL] = [invalid("url", "Must be http or https.")]
    fault = await refused(client)
    assert fault.code == "INVALID_ARGUMENT"
    assert fault.violations == (Violation("url", "Must be http or https."),)
    assert fault.sentence() == "INVALID_REQUEST: url: Must be http or https."
    assert service.submits[URL] == 1


async def test_an_error_without_details(service: ScriptedService, client: Client) -> None:
    """Without details the status code is the reason."""
    service.refusals[URL] = [Refusal(grpc.StatusCode.PERMISSION_DENIED, "not for you")]
    assert (await refused(client)).sentence() == "PERMISSION_DENIED: not for you"


async def test_an_unknown_request(client: Client) -> None:
    """The status of an unknown id raises the reason of the server."""
    with pytest.raises(CallFailed, match=r"^REQUEST_NOT_FOUND: No such request\.$"):
        await client.status(new_id())


async def test_an_unreachable_server() -> None:
    """The error names its address."""
    async with connect("127.0.0.1:1", QUICK) as client:
        with pytest.raises(CallFailed, match=r"no server answers at 127\.0\.0\.1:1 "):
            await client.status(new_id())


def test_a_cause_without_its_opening_bracket() -> None:
    """A closing bracket without its opening bracket is not part of the cause."""
    nested = "DNS resolution failed for x:1: [C-ares status: Domain name not found]"
    assert _last_cause(nested) == "Domain name not found"


async def test_waiting_for_a_server_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Also if several calls wait for the server."""
    async with connect("127.0.0.1:1", QUICK) as client:
        await refused(client)
        await refused(client)
    line = "imageservice: no server at 127.0.0.1:1 yet, trying again\n"
    assert capsys.readouterr().err == line


async def test_a_watch_resumes(service: ScriptedService, client: Client) -> None:
    """A broken stream is reopened for requests that have not ended. No state is reported twice."""
    first, second = new_id(), new_id()
    service.watches = [
        ([completed("", first), pending(second)], draining()),
        ([pending(second)], Refusal(grpc.StatusCode.UNAVAILABLE, "Socket closed")),
    ]
    seen = [(r.request_id, r.revision) async for r in client.watch([first, second])]
    assert seen == [(first, 2), (second, 1), (second, 2)]
    assert service.watched == [[first, second], [second], [second]]


async def test_a_watch_raises_a_permanent_error(service: ScriptedService, client: Client) -> None:
    """An error that a retry cannot help is raised at once."""
    service.watches = [([], invalid("request_ids[0]", "Must be a UUID."))]
    with pytest.raises(CallFailed, match=r"request_ids\[0\]: Must be a UUID"):
        [request async for request in client.watch(["x"])]
    assert len(service.watched) == 1


async def test_a_failed_request_ends_a_watch(service: ScriptedService, client: Client) -> None:
    """FAILED is terminal like COMPLETED."""
    request_id = new_id()
    service.submitted[request_id] = URL
    service.final_states[URL] = failed(URL)
    states = [request.state async for request in client.watch([request_id])]
    assert states == [pb.STATE_FAILED]


async def test_a_list_is_read_page_by_page(service: ScriptedService, client: Client) -> None:
    """An empty page does not end the list, an overloaded page is retried, and the other fields stay the same."""
    first, last = (pb.ImageRequest(request_id=new_id()) for _ in range(2))
    service.pages = [
        pb.ListRequestsResponse(requests=[first], next_page_token="one"),
        overloaded(),
        pb.ListRequestsResponse(next_page_token="two"),
        pb.ListRequestsResponse(requests=[last]),
    ]
    query = pb.ListRequestsRequest(customer_id="acme", state=pb.STATE_PENDING, page_size=7)
    assert [request async for request in client.requests(query)] == [first, last]
    assert [each.page_token for each in service.listed] == ["", "one", "one", "two"]
    for each in service.listed:
        each.page_token = ""
        assert each == query
