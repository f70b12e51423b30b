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
        'photoshop:CITY="Berlin"',
        'ns:COUNTRY="Germany"',
        'ns:StateProvince="BE"',
        'ns:province="BE"',
        'ns:CityName="Berlin"',
        'ns:locality_name="Mitte"',
        'ns:countryISO="DE"',
        'ns:CountryCode2="DE"',
        'schema:addressLocality="Berlin"',
        'ns:geohash="u33db"',
        'ns:geonameId="2950159"',
        'ns:plusCode="9F4MGC22+22"',
        'ns:MGRS="33UUU9029819737"',
        'ns:UTM="33U 390298 5819737"',
        'ns:easting="390298"',
        'ns:GeoURI="urn:here"',
        'ns:LatLng="52.5,13.4"',
        'ns:coords="52.5,13.4"',
        'ns:Elevation="34"',
        'ns:Town="Teltow"',
        'ns:PostalCode="10117"',
        'ns:GeoTag="yes"',
        'drone-dji:RtkStdLat="0.01"',
        'a:b="geo:52.5,13.4"',
        '><a:b rdf:resource="geo:-33,151.2;u=35"/><a:b',
        "><a:b>geo:52.5,13.4</a:b><a:b",
        "a" * 70 + ':GPSLatitude="52,31.2N"',
        "a" * 70 + ':City="Berlin"',
        "><photoshop:City><rdf:Alt></rdf:Alt><rdf:Bag><rdf:li>Berlin</rdf:li></rdf:Bag></photoshop:City><a:b",
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
        'ns:Statement="x"',
        'ns:Placement="x"',
        'ns:Longest="1"',
        'dc:description="geo:graphy, 12,5"',
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


LIGHTROOM = """
 xmp:CreatorTool="Adobe Photoshop Lightroom Classic 13.0 (Windows)" xmp:Rating="3"
 xmp:MetadataDate="2024-05-01T10:00:00"
 aux:Lens="EF24-105mm f/4L IS USM" aux:ApproximateFocusDistance="1000/100"
 aux:LateralChromaticAberrationCorrectionAlreadyApplied="True"
 photoshop:DateCreated="2024-05-01" photoshop:ColorMode="3" photoshop:ICCProfile="sRGB"
 photoshop:SidecarForExtension="CR2"
 xmpMM:DocumentID="xmp.did:1" xmpMM:OriginalDocumentID="1" xmpMM:InstanceID="xmp.iid:1"
 crs:Version="16.0" crs:WhiteBalance="As Shot" crs:Temperature="5200" crs:Exposure2012="+0.35"
 crs:PerspectiveAspect="0"
 crs:ColorGradeMidtoneHue="0" crs:LensManualDistortionAmount="0" crs:UprightTransformCount="6"
 crs:ToneCurveName2012="Linear"
 crs:CameraProfile="Adobe Color" crs:HasCrop="False" crs:AlreadyApplied="True" crs:Cluster="" crs:UUID="1"
 tiff:Make="Canon" tiff:Model="Canon EOS R5" tiff:ImageWidth="8192" tiff:YCbCrPositioning="2" exif:ExifVersion="0231"
 exif:FocalPlaneXResolution="1" exif:SubjectDistance="1/1" exif:SubjectArea="1 2" exif:ISOSpeedRatings="100"
 exifEX:LensModel="x">
 <xmpMM:History><rdf:Seq><rdf:li stEvt:action="derived" stEvt:parameters="converted from image/x-canon-cr2"
 stEvt:changed="/"/>
 </rdf:Seq></xmpMM:History><crs:ToneCurvePV2012><rdf:Seq><rdf:li>0, 0</rdf:li></rdf:Seq></crs:ToneCurvePV2012>
 <crs:Look><rdf:Description crs:Name="Adobe Color" crs:SupportsAmount="false"/></crs:Look>
 <Iptc4xmpCore:CreatorContactInfo Iptc4xmpCore:CiAdrCity="Berlin" Iptc4xmpCore:CiAdrCtry="Germany"/>
 <lr:hierarchicalSubject><rdf:Bag><rdf:li>Nature|Birds</rdf:li></rdf:Bag></lr:hierarchicalSubject><a:b c:d=\"\"
"""
PHOTOSHOP_XMP = """
 xmp:CreatorTool="Adobe Photoshop 25.0 (Macintosh)" dc:format="image/jpeg" photoshop:ColorMode="3"
 photoshop:LegacyIPTCDigest="1"
 photoshop:Urgency="5" photoshop:Credit="x" photoshop:Source="x" photoshop:Headline="x" photoshop:Instructions="x"
 photoshop:City=""
 xmpRights:Marked="True" xmpTPg:NPages="1" pdf:Producer="x"
 illustrator:Type="Document"><photoshop:DocumentAncestors><rdf:Bag>
 <rdf:li>adobe:docid:photoshop:1</rdf:li></rdf:Bag></photoshop:DocumentAncestors><xmpMM:DerivedFrom
 stRef:instanceID="xmp.iid:1"
 stRef:documentID="xmp.did:1"/><photoshop:TextLayers><rdf:Bag><rdf:li photoshop:LayerName="City"
 photoshop:LayerText="lat long"/>
 </rdf:Bag></photoshop:TextLayers><plus:Licensor><rdf:Seq><rdf:li plus:LicensorCity="Berlin"
 plus:LicensorCountry="Germany"/>
 </rdf:Seq></plus:Licensor><a:b c:d=\"\"
"""
PHONE = """
 xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" GCamera:MotionPhoto="1"
 GCamera:MotionPhotoPresentationTimestampUs="968644"
 GPano:ProjectionType="equirectangular" GPano:PoseHeadingDegrees="12" GPano:CroppedAreaLeftPixels="0"
 GDepth:Near="0.5"
 hdrgm:Version="1.0" hdrgm:GainMapMax="2.5" hdrgm:OffsetSDR="0.015" HDRGainMap:HDRGainMapVersion="65536"
 apple-fi:Timestamp="1"
 mwg-rs:Type="Face" stArea:x="0.5" stArea:unit="normalized" Container:Version="1" Item:Semantic="Primary"
 Item:Length="12"
 xmpNote:HasExtendedXMP="1" xmp:ModifyDate="2024-05-01T10:00:00" exif:UserComment="" MicrosoftPhoto:LastKeywordXMP=""
 """


@pytest.mark.parametrize("properties", [LIGHTROOM, PHOTOSHOP_XMP, PHONE])
def test_usual_xmp_of_editors_and_phones_stays(properties: str) -> None:
    """The properties of Lightroom, Photoshop, and the cameras of Google, Samsung and Apple."""
    body = jpeg_with(jpeg_segment(0xE1, XMP + xmp_packet(properties)))
    assert inspect(body, POLICY).body is body


def test_a_packet_without_its_namespace_is_found() -> None:
    """Some readers need no declaration of RDF."""
    packet = b"<rdf:RDF><rdf:Description><exif:GPSLatitude>52,31.2N</exif:GPSLatitude></rdf:RDF>"
    assert inspect(jpeg_with(jpeg_segment(0xE1, XMP + packet)), POLICY).metadata.had_location
