package bundle

import (
	"fmt"
	"slices"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/keys"
)

// Addition is a third party's post-quantum signature beside its statement, whose own
// signature has to be Ed25519's. It is over the statement's Message.
type Addition struct {
	Key       *PublicKey // ML-DSA
	Signature []byte     // with the context of third parties, SPEC section 2
}

type additionFile struct {
	Key       []byte `strict:"key,base64"`
	Signature []byte `strict:"signature,base64"`
}

// parse admits the key. It checks no signature.
func (f *additionFile) parse() (*Addition, error) {
	if f == nil {
		return nil, nil
	}
	k, err := keys.ParseSPKI(f.Key)
	switch {
	case err != nil:
		return nil, fmt.Errorf("addition's key %w", err)
	case !k.Algorithm().IsMLDSA():
		return nil, fmt.Errorf("addition's key is of kind %s; a third party adds a signature of ML-DSA", k.Algorithm())
	case len(f.Signature) != k.Algorithm().MaxSignature():
		return nil, fmt.Errorf("addition's signature has %d bytes; one of %s has %d", len(f.Signature), k.Algorithm(), k.Algorithm().MaxSignature())
	}
	return &Addition{Key: k, Signature: f.Signature}, nil
}

func (a *Addition) file() *additionFile {
	if a == nil {
		return nil
	}
	return &additionFile{a.Key.SPKI(), a.Signature}
}

// VerifyAddition checks that a statement's addition is there, and is over the
// statement. The caller has to know whose its key is.
func (s Signed) VerifyAddition(seen *Seen) error {
	if s.Addition == nil {
		return fmt.Errorf("there is no post-quantum signature beside it")
	}
	return seen.Verify(s.Addition.Key, keys.ForThirdParty, s.Statement.Message(), s.Addition.Signature)
}

// Seal takes the post-quantum signature that the third party's key made over the
// statement's Message, verifies it, and gives statement and addition together.
func (s Signed) Seal(key *PublicKey, signature []byte) (Signed, error) {
	add, err := (&additionFile{key.SPKI(), signature}).parse()
	if err != nil {
		return Signed{}, err
	}
	s.Addition = add
	return s, s.VerifyAddition(nil)
}

// AdditionalKey is a pinned post-quantum key of a third party, which adds a signature
// by it to each statement. The party stands in RequireAll.
type AdditionalKey struct {
	Name   string // of the third party
	Key    *PublicKey
	Window Window
}

// Incomplete is a pinned signer of whom both a classical and a post-quantum
// signature are demanded, and who gave less.
type Incomplete struct {
	Name  string
	Lacks string // in words
}

func (i Incomplete) String() string { return i.Name + " " + i.Lacks }

// groupOf is the part that a key's signature has where both are demanded.
func groupOf(a Algorithm) string {
	if a.IsMLDSA() {
		return "post-quantum"
	}
	return "classical"
}

// RequiresAll says whether both a classical and a post-quantum signature are required of
// somebody.
func (t *Trust) RequiresAll(name string) bool {
	return t != nil && slices.Contains(t.RequireAll, name)
}

// dating is the log policy by which witnesses date a bundle. Where post-quantum
// signatures are required, only witnesses with such keys count: whoever breaks the
// others' could have seen an old signature at any time.
func (t *Trust) dating(log *auditlog.Policy) (*auditlog.Policy, error) {
	if len(t.RequireAll) == 0 {
		return log, nil
	}
	strong, err := log.PostQuantum()
	if err != nil {
		return nil, fmt.Errorf("%w: the log policy: %w", ErrTrust, err)
	}
	return strong, nil
}

func (t *Trust) additional(key *PublicKey) *AdditionalKey {
	for i := range t.Additional {
		if string(t.Additional[i].Key.SPKI()) == string(key.SPKI()) {
			return &t.Additional[i]
		}
	}
	return nil
}

