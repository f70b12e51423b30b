from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PictureMetadata:
    """What is kept of a picture. Coordinates are never among it.

    format: JPEG, PNG, GIF, WEBP, AVIF, TIFF or BMP. width, height: pixels as displayed, the EXIF
    orientation applied. mode: Pillow's name of the pixel format. bytes: size of the stored body.
    sha256: of the stored body, source_sha256: of the body that came, both 64 hexadecimal digits.
    perceptual_hash: 16 hexadecimal digits, dominant_color: #rrggbb; both of the first frame, and
    empty where only the header was looked at. capture_time: ISO 8601, without a zone where EXIF
    names none, or empty. camera: maker and model, printable, at most 128 characters, or empty.
    had_location: whether the body that came told where the picture was taken.
    """

    format: str
    media_type: str
    width: int
    height: int
    mode: str
    frames: int
    bytes: int
    sha256: str
    source_sha256: str
    perceptual_hash: str
    dominant_color: str
    capture_time: str
    camera: str
    had_location: bool
