"""The items of a bulk stream, and those without a result."""

from imageservice.v1 import image_service_pb2 as pb
from loadtest.users.arrivals import ClosedArrivals
from loadtest.users.bulk_stream import BulkStream


def stream(limit: int | None = None, window: int = 10, images: int = 3) -> BulkStream:
    image = pb.SubmitImageRequest(url="https://a.example/1", customer_id="load-1")
    return BulkStream(ClosedArrivals(limit, lambda: 7.0), lambda: image, window, images)


def accepted(item_id: str) -> pb.SubmitImagesResult:
    return pb.SubmitImagesResult(item_id=item_id, accepted=pb.SubmitImageResponse(request_id="r"))


def test_each_image_has_an_id_and_waits_for_its_result() -> None:
    sent = stream()
    assert [request.item_id for request in sent.requests()] == ["0", "1", "2"]
    assert sent.settle(accepted("1")) == (7.0, None)
    assert sent.pending
    assert sent.end() == [7.0, 7.0]
    assert not sent.exhausted


def test_a_full_window_blocks_sending_until_a_result_arrives() -> None:
    sent = stream(window=1, images=2)
    requests = sent.requests()
    assert next(requests).item_id == "0"
    sent.settle(accepted("0"))
    assert next(requests).item_id == "1"


def test_an_ended_stream_sends_nothing() -> None:
    sent = stream(window=1)
    requests = sent.requests()
    next(requests)
    assert sent.end() == [7.0]
    assert list(requests) == []
    assert not sent.exhausted


def test_the_last_image_of_a_run_exhausts_the_stream() -> None:
    sent = stream(limit=2)
    assert len(list(sent.requests())) == 2
    assert sent.exhausted


def test_a_rejected_item_has_the_reason() -> None:
    sent = stream()
    next(sent.requests())
    error = pb.SubmitImagesError(code=8, reason="OVERLOADED")
    _, rejection = sent.settle(pb.SubmitImagesResult(item_id="0", error=error))
    assert rejection is not None
    assert rejection.reason == "OVERLOADED"


def test_an_unexpected_result_is_recognised() -> None:
    assert stream().settle(accepted("9")) == (None, None)
