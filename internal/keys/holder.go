package keys

import (
	"fmt"
	"maps"
	"slices"
)

// Point identifies a key in whatever form it was written: it is the point on its
// curve, RSA's modulus, or ML-DSA's public key. An OpenSSH key, a FIDO2 key, a
// SubjectPublicKeyInfo, a PEM and a vkey of the same point have the same private
// half, so they belong to one person and count as one.
type Point string

// Point gives the key's point.
func (p *Public) Point() Point { return Point(p.spki) } // its one DER encoding

// Ed25519Point is the point of a raw Ed25519 key, which is not admitted here.
func Ed25519Point(raw [32]byte) Point { return Point(ed25519SPKI) + Point(raw[:]) }

// MLDSA44Point is the point of a raw ML-DSA-44 key (FIPS 204), which is not
// admitted here.
func MLDSA44Point(raw []byte) Point { return Point(mldsaSetOf(MLDSA44).spki) + Point(raw) }

// The parts that a key can have.
const (
	PartPerson     = "person"
	PartThirdParty = "third party"
	PartOperator   = "operator"
	PartLog        = "log" // a Rekor log too
	PartWitness    = "witness"
	PartSubmitter  = "submitter"
	PartKeeper     = "keeper" // signs the policy that follows a verifier's policy
	PartFleet      = "fleet key"
)

// Holder is who holds a key, and the part for which.
type Holder struct{ Part, Name string }

func (h Holder) String() string { return h.Part + " " + h.Name }

// Shared is the error that two holders have the same key: it would count twice.
type Shared struct{ Holder, Other Holder }

func (e *Shared) Error() string {
	if e.Holder.Part == e.Other.Part {
		return fmt.Sprintf("%s %q has the key of %q", e.Holder.Part, e.Holder.Name, e.Other.Name)
	}
	return fmt.Sprintf("%s %q has the key of %s %q", e.Holder.Part, e.Holder.Name, e.Other.Part, e.Other.Name)
}

// Roster knows who holds each key. Its zero value is empty.
type Roster struct {
	first   map[Point]Holder   // of each key
	more    map[Point][]Holder // those who share it, which is rare
	allowed map[Shared]bool
}

// Allow lets two holders of different parts share a key.
func (r *Roster) Allow(a, b Holder) {
	if r.allowed == nil {
		r.allowed = map[Shared]bool{}
	}
	r.allowed[Shared{a, b}], r.allowed[Shared{b, a}] = true, true
}

// Add enters a key, or several that one holder signs with together. If one of
// them was entered before, even for the same holder, the error is a *Shared.
func (r *Roster) Add(h Holder, points ...Point) error {
	if r.first == nil {
		r.first = map[Point]Holder{}
	}
	for _, p := range points {
		for _, other := range r.Holders(p) {
			if !r.allowed[Shared{h, other}] {
				return &Shared{h, other}
			}
		}
	}
	for _, p := range points {
		if _, held := r.first[p]; !held {
			r.first[p] = h
			continue
		}
		if r.more == nil {
			r.more = map[Point][]Holder{}
		}
		r.more[p] = append(slices.Clip(r.more[p]), h)
	}
	return nil
}

// Allows says whether two holders may share a key.
func (r *Roster) Allows(a, b Holder) bool { return r.allowed[Shared{a, b}] }

// Holders are those who hold a key: more than one only where Allow permits it.
func (r *Roster) Holders(p Point) []Holder {
	first, held := r.first[p]
	if !held {
		return nil
	}
	return append([]Holder{first}, r.more[p]...)
}

// Keys are those that a holder has.
func (r *Roster) Keys(h Holder) (list []Point) {
	for p, first := range r.first {
		if first == h || slices.Contains(r.more[p], h) {
			list = append(list, p)
		}
	}
	slices.Sort(list)
	return list
}

// Clone copies a roster: what is added to one isn't added to the other.
func (r *Roster) Clone() *Roster {
	return &Roster{maps.Clone(r.first), maps.Clone(r.more), maps.Clone(r.allowed)}
}
