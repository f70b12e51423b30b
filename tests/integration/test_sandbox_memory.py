"""Memory that earlier images left in a decoder changes no verdict."""

import sys
from io import BytesIO

import pytest
from PIL import Image

from consumer.imaging.policy import ImagePolicy
from consumer.sandbox.decode_pool import open_decode_pool
from core.errors import CorruptImage
from harness.hostile_examiner import leak

MIB = 1024 * 1024


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
