import pytest

from consumer.imaging.inspection import inspect, probe
from consumer.imaging.policy import ImagePolicy
from consumer.imaging.structure.iso import av1, avif
from core.errors import CorruptImage, TooManyPixels
from harness.images import gradient_image, sample

TINY = ImagePolicy(max_pixels=10_000)
SIZE = (128).to_bytes(4, "big") + (96).to_bytes(4, "big")
CLAIMED = (16).to_bytes(4, "big") * 2


def understated(frames: int = 1) -> bytes:
    """An AVIF of 128 x 96 pixels whose container says 16 x 16."""
    body = gradient_image("AVIF", (128, 96), frames=frames)
    assert SIZE in body
    tracks = (128 << 16).to_bytes(4, "big") + (96 << 16).to_bytes(4, "big")
    entry = (128).to_bytes(2, "big") + (96).to_bytes(2, "big")
    return (
        body.replace(SIZE, CLAIMED)
        .replace(tracks, (16 << 16).to_bytes(4, "big") * 2)
        .replace(entry, (16).to_bytes(2, "big") * 2)
    )


def in_item_data(body: bytes) -> bytes:
    """The same image with its data inside the metadata box (construction method 1)."""
    start = body.index(b"mdat") + 4
    data = body[start:]
    box = (len(data) + 8).to_bytes(4, "big") + b"idat" + data
    at = body.index(b"meta") - 4
    size = int.from_bytes(body[at : at + 4], "big")
    meta = body[at + 4 : at + size] + box
    locations = meta.index(b"iloc") + 4
    old = meta[locations : locations + 22]
    assert old[4:8] == b"\x44\0\0\1"
    new = b"\1" + old[1:10] + b"\0\1" + old[10:14] + bytes(4) + old[18:22]
    meta = meta.replace(old, new, 1).replace(
        len(old + bytes(8)).to_bytes(4, "big") + b"iloc", (32).to_bytes(4, "big") + b"iloc", 1
    )
    return body[:at] + (len(meta) + 4).to_bytes(4, "big") + meta


@pytest.mark.parametrize("frames", [1, 3])
def test_the_limits_apply_to_the_coded_size_not_to_the_container(frames: int) -> None:
    """A container that understates its images is TOO_MANY_PIXELS, for a still image and for a sequence."""
    with pytest.raises(TooManyPixels):
        probe(understated(frames), TINY)
    with pytest.raises(TooManyPixels):
        inspect(understated(frames), TINY)
    assert probe(understated(frames), ImagePolicy()).decode_bytes > 128 * 96 * 16


def test_coded_data_is_found_inside_the_metadata_box() -> None:
    """An item may lie in the item data box. Its size counts too."""
    with pytest.raises(TooManyPixels, match="12,288"):
        probe(in_item_data(understated()), TINY)


def test_equal_sizes_count_once() -> None:
    """If container and coded data agree, the pixels are those of the image."""
    exact = ImagePolicy(max_pixels=400 * 266)
    assert probe(sample("cat.avif"), exact).structure.width == 400
    with pytest.raises(TooManyPixels):
        probe(sample("cat.avif"), ImagePolicy(max_pixels=400 * 266 - 1))


def bits(*fields: tuple[int, int]) -> bytes:
    """Pack numbers, each with its width in bits, from the highest bit down."""
    text = "".join(f"{number:0{width}b}" for number, width in fields)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


FRAME = ((11, 4), (9, 4), (2_999, 12), (999, 10))
TOOLS = ((0, 1), (0, 3), (0, 4), (0, 1), (1, 1), (1, 1), (0, 3))
REDUCED_TOOLS = ((0, 3), (0, 3))
ALL_TOOLS = (
    (1, 1),
    (0, 7),
    (0, 3),
    (0, 4),
    (1, 1),
    (0, 2),
    (0, 1),
    (1, 1),
    (0, 1),
    (1, 1),
    (6, 3),
    (0, 3),
)
NO_TOOLS = ((0, 1), (0, 3), (0, 4), (0, 1), (0, 1), (0, 1), (0, 3))
SRGB = ((1, 1), (1, 8), (13, 8), (0, 8))
TIMING = ((1, 1), (1, 32), (25, 32), (1, 1), (0b00101, 5))
MODEL = ((1, 1), (9, 5), (1, 32), (9, 5), (9, 5))
HEADERS = {
    "reduced, 8 bits, 4:2:0": (
        bits((0, 3), (1, 1), (1, 1), (8, 5), *FRAME, *REDUCED_TOOLS, (0, 3), (1, 1)),
        (8, 0.5),
    ),
    "plain, 10 bits, gray": (
        bits((0, 5), (0, 1), (0, 1), (0, 5), (0, 12), (7, 5), *FRAME, *TOOLS, (3, 2), (0, 2)),
        (10, 0),
    ),
    "tier and display delay, 8 bits, 4:4:4": (
        bits(
            *((1, 3), (0, 2), (0, 1), (1, 1), (0, 5), (0, 12), (8, 5), (1, 1), (1, 1), (3, 4)),
            *(*FRAME, *ALL_TOOLS, (0, 3)),
        ),
        (8, 2),
    ),
    "timing, 10 bits, 4:2:2": (
        bits(
            *((2, 3), (0, 2), *TIMING, (0, 1), (0, 1), (0, 5), (0, 12), (7, 5)),
            *(*FRAME, *NO_TOOLS, (1, 1), (0, 1), (0, 3)),
        ),
        (10, 1),
    ),
    "decoder model, two points, 12 bits, 4:2:0": (
        bits(
            *((2, 3), (0, 2), *TIMING, *MODEL, (0, 1), (1, 5)),
            *((0, 12), (7, 5), (1, 1), (5, 10), (6, 10), (1, 1)),
            *((0, 12), (7, 5), (0, 1)),
            *(*FRAME, *NO_TOOLS, (3, 2), (0, 3), (3, 2)),
        ),
        (12, 0.5),
    ),
    "sRGB": (
        bits((1, 3), (1, 1), (1, 1), (8, 5), *FRAME, *REDUCED_TOOLS, (0, 1), *SRGB),
        (8, 2),
    ),
}


