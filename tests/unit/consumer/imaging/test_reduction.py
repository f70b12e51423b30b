import pytest
from PIL import Image

from consumer.imaging.fingerprint import make_thumbnail
from consumer.imaging.reduction import reduce_image


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "CMYK"])
@pytest.mark.parametrize("factors", [(1, 1), (3, 3), (7, 2), (2, 7), (300, 300)])
def test_an_image_is_reduced_as_pillow_reduces_it(mode: str, factors: tuple[int, int]) -> None:
    """Every pixel is the same, at the edges too, where fewer pixels are averaged."""
    noise = Image.effect_noise((101, 67), 90)
    image = Image.merge(
        mode, [noise.rotate(40 * at) for at in range(len(Image.new(mode, (1, 1)).getbands()))]
    )
    reduced = reduce_image(image, factors)
    assert (reduced.mode, reduced.size) == (mode, image.reduce(factors).size)
    assert reduced.tobytes() == image.reduce(factors).tobytes()


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA", "I;16"])
@pytest.mark.parametrize("size", [(200_000, 3), (3, 200_000), (100_000, 100)])
def test_the_thumbnail_of_a_very_long_image_is_small(mode: str, size: tuple[int, int]) -> None:
    """The longer side is limited too, so that the thumbnail's memory is."""
    thumbnail = make_thumbnail(Image.new(mode, size))
    assert max(thumbnail.size) <= 1_023
    assert min(thumbnail.size) == min(*size, 100)
