package picture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"time"
	"unicode"
)

// Tags of EXIF 2.32, section 4.6.
const (
	tagMake        = 0x010f
	tagModel       = 0x0110
	tagOrientation = 0x0112
	tagDetails     = 0x8769
	tagGPS         = 0x8825
	tagCaptureTime = 0x9003
)

const (
	typeText  = 2
	typeShort = 3

	entrySize = 12
)

// Markers of a JPEG file (ITU-T T.81, table B.1).
const (
	markerAPP1  = 0xe1
	markerAPP13 = 0xed
	markerSOS   = 0xda
)

var (
	exifPrefix = []byte("Exif\x00\x00")
	xmpPrefix  = []byte("http://ns.adobe.com/xap/1.0/\x00")
	iptcCity   = []byte("\x1c\x02\x5a")

	errLocation    = errors.New("removing a location is not implemented")
	errOrientation = errors.New("turning an image is not implemented")
)

type exifFacts struct{ camera, captureTime string }

// readEXIF reads the facts of a JPEG file. It refuses a location and an orientation, because this program handles neither.
func readEXIF(body []byte) (facts exifFacts, err error) {
	for at := 2; at+4 <= len(body) && body[at] == 0xff; {
		marker, length := body[at+1], int(binary.BigEndian.Uint16(body[at+2:]))
		end := at + 2 + length
		if marker == markerSOS || length < 2 || end > len(body) {
			break
		}
		segment := body[at+4 : end]
		switch {
		case marker == markerAPP1 && bytes.HasPrefix(segment, exifPrefix):
			if facts, err = readTIFF(segment[len(exifPrefix):]); err != nil {
				return facts, err
			}
		case marker == markerAPP1 && bytes.HasPrefix(segment, xmpPrefix) && hasLocation(segment),
			marker == markerAPP13 && bytes.Contains(segment, iptcCity):
			return facts, errLocation
		}
		at = end
	}
	return facts, nil
}

func hasLocation(xmp []byte) bool {
	return bytes.Contains(xmp, []byte("exif:GPS")) || bytes.Contains(xmp, []byte("photoshop:City"))
}

func readTIFF(block []byte) (facts exifFacts, err error) {
	if len(block) < 8 {
		return facts, nil
	}
	tiff := tiffBlock{block, binary.BigEndian}
	if block[0] == 'I' {
		tiff.order = binary.LittleEndian
	}
	var maker, model string
	var details uint32
	for _, each := range tiff.directory(tiff.order.Uint32(block[4:])) {
		switch each.tag {
		case tagMake:
			maker = each.text()
		case tagModel:
			model = each.text()
		case tagOrientation:
			if each.number > 1 {
				return facts, errOrientation
			}
		case tagGPS:
			return facts, errLocation
		case tagDetails:
			details = each.number
		}
	}
	for _, each := range tiff.directory(details) {
		if taken, err := time.Parse("2006:01:02 15:04:05", each.text()); each.tag == tagCaptureTime && err == nil {
			facts.captureTime = taken.Format("2006-01-02T15:04:05")
		}
	}
	facts.camera = strings.TrimSpace(maker + " " + model)
	if first, _, _ := strings.Cut(maker, " "); first != "" && strings.HasPrefix(strings.ToLower(model), strings.ToLower(first)) {
		facts.camera = model
	}
	return facts, nil
}

type tiffBlock struct {
	bytes []byte
	order binary.ByteOrder
}

type entry struct {
	tag    uint16
	number uint32
	raw    []byte
}

func (t tiffBlock) directory(at uint32) []entry {
	if at == 0 || int(at)+2 > len(t.bytes) {
		return nil
	}
	count, rest := int(t.order.Uint16(t.bytes[at:])), t.bytes[at+2:]
	entries := make([]entry, 0, min(count, len(rest)/entrySize))
	for ; count > 0 && len(rest) >= entrySize; count-- {
		entries = append(entries, t.entry(rest[:entrySize]))
		rest = rest[entrySize:]
	}
	return entries
}

func (t tiffBlock) entry(raw []byte) entry {
	kind, size, value := t.order.Uint16(raw[2:]), t.order.Uint32(raw[4:]), raw[8:]
	found := entry{tag: t.order.Uint16(raw), number: t.order.Uint32(value), raw: value}
	if kind == typeShort {
		found.number = uint32(t.order.Uint16(value))
	}
	if start := int(found.number); kind == typeText && size > 4 {
		found.raw = t.bytes[min(start, len(t.bytes)):min(start+int(size), len(t.bytes))]
	}
	return found
}

func (e entry) text() string {
	text, _, _ := strings.Cut(string(e.raw), "\x00")
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || !unicode.IsPrint(r) }), " ")
}
