// Package ceremony has the rules of key ceremonies and replays their transcripts.
//
// A ceremony follows a plan. Each act writes a record to a hash-chained transcript,
// and one set of rules (Account) says which record may follow which. The engine asks
// these rules before it writes, and a verifier replays the transcript through the
// same rules: if it replays without error, every check that the plan demands was
// made and passed.
//
// The package only has rules: it reads no files, opens no tokens and asks nobody.
// ceremony/engine runs a ceremony, ceremony/folder reads and keeps its folder, and
// ceremony/script has what people do and say.
package ceremony

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// The two modes. A rehearsal's namespace, labels, signed texts and artifact all say
// that it is one, and a production policy refuses it.
const (
	Production = bundle.Production
	Rehearsal  = bundle.Rehearsal
)

// RehearsalPrefix begins the namespaces of rehearsals, and no others.
const RehearsalPrefix = bundle.RehearsalPrefix

const planFormat = "fleetctl plan v1"

// maxPlan is the largest plan in bytes; 100 HSMs with 8 roles take a fifth of it.
const maxPlan = strict.MaxYAML

// Plan is what officers approve. It is public and has no site data. The struct's
// fields, in their order, are the file's.
type Plan struct {
	Format        string        `strict:"format"`
	Mode          string        `strict:"mode"`
	Rehearses     [32]byte      `strict:"rehearses,hex,optional"`
	Fleet         string        `strict:"fleet,token"`
	Namespace     string        `strict:"namespace,token"`
	Epoch         uint64        `strict:"epoch"`
	Previous      [32]byte      `strict:"previous,hex,empty"`
	Majority      int           `strict:"majority"`
	HSMs          []PlanHSM     `strict:"hsms"`
	Models        []string      `strict:"models,optional"` // absent: all HSMs are of one model
	Roles         []Role        `strict:"roles"`
	Threshold     int           `strict:"threshold"`
	People        []Person      `strict:"people"`
	Needed        int           `strict:"third_parties_needed,optional"`
	ThirdParties  []ThirdParty  `strict:"third_parties"`
	Countersigner Countersigner `strict:"countersigner"`
	LogPolicy     string        `strict:"log_policy"`
	Drill         *PlanDrill    `strict:"drill,optional"` // absent: the fleet is not drilled
	Lockdown      []string      `strict:"lockdown,optional"`
	Destroys      *Destroys     `strict:"destroys,optional"` // nil: the ceremony generates keys

	raw    []byte
	digest [32]byte
}

// PlanHSM is one HSM of the fleet, named by the serial its token reports.
type PlanHSM struct {
	Name   string `strict:"name,token"`
	Site   string `strict:"site,token"`
	Serial string `strict:"serial,optional,empty"` // not optional: planChecker demands it, with a hint
	// Attestation names the HSM by what its vendor attests. A plan has it for every HSM
	// or for none.
	Attestation *Device `strict:"attestation,optional"`
	// Agreement says what computes the secrets of its keys that agree: the PKCS#11 module
	// if it is left out, else [AgreementTPM].
	Agreement string `strict:"agreement,optional"`
	// Tolerates are attempts that may succeed on this HSM's keys: see [Tolerable].
	Tolerates []string `strict:"tolerates,token,optional"`
}

// Role is one kind of key that each HSM gets.
type Role struct {
	Name      string       `strict:"name,token"`
	Use       bundle.Use   `strict:"use,optional"` // ParsePlan sets it to sign if the plan leaves it out
	Algorithm Algorithm    `strict:"algorithm"`
	_         *strict.Node `strict:"attributes,optional"` // read by readAttributes

	own, expect []Expect
	tpm         bool // its key agrees by the TPM itself: see RoleIn
}

// Person takes part in a ceremony, usually under a pseudonym.
type Person struct {
	Name string `strict:"name,token"`
	Role string `strict:"role"`
	Key  string `strict:"key"` // OpenSSH public key
}

// The roles of people.
const (
	Officer = "officer"
	Witness = "witness"
	Auditor = "auditor"
)

