"""The writes of a consumer, for tests of the server without one."""

from core.dynamodb.tables import Tables
from core.model.image import ImageRecord, Provenance, image_id_of
from core.model.request import Failure
from core.runtime.clock import now_ms
from harness.image_metadata import METADATA


def image_record(
    request_id: str,
    customer: str = "acme",
    *,
    created_at: int | None = None,
    request_created_at: int = 0,
) -> ImageRecord:
    """Return a record of an image. Times are in milliseconds since the epoch; without `created_at` it is now.

    Without `request_created_at` it is a record of an earlier version.
    """
    return ImageRecord(
        image_id=image_id_of(request_id),
        request_id=request_id,
        customer_id=customer,
        s3_url="s3://bucket/images/aa/tag/a.jpg",
        created_at=now_ms() if created_at is None else created_at,
        metadata=METADATA,
        provenance=Provenance(etag='"1"'),
        request_created_at=request_created_at,
    )


async def complete(
    tables: Tables, request_id: str, revision: int = 1, *, customer: str = "acme"
) -> None:
    """Complete a request that is PENDING at `revision`, with an image."""
    record = image_record(request_id, customer)
    await tables.write(tables.statements.insert_image(record))
    await tables.write(
        tables.statements.complete(
            request_id, revision, customer_id=customer, image_id=record.image_id, now=now_ms()
        )
    )


async def fail(
    tables: Tables, request_id: str, revision: int = 1, *, customer: str = "acme"
) -> None:
    """Fail a request that is PENDING at `revision`, with NOT_FOUND."""
    failure = Failure("NOT_FOUND", "There is nothing at this URL", 1)
    await tables.write(
        tables.statements.fail(
            request_id, revision, customer_id=customer, failure=failure, now=now_ms()
        )
    )
