"""Memory that earlier images left in a decoder changes no verdict."""

import sys
from io import BytesIO

import pytest
from PIL import Image

from consumer.imaging.policy import ImagePolicy
from consumer.sandbox.decode_pool import open_decode_pool
from core.errors import CorruptImage, NotAnImage
from harness.hostile_examiner import leak

MIB = 1024 * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
async def test_a_decoder_forgets_a_large_body_before_the_next_one() -> None:
    """Both together would exceed the memory for one, and end the decoder."""
    async with open_decode_pool(
        ImagePolicy(),
        decoders=1,
        budget_bytes=640 * MIB,
        cpu_limit_s=30,
        examiner="harness.hostile_examiner:examine",
    ) as pool:
        decoder = pool._lanes.slots[0].decoder
        with pytest.raises(CorruptImage, match="leaked"):
            await pool.inspect(leak(12 * MIB))
        for _ in range(3):
            with pytest.raises(NotAnImage):
                await pool.inspect(bytes(20 * MIB))
        assert pool._lanes.slots[0].decoder is decoder


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the memory of a process")
@pytest.mark.parametrize("mib", [20, 24, 28, 32])
async def test_an_image_is_not_damaged_because_memory_is_short(mib: int) -> None:
    """libwebp reports a failed allocation as damage."""
    out = BytesIO()
    Image.effect_noise((1_200, 900), 60).convert("RGB").save(out, "WEBP")
    async with open_decode_pool(
        ImagePolicy(verification="full"),
        decoders=1,
        budget_bytes=640 * MIB,
        cpu_limit_s=30,
        examiner="harness.hostile_examiner:examine",
    ) as pool:
        with pytest.raises(CorruptImage, match="leaked"):
            await pool.inspect(leak(mib * MIB))
        assert (await pool.inspect(out.getvalue())).metadata.width == 1_200