// ThirdParty is an independent party that signs the fleet's key sets.
type ThirdParty struct {
	Name        string   `strict:"name,token"`
	Key         [32]byte `strict:"key,base64"`
	Ciphersuite uint32   `strict:"ciphersuite"`
	// PostQuantum is the key by which it adds a signature to its statement, whose own
	// is Ed25519's. The ceremony takes no statement of its without that.
	PostQuantum *PostQuantum `strict:"post_quantum,optional"`
}

// PostQuantum is a key of ML-DSA that signs beside another key.
type PostQuantum struct {
	Algorithm Algorithm `strict:"algorithm"`
	Key       []byte    `strict:"key,base64"` // SPKI
}

// Countersigner is the key by which the operator countersigns.
type Countersigner struct {
	Name      string    `strict:"name,token"`
	Algorithm Algorithm `strict:"algorithm"`
	Key       []byte    `strict:"key,base64"` // SPKI
	Form      string    `strict:"form"`
	// PostQuantum countersigns the same text, beside Key: there is no countersignature
	// by one of them.
	PostQuantum *PostQuantum `strict:"post_quantum,optional"`
	// Attestation names the HSM that holds the key.
	Attestation *Device `strict:"attestation,optional"`
}

// Digest is the SHA-256 of the plan's exact bytes: what officers approve.
func (p *Plan) Digest() [32]byte { return p.digest }

// Raw is the plan's exact bytes.
func (p *Plan) Raw() []byte { return p.raw }

// Answers is how many third parties must have signed before the operator
// countersigns: as many as the plan's third_parties_needed says, else all.
func (p *Plan) Answers() int {
	if p.Needed > 0 {
		return p.Needed
	}
	return len(p.ThirdParties)
}

// PartyKeys are the third parties' keys.
func (p *Plan) PartyKeys() (list [][32]byte) {
	for _, x := range p.ThirdParties {
		list = append(list, x.Key)
	}
	return list
}

// Role finds a role by its name.
func (p *Plan) Role(name string) *Role {
	for i := range p.Roles {
		if p.Roles[i].Name == name {
			return &p.Roles[i]
		}
	}
	return nil
}

// RoleIn is a role as an HSM makes its key: of one whose keys agree by the TPM
// itself with another template.
func (p *Plan) RoleIn(hsm, name string) *Role {
	r, h := p.Role(name), p.HSM(hsm)
	if r == nil || h == nil || h.Agreement == "" || r.Use != keys.Agree {
		return r
	}
	return r.throughTPM()
}

// HSM finds an HSM by its name.
func (p *Plan) HSM(name string) *PlanHSM {
	for i := range p.HSMs {
		if p.HSMs[i].Name == name {
			return &p.HSMs[i]
		}
	}
	return nil
}

// ParsePlan reads and checks a plan. The error is a strict.Errors with every
// fault found, each with its line.
func ParsePlan(file string, data []byte) (*Plan, error) {
	p := &Plan{raw: data, digest: sha256.Sum256(data)}
	root, err := strict.DecodeFormat(file, data, maxPlan, planFormat, p)
	var faults strict.Errors
	faults.Add(err)
	if root == nil {
		return nil, faults.Err()
	}
	c := &planChecker{file: file, root: root, plan: p, faults: &faults}
	c.check()
	if err := faults.Err(); err != nil {
		return nil, err
	}
	return p, nil
}

// public is the key; nil where there is none.
func (q *PostQuantum) public() (*keys.Public, error) {
	if q == nil {
		return nil, nil
	}
	return keys.ParseSPKI(q.Key)
}

func (q *PostQuantum) spki() []byte {
	if q == nil {
		return nil
	}
	return q.Key
}

func (q *PostQuantum) enter(add func(keys.Point)) error {
	k, err := q.public()
	if err == nil && k != nil {
		add(k.Point())
	}
	return err
}

// Is says whether this is the key.
func (q *PostQuantum) Is(k *bundle.PublicKey) bool {
	return q != nil && k != nil && bytes.Equal(q.Key, k.SPKI())
}

// held is a key and its holder.
type held struct {
	keys.Holder
	points []keys.Point
}

