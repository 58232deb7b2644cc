package auditlog

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// maxPolicyItems is how many logs, and how many witnesses and groups, a
// policy may list; the specification asks for 32.
const maxPolicyItems = 128

// Log is a log that a policy trusts. Its origin is the key's name.
type Log struct {
	Key *Verifier
	URL string // may be empty; verifying never uses it
}

// Witness is a cosigner that a policy knows.
type Witness struct {
	Name string // within the policy; signature lines have the key's name
	Key  *Verifier
	URL  string // submission prefix (C2SP tlog-witness); may be empty, verifying never uses it
}

// Policy says which logs are trusted and which witnesses must have cosigned
// (C2SP tlog-policy).
type Policy struct {
	file       string
	text       string
	logs       []Log
	witnesses  []Witness
	nodes      []node // of witnesses and groups, members before their group
	quorum     int    // of nodes, counted from 1; 0 means none
	windows    map[*Verifier]keys.Window
	discounted map[string]string // witnesses whose cosignatures count for no quorum, and why

	postQuantum bool // witnesses with classical keys count for no quorum either
}

// ParsePolicy reads a policy. It is stricter than the specification: the text is
// UTF-8, a log's key has type 0x01, 0x02 or 0x06, a witness's 0x04 or 0x06, and
// no key is listed twice, not even once as a log's and once as a witness's: a log
// that witnesses itself proves nothing.
func ParsePolicy(file string, data []byte) (*Policy, error) {
	if len(data) > MaxText {
		return nil, strict.Errorf(file, "has %d bytes, %d are allowed", len(data), MaxText)
	}
	r := &policyReader{Policy: &Policy{file: file, text: string(data)}, byName: map[string]int{}}
	l := strict.NewLines(file, data)
	for l.More() {
		l.Check(r.line(l.Next()))
	}
	if err := l.Done(); err != nil {
		return nil, err
	}
	if !r.ended {
		return nil, strict.Errorf(file, "has no quorum line").
			WithHint("Add `quorum <name>` as the last line, or `quorum none` to demand no witnesses.")
	}
	return r.Policy, nil
}

// Enter puts the policy's logs and witnesses into a roster of all key holders.
// If one of their keys is in it already, the error is a *Shared.
func (p *Policy) Enter(r *Roster) error {
	for _, l := range p.logs {
		if err := r.Add(keys.Holder{Part: keys.PartLog, Name: l.Key.name}, l.Key.point); err != nil {
			return err
		}
	}
	for _, w := range p.witnesses {
		if err := r.Add(keys.Holder{Part: keys.PartWitness, Name: w.Name}, w.Key.point); err != nil {
			return err
		}
	}
	return nil
}

// Logs are the trusted logs, in the policy's order.
func (p *Policy) Logs() []Log { return slices.Clone(p.logs) }

// Witnesses are the known witnesses, in the policy's order, whether or not
// the quorum counts them.
func (p *Policy) Witnesses() []Witness { return slices.Clone(p.witnesses) }

// Text is the policy as it was read.
func (p *Policy) Text() string { return p.text }

// DemandsQuorum says whether a quorum of witnesses must have cosigned.
func (p *Policy) DemandsQuorum() bool { return p.quorum != 0 }

type policyReader struct {
	*Policy
	byName map[string]int // of nodes
	used   []bool         // of nodes: member of a group already
	ended  bool           // the quorum line was read
}

func (r *policyReader) line(s string) error {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 && c != '\t' || c == 0x7f {
			return fmt.Errorf("has the control character %q", c)
		}
	}
	f := strings.FieldsFunc(s, func(c rune) bool { return c == ' ' || c == '\t' })
	if len(f) == 0 || f[0][0] == '#' {
		return nil
	}
	switch f[0] {
	case "log":
		return r.log(f[1:])
	case "witness":
		return r.witness(f[1:])
	case "group":
		return r.group(f[1:])
	case "quorum":
		return r.setQuorum(f[1:])
	}
	return fmt.Errorf("begins with %q; known are log, witness, group and quorum", strict.Clip(f[0]))
}

func (r *policyReader) log(f []string) error {
	if len(f) != 1 && len(f) != 2 {
		return errors.New("is not `log <vkey> [url]`")
	}
	if len(r.logs) == maxPolicyItems {
		return fmt.Errorf("lists more than %d logs", maxPolicyItems)
	}
	key, link, err := r.key(f, Ed25519, ECDSA, MLDSA44Cosignature)
	if err != nil {
		return err
	}
	r.logs = append(r.logs, Log{key, link})
	return nil
}

func (r *policyReader) witness(f []string) error {
	if len(f) != 2 && len(f) != 3 {
		return errors.New("is not `witness <name> <vkey> [url]`")
	}
	key, link, err := r.key(f[1:], Ed25519Cosignature, MLDSA44Cosignature)
	if err != nil {
		return err
	}
	if err := r.define(f[0], node{witness: len(r.witnesses), isWitness: true}); err != nil {
		return err
	}
	r.witnesses = append(r.witnesses, Witness{f[0], key, link})
	return nil
}

// key reads `<vkey> [url]`.
func (r *policyReader) key(f []string, types ...KeyType) (*Verifier, string, error) {
	v, err := parseVKey(f[0])
	if err != nil {
		return nil, "", err
	}
	if !slices.Contains(types, v.typ) {
		return nil, "", fmt.Errorf("the key has type 0x%02x; a log's has 0x01, 0x02 or 0x06, a witness's 0x04 or 0x06", byte(v.typ))
	}
	if other := r.known(func(o *Verifier) bool {
		return o.point == v.point || o.name == v.name && o.hash == v.hash
	}); other != nil {
		return nil, "", fmt.Errorf("has the same key as %s+%08x above", other.name, other.hash)
	}
	if len(f) == 1 {
		return v, "", nil
	}
	u, err := url.Parse(f[1])
	if err != nil || u.Scheme == "" || u.Host == "" || u.User != nil {
		return nil, "", fmt.Errorf("%q is no absolute URL without user name", strict.Clip(f[1]))
	}
	return v, f[1], nil
}

// known is the first of the logs' and witnesses' keys for which is gives true,
// or nil.
func (p *Policy) known(is func(*Verifier) bool) *Verifier {
	for _, l := range p.logs {
		if is(l.Key) {
			return l.Key
		}
	}
	for _, w := range p.witnesses {
		if is(w.Key) {
			return w.Key
		}
	}
	return nil
}
