package history

import (
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/keys"
)

func pqKey(name string) *keys.MLDSA {
	seed := sha256.Sum256([]byte("history test " + name))
	return must(keys.NewMLDSA(keys.MLDSA44, seed[:]))
}

// bothTrust requires a post-quantum signature of tp too.
func bothTrust(ns string) *bundle.Trust {
	t := trust(ns)
	t.RequireAll = []string{"tp"}
	t.Additional = []bundle.AdditionalKey{{Name: "tp", Key: pqKey("tp").Public()}}
	return t
}

// second is another artifact of epoch 1 in a bundle: tp's statement about it, with its
// post-quantum signature or without.
func second(added bool) []byte {
	set := *newFleet(1).sets[0]
	set.Majority = 3
	other := must(bundle.ParseKeySet("set", set.Encode()))
	s := bundle.Signed{Key: raw("tp"), Statement: sealed("tp", space, 1, start+3600_000, other.Digest())}
	if added {
		s = withAddition(s)
	}
	return countersigned(other, s)
}

func withAddition(s bundle.Signed) bundle.Signed {
	key := pqKey("tp")
	return must(s.Seal(key.Public(), must(key.Sign(keys.ForThirdParty, s.Statement.Message()))))
}

func countersigned(set *bundle.KeySet, s bundle.Signed) []byte {
	list := []bundle.Signed{s}
	text := must(bundle.CountersignMessage(bundle.FormBound, set, list))
	sig := must(signWith("operator")(text))
	digest := set.Digest()
	return must(bundle.Assemble(set.Raw(), list, []bundle.Countersignature{{Key: operatorKey, Form: bundle.FormBound, Signature: sig}}, &bundle.Head{Hash: digest, N: 1})).Raw()
}

// Whoever broke or stole the Ed25519 key alone can sign a second statement. Where both of
// a party's signatures are required that isn't the party's word, and isn't called
// equivocation; with the post-quantum signature it is.
func TestAStatementByTheClassicalKeyAloneIsNotCalledEquivocation(t *testing.T) {
	f := newFleet(1)
	full := countersigned(f.sets[0], withAddition(f.signed[0]))
	half := f.signed[0].Statement.Raw()
	for name, c := range map[string]struct {
		trust  func(string) *bundle.Trust
		items  memory
		seen   [][]byte
		want   string
		shown  bool
		checks string
	}{
		"under a classical policy":             {trust, memory{{Data: full, Operator: true}, {Data: second(false), Operator: true}}, nil, ": equivocation", true, OperatorCopy},
		"both with both signatures":            {bothTrust, memory{{Data: full, Operator: true}, {Data: second(true), Operator: true}}, nil, ": equivocation", true, OperatorCopy},
		"the second by one key":                {bothTrust, memory{{Data: full, Operator: true}, {Data: second(false), Operator: true}}, nil, "no post-quantum one that counts is beside the ", false, OperatorCopy},
		"one served, and its bundle read last": {bothTrust, memory{{Data: half}, {Data: second(true), Operator: true}, {Data: full, Operator: true}}, nil, ": equivocation", true, OperatorCopy},
		"both as they are served":              {bothTrust, memory{{Data: half}, {Data: plain(1)}}, nil, "no post-quantum one that counts is beside either", false, OneDigest},
		"the first is on the record alone":     {bothTrust, memory{{Data: second(true), Operator: true}}, [][]byte{full}, "what an earlier run saw beside the first is not in its record", false, OperatorCopy},
		"the first is on the record":           {bothTrust, memory{{Data: second(true), Operator: true}, {Data: full, Operator: true}}, [][]byte{half}, ": equivocation", true, OperatorCopy},
	} {
		o := options()
		o.Trust = c.trust
		if c.seen != nil {
			o.Seen = opened(t, extended(t, check(t, items(c.seen...), options()), nil, now))
		}
		r := check(t, c.items, o)
		wantProblem(t, r, c.checks, c.want)
		for _, p := range r.Problems {
			if said := strings.Contains(p.What, ": equivocation"); said && !c.shown {
				t.Errorf("%s: %s", name, p.What)
			}
		}
		if len(r.Evidence) != 1 {
			t.Errorf("%s: %d pairs are kept", name, len(r.Evidence))
		}
	}
}
