// Package words puts bytes into words that can be read aloud and compared.
//
// It uses the PGP word list: a byte at an even position (the first is even)
// has a word of two syllables, one at an odd position a word of three. So a
// word left out, doubled or swapped with its neighbour is heard at once: the
// next word is of the wrong list.
package words

import "strings"

// Encode gives one word for each byte.
func Encode(data []byte) []string {
	out := make([]string, len(data))
	for i, b := range data {
		out[i] = list(i)[b]
	}
	return out
}

// Head is the first four words of a digest, for status lines. It is enough to
// tell two screens apart, not enough to stop a forger.
func Head(digest []byte) string {
	return strings.Join(Encode(digest[:min(4, len(digest))]), " ")
}

// list gives the words for the byte at position i, counted from 0.
func list(i int) []string {
	if i%2 == 0 {
		return even()
	}
	return odd()
}