@pytest.mark.parametrize(("header", "samples"), HEADERS.values(), ids=HEADERS.keys())
def test_a_sequence_header_gives_its_size_and_samples(
    header: bytes, samples: tuple[int, float]
) -> None:
    """They are read after every optional part of the header (AV1, 5.5)."""
    assert av1.read_sequence_header(header) == (3_000, 1_000, *samples)


def test_a_sequence_header_cut_short_is_corrupt() -> None:
    """A header that ends before its samples are known is CORRUPT_IMAGE."""
    with pytest.raises(CorruptImage):
        av1.read_sequence_header(HEADERS["timing, 10 bits, 4:2:2"][0][:-3])


def test_each_unit_is_found() -> None:
    """Units with an extension, a long size and no size are all found."""
    data = b"\x12\0" + b"\x0e\x08\x81\0a" + b"\x30bc"
    assert [*av1.iter_obus(data)] == [(2, b""), (1, b"a"), (6, b"bc")]


@pytest.mark.parametrize("data", [b"\x0a", b"\x0a\xff", b"\x0a\5abc", b"\x0a" + b"\x80" * 9])
def test_a_unit_cut_short_is_corrupt(data: bytes) -> None:
    """A size that reaches beyond the data, or has no last byte, is CORRUPT_IMAGE."""
    with pytest.raises(CorruptImage):
        [*av1.iter_obus(data)]


def test_items_that_share_their_data_are_corrupt() -> None:
    """A table of many items over the same bytes is rejected instead of read many times."""
    body = sample("cat.avif")
    data = ((body.index(b"mdat") + 4, len(body) - body.index(b"mdat") - 4),)
    assert [*avif._coded_images(body, [data] * 2)] == [(400 * 266, 512 * 384, 0.5, 8, 1, False)] * 2
    with pytest.raises(CorruptImage):
        [*avif._coded_images(body, [data] * 9)]


def repeated(times: int, *, split: bool = False) -> bytes:
    """An AVIF whose only item holds its key frame several times.

    split: as a frame header and a tile group instead of one unit. A decoder would reject these.
    """
    body = gradient_image("AVIF", (64, 64))
    start = body.index(b"mdat") + 4
    units = dict(av1.iter_obus(body[start:]))
    header, frame = units[1], units[6]
    pieces = [obu(3, frame[:4]), obu(4, frame[4:])] if split else [obu(6, frame)]
    data = obu(1, header) + b"".join(pieces) * times
    size = (len(body) - start).to_bytes(4, "big")
    head = body[: start - 8] + (len(data) + 8).to_bytes(4, "big") + b"mdat"
    assert head.count(size) == 1
    return head.replace(size, len(data).to_bytes(4, "big")) + data


def obu(kind: int, payload: bytes) -> bytes:
    """A unit with a size of two bytes (AV1, 5.3.1)."""
    size = bytes((len(payload) & 0x7F | 0x80, len(payload) >> 7))
    return bytes((kind << 3 | 2,)) + size + payload


@pytest.mark.parametrize("split", [False, True])
def test_each_frame_of_an_item_counts(split: bool) -> None:
    """A key frame repeated in one item is decoded again and again: each repeat counts as a frame."""
    structure = probe(repeated(20, split=split), ImagePolicy()).structure
    assert (structure.frames, structure.hidden_frames) == (1, 19)
    assert structure.pixels == 20 * 64 * 64
    with pytest.raises(TooManyPixels, match="in all frames"):
        probe(repeated(20, split=split), ImagePolicy(max_pixels=20 * 64 * 64 - 1))
    with pytest.raises(TooManyPixels, match="20 frames, at most 19"):
        probe(repeated(20, split=split), ImagePolicy(max_frames=19))


def test_the_frames_of_an_encoder_are_not_hidden() -> None:
    """A frame that one sample holds and a later one shows counts once. A few frames are never shown."""
    assert probe(sample("cat.avif"), ImagePolicy()).structure.hidden_frames == 0
    structure = probe(gradient_image("AVIF", (64, 64), frames=20), ImagePolicy()).structure
    assert structure.frames == 20
    assert structure.hidden_frames <= 4


def test_a_sample_that_shows_a_frame_again_and_again_is_counted() -> None:
    """Each frame header beyond one in a sample is a hidden frame, if it shows an old frame too."""
    show = obu(3, b"\x80")
    body = obu(6, b"\0") + show * 9 + show
    first, last = (0, len(body) - len(show)), (len(body) - len(show), len(show))
    samples = [*avif._coded_images(body, [(first,), (last,)])]
    assert samples == [(0, 0, 0, 0, 10, False), (0, 0, 0, 0, 1, True)]
    assert avif._hidden_frames([], samples) == 8
