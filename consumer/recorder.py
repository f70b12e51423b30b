"""Writing an image's record: once, and never over that of an earlier request which had the same id."""

import asyncio
from dataclasses import replace

from core.image import ImageRecord
from core.request import later_image_id
from core.tables import ConditionNotMet, Tables


async def record_image(tables: Tables, record: ImageRecord) -> ImageRecord:
    """The record that is there in the end; whoever comes second adopts what is there.

    Raises ConditionNotMet where the request's row is gone or another customer's, and DependencyUnavailable.
    """
    try:
        await tables.write(tables.statements.insert_image(record))
    except ConditionNotMet:
        return await _second(tables, record)
    return record


async def _second(tables: Tables, record: ImageRecord) -> ImageRecord:
    """Adopt what another run of the same request has recorded; what an earlier request left stays, beside ours."""
    first, request = await asyncio.gather(
        tables.read_image_by_id(record.image_id), tables.read_request(record.request_id)
    )
    if request is None or request.customer_id != record.customer_id:
        raise ConditionNotMet("the message has outlived its request")
    if first is not None and first.belongs_to(request.customer_id, request.created_at):
        return first
    own = replace(record, image_id=later_image_id(request.request_id, request.created_at))
    try:
        await tables.write(tables.statements.insert_image(own))
    except ConditionNotMet:
        return await tables.read_image_by_id(own.image_id) or own
    return own
