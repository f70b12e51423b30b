"""The tags of exiftool that hold a location."""

import pytest

from harness.exiftool import location_tags


@pytest.mark.parametrize(
    "key",
    [
        "GPS:GPSLatitude",
        "GPS:GPSAltitude",
        "GPS:GPSDateStamp",
        "XMP-exif:Copy1:GPSLongitude",
        "XMP-photoshop:City",
        "XMP-photoshop:State",
        "XMP-iptcCore:Location",
        "XMP-dwc:DCDecimalLatitude",
        "IPTC:Sub-location",
        "IPTC:Province-State",
        "IPTC:Country-PrimaryLocationName",
        "Keys:GPSCoordinates",
        "UserData:LocationInformation",
        "Panasonic:City",
    ],
)
def test_a_tag_of_a_place_is_found(key: str) -> None:
    assert list(location_tags({key: "x1"})) == [
        f"{key.split(':', maxsplit=1)[0]}:{key.rsplit(':', maxsplit=1)[-1]}=x1"
    ]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("SourceFile", "/tmp/City/1.jpg"),  # noqa: S108  a name
        ("Composite:GPSPosition", "1 2"),
        ("ExifIFD:SubjectLocation", "10 20"),
        ("ExifIFD:ISOSpeedLatitudeyyy", 1),
        ("Pentax:HometownCity", "Tokyo"),
        ("Pentax:BodyBatteryState", 4),
        ("Panasonic:City2", "---"),
        ("Canon:Velocity", 1),
        ("IFD0:Make", "Canon"),
    ],
)
def test_other_tags_are_not(key: str, value: object) -> None:
    assert list(location_tags({key: value})) == []
