package picture

import "fmt"

const hashWidth, hashHeight = 9, 8

// reduced is a small copy of an image: packed RGB, three bytes a pixel.
type reduced struct {
	pixels        []byte
	width, height int
}

// halved averages squares of two by two pixels.
func (r reduced) halved() reduced {
	half := reduced{width: (r.width + 1) / 2, height: (r.height + 1) / 2}
	half.pixels = make([]byte, 0, half.width*half.height*3)
	for y := 0; y < r.height; y += 2 {
		for x := 0; x < r.width; x += 2 {
			for channel := range 3 {
				var sum, count int
				for row := y; row < min(y+2, r.height); row++ {
					for column := x; column < min(x+2, r.width); column++ {
						sum += int(r.pixels[(row*r.width+column)*3+channel])
						count++
					}
				}
				half.pixels = append(half.pixels, byte((sum+count/2)/count))
			}
		}
	}
	return half
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

// dominantColor returns the mean of the fullest of 256 cells of the colour cube, as #rrggbb.
func (r reduced) dominantColor() string {
	var counts [256]int
	var sums [256][3]int
	for at := 0; at < len(r.pixels); at += 3 {
		red, green, blue := r.pixels[at], r.pixels[at+1], r.pixels[at+2]
		cell := red>>5<<5 | green>>5<<2 | blue>>6
		counts[cell]++
		sums[cell][0] += int(red)
		sums[cell][1] += int(green)
		sums[cell][2] += int(blue)
	}
	best := 0
	for cell, count := range counts {
		if count > counts[best] {
			best = cell
		}
	}
	mean := func(channel int) int { return (sums[best][channel] + counts[best]/2) / counts[best] }
	return fmt.Sprintf("#%02x%02x%02x", mean(0), mean(1), mean(2))
}