// holders are all the holders of keys that a plan names.
func (p *Plan) holders() (list []held, err error) {
	add := func(part, name string, points ...keys.Point) {
		list = append(list, held{keys.Holder{Part: part, Name: name}, points})
	}
	for _, x := range p.People {
		k, err := sshsig.ParsePublicKey(x.Key)
		if err != nil {
			return nil, err
		}
		add(keys.PartPerson, x.Name, k.Points()...)
	}
	for _, x := range p.ThirdParties {
		add(keys.PartThirdParty, x.Name, keys.Ed25519Point(x.Key))
		if err := x.PostQuantum.enter(func(p keys.Point) { add(keys.PartThirdParty, x.Name, p) }); err != nil {
			return nil, err
		}
	}
	k, err := keys.ParseSPKI(p.Countersigner.Key)
	if err != nil {
		return nil, err
	}
	add(keys.PartOperator, p.Countersigner.Name, k.Point())
	if err := p.Countersigner.PostQuantum.enter(func(k keys.Point) { add(keys.PartOperator, p.Countersigner.Name, k) }); err != nil {
		return nil, err
	}
	log, err := auditlog.ParsePolicy("log_policy", []byte(p.LogPolicy))
	if err != nil {
		return nil, err
	}
	for _, l := range log.Logs() {
		add(keys.PartLog, l.Key.Name(), l.Key.Point())
	}
	for _, w := range log.Witnesses() {
		add(keys.PartWitness, w.Name, w.Key.Point())
	}
	return list, nil
}

// KeyConflicts finds where a plan and a policy together let one person count twice:
// a key has one part in the plan and another in the policy; or the plan names a
// person or third party, whose key the policy pins under another name, like somebody
// for whom the policy pins another key. The policy's roster isn't changed.
func (p *Plan) KeyConflicts(policy *auditlog.Roster) (faults []string) {
	list, err := p.holders()
	if err != nil {
		return []string{err.Error()}
	}
	for _, h := range list {
		for _, point := range h.points {
			for _, other := range policy.Holders(point) {
				switch {
				case other == h.Holder || policy.Allows(h.Holder, other):
				case other.Part != h.Part:
					faults = append(faults, fmt.Sprintf("%s %q of the plan has the key of %s %q of the policy", h.Part, h.Name, other.Part, other.Name))
				case (h.Part == keys.PartPerson || h.Part == keys.PartThirdParty) && len(policy.Keys(h.Holder)) > 0:
					faults = append(faults, fmt.Sprintf("%s %q of the plan has the key that the policy pins for %q, and the policy pins another for %q: one of them would have two voices", h.Part, h.Name, other.Name, h.Name))
				}
			}
		}
	}
	return faults
}

// Enter adds the holders of the plan's keys to a roster. A key that the roster has
// already, also under another name, stays as it is: KeyConflicts finds those that
// matter.
func (p *Plan) Enter(r *auditlog.Roster) error {
	list, err := p.holders()
	if err != nil {
		return err
	}
	for _, h := range list {
		for _, point := range h.points {
			if len(r.Holders(point)) > 0 {
				continue
			}
			if err := r.Add(h.Holder, point); err != nil {
				return err
			}
		}
	}
	return nil
}

// Trust is what the plan names: who is to sign, by which keys. It is no verifier's: a
// plan says of nobody whose its keys are.
func (p *Plan) Trust() (*bundle.Trust, error) {
	t := &bundle.Trust{Mode: p.Mode, Namespace: p.Namespace, Needed: p.Answers()}
	c := p.Countersigner
	for i, der := range [][]byte{c.Key, c.PostQuantum.spki()} {
		if i > 0 && der == nil {
			break
		}
		k, err := keys.ParseSPKI(der)
		if err != nil {
			return nil, err
		}
		t.Operators = append(t.Operators, bundle.Operator{Name: c.Name, Key: k, Form: c.Form})
	}
	for _, x := range p.ThirdParties {
		t.ThirdParties = append(t.ThirdParties, bundle.ThirdParty{Name: x.Name, Key: x.Key})
		k, err := x.PostQuantum.public()
		if err != nil {
			return nil, err
		}
		if k != nil {
			t.RequireAll = append(t.RequireAll, x.Name)
			t.Additional = append(t.Additional, bundle.AdditionalKey{Name: x.Name, Key: k})
		}
	}
	if c.PostQuantum != nil {
		t.RequireAll = append(t.RequireAll, c.Name)
	}
	return t, nil
}
