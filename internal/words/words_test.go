package words

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"
)

// Published examples: the first is the one of the list's own description.
var known = []struct{ hex, words string }{
	{"", ""},
	{"00", "aardvark"},
	{"ff", "Zulu"},
	{"0000", "aardvark adroitness"},
	{"ffff", "Zulu Yucatan"},
	{"e58294f2e9a227486e8b061b31cc528fd7fa3f19", "topmost Istanbul Pluto vagabond treadmill Pacific brackish dictator goldfish Medusa afflict bravado chatter revolver Dupont midsummer stopwatch whimsical cowbell bottomless"},
	{"d1d464c004f00fb5c9a4c8d8e433e7fb7ff56256", "stairway souvenir flytrap recipe adrift upcoming artist positive spearhead Pandora spaniel stupendous tonic concurrent transit Wichita lockup visitor flagpole escapade"},
}

func TestKnownAnswers(t *testing.T) {
	for _, k := range known {
		data, err := hex.DecodeString(k.hex)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(Encode(data), " "); got != k.words {
			t.Errorf("Encode(%s) = %s\nwant %s", k.hex, got, k.words)
		}
	}
}

// One pair is out of order in the list as published, and so it must stay.
func TestTheListsAreWholeDistinctAndInAlphabeticalOrder(t *testing.T) {
	if len(even()) != 256 || len(odd()) != 256 {
		t.Fatalf("%d even and %d odd words", len(even()), len(odd()))
	}
	distinct := map[string]bool{}
	for _, w := range slices.Concat(even(), odd()) {
		distinct[strings.ToLower(w)] = true
	}
	if len(distinct) != 512 {
		t.Errorf("only %d words are distinct", len(distinct))
	}
	for _, l := range [][]string{even(), odd()} {
		lower := make([]string, len(l))
		for i, w := range l {
			lower[i] = strings.ToLower(w)
		}
		for i := range lower[1:] {
			if lower[i] > lower[i+1] && lower[i] != "applicant" {
				t.Errorf("%s stands before %s", lower[i], lower[i+1])
			}
		}
	}
}

// The digest was computed over the list as another implementation has it
// (magic-wormhole 0.24.0), each word followed by a newline, even then odd.
func TestTheListsAreEveryoneElses(t *testing.T) {
	h := sha256.New()
	for _, w := range append(slices.Clone(even()), odd()...) {
		h.Write([]byte(strings.ToLower(w) + "\n"))
	}
	const want = "0847bcad4a09374ec628019e7c3e3eeee1dfa2f3870168eaa306310eeda40ff5"
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		t.Errorf("the lists hash to %s, want %s", got, want)
	}
}

func TestHead(t *testing.T) {
	if got := Head([]byte{0x2a, 0xab, 0xe4, 0x50, 1}); got != "brickyard Pegasus tonic embezzle" {
		t.Error(got)
	}
	if got := Head([]byte{0x2a}); got != "brickyard" {
		t.Error(got)
	}
}
