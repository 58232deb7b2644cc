// Package thirdparty is the side of the independent party that signs a
// fleet's epochs: its own policy, its own record, on its own machine. What a
// request says is believed as far as its evidence, replayed here, bears it out.
package thirdparty

import (
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/attest/require"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
)

const (
	policyFormat = "fleetctl third-party-policy v1"
	maxPolicy    = strict.MaxYAML
)

// Policy is what the third party signs at all.
type Policy struct {
	Format     string             `strict:"format"`
	Mode       string             `strict:"mode"`
	Namespaces []string           `strict:"namespaces,token"`
	Algorithms []bundle.Algorithm `strict:"algorithms"`
	Roles      []string           `strict:"roles,token"`
	LeastHSMs  int                `strict:"least_hsms"`

	// Threshold officers must have approved whatever is signed; people are the
	// operator's, pinned here over another channel than the request's.
	Threshold int               `strict:"threshold"`
	People    []ceremony.Person `strict:"people"`

	// Tolerates names attempts on a key that may have succeeded, if the plan
	// tolerates them too: see ceremony.Tolerable.
	Tolerates []string `strict:"tolerates,token,optional"`

	// Attestation is what is required of the devices' attestations, judged here
	// under these anchors, whatever the operator recorded of them.
	Attestation *require.Text `strict:"attestation,optional"`

	// Refuses names what must not have happened in a ceremony whose epoch is
	// signed: see Refusable.
	Refuses []string `strict:"refuses,token,optional"`

	// ClockBound is how many days the clock may be ahead of the newest time
	// known, the ledger's last or the request's release: 30 unless given.
	ClockBound int `strict:"clock_bound_days,optional"`

	// Others are third parties of the same namespaces: on the word of
	// OthersNeeded of them, and a person's, the ledger may have a gap.
	Others       []Other `strict:"others,optional"`
	OthersNeeded int     `strict:"others_needed,optional"`

	attestation *require.Block // nil: nothing is required
	people      *ceremony.People
	others      *others
	roster      keys.Roster // whose each key is
}

// Other is another third party's key; keys with one name are one party's.
type Other struct {
	Name string   `strict:"name,token"`
	Key  [32]byte `strict:"key,base64"`
}

type others struct {
	list   []Other
	needed int
}

func (o *others) name(key [32]byte) (string, bool) {
	for _, x := range o.list {
		if x.Key == key {
			return x.Name, true
		}
	}
	return "", false
}

// NameOf is what the policy calls another third party's key.
func (p *Policy) NameOf(key [32]byte) string {
	if p == nil {
		return ""
	}
	name, _ := p.others.name(key)
	return name
}

// ParsePolicy reads and checks a third party's policy.
func ParsePolicy(file string, data []byte) (*Policy, error) {
	p := &Policy{}
	root, err := strict.DecodeFormat(file, data, maxPolicy, policyFormat, p)
	unread := err != nil
	var faults strict.Errors
	faults.Add(err)
	if root == nil {
		return nil, faults.Err()
	}
	fail := func(field, format string, args ...any) {
		if n := root.Get(field); n != nil {
			faults.Add(strict.At(file, n.Line, format, args...))
		}
	}
	if p.Mode != bundle.Production && p.Mode != bundle.Rehearsal {
		fail("mode", "mode is %q; it is production or rehearsal", p.Mode)
	}
	for _, ns := range p.Namespaces {
		if (p.Mode == bundle.Rehearsal) != strings.HasPrefix(ns, bundle.RehearsalPrefix) {
			fail("namespaces", "namespace %q: that of a rehearsal, and no other, begins with %q", ns, bundle.RehearsalPrefix)
		}
	}
	for _, a := range p.Algorithms {
		if !a.Known() {
			fail("algorithms", "algorithm %q is not known", a)
		}
	}
	for _, list := range []struct {
		field string
		n     int
	}{{"namespaces", len(p.Namespaces)}, {"algorithms", len(p.Algorithms)}, {"roles", len(p.Roles)}} {
		if list.n == 0 {
			fail(list.field, "%s allows nothing", list.field)
		}
	}
	if err := ceremony.CheckTolerates(p.Tolerates); err != nil {
		fail("tolerates", "%v", err)
	}
	if err := checkRefuses(p.Refuses); err != nil {
		fail("refuses", "%v", err)
	}
	if p.people, err = ceremony.NewPeople(p.People, p.Threshold); err != nil {
		fail("people", "%v", err)
	}
	least, officers := 1, 0
	for _, x := range p.People {
		switch x.Role {
		case ceremony.Officer:
			officers++
		case ceremony.Witness, ceremony.Auditor:
		default:
			fail("people", "person %q: role %q is none of officer, witness, auditor", x.Name, x.Role)
		}
		if k, err := sshsig.ParsePublicKey(x.Key); err == nil { // else NewPeople said so
			// NewPeople said of a key that two people have.
			_ = p.roster.Add(keys.Holder{Part: keys.PartPerson, Name: x.Name}, k.Points()...)
		}
	}
	if p.Mode == bundle.Production {
		least = 2
	}
	if p.Threshold < least || p.Threshold > officers {
		fail("threshold", "threshold %d with %d officers: in a %s policy it is at least %d and at most their number", p.Threshold, officers, p.Mode, least)
	}
	if p.LeastHSMs < 1 {
		fail("least_hsms", "least_hsms is %d; a fleet has at least 1", p.LeastHSMs)
	}
	if p.ClockBound < 0 || p.ClockBound > maxClockBound {
		fail("clock_bound_days", "clock_bound_days is %d; it is from 1 to %d", p.ClockBound, maxClockBound)
	}
	if p.Attestation != nil {
		b, err := p.Attestation.Block(file, root.Get("attestation").LineOf)
		faults.Add(err)
		p.attestation = b
	}
	p.otherParties(root, unread, fail)
	if err := faults.Err(); err != nil {
		return nil, err
	}
	return p, nil
}

