"""Renditions: size, orientation, colours, transparency, metadata, and the bytes of each format."""

from dataclasses import replace
from io import BytesIO

import pytest
from PIL import Image, ImageCms

from consumer.imaging.inspection import inspect, probe
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.renditions.crop import Crop
from consumer.imaging.renditions.encode import ENCODED_BYTES, HEADER_BYTES
from consumer.imaging.result import FailedRendition, MadeRendition, RenditionResult
from consumer.sandbox.protocol import CHEAP_BYTES
from core.model.rendition import RenditionPreset
from harness.images import exif_block, gradient_image, jpeg_segment, jpeg_with, sample

BOX = RenditionPreset(64, 64, "contain", "WEBP", 90)
PRESETS = {
    "webp": BOX,
    "jpeg": replace(BOX, format="JPEG"),
    "avif": replace(BOX, format="AVIF"),
    "cover": RenditionPreset(60, 30, "cover", "WEBP", 90),
    "thumbnail": RenditionPreset(256, 256, "contain", "WEBP", 80),
    "large": RenditionPreset(4_096, 4_096, "contain", "WEBP", 90),
}
POLICY = ImagePolicy(presets=PRESETS)
SQUARE = 40


def results(body: bytes, *names: str) -> tuple[RenditionResult, ...]:
    return inspect(body, POLICY, names).renditions


def made(body: bytes, name: str) -> tuple[MadeRendition, Image.Image]:
    (result,) = results(body, name)
    assert isinstance(result, MadeRendition)
    image = Image.open(BytesIO(result.body))
    assert image.size == (result.width, result.height)
    return result, image


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def near(pixel: object, color: tuple[int, ...], tolerance: int = 8) -> bool:
    assert isinstance(pixel, tuple)
    return all(abs(a - b) <= tolerance for a, b in zip(pixel, color, strict=True))


@pytest.mark.parametrize(
    ("image", "box", "fit", "part", "size"),
    [
        ((400, 200), (100, 100), "contain", (400, 200), (100, 50)),
        ((200, 400), (100, 100), "contain", (200, 400), (50, 100)),
        ((80, 40), (100, 100), "contain", (80, 40), (80, 40)),
        ((10_000, 1), (100, 100), "contain", (10_000, 1), (100, 1)),
        ((400, 200), (100, 100), "cover", (200, 200), (100, 100)),
        ((400, 200), (100, 25), "cover", (400, 100), (100, 25)),
        ((80, 40), (100, 100), "cover", (40, 40), (40, 40)),
        ((200, 50), (100, 100), "cover", (50, 50), (50, 50)),
        ((100, 100), (100, 100), "cover", (100, 100), (100, 100)),
    ],
)
def test_an_image_fits_into_the_box_and_is_never_enlarged(
    image: tuple[int, int],
    box: tuple[int, int],
    fit: str,
    part: tuple[float, float],
    size: tuple[int, int],
) -> None:
    crop = Crop.of(image, RenditionPreset(*box, fit, "JPEG", 80), turned=False)
    assert crop.part == pytest.approx(part)
    assert crop.size == size


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "PNG"])
def test_a_rendition_is_upright(orientation: int, kind: str) -> None:
    """The red quarter comes to the top left, in every orientation, as a viewer shows it."""
    upright = Image.new("RGB", (SQUARE * 2, SQUARE), "blue")
    upright.paste("red", (0, 0, SQUARE, SQUARE // 2))
    inverse = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    stored = upright if inverse is None else upright.transpose(inverse)
    exif = Image.Exif()
    exif[0x0112] = orientation
    _, image = made(encoded(stored, kind, exif=exif), "webp")
    assert image.size == (64, 32)
    pixels = image.convert("RGB")
    assert near(pixels.getpixel((8, 4)), (255, 0, 0), 30)
    assert near(pixels.getpixel((56, 28)), (0, 0, 255), 30)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_colours_are_converted_to_srgb(kind: str) -> None:
    """The profile swaps red and green. Without it, the numbers are those of sRGB."""
    profile = swapped_profile()
    image = Image.new("RGB", (SQUARE, SQUARE), (250, 5, 5))
    _, plain = made(encoded(image, kind, quality=100), "webp")
    assert near(plain.convert("RGB").getpixel((20, 20)), (250, 5, 5), 12)
    _, converted = made(encoded(image, kind, quality=100, icc_profile=profile), "webp")
    red, green, _ = converted.convert("RGB").getpixel((20, 20))  # type: ignore[misc]
    assert green > red + 100
    assert "icc_profile" not in converted.info


def swapped_profile() -> bytes:
    """Return sRGB with the columns of red and green exchanged (ICC.1:2022, 9.2.44)."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(profile[128:132], "big")
    at = {
        bytes(profile[offset : offset + 4]): offset for offset in range(132, 132 + 12 * count, 12)
    }
    red, green = at[b"rXYZ"], at[b"gXYZ"]
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(profile)


def test_an_unusable_profile_is_ignored() -> None:
    image = Image.new("RGB", (SQUARE, SQUARE), (250, 5, 5))
    _, shown = made(encoded(image, "PNG", icc_profile=b"no profile at all" * 20), "webp")
    assert near(shown.convert("RGB").getpixel((20, 20)), (250, 5, 5))


def test_a_cmyk_image_becomes_rgb() -> None:
    body = encoded(Image.new("CMYK", (SQUARE, SQUARE), (0, 255, 255, 0)), "JPEG", quality=100)
    _, image = made(body, "jpeg")
    assert image.mode == "RGB"
    assert near(image.getpixel((20, 20)), (255, 0, 0), 12)


def test_a_16_bit_image_is_not_stretched() -> None:
    _, image = made(encoded(Image.new("I;16", (SQUARE, SQUARE), 30_000), "PNG"), "webp")
    assert near(image.convert("RGB").getpixel((20, 20)), (117, 117, 117))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_kept_or_becomes_white(mode: str) -> None:
    """WebP and AVIF keep it; JPEG has none."""
    image = Image.new("RGBA", (SQUARE, SQUARE), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, SQUARE // 2, SQUARE))
    body = encoded(image.convert(mode), "PNG")
    for name in ("webp", "avif"):
        shown = made(body, name)[1].convert("RGBA")
        assert near(shown.getpixel((5, 20)), (0, 0, 0, 255))
        assert shown.getpixel((35, 20))[3] <= 8  # type: ignore[index]
    assert near(made(body, "jpeg")[1].getpixel((35, 20)), (255, 255, 255))


def test_an_opaque_image_gets_no_alpha_channel() -> None:
    body = encoded(Image.new("RGBA", (SQUARE, SQUARE), "red"), "PNG")
    assert made(body, "webp")[1].mode == "RGB"


@pytest.mark.parametrize("name", ["webp", "jpeg", "avif"])
def test_a_rendition_has_no_metadata(name: str) -> None:
    exif = exif_block(gps=False, texts={0x010E: "a secret"}, orientation=6)
    body = jpeg_with(jpeg_segment(0xE1, b"Exif\0\0" + exif), jpeg_segment(0xFE, b"a comment"))
    result, image = made(body, name)
    assert not {"exif", "icc_profile", "xmp", "comment"} & image.info.keys()
    assert b"secret" not in result.body
    assert b"comment" not in result.body


@pytest.mark.parametrize(
    "file", ["portrait-rotated.jpg", "rocket-animated.gif", "cat.avif", "coffee.webp"]
)
def test_the_bytes_depend_on_image_and_preset_only(file: str) -> None:
    """They are the same in each run, alone or with others: so the object's key is the same too."""
    body, names = sample(file), tuple(PRESETS)
    together = results(body, *names)
    assert together == results(body, *names)
    assert together == tuple(results(body, name)[0] for name in names)


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (SQUARE, SQUARE), color) for color in ("red", "blue")]
    body = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert near(made(body, "webp")[1].convert("RGB").getpixel((20, 20)), (255, 0, 0), 12)


