"""Converts records to the messages of the contract."""

from collections.abc import Sequence
from dataclasses import asdict

from google.protobuf.timestamp_pb2 import Timestamp

from core.errors import FailureCode
from core.model.color import Color
from core.model.image import ImageMetadata, ImageRecord, Provenance, RemovedPart
from core.model.rendition import Rendition
from core.model.request import Failure, ImageRequest, State
from imageservice.v1 import image_service_pb2 as pb

STATES = {state: pb.State.Value(f"STATE_{state}") for state in State}
FAILURE_CODES = {str(code): pb.FailureCode.Value(f"FAILURE_CODE_{code}") for code in FailureCode}
COLORS = {color: pb.Color.Value(f"COLOR_{color}") for color in Color}
REMOVED_PARTS = {str(part): pb.RemovedPart.Value(f"REMOVED_PART_{part}") for part in RemovedPart}


def to_submit_response(accepted: ImageRequest) -> pb.SubmitImageResponse:
    response = pb.SubmitImageResponse()
    fill_submit_response(response, accepted)
    return response


def fill_submit_response(response: pb.SubmitImageResponse, accepted: ImageRequest) -> None:
    """Fill a message that is a field of another one. A copy into that field would cost twice as much."""
    response.request_id = accepted.request_id
    response.state = STATES[accepted.state]
    response.revision = accepted.revision


def to_request_message(
    request: ImageRequest,
    image: ImageRecord | None,
    public_base_url: str,
    renditions: Sequence[Rendition] = (),
) -> pb.ImageRequest:
    """`public_base_url` ends with a slash. `renditions` are those of the image."""
    message = None if image is None else to_image_message(image, public_base_url, renditions)
    return pb.ImageRequest(
        request_id=request.request_id,
        customer_id=request.customer_id,
        url=request.origin_url,
        state=STATES[request.state],
        revision=request.revision,
        create_time=_timestamp(request.created_at),
        update_time=_timestamp(request.updated_at),
        labels=request.labels,
        image=message,
        failure=None if request.failure is None else _failure_message(request.failure),
    )


def to_image_message(
    image: ImageRecord, public_base_url: str, renditions: Sequence[Rendition] = ()
) -> pb.Image:
    """`public_base_url` ends with a slash."""
    return pb.Image(
        image_id=image.image_id,
        public_url=image.public_url(public_base_url),
        metadata=_metadata_message(image.metadata, image.provenance),
        request_id=image.request_id,
        customer_id=image.customer_id,
        create_time=_timestamp(image.created_at),
        renditions=[to_rendition_message(each, public_base_url) for each in renditions],
    )


def to_rendition_message(rendition: Rendition, public_base_url: str) -> pb.Rendition:
    """`public_base_url` ends with a slash."""
    if rendition.failed:
        code = FAILURE_CODES.get(rendition.failure_code, pb.FAILURE_CODE_UNSPECIFIED)
        failure = pb.RenditionFailure(code=code, message=rendition.failure_message)
        return pb.Rendition(preset=rendition.preset, failure=failure)
    return pb.Rendition(
        preset=rendition.preset,
        public_url=rendition.public_url(public_base_url),
        media_type=rendition.media_type,
        width=rendition.width,
        height=rendition.height,
        bytes=rendition.bytes,
        sha256=rendition.sha256,
    )


def _metadata_message(metadata: ImageMetadata, provenance: Provenance) -> pb.ImageMetadata:
    values = asdict(metadata)
    duration_ms, removed = values.pop("animation_duration_ms"), values.pop("removed")
    message = pb.ImageMetadata(**values, provenance=pb.Provenance(**asdict(provenance)))
    if duration_ms:
        message.animation_duration.FromMilliseconds(duration_ms)
    if metadata.color:
        message.color = COLORS[metadata.color]
    # An unknown name comes from a newer consumer, as an unknown failure code does.
    message.removed.extend(REMOVED_PARTS.get(part, pb.REMOVED_PART_UNSPECIFIED) for part in removed)
    return message


def _failure_message(failure: Failure) -> pb.Failure:
    # An unknown code comes from a newer consumer. It becomes UNSPECIFIED, as it would in a client of the contract.
    code = FAILURE_CODES.get(failure.code, pb.FAILURE_CODE_UNSPECIFIED)
    return pb.Failure(code=code, message=failure.message, attempts=failure.attempts)


def _timestamp(milliseconds: int) -> Timestamp:
    seconds, rest = divmod(milliseconds, 1000)
    return Timestamp(seconds=seconds, nanos=rest * 1_000_000)
