// Package words puts bytes into words that can be read aloud, and back.
//
// It uses the PGP word list: a byte at an even position (the first is even)
// has a word of two syllables, one at an odd position a word of three. So a
// word left out, doubled or swapped with its neighbour is heard at once: the
// next word is of the wrong list. [Encode] and [Decode] are all most callers
// need.
package words

import (
	"fmt"
	"strings"
)

// index holds every word, in lower case, with its byte and the list it is of.
var index = makeIndex()

type entry struct {
	value byte
	odd   bool
}

func makeIndex() map[string]entry {
	m := make(map[string]entry, len(even)+len(odd))
	for i := range even {
		m[strings.ToLower(even[i])] = entry{byte(i), false}
		m[strings.ToLower(odd[i])] = entry{byte(i), true}
	}
	return m
}

// Encode gives one word for each byte.
func Encode(data []byte) []string {
	out := make([]string, len(data))
	for i, b := range data {
		out[i] = list(i)[b]
	}
	return out
}

// Decode gives the byte of each word, whatever the case of its letters. It
// refuses a word that is in no list or in the list of the other positions,
// and says which word, counted from 1, and which one may have been meant.
func Decode(words []string) ([]byte, error) {
	out := make([]byte, len(words))
	for i, w := range words {
		e, known := index[strings.ToLower(w)]
		isOdd := i%2 == 1
		switch {
		case known && e.odd == isOdd:
			out[i] = e.value
		case known:
			return nil, fmt.Errorf("word %d %q has %s syllables and belongs at an %s place; is a word missing, doubled or swapped before it?",
				i+1, w, syllables(e.odd), parity(i))
		default:
			return nil, fmt.Errorf("word %d %q is not in the list%s", i+1, shorten(w), suggestion(w, i))
		}
	}
	return out, nil
}

// Head is the first four words of a digest, for status lines. It is enough to
// tell two screens apart, not enough to stop a forger.
func Head(digest []byte) string {
	return strings.Join(Encode(digest[:min(4, len(digest))]), " ")
}

// list gives the words for the byte at position i, counted from 0.
func list(i int) []string {
	if i%2 == 0 {
		return even
	}
	return odd
}

func syllables(odd bool) string {
	if odd {
		return "three"
	}
	return "two"
}

// parity names the places where the word wrongly found at position i belongs,
// as people number them: from 1, so that the second word is at an even place
// although its byte is at the odd position 1.
func parity(i int) string {
	if i%2 == 0 {
		return "even"
	}
	return "odd"
}