// otherParties checks the keys of others. Where something could not be read, a
// key that is all zeros is one of that: the fault is told, and nothing follows
// from a key that nobody wrote.
func (p *Policy) otherParties(root *strict.Node, unread bool, fail func(field, format string, args ...any)) {
	p.others = &others{p.Others, p.OthersNeeded}
	if p.Others != nil && len(p.Others) == 0 {
		fail("others", "others lists nobody: leave it out, then no gap rests on another's word")
	}
	names := map[string]bool{}
	for _, x := range p.Others {
		if unread && x.Key == ([32]byte{}) {
			names[x.Name] = true
			continue
		}
		names[x.Name] = true
		if err := keys.AdmitEd25519(x.Key[:]); err != nil {
			fail("others", "third party %q: key %v", x.Name, err)
		} else if err := p.roster.Add(keys.Holder{Part: keys.PartThirdParty, Name: x.Name}, keys.Ed25519Point(x.Key)); err != nil {
			fail("others", "%v", err)
		}
	}
	if n := len(names); root.Get("others_needed") != nil && (p.OthersNeeded < 1 || p.OthersNeeded > n) {
		fail("others_needed", "others_needed is %d; with %d others it is from 1 to %d", p.OthersNeeded, n, n)
	} else if root.Get("others") != nil && root.Get("others_needed") == nil {
		fail("others", "others_needed is missing: on how many of them does a gap rest?")
	}
}

const maxClockBound = 3660

func (p *Policy) clockBound() time.Duration {
	days := p.ClockBound
	if days == 0 {
		days = 30
	}
	return time.Duration(days) * 24 * time.Hour
}

// Allows says why an artifact is not one that this policy signs.
func (p *Policy) Allows(file string, set *bundle.KeySet) error {
	switch {
	case set.Mode != p.Mode:
		return strict.Errorf(file, "is of a %s, the policy signs for %s only", set.Mode, p.Mode)
	case !slices.Contains(p.Namespaces, set.Namespace):
		return strict.Errorf(file, "is of the namespace %s, which the policy does not sign for", set.Namespace)
	case len(set.HSMs()) < p.LeastHSMs:
		return strict.Errorf(file, "has %d HSMs, the policy wants at least %d", len(set.HSMs()), p.LeastHSMs)
	}
	for _, k := range set.Keys {
		if !slices.Contains(p.Algorithms, k.Algorithm) {
			return strict.Errorf(file, "%s %s is a key of %s, which the policy does not allow", k.HSM, k.Role, k.Algorithm)
		}
		if !slices.Contains(p.Roles, k.Role) {
			return strict.Errorf(file, "%s has a key of the role %q, which the policy does not allow", k.HSM, k.Role)
		}
	}
	return nil
}
