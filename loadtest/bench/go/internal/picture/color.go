package picture

import (
	"fmt"
	"slices"
)

const (
	cells = 256
	// A colour that at least one of so many pixels of the cell has represents it.
	share = 4
)

// dominantColor returns a colour of the fullest of 256 cells of the colour cube, as consumer/imaging/fingerprint defines
// it. Each pixel is red in the lowest byte, then green, then blue.
func dominantColor(pixels []uint32) string {
	var counts [cells]int
	fullest := 0
	for _, pixel := range pixels {
		counts[cellOf(pixel)]++
	}
	for cell, count := range counts {
		if count > counts[fullest] {
			fullest = cell
		}
	}
	inside := slices.DeleteFunc(pixels, func(pixel uint32) bool { return cellOf(pixel) != fullest })
	color := representative(inside)
	return fmt.Sprintf("#%02x%02x%02x", color&0xff, color>>8&0xff, color>>16)
}

func cellOf(pixel uint32) int {
	return int(pixel>>5&0x07 | pixel>>10&0x38 | pixel>>16&0xc0)
}

// representative returns the most frequent colour if it is frequent, else the one that is nearest to the mean.
func representative(colors []uint32) uint32 {
	slices.Sort(colors)
	best, longest, length := colors[0], 0, 0
	var sums [3]float64
	for i, color := range colors {
		if i == 0 || color != colors[i-1] {
			length = 0
		}
		if length++; length > longest {
			best, longest = color, length
		}
		for channel := range sums {
			sums[channel] += float64(color >> (8 * channel) & 0xff)
		}
	}
	if longest*share >= len(colors) {
		return best
	}
	nearest := -1.0
	for _, color := range colors {
		distance := 0.0
		for channel := range sums {
			difference := float64(color>>(8*channel)&0xff) - sums[channel]/float64(len(colors))
			distance += difference * difference
		}
		if nearest < 0 || distance < nearest {
			best, nearest = color, distance
		}
	}
	return best
}