// hybrid refuses a trust that seems to demand both signatures of somebody and doesn't:
// one of whom a group has no key, whose post-quantum key no demand is made of, or
// whose countersignature leaves out what third parties added.
func (t *Trust) hybrid() error {
	groups := map[string]map[string]bool{}
	has := func(name, group string) {
		if groups[name] == nil {
			groups[name] = map[string]bool{}
		}
		groups[name][group] = true
	}
	party := map[string]bool{}
	for _, p := range t.ThirdParties {
		party[p.Name] = true
		has(p.Name, groupOf(keys.Ed25519))
	}
	for _, o := range t.Operators {
		has(o.Name, groupOf(o.Key.Algorithm()))
		if t.RequiresAll(o.Name) && o.Form != FormBound {
			return fmt.Errorf("%w: operator %s is pinned with form %s, and where both signatures are required it is %s, which names what third parties added", ErrTrust, o.Name, o.Form, FormBound)
		}
	}
	for _, k := range t.Additional {
		switch {
		case k.Key == nil || !k.Key.Algorithm().IsMLDSA():
			return fmt.Errorf("%w: the additional key of third party %s is none of ML-DSA", ErrTrust, k.Name)
		case !party[k.Name]:
			return fmt.Errorf("%w: an additional key is pinned for %q, and no third party has this name", ErrTrust, k.Name)
		case !t.RequiresAll(k.Name):
			return fmt.Errorf("%w: third party %s has a post-quantum key, and nothing requires its signature: it would count for nothing", ErrTrust, k.Name)
		}
		has(k.Name, groupOf(k.Key.Algorithm()))
	}
	for i, name := range t.RequireAll {
		switch {
		case groups[name] == nil:
			return fmt.Errorf("%w: both signatures are required of %q, and nobody of this name is pinned", ErrTrust, name)
		case len(groups[name]) < 2:
			return fmt.Errorf("%w: both signatures are required of %s, and its keys are all of one kind: a classical and a post-quantum one are needed", ErrTrust, name)
		case slices.Contains(t.RequireAll[:i], name):
			return fmt.Errorf("%w: both signatures are required of %s twice", ErrTrust, name)
		}
	}
	return nil
}

// Adds judges what stands beside a statement of a third party; party is empty where
// its key isn't pinned. The error says what is wrong. Otherwise lacks says why nothing
// that counts was added; it is empty where a pinned key of this party's did.
func (t *Trust) Adds(s Signed, party string, now time.Time, witnessed *time.Time) (by *AdditionalKey, lacks string, err error) {
	if s.Addition == nil {
		return nil, "gave no post-quantum signature beside its statement", nil
	}
	k := t.additional(s.Addition.Key)
	switch {
	case k == nil:
		return nil, "has a post-quantum signature beside its statement by a key that isn't pinned", nil
	case party == "":
		return nil, "", fmt.Errorf("it is not by %s, and the post-quantum signature beside it is by a key of %s", k.Name, k.Name)
	case k.Name != party:
		return nil, "", fmt.Errorf("the post-quantum signature beside it is by a key of %s", k.Name)
	}
	if err := s.VerifyAddition(t.Seen); err != nil {
		return nil, "", fmt.Errorf("the post-quantum signature beside it: %w", err)
	}
	if !k.Window.Counts(now, witnessed) {
		return k, "added a post-quantum signature by a key outside its window", nil
	}
	return k, "", nil
}

// addition is Adds, in a bundle's result.
func (t *Trust) addition(s Signed, party string, res *Result, now time.Time, witnessed *time.Time) (lacks string, err error) {
	k, lacks, err := t.Adds(s, party, now, witnessed)
	switch {
	case err != nil || lacks == "":
	case k != nil:
		res.Expired = append(res.Expired, Signer{Name: k.Name, Key: keyText(k.Key.SPKI()), Time: s.Statement.Time()})
	case s.Addition != nil:
		res.Ignored = append(res.Ignored, keyText(s.Addition.Key.SPKI()))
	}
	return lacks, err
}

// complete gives the countersigners that count: of those of whom both signatures are
// required only such as gave both. list are their signatures inside their keys' windows.
func (t *Trust) complete(list []Signer, algorithms map[string]Algorithm, res *Result) (out []Signer) {
	for _, s := range list {
		if !t.RequiresAll(s.Name) {
			out = append(out, s)
			continue
		}
		other := func(x Signer) bool {
			return x.Name == s.Name && groupOf(algorithms[x.Key]) != groupOf(algorithms[s.Key])
		}
		if slices.ContainsFunc(list, other) {
			out = append(out, s)
			continue
		}
		missing := groupOf(keys.MLDSA44)
		if groupOf(algorithms[s.Key]) == missing {
			missing = groupOf(keys.Ed25519)
		}
		one := Incomplete{s.Name, fmt.Sprintf("gave its %s countersignature, and no %s one that counts", groupOf(algorithms[s.Key]), missing)}
		if !slices.Contains(res.Incomplete, one) {
			res.Incomplete = append(res.Incomplete, one)
		}
	}
	return out
}
