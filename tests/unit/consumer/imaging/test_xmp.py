import pytest

from consumer.imaging.inspection import inspect
from consumer.imaging.policy import ImagePolicy
from harness.images import jpeg_segment, jpeg_with, xmp_packet

POLICY = ImagePolicy()
XMP = b"http://ns.adobe.com/xap/1.0/\0"


@pytest.mark.parametrize(
    "properties",
    [
        'exif:GPSLongitude="13,24.1E"',
        "exif:GPSAltitude='34/1'",
        'photoshop:City="Berlin"',
        'photoshop:State="BE" ',
        'photoshop:Country="Germany"',
        'Iptc4xmpCore:Location="Gate"',
        'Iptc4xmpCore:CountryCode="DE"',
        'geo:lat="52.5"',
        'geo:long = "13.4"',
        'drone-dji:GpsLatitude="+52.5"',
        'any.prefix:GPSLatitude="52,31.2N"',
        'dwc:decimalLatitude="48.1"',
        'dwc:verbatimCoordinates="48 N 11 E"',
        'dwc:verbatimLocality="Marienplatz"',
        'dwc:locality="Marienplatz"',
        'xmpDM:shotLocation="Berlin"',
        'prism:location="Berlin"',
        'dcterms:spatial="Berlin"',
        'cell:cgi="262-01-1-1"',
        'Device:EarthPosLatitude="52.5"',
        'préfixe:City="Berlin"',
        '><City xmlns="urn:any">Berlin</City><a:b c:d=""',
        "><georss:point>52.5 13.4</georss:point><a:b",
        '><Iptc4xmpExt:LocationShown><rdf:Bag><rdf:li/></rdf:Bag></Iptc4xmpExt:LocationShown><a:b c:d=""',
        "><geo:lat>52.5</geo:lat><a:b",
        '>\n<photoshop:City>Berlin</photoshop:City><a:b c:d=""',
    ],
)
@pytest.mark.parametrize("coding", ["utf-8", "utf-16", "utf-16-be", "utf-32"])
def test_every_spelling_of_a_location_in_xmp_is_found(properties: str, coding: str) -> None:
    """Location properties are found as attributes and elements, in any Unicode encoding."""
    packet = xmp_packet(properties).decode().encode(coding)
    inspected = inspect(jpeg_with(jpeg_segment(0xE1, XMP + packet)), POLICY)
    assert inspected.metadata.had_location
    assert packet not in inspected.body


@pytest.mark.parametrize(
    "properties",
    [
        'photoshop:City=""',
        "photoshop:State=' '",
        "><photoshop:City/><a:b",
        "><photoshop:City> </photoshop:City><a:b",
        'exif:SubjectLocation="12 20"',
        'exif:GPSVersionID="2.2.0.0"',
        '><Iptc4xmpExt:LocationShown>\n <rdf:Bag/>\n</Iptc4xmpExt:LocationShown><a:b c:d=""',
        '><Iptc4xmpExt:LocationCreated><rdf:Bag> </rdf:Bag></Iptc4xmpExt:LocationCreated><a:b c:d=""',
        'exifEX:ISOSpeedLatitudeyyy="100"',
        'plus:LicensorCity="Berlin"',
        'Iptc4xmpCore:CiAdrCity="Berlin"',
        'xmp:Label="City"',
        'dc:title="geo:lat"',
        'x:Cityscape="1"',
        'tiff:Orientation="1"',
    ],
)
def test_xmp_without_location_stays(properties: str) -> None:
    """Empty location properties, and properties with similar names, are no location."""
    body = jpeg_with(jpeg_segment(0xE1, XMP + xmp_packet(properties)))
    assert inspect(body, POLICY).body is body


@pytest.mark.parametrize(
    ("plain", "disguised"),
    [
        (b"rdf-syntax-ns#", b"rdf-syntax&#45;ns#"),
        (b"rdf-syntax-ns#", b"&#x72;df-syntax-n&#115;#"),
        (b"<x:xmpmeta", b'<!DOCTYPE x [<!ENTITY e "&#60;">]><x:xmpmeta'),
    ],
)
def test_a_disguised_packet_is_dropped(plain: bytes, disguised: bytes) -> None:
    """Character references in a namespace do not hide a location, and a packet with entities counts as located."""
    properties = 'exif:GPSLatitude="1"' if b"ENTITY" not in disguised else 'x:a="&e;"'
    packet = xmp_packet(properties).replace(plain, disguised)
    inspected = inspect(jpeg_with(jpeg_segment(0xE1, XMP + packet)), POLICY)
    assert inspected.metadata.had_location
    assert packet not in inspected.body
