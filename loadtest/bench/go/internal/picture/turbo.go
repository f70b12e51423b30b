package picture

/*
#cgo CFLAGS: -O3
#cgo LDFLAGS: -ljpeg
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <jpeglib.h>

struct error_state {
	struct jpeg_error_mgr manager;
	jmp_buf caller;
};

static void leave(j_common_ptr info) { longjmp(((struct error_state *)info->err)->caller, 1); }

static void count_warning(j_common_ptr info, int level) {
	if (level < 0) info->err->num_warnings++;
}

// Decodes to packed RGB at 1/scale of the size. Returns 0 for an error, a warning or a lack of room.
static int decode(const unsigned char *body, unsigned long size, int scale, unsigned char *pixels, unsigned long room,
		int *width, int *height) {
	struct jpeg_decompress_struct info;
	struct error_state state;
	int complete = 0;
	info.err = jpeg_std_error(&state.manager);
	state.manager.error_exit = leave;
	state.manager.emit_message = count_warning;
	jpeg_create_decompress(&info);
	if (!setjmp(state.caller)) {
		jpeg_mem_src(&info, body, size);
		jpeg_read_header(&info, TRUE);
		info.out_color_space = JCS_RGB;
		info.scale_num = 1;
		info.scale_denom = scale;
		jpeg_start_decompress(&info);
		*width = info.output_width;
		*height = info.output_height;
		if (3UL * info.output_width * info.output_height <= room) {
			while (info.output_scanline < info.output_height) {
				JSAMPROW row = pixels + 3UL * info.output_scanline * info.output_width;
				jpeg_read_scanlines(&info, &row, 1);
			}
			jpeg_finish_decompress(&info);
			complete = state.manager.num_warnings == 0;
		}
	}
	jpeg_destroy_decompress(&info);
	return complete;
}

// Averages squares of factor by factor pixels, as Pillow's Image.reduce. Compilers vectorise the sum of rows, which fits
// into 16 bits up to 257 rows.
static void reduce(const unsigned char *from, int width, int height, int factor, unsigned short *sums, unsigned char *to) {
	int step = (factor + 255) / 256;
	for (int top = 0; top < height; top += factor) {
		int bottom = top + factor < height ? top + factor : height, rows = 0;
		memset(sums, 0, sizeof(unsigned short) * 3 * width);
		for (int y = top; y < bottom; y += step, rows++) {
			const unsigned char *row = from + 3L * y * width;
			for (int x = 0; x < 3 * width; x++) sums[x] += row[x];
		}
		for (int left = 0; left < width; left += factor) {
			int right = left + factor < width ? left + factor : width;
			for (int channel = 0; channel < 3; channel++) {
				unsigned sum = 0, count = (right - left) * rows;
				for (int x = left; x < right; x++) sum += sums[3 * x + channel];
				*to++ = (sum + count / 2) / count;
			}
		}
	}
}
*/
import "C"

import (
	"errors"
	"sync"
	"unsafe"
)

// Sides of the reduced copy, of the samples and of a draft, as in consumer/imaging.
const (
	reducedSide   = 64
	sampleColumns = 37
	sampleRows    = 31
	draftScale    = 8
	draftSideMin  = 32
)

// buffers keeps the memory of decoded images, because the runtime would clear and collect megabytes per image.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// decoded is what remains of a decoded image: a small copy, and samples of its pixels.
type decoded struct {
	small   reduced
	samples []uint32
}

// decode decodes a JPEG file to its end.
func decode(body []byte, width, height int, draft bool) (decoded, error) {
	scale := 1
	if draft {
		scale = scaleOfDraft(width, height)
	}
	room := 3 * ((width + scale - 1) / scale) * ((height + scale - 1) / scale)
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	if cap(*buffer) < room {
		*buffer = make([]byte, room)
	}
	pixels := bytesOf((*buffer)[:room])
	var w, h C.int
	if C.decode(bytesOf(body), C.ulong(len(body)), C.int(scale), pixels, C.ulong(room), &w, &h) == 0 {
		return decoded{}, errors.New("libjpeg-turbo reports damage")
	}
	factor := max(1, min(int(w), int(h))/reducedSide)
	small := reduced{width: (int(w) + factor - 1) / factor, height: (int(h) + factor - 1) / factor}
	small.pixels = make([]byte, 3*small.width*small.height)
	sums := make([]uint16, 3*w)
	C.reduce(pixels, w, h, C.int(factor), (*C.ushort)(unsafe.Pointer(&sums[0])), bytesOf(small.pixels))
	return decoded{small, sample(*buffer, int(w), int(h))}, nil
}

// sample returns pixels of packed RGB, nearest to the centres of a grid.
func sample(pixels []byte, width, height int) []uint32 {
	columns, rows := min(width, sampleColumns), min(height, sampleRows)
	samples := make([]uint32, 0, columns*rows)
	for row := range rows {
		y := (2*row + 1) * height / (2 * rows)
		for column := range columns {
			x := (2*column + 1) * width / (2 * columns)
			pixel := pixels[3*(y*width+x):]
			samples = append(samples, uint32(pixel[0])|uint32(pixel[1])<<8|uint32(pixel[2])<<16)
		}
	}
	return samples
}

// scaleOfDraft returns the largest scale that Pillow's draft mode would choose.
func scaleOfDraft(width, height int) int {
	wanted := func(side int) int { return max(side/draftScale, min(side, draftSideMin)) }
	ratio := min(width/wanted(width), height/wanted(height))
	for scale := draftScale; scale > 1; scale /= 2 {
		if ratio >= scale {
			return scale
		}
	}
	return 1
}

func bytesOf(slice []byte) *C.uchar { return (*C.uchar)(unsafe.Pointer(&slice[0])) }
