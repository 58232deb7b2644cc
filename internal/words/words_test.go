package words

import (
	"bytes"
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
		for _, typed := range []string{k.words, strings.ToLower(k.words), strings.ToUpper(k.words)} {
			got, err := Decode(strings.Fields(typed))
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("Decode(%s) = %x, %v", typed, got, err)
			}
		}
	}
}

// One pair is out of order in the list as published, and so it must stay.
func TestTheListsAreWholeDistinctAndInAlphabeticalOrder(t *testing.T) {
	if len(even) != 256 || len(odd) != 256 {
		t.Fatalf("%d even and %d odd words", len(even), len(odd))
	}
	if len(index) != 512 {
		t.Errorf("only %d words are distinct", len(index))
	}
	for _, l := range [][]string{even, odd} {
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
	for _, w := range append(slices.Clone(even), odd...) {
		h.Write([]byte(strings.ToLower(w) + "\n"))
	}
	const want = "0847bcad4a09374ec628019e7c3e3eeee1dfa2f3870168eaa306310eeda40ff5"
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		t.Errorf("the lists hash to %s, want %s", got, want)
	}
}

func TestDecodeSaysWhichWordIsWrong(t *testing.T) {
	for _, c := range []struct{ typed, want string }{
		{"adult bifocal", `word 2 "bifocal" is not in the list; did you mean "bifocals"?`},
		{"adult bifocals durmbeat", `word 3 "durmbeat" is not in the list; did you mean "drumbeat"?`},
		{"Pegasis", `word 1 "Pegasis" is not in the list; did you mean "Pegasus"?`},
		{"adult bifocals microscope", `word 3 "microscope" has three syllables and belongs at an even place; is a word missing, doubled or swapped before it?`},
		{"adult drumbeat", `word 2 "drumbeat" has two syllables and belongs at an odd place; is a word missing, doubled or swapped before it?`},
		{"xylophone", `word 1 "xylophone" is not in the list`},
		{"cat", `word 1 "cat" is not in the list`},
		{strings.Repeat("é", 40), `word 1 "` + strings.Repeat("é", 13) + `…" is not in the list`},
		{"\x1b[2Jadult", `word 1 "\x1b[2Jadult" is not in the list`},
	} {
		got, err := Decode(strings.Fields(c.typed))
		if got != nil || err == nil || err.Error() != c.want {
			t.Errorf("Decode(%q) = %x, %v\nwant %s", c.typed, got, err, c.want)
		}
	}
}

func TestEveryWordIsFoundAgainAfterOneSlip(t *testing.T) {
	for i, l := range [][]string{even, odd} {
		for _, w := range l {
			slip := w + "x"
			if got := suggestion(slip, i); got != `; did you mean "`+w+`"?` {
				t.Errorf("%s: %s", slip, got)
			}
		}
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

func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte("fleetctl"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Decode(Encode(data))
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%x became %x, %v", data, got, err)
		}
	})
}

// Whatever decodes is, but for the case of its letters, what encodes to it.
func FuzzDecode(f *testing.F) {
	f.Add("adult bifocals drumbeat microscope")
	f.Add("adult Bifocals K")
	f.Fuzz(func(t *testing.T, typed string) {
		words := strings.Fields(typed)
		data, err := Decode(words)
		if err != nil {
			if data != nil {
				t.Error("bytes beside an error")
			}
			return
		}
		for i, w := range Encode(data) {
			if !strings.EqualFold(w, words[i]) {
				t.Errorf("%q was taken for %q", words[i], w)
			}
		}
	})
}