def test_all_renditions_together_are_bounded() -> None:
    """The one that exceeds the limit fails, and the image and the others do not."""
    noise = Image.effect_noise((2_400, 2_400), 200)
    presets = {
        name: RenditionPreset(2_400, 2_400, "contain", "JPEG", 100) for name in ("one", "two")
    }
    body = encoded(noise, "JPEG", quality=50)
    first, second = inspect(body, ImagePolicy(presets=presets), ("one", "two")).renditions
    assert isinstance(first, MadeRendition)
    assert isinstance(second, FailedRendition)
    assert second.code == "TOO_LARGE"


def test_a_large_rendition_is_charged_for_its_encoder() -> None:
    """And is expensive, while a thumbnail of the same image is cheap."""
    body = gradient_image("JPEG", (2_000, 2_000))
    none, small, large = (probe(body, POLICY, names) for names in ((), ("webp",), ("large",)))
    assert none.decode_bytes < small.decode_bytes < large.decode_bytes - 4_000_000 * 15
    assert small.work_pixels < 16_000_000 < large.work_pixels


@pytest.mark.parametrize("name", ["webp", "jpeg", "avif", "cover", "thumbnail"])
def test_a_small_image_with_a_thumbnail_stays_cheap(name: str) -> None:
    """Otherwise each image of a customer who asks for thumbnails would wait with the expensive ones."""
    body = gradient_image("JPEG", (640, 480))
    assert probe(body, POLICY, (name,)).decode_bytes <= CHEAP_BYTES


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "AVIF"])
@pytest.mark.parametrize("side", [1, 16, 128])
def test_the_size_of_a_rendition_is_within_its_charge(kind: str, side: int) -> None:
    """Noise with alpha, at quality 100, is the largest."""
    image = Image.merge("RGBA", [Image.effect_noise((side, side), 120) for _ in "RGBA"])
    preset = RenditionPreset(side, side, "contain", kind, 100)
    (result,) = inspect(
        encoded(image, "PNG"), ImagePolicy(presets={"one": preset}), ("one",)
    ).renditions
    assert isinstance(result, MadeRendition)
    assert len(result.body) <= side * side * ENCODED_BYTES + HEADER_BYTES
