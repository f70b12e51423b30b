"""The promises about images and objects."""

from collections.abc import Iterator

from robustness.history import ObjectSeen
from robustness.model.record import Record, Recorded, Violation
from robustness.model.requests import COMPLETED


def has_one_image(record: Record, _: Recorded) -> Iterator[Violation]:
    """A COMPLETED request has exactly one image record."""
    last = record.last
    if last is None or last.state != COMPLETED or record.expired:
        return
    if len(record.images) != 1 or record.images[0].image_id != last.image_id:
        text = f"{len(record.images)} image records"
        yield Violation("has_one_image", record.id, text, (last, *record.images))


def shows_no_other_image(record: Record, _: Recorded) -> Iterator[Violation]:
    """GetImage finds the image of a COMPLETED request, and none of another."""
    last = record.last
    if last is None or record.expired:
        return
    for read in record.image_reads:
        visible = last.state == COMPLETED and read.image_id == last.image_id
        if read.found and not visible:
            text = f"the request is {last.state}, and GetImage shows an image"
            yield Violation("shows_no_other_image", record.id, text, (last, read))
        elif visible and read.final and not read.found:
            text = "GetImage does not find the image"
            yield Violation("shows_no_other_image", record.id, text, (last, read))


def object_is_published(record: Record, _: Recorded) -> Iterator[Violation]:
    """The published object exists, and is the one of the record."""
    for read in record.objects:
        actual = (read.sha256, read.size, read.media_type)
        recorded = (read.recorded_sha256, read.recorded_size, read.recorded_media_type)
        if read.status != 200 or actual != recorded:
            text = f"the public URL answers {read.status} with other content"
            yield Violation("object_is_published", record.id, text, (read,))


def objects_never_change(recorded: Recorded) -> Iterator[Violation]:
    """A published object never changes."""
    first: dict[str, ObjectSeen] = {}
    for seen in recorded.objects:
        known = first.setdefault(seen.key, seen)
        if (known.etag, known.size) != (seen.etag, seen.size):
            yield Violation("objects_never_change", "", f"{seen.key} has changed", (known, seen))
