// Package picture decodes images and reads the metadata that is stored.
package picture

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	_ "image/jpeg"
	_ "image/png"

	_ "golang.org/x/image/bmp"
	_ "golang.org/x/image/tiff"
	_ "golang.org/x/image/webp"
)

const maxPixels = 100_000_000

// Metadata is what a row and a notification contain. Width and height are those of the upright image.
type Metadata struct {
	Format, MediaType, Extension  string
	Width, Height, Frames         int
	Mode                          string
	PerceptualHash, DominantColor string
	CaptureTime, Camera           string
}

// Decoder selects how images are decoded.
type Decoder int

const (
	// Standard decodes with the standard library, and computes no hash, no colour and no EXIF facts.
	Standard Decoder = iota
	// Turbo decodes JPEG with libjpeg-turbo, treats its warnings as errors, and computes everything that is stored.
	Turbo
	// TurboDraft is Turbo at a fraction of the image's size, as VERIFICATION=draft.
	TurboDraft
)

type format struct{ name, mediaType, extension string }

var formats = map[string]format{
	"bmp":  {"BMP", "image/bmp", "bmp"},
	"gif":  {"GIF", "image/gif", "gif"},
	"jpeg": {"JPEG", "image/jpeg", "jpg"},
	"png":  {"PNG", "image/png", "png"},
	"tiff": {"TIFF", "image/tiff", "tiff"},
	"webp": {"WEBP", "image/webp", "webp"},
}

// Inspect decodes every frame of an image.
func Inspect(body []byte, decoder Decoder) (*Metadata, error) {
	config, name, err := image.DecodeConfig(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("no image: %w", err)
	}
	if config.Width*config.Height > maxPixels {
		return nil, errors.New("too many pixels")
	}
	found := formats[name]
	metadata := &Metadata{
		Format: found.name, MediaType: found.mediaType, Extension: found.extension,
		Width: config.Width, Height: config.Height, Frames: 1, Mode: mode(config.ColorModel),
	}
	switch {
	case decoder != Standard && name == "jpeg":
		err = metadata.inspectJPEG(body, decoder == TurboDraft)
	case decoder != Standard:
		err = errors.New("libjpeg-turbo decodes only JPEG")
	case name == "gif":
		var decoded *gif.GIF
		if decoded, err = gif.DecodeAll(bytes.NewReader(body)); err == nil {
			metadata.Frames = len(decoded.Image)
		}
	default:
		_, _, err = image.Decode(bytes.NewReader(body))
	}
	if err != nil {
		return nil, fmt.Errorf("corrupt image: %w", err)
	}
	return metadata, nil
}

func (m *Metadata) inspectJPEG(body []byte, draft bool) error {
	facts, err := readEXIF(body)
	if err != nil {
		return err
	}
	image, err := decode(body, m.Width, m.Height, draft)
	if err != nil {
		return err
	}
	m.Camera, m.CaptureTime = facts.camera, facts.captureTime
	m.PerceptualHash, m.DominantColor = image.small.differenceHash(), dominantColor(image.samples)
	return nil
}

// mode returns Pillow's name of a pixel format.
func mode(model color.Model) string {
	switch model {
	case color.GrayModel:
		return "L"
	case color.Gray16Model:
		return "I;16"
	case color.CMYKModel:
		return "CMYK"
	case color.NRGBAModel, color.RGBAModel, color.NYCbCrAModel:
		return "RGBA"
	}
	if _, indexed := model.(color.Palette); indexed {
		return "P"
	}
	return "RGB"
}
