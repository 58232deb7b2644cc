package attesttest

import (
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/internal/await"
)

// The kinds of hostile variants. A format has each of them, or a reason why it
// can't have it (Suite.Without).
const (
	SubstitutedKey = "substituted key"
	WrongIdentity  = "wrong identity"
	LookAlikeRoot  = "look-alike root"
	ReorderedChain = "reordered chain"
	BadSignature   = "bad signature"
	Imported       = "imported"
	Exportable     = "exportable"
	MissingField   = "missing field"
	RepeatedField  = "repeated field"
	TrailingBytes  = "trailing bytes"
	LengthBomb     = "length bomb"
	GzipBomb       = "gzip bomb"
	Stale          = "stale nonce"
	Other          = "other"
)

// kinds are those that every format answers for.
var kinds = []string{SubstitutedKey, WrongIdentity, LookAlikeRoot, ReorderedChain, BadSignature, Imported, Exportable, MissingField, RepeatedField, TrailingBytes, LengthBomb, GzipBomb, Stale}

// What a verifier may take for any one input.
const (
	mostTime   = 50 * time.Millisecond
	mostMemory = 32 << 20
)

// Case is evidence, and what is demanded of it.
type Case struct {
	Input  attest.Input
	Demand attest.Demand
}

// Sample is what a real device gave.
type Sample struct {
	Name string // as people know it: "YubiKey 5, slot 9c, P-384"
	Case
	Level attest.Level
	// Claims looks at what was read from it, if there is more to see.
	Claims func(t *testing.T, c *attest.Claims)
}

// Hostile is evidence that is wrong in one thing, signed validly under a root
// that the case pins, and its twin in which that one thing is right.
type Hostile struct {
	Kind string
	Name string
	Case
	// Want are words of the refusal; where demands refuse it, words of each of the
	// problems, parted by "; ".
	Want string
	Twin Case
}

// Suite is everything that is shown of a format. It makes a section of
// docs/attestation.md.
type Suite struct {
	Verifier attest.Verifier
	Device   string // "TPM 2.0"
	Samples  []Sample
	Hostile  []Hostile
	Without  map[string]string // kinds that this format can't have, and why
}

// Run runs the samples, each edited as well, and the hostile variants with their
// twins, and compares the format's section in docs/attestation.md with what it
// saw. With FLEETCTL_WRITE=1 it writes the section.
func Run(t *testing.T, s Suite) {
	t.Helper()
	s.complete(t)
	for _, x := range s.Samples {
		t.Run("sample "+x.Name, func(t *testing.T) { s.sample(t, x) })
	}
	for _, x := range s.Hostile {
		t.Run(x.Kind+" "+x.Name, func(t *testing.T) { s.hostile(t, x) })
	}
	if !t.Failed() {
		s.document(t)
	}
}

// complete holds a suite to every kind, and each name to one use.
func (s *Suite) complete(t *testing.T) {
	t.Helper()
	names := map[string]bool{}
	has := map[string]bool{}
	for _, x := range s.Samples {
		names["sample "+x.Name] = true
	}
	for _, x := range s.Hostile {
		names[x.Name], has[x.Kind] = true, true
		if x.Kind != Other && !slices.Contains(kinds, x.Kind) || x.Want == "" {
			t.Fatalf("%s: a hostile variant has a kind and words that refuse it", x.Name)
		}
	}
	if len(names) != len(s.Samples)+len(s.Hostile) {
		t.Fatal("two samples or two variants have one name")
	}
	for _, k := range kinds {
		if why := s.Without[k]; has[k] == (why != "") {
			t.Errorf("%s: a format has a variant of this kind, or says why it can't have one (%q)", k, why)
		}
	}
}

// judge gives the claims, and every reason to refuse.
// Kept is attest.Kept under anchors that nobody confirmed: those of tests are
// made there, and of the shipped ones nobody may claim it.
func Kept(least attest.Level, spki []byte, identity string) attest.Demand {
	d := attest.Kept(least, spki, identity)
	d.TrustOnFirstUse = true
	return d
}

func (s *Suite) judge(c Case) (*attest.Claims, []string) {
	claims, err := attest.Check(s.Verifier, c.Input)
	if err != nil {
		return nil, []string{err.Error()}
	}
	var reasons []string
	for _, p := range attest.Judge(claims, c.Demand) {
		reasons = append(reasons, p.String())
	}
	return claims, reasons
}

