package require

import (
	"fmt"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Fleet is what the evidence of a whole fleet shows under one policy.
type Fleet struct {
	Keys          []*Key // the fleet's, in the order of the steps
	Countersigner *Key   // nil if the plan doesn't name its HSM
}

// Key is what the evidence about one key shows.
type Key struct {
	ceremony.AttestationStep
	Claims *attest.Claims // nil if there is no evidence that could be judged
	// Wrong says that the evidence is wrong whatever a policy demands: see check.
	Wrong    error
	Problems []attest.Problem // demands that the evidence doesn't meet
}

// JudgeFleet judges the raw evidence about every key on the record, each at the time of its
// record and with the nonce that follows from the transcript. It doesn't use what the
// record says about the evidence. b may be nil: then no anchor is pinned and nothing is
// demanded, but wrong evidence is still found. Files without a record and missing files
// are for ceremony.Account.CheckAttestations.
func JudgeFleet(b *Block, a *ceremony.Account, files map[string][]byte, firstUse bool) *Fleet {
	f := &Fleet{}
	for _, step := range a.AttestationSteps() {
		k := &Key{AttestationStep: step}
		k.judge(b, files, firstUse)
		if k.Key == nil {
			f.Countersigner = k
		} else {
			f.Keys = append(f.Keys, k)
		}
	}
	return f
}

func (k *Key) judge(b *Block, files map[string][]byte, firstUse bool) {
	if k.Record == nil || files[k.File] == nil {
		k.Problems = []attest.Problem{{Name: "evidence", What: "there is none"}}
		return
	}
	e, err := attest.ParseEvidence(k.File, files[k.File])
	if err != nil {
		k.Wrong = err
		return
	}
	q := Question{
		Format: k.Wants.Format, Identity: k.Wants.Identity, SPKI: k.SPKI, Nonce: k.Nonce,
		Agrees: k.Key != nil && !k.Key.Intent.Algorithm.CanSign(), Countersigner: k.Key == nil, At: k.Record.Time, TrustOnFirstUse: firstUse,
	}
	if b == nil {
		k.Claims, k.Wrong = check(e, nil, q)
	} else if v, err := b.Judge(e, q); err != nil {
		k.Wrong = err
	} else {
		k.Claims, k.Problems = v.Claims, v.Problems
	}
	if k.Wrong != nil {
		k.Wrong = strict.Errorf(k.File, "of %s: %v", k.Name(), k.Wrong)
	}
}

// Wrong are the faults of evidence that is wrong whatever a policy demands.
func (f *Fleet) Wrong() error {
	var faults strict.Errors
	for _, k := range f.all() {
		if k.Wrong != nil {
			faults.Add(k.Wrong)
		}
	}
	return faults.Err()
}

func (f *Fleet) all() []*Key {
	if f.Countersigner == nil {
		return f.Keys
	}
	return append(f.Keys[:len(f.Keys):len(f.Keys)], f.Countersigner)
}

// maxTold is how many keys or names are listed; further ones are only counted.
const maxTold = 3

// Short says which keys' evidence does not show what is demanded, and why; empty if all
// does.
func Short(list []*Key) string {
	var told []string
	n := 0
	for _, k := range list {
		if len(k.Problems) == 0 && k.Wrong == nil {
			continue
		}
		if n++; n > maxTold {
			continue
		}
		why := "its evidence is wrong"
		if k.Wrong == nil {
			all := make([]string, len(k.Problems))
			for i, p := range k.Problems {
				all[i] = p.String()
			}
			why = strings.Join(all, "; ")
		}
		told = append(told, k.Name()+": "+why)
	}
	if n > maxTold {
		told = append(told, fmt.Sprintf("and %d keys more", n-maxTold))
	}
	return strings.Join(told, "; ")
}

// Least is the lowest level of the keys' evidence; 0 if a key has none.
func Least(list []*Key) (least attest.Level) {
	for i, k := range list {
		if k.Claims == nil {
			return 0
		}
		if i == 0 || k.Claims.Level < least {
			least = k.Claims.Level
		}
	}
	return least
}

// Tell says in words what the evidence shows about the keys' devices, and which evidence
// has expired since it was made.
func Tell(list []*Key, now time.Time) string {
	text := Least(list).String()
	for _, f := range []struct {
		what string
		of   func(c *attest.Claims) []string
	}{
		{"vendor", func(c *attest.Claims) []string { return shown(c.Platform.Vendor) }},
		{"model", func(c *attest.Claims) []string { return shown(c.Platform.Model) }},
		{"firmware", func(c *attest.Claims) []string { return shown(c.Platform.Firmware) }},
		{"under", func(c *attest.Claims) []string { return anchorOf(c) }},
		{"tolerated:", func(c *attest.Claims) []string { return c.Quirks }},
		{"not understood:", unknown},
	} {
		if names := each(list, f.of); len(names) > 0 {
			text += "; " + f.what + " " + strings.Join(names, ", ")
		}
	}
	for _, k := range list {
		if k.Claims != nil && !k.Claims.Until.IsZero() && now.After(k.Claims.Until) {
			return text + fmt.Sprintf("; valid when it was made, and ended since: %s on %s", k.Name(), strict.FormatTime(k.Claims.Until))
		}
	}
	return text
}

func shown(s string) []string {
	if s == "" {
		return []string{"not shown"}
	}
	return []string{strict.Clip(s)}
}

func anchorOf(c *attest.Claims) []string {
	if c.Anchor == nil {
		return []string{"no anchor"}
	}
	return []string{strict.Clip(c.Anchor.Name)}
}

func unknown(c *attest.Claims) (list []string) {
	for _, u := range c.Unknown {
		list = append(list, strict.Clip(u.Where+" "+u.What))
	}
	return list
}

// each are the different words about all keys, in their order.
func each(list []*Key, of func(*attest.Claims) []string) (words []string) {
	seen := map[string]bool{}
	for _, k := range list {
		if k.Claims == nil {
			continue
		}
		for _, w := range of(k.Claims) {
			if !seen[w] {
				words = append(words, w)
			}
			seen[w] = true
		}
	}
	if len(words) > maxTold {
		words = append(words[:maxTold:maxTold], fmt.Sprintf("%d more", len(words)-maxTold))
	}
	return words
}
