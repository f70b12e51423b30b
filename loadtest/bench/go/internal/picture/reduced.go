package picture

import "fmt"

const hashWidth, hashHeight = 9, 8

// reduced is a small copy of an image: packed RGB, three bytes a pixel.
type reduced struct {
	pixels        []byte
	width, height int
}

// differenceHash returns the dHash as consumer/imaging/fingerprint/perceptual_hash.py defines it.
func (r reduced) differenceHash() string {
	var bits uint64
	for row := range hashHeight {
		var before int
		for column := range hashWidth {
			brightness := r.brightness(row, column)
			if column > 0 {
				bits <<= 1
				if before < brightness {
					bits |= 1
				}
			}
			before = brightness
		}
	}
	return fmt.Sprintf("%016x", bits)
}

// brightness returns the mean luma of one cell of the hash's grid.
func (r reduced) brightness(row, column int) int {
	left, right := bounds(column, hashWidth, r.width)
	top, bottom := bounds(row, hashHeight, r.height)
	sum := 0
	for y := top; y < bottom; y++ {
		for x := left; x < right; x++ {
			pixel := r.pixels[(y*r.width+x)*3:]
			// ITU-R BT.601, in Pillow's fixed point.
			sum += (int(pixel[0])*19595 + int(pixel[1])*38470 + int(pixel[2])*7471 + 0x8000) >> 16
		}
	}
	count := (right - left) * (bottom - top)
	return (sum + count/2) / count
}

// bounds returns the pixels whose centres lie in one of count equal parts of a side, at least one pixel.
func bounds(part, count, side int) (from, to int) {
	from = min((2*part*side+count)/(2*count), side-1)
	to = max((2*(part+1)*side+count)/(2*count), from+1)
	return from, min(to, side)
}
