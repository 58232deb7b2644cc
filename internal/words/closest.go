package words

import "strings"

// longest is the most that is looked at, or shown, of a word that was typed.
const longest = 24

// suggestion names the word that may have been meant at position i: of the
// list that belongs there, or else of the other one. Two slips of the finger
// are forgiven; more would be guessing.
func suggestion(typed string, i int) string {
	typed = strings.ToLower(typed)
	if len(typed) > longest {
		return ""
	}
	for _, words := range [][]string{list(i), list(i + 1)} {
		best, slips := "", 3
		for _, w := range words {
			if d := distance(typed, strings.ToLower(w)); d < slips {
				best, slips = w, d
			}
		}
		// In a short word two slips reach too many others.
		if best != "" && slips <= len(best)/3 {
			return `; did you mean "` + best + `"?`
		}
	}
	return ""
}

// distance counts the letters to put in, take out or change to turn one word
// into the other (Levenshtein); two neighbours swapped count as one change.
func distance(a, b string) int {
	before, above := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range above {
		above[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(above[j]+cost, above[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, above = above, row
	}
	return above[len(b)]
}

// shorten keeps what is typed by mistake, a whole paragraph say, from filling
// the message about it.
func shorten(s string) string {
	for n := range s {
		if n > longest {
			return s[:n] + "…"
		}
	}
	return s
}