func (s *Suite) sample(t *testing.T, x Sample) {
	claims, reasons := s.judge(x.Case)
	if len(reasons) > 0 {
		t.Fatalf("refused: %q", reasons)
	}
	if claims.Level != x.Level {
		t.Fatalf("level %s (%s), want %s", claims.Level, claims.NoAnchor, x.Level)
	}
	if x.Claims != nil {
		x.Claims(t, claims)
	}
	s.bounded(t, x.Case)
	for _, p := range x.Input.Evidence.Parts {
		s.edited(t, x.Case, claims, p)
	}
}

// edited changes one part of a sample: cut, longer, and one bit here and there.
// It is refused, or shows what the sample shows.
func (s *Suite) edited(t *testing.T, c Case, want *attest.Claims, p attest.Part) {
	same := func(name string, data []byte, may bool) {
		changed := c
		changed.Input.Evidence = Replaced(c.Input.Evidence, p.Name, data)
		claims, reasons := s.judge(changed)
		if len(reasons) > 0 {
			return
		}
		a, b := *claims, *want
		a.Evidence, b.Evidence = [32]byte{}, [32]byte{}
		if !may || !reflect.DeepEqual(a, b) {
			t.Errorf("part %s, %s: taken, and shows %+v", p.Name, name, a)
		}
	}
	if len(p.Data) > 1 {
		same("a byte cut", p.Data[:len(p.Data)-1], p.Data[len(p.Data)-1] == '\n')
	}
	same("a byte more", append(slices.Clone(p.Data), 0), false)
	for i := 0; i < len(p.Data); i += max(1, len(p.Data)/97) {
		flipped := slices.Clone(p.Data)
		flipped[i] ^= 1 << (i % 8)
		same(fmt.Sprintf("bit %d of byte %d", i%8, i), flipped, true)
	}
}

func (s *Suite) hostile(t *testing.T, x Hostile) {
	claims, reasons := s.judge(x.Twin)
	if len(reasons) > 0 || claims.Level < attest.Anchored {
		t.Fatalf("its good twin is refused: %q %+v", reasons, claims)
	}
	_, reasons = s.judge(x.Case)
	wants := []string{x.Want}
	if len(reasons) > 1 {
		wants = strings.Split(x.Want, "; ")
	}
	if len(reasons) != len(wants) {
		t.Fatalf("%d reasons %q, want %q", len(reasons), reasons, wants)
	}
	for _, want := range wants {
		if !slices.ContainsFunc(reasons, func(r string) bool { return strings.Contains(r, want) }) {
			t.Errorf("refused by %q, want %q", reasons, want)
		}
	}
	s.bounded(t, x.Case)
	s.bounded(t, x.Twin)
}

// bounded holds a judgement to its time and memory. Of time it is the processor's
// that counts, and the best of some tries: the machine does other things too. The
// race detector makes everything slow, so that nothing is timed there.
func (s *Suite) bounded(t *testing.T, c Case) {
	t.Helper()
	best := time.Hour
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := await.Processor()
		s.judge(c)
		took := await.Processor() - start
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > mostMemory {
			t.Fatalf("it took %d bytes; %d are allowed", n, mostMemory)
		}
		if best = min(best, took); best <= mostTime || await.RaceDetector {
			return
		}
	}
	t.Errorf("it took %v; %v are allowed", best, mostTime)
}

// Replaced is evidence with one part changed, or added at its end.
func Replaced(e *attest.Evidence, part string, data []byte) *attest.Evidence {
	changed := &attest.Evidence{Format: e.Format, Parts: slices.Clone(e.Parts)}
	i := slices.IndexFunc(changed.Parts, func(p attest.Part) bool { return p.Name == part })
	if i < 0 {
		changed.Parts = append(changed.Parts, attest.Part{Name: part, Data: data})
		return changed
	}
	changed.Parts[i].Data = data
	return changed
}

// Without is evidence without one part.
func Without(e *attest.Evidence, part string) *attest.Evidence {
	parts := slices.DeleteFunc(slices.Clone(e.Parts), func(p attest.Part) bool { return p.Name == part })
	return &attest.Evidence{Format: e.Format, Parts: parts}
}
