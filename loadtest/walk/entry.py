"""What is told of one request, by GetStatus, by a list or by a search."""

from typing import NamedTuple

from imageservice.v1 import image_service_pb2 as pb

ENDED = (pb.STATE_COMPLETED, pb.STATE_FAILED)


class Entry(NamedTuple):
    """Times are milliseconds since the epoch."""

    request_id: str
    customer: str
    state: "pb.State.ValueType"
    created: int
    updated: int
    format: str = ""
    """Of its image; empty where there is none."""


def entry_of(request: pb.ImageRequest) -> Entry:
    return Entry(
        request.request_id,
        request.customer_id,
        request.state,
        request.create_time.ToMilliseconds(),
        request.update_time.ToMilliseconds(),
        request.image.metadata.format,
    )


def entry_of_image(image: pb.Image) -> Entry:
    """Its times are the image's own: searches are ordered by them, the list of images is not."""
    recorded = image.create_time.ToMilliseconds()
    return Entry(
        image.request_id,
        image.customer_id,
        pb.STATE_COMPLETED,
        recorded,
        recorded,
        image.metadata.format,
    )
