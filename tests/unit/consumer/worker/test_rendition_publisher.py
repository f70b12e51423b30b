"""The order in which renditions of a stored image take what they need."""

import asyncio
import sys
from typing import Any, NoReturn

import pytest

from consumer.byte_budget import ByteBudget
from consumer.imaging.result import RENDITIONS_BYTES_MAX
from consumer.sandbox.admission import DecodersBusy
from consumer.worker.renditions import RenditionPublisher
from core.model.image import ImageRecord
from core.model.rendition import Rendition, RenditionPreset
from harness.outcomes import image_record

PRESETS = {"card": RenditionPreset(80, 60, "cover", "JPEG", 80)}
IMAGE = image_record("6d2f0c1e-3a5b-4a53-9a35-0a4d8f0c2a11")


class BusyDecoders:
    """Accepts no expensive image for now."""

    async def wait_for_turn(self, _customer_id: str) -> None:
        raise DecodersBusy(retry_after=2)


class EmptyTables:
    async def read_renditions(self, _image_id: str) -> tuple[Rendition, ...]:
        return ()


class FullDecoders:
    """Has no decoder free for now, and asks for no memory before it has."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def inspect(self, *_: object, **__: object) -> NoReturn:
        self.asked.set()
        await asyncio.get_running_loop().create_future()
        raise AssertionError


class RefusingDecoders:
    """Has no place for the image, as the decoder itself found."""

    async def inspect(self, *_: object, **__: object) -> NoReturn:
        raise DecodersBusy(retry_after=2)


BODY = bytes(1_000)


class Storage:
    async def load(self, _image: ImageRecord) -> bytes:
        return BODY


async def test_an_image_that_waits_for_a_decoder_holds_no_memory_for_renditions() -> None:
    """A few expensive images would hold all of it, and others with renditions would wait for them."""
    decoder: Any = FullDecoders()
    storage: Any = Storage()
    tables: Any = EmptyTables()
    budget = ByteBudget(RENDITIONS_BYTES_MAX)
    publisher = RenditionPublisher(
        presets=PRESETS,
        decoder=decoder,
        storage=storage,
        tables=tables,
        budget=budget,
        reserve_body=ByteBudget(IMAGE.metadata.bytes).reserve,
    )
    waiting = asyncio.create_task(publisher.complete(IMAGE, ["card"]))
    await decoder.asked.wait()
    assert budget.free == budget.capacity
    waiting.cancel()
    await asyncio.wait({waiting})


async def test_an_expensive_image_waits_for_a_decoder_before_it_is_loaded() -> None:
    """Neither its object nor memory is held meanwhile: there is no storage here, and no budget for the body."""
    no_storage: Any = None
    no_budget: Any = None
    decoder: Any = BusyDecoders()
    tables: Any = EmptyTables()
    publisher = RenditionPublisher(
        presets=PRESETS,
        decoder=decoder,
        storage=no_storage,
        tables=tables,
        budget=ByteBudget(RENDITIONS_BYTES_MAX),
        reserve_body=no_budget,
    )
    with pytest.raises(DecodersBusy):
        await publisher.complete(IMAGE, ["card"], expensive=True)


async def test_an_error_does_not_keep_the_loaded_object() -> None:
    """The message is requeued meanwhile, and its bytes are reserved for others."""
    decoder: Any = RefusingDecoders()
    storage: Any = Storage()
    tables: Any = EmptyTables()
    publisher = RenditionPublisher(
        presets=PRESETS,
        decoder=decoder,
        storage=storage,
        tables=tables,
        budget=ByteBudget(RENDITIONS_BYTES_MAX),
        reserve_body=ByteBudget(IMAGE.metadata.bytes).reserve,
    )
    references = sys.getrefcount(BODY)
    with pytest.raises(DecodersBusy) as kept:
        await publisher.complete(IMAGE, ["card"])
    assert sys.getrefcount(BODY) == references
    assert kept.value.retry_after == 2
