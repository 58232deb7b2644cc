//go:build cgo && unix

package hsm

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/token"
)

// Generate generates a key pair in the token and reads its public half back by its
// CKA_ID. The template has every attribute of the spec. If the token refuses it, Generate
// leaves out as few of spec.Optional as possible, and returns their names. It fails if
// there is a key with this CKA_ID.
//
// After an error there may be a key pair nevertheless: look with [Token.Objects].
func (t *Token) Generate(spec token.KeySpec) (token.Generated, error) {
	name, a, err := known(spec.Algorithm)
	if err != nil {
		return token.Generated{}, err
	}
	if err := checkSpec(spec); err != nil {
		return token.Generated{}, fmt.Errorf("key %q: %w", spec.Label, err)
	}
	if err := t.use(); err != nil {
		return token.Generated{}, err
	}
	defer t.mu.Unlock()
	out, err := t.generate(name, a, spec)
	if err != nil {
		return token.Generated{}, t.wrap(fmt.Errorf("key %q: %w", spec.Label, err))
	}
	return out, nil
}

func (t *Token) generate(name keys.Algorithm, a algorithm, spec token.KeySpec) (token.Generated, error) {
	if err := t.needUser(); err != nil {
		return token.Generated{}, err
	}
	if err := t.absent(spec.ID); err != nil {
		return token.Generated{}, err
	}
	ways, err := t.offered(a)
	if err != nil {
		return token.Generated{}, err
	}
	w, dropped, err := t.negotiate(name, ways, spec)
	if err != nil {
		return token.Generated{}, err
	}
	if _, err := t.half(privateHalf, spec.ID); err != nil {
		return token.Generated{}, fmt.Errorf("was generated, but: %w", err)
	}
	spki, err := t.publicKey(name, a, spec.ID)
	if err != nil {
		return token.Generated{}, fmt.Errorf("was generated, but: %w", err)
	}
	return token.Generated{SPKI: spki, Mechanism: mechanismName(w.mechanism), Dropped: dropped}, nil
}

// absent fails if the token holds a key with this CKA_ID.
func (t *Token) absent(id []byte) error {
	for _, half := range []string{privateHalf, publicHalf} {
		found, err := t.halves(half, id)
		if err != nil {
			return err
		}
		if len(found) > 0 {
			return keyErr(ErrKeyExists, half, id)
		}
	}
	return nil
}

// offered are the ways whose mechanism the token has.
func (t *Token) offered(a algorithm) ([]way, error) {
	var ways []way
	var last error
	for _, w := range a.ways {
		if _, err := t.mechanismInfo(t.opened.Slot, w.mechanism); err != nil {
			last = fmt.Errorf("%s: %w", mechanismName(w.mechanism), err)
			continue
		}
		ways = append(ways, w)
	}
	if len(ways) == 0 {
		return nil, fmt.Errorf("the token can't make such a key: %w", last)
	}
	return ways, nil
}

// negotiate tries each way with the whole template, then with more and more optional
// attributes left out. It returns the error of the first try.
func (t *Token) negotiate(name keys.Algorithm, ways []way, spec token.KeySpec) (way, []string, error) {
	var first, err error
	for _, w := range ways {
		for _, without := range subsets(spec.Optional) {
			if first != nil {
				// A call that failed may have generated a key nevertheless. Don't generate a
				// second one.
				if err := t.absent(spec.ID); err != nil {
					return way{}, nil, fmt.Errorf("%w, after %w", err, first)
				}
			}
			err = t.generateKeyPair(t.session, w.mechanism, publicTemplate(name, w, spec), privateTemplate(w, spec, without))
			if err == nil {
				return w, without, nil
			}
			if first == nil {
				first = err
			}
			if !refusesTemplate(err) {
				break
			}
		}
		if !refusesCurve(err) {
			break
		}
	}
	return way{}, nil, first
}

// refusesTemplate says whether it may help to leave out an attribute. NSS reports
// CKR_GENERAL_ERROR for an attribute that it can't store.
func refusesTemplate(err error) bool {
	switch Code(err) {
	case "CKR_ATTRIBUTE_TYPE_INVALID", "CKR_TEMPLATE_INCONSISTENT", "CKR_GENERAL_ERROR":
		return true
	}
	return false
}

// refusesCurve says whether another encoding of the curve may help. SoftHSM reports
// CKR_GENERAL_ERROR for one that it can't read.
func refusesCurve(err error) bool {
	switch Code(err) {
	case "CKR_CURVE_NOT_SUPPORTED", "CKR_DOMAIN_PARAMS_INVALID", "CKR_ATTRIBUTE_VALUE_INVALID":
		return true
	}
	return refusesTemplate(err)
}

// subsets returns all subsets of names, the smallest first.
func subsets(names []string) [][]string {
	masks := make([]uint, 1<<len(names))
	for i := range masks {
		masks[i] = uint(i)
	}
	slices.SortStableFunc(masks, func(a, b uint) int { return bits.OnesCount(a) - bits.OnesCount(b) })
	list := make([][]string, len(masks))
	for i, mask := range masks {
		for j, name := range names {
			if mask&(1<<j) != 0 {
				list[i] = append(list[i], name)
			}
		}
	}
	return list
}
