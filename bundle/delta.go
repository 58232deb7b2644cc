package bundle

import (
	"bytes"
	"cmp"
	"slices"
)

// Delta is what changed from one key set to the next. Every list is sorted by HSM
// and role, because key sets may list their keys in any order.
type Delta struct {
	Added    []FleetKey // new key in a new place
	Removed  []FleetKey // neither key nor place is left
	Replaced []Change   // the place (HSM and role) is still there, with another key
	Moved    []Change   // the key is still there, in another place

	MajorityBefore, MajorityAfter int
}

// Change is a key before and after: another key in the same place, or the same key
// in another place.
type Change struct{ Old, New FleetKey }

// Diff compares two key sets. old is nil for the first epoch, in which all keys are
// added.
func Diff(old, next *KeySet) *Delta {
	d := &Delta{MajorityAfter: next.Majority}
	if old == nil {
		old = &KeySet{}
	}
	d.MajorityBefore = old.Majority
	was, is := index(old), index(next)
	for _, k := range old.Keys {
		if !is.place(k) && !is.key(k) {
			d.Removed = append(d.Removed, k)
		}
	}
	for _, k := range next.Keys {
		if !was.place(k) && !was.key(k) {
			d.Added = append(d.Added, k)
		}
		if o := was.places[slot{k.HSM, k.Role}]; o != nil && !bytes.Equal(o.SPKI, k.SPKI) {
			d.Replaced = append(d.Replaced, Change{*o, k})
		}
		if o := was.keys[string(k.SPKI)]; o != nil && (o.HSM != k.HSM || o.Role != k.Role) {
			d.Moved = append(d.Moved, Change{*o, k})
		}
	}
	slices.SortFunc(d.Added, byPlace)
	slices.SortFunc(d.Removed, byPlace)
	slices.SortFunc(d.Replaced, func(a, b Change) int { return byPlace(a.New, b.New) })
	slices.SortFunc(d.Moved, func(a, b Change) int { return byPlace(a.New, b.New) })
	return d
}

// Empty says that keys, places and majority are the same.
func (d *Delta) Empty() bool {
	return len(d.Added)+len(d.Removed)+len(d.Replaced)+len(d.Moved) == 0 && d.MajorityBefore == d.MajorityAfter
}

func byPlace(a, b FleetKey) int {
	return cmp.Or(cmp.Compare(a.HSM, b.HSM), cmp.Compare(a.Role, b.Role))
}

// indexed finds a key set's keys by place and by key.
type indexed struct {
	places map[slot]*FleetKey
	keys   map[string]*FleetKey
}

func index(s *KeySet) indexed {
	x := indexed{map[slot]*FleetKey{}, map[string]*FleetKey{}}
	for i := range s.Keys {
		k := &s.Keys[i]
		x.places[slot{k.HSM, k.Role}] = k
		x.keys[string(k.SPKI)] = k
	}
	return x
}

func (x indexed) place(k FleetKey) bool { return x.places[slot{k.HSM, k.Role}] != nil }
func (x indexed) key(k FleetKey) bool   { return x.keys[string(k.SPKI)] != nil }
