// Package ceremony has the rules of key ceremonies and replays their transcripts.
//
// A ceremony follows a plan. Every act leaves a record on a hash-chained
// transcript, and one set of rules (Account) says which record may follow
// which: the engine asks it before it writes, and whoever verifies replays the
// transcript through the same rules. So a transcript that replays without
// error is one in which every demanded check was made and passed.
//
// The package is rules alone: it reads no file, opens no token and asks nobody. The
// engine that runs a ceremony is in ceremony/engine, what reads and keeps a
// ceremony's folder in ceremony/folder, what people do and say in ceremony/script.
package ceremony

import (
	"crypto/sha256"
	"fmt"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// The two modes. A rehearsal is never production: its namespace, labels,
// signed texts and artifact say so, and a production policy refuses it.
const (
	Production = bundle.Production
	Rehearsal  = bundle.Rehearsal
)

// RehearsalPrefix begins the namespace of every rehearsal and of nothing else.
const RehearsalPrefix = bundle.RehearsalPrefix

const planFormat = "fleetctl plan v1"

// maxPlan is the largest plan in bytes; 100 HSMs with 8 roles take a fifth.
const maxPlan = strict.MaxYAML

// Plan is what officers approve: public, without site data. The struct's
// members in their order are the file's.
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
	Models        []string      `strict:"models,optional"` // absent: all HSMs are of one
	Roles         []Role        `strict:"roles"`
	Threshold     int           `strict:"threshold"`
	People        []Person      `strict:"people"`
	Needed        int           `strict:"third_parties_needed,optional"`
	ThirdParties  []ThirdParty  `strict:"third_parties"`
	Countersigner Countersigner `strict:"countersigner"`
	LogPolicy     string        `strict:"log_policy"`
	Lockdown      []string      `strict:"lockdown,optional"`

	raw    []byte
	digest [32]byte
}

// PlanHSM is one HSM of the fleet, named by the serial its token reports.
type PlanHSM struct {
	Name   string `strict:"name,token"`
	Site   string `strict:"site,token"`
	Serial string `strict:"serial,optional,empty"` // demanded by check, which has the better words
	// Attestation names it by what its vendor attests; for every HSM or for none.
	Attestation *Device `strict:"attestation,optional"`
	// Agreement says how its keys that agree do so: by the module where it is left
	// out, else [AgreementTPM].
	Agreement string `strict:"agreement,optional"`
	// Tolerates names attempts that may succeed on this HSM's keys: see [Tolerable].
	Tolerates []string `strict:"tolerates,token,optional"`
}

// Role is one kind of key that each HSM gets.
type Role struct {
	Name      string       `strict:"name,token"`
	Use       bundle.Use   `strict:"use,optional"` // ParsePlan sets it where the plan leaves it out
	Algorithm Algorithm    `strict:"algorithm"`
	_         *strict.Node `strict:"attributes,optional"` // read by readAttributes

	own, expect []Expect
	tpm         bool // its key agrees by the TPM itself: see RoleIn
}

// Person takes part under a pseudonym.
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

// ThirdParty signs the fleet's epochs.
type ThirdParty struct {
	Name        string   `strict:"name,token"`
	Key         [32]byte `strict:"key,base64"`
	Ciphersuite uint32   `strict:"ciphersuite"`
}

// Countersigner is the operator's key.
type Countersigner struct {
	Name      string    `strict:"name,token"`
	Algorithm Algorithm `strict:"algorithm"`
	Key       []byte    `strict:"key,base64"` // SPKI
	Form      string    `strict:"form"`
	// Attestation names the HSM that holds the key.
	Attestation *Device `strict:"attestation,optional"`
}

// Digest is the SHA-256 of the plan's exact bytes: what officers approve.
func (p *Plan) Digest() [32]byte { return p.digest }

// Raw is the plan's exact bytes.
func (p *Plan) Raw() []byte { return p.raw }

// Answers is how many third parties must have signed before the operator
// countersigns: all of them, unless the plan says how many.
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

// held is a key as a plan knows it.
type held struct {
	keys.Holder
	points []keys.Point
}

// holders are all whose keys a plan names. It was parsed, so that each can be
// read.
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
	}
	k, err := keys.ParseSPKI(p.Countersigner.Key)
	if err != nil {
		return nil, err
	}
	add(keys.PartOperator, p.Countersigner.Name, k.Point())
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

// KeyConflicts finds where a plan and the keys that a policy pins give one person
// two voices: a key that has one part in the plan and another in the policy; a
// person or third party of two keys, because the plan calls somebody by the name
// under which the policy pins another key. The policy's roster stays as it is.
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

// Enter puts all whose keys the plan names into a roster, beside those that it
// has. Who is there already under another name stays so: OneVoice says whether
// that matters.
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
