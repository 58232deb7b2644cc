package testfleet

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/crypto/ed25519"
	"golang.org/x/crypto/ssh"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/evidence/planned"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/sshsig"
)

// Program is the one that runs the ceremonies of tests.
var Program = ceremony.Program{Version: "test", Binary: sha256.Sum256([]byte("binary"))}

// everybody is in every plan.
var everybody = []ceremony.Person{
	{Name: "olga", Role: ceremony.Officer}, {Name: "omar", Role: ceremony.Officer}, {Name: "ozan", Role: ceremony.Officer},
	{Name: "wanda", Role: ceremony.Witness}, {Name: "ada", Role: ceremony.Auditor},
}

// Signers are those who sign: no more than have to.
var Signers = []string{"olga", "omar", "wanda", "ada"}

// Person signs as ssh-keygen does, with a key in memory.
type Person struct {
	Role string
	key  *sshsig.Key
	priv ed25519.PrivateKey
}

// NewPerson is a person whose key follows from the name.
func NewPerson(name, role string) *Person {
	p := &Person{Role: role, priv: softEd25519(name)}
	pub, err := ssh.NewPublicKey(p.priv.Public())
	if err == nil {
		p.key, err = sshsig.ParseBlob(pub.Marshal())
	}
	if err != nil {
		panic(err)
	}
	return p
}

// Key is the person's public key.
func (p *Person) Key() *sshsig.Key { return p.key }

// Sign makes an SSHSIG signature.
func (p *Person) Sign(namespace string, message []byte) (*sshsig.Signature, error) {
	return sshsig.SignWith(p.key, namespace, message, func(signed []byte) ([]byte, error) {
		return ssh.Marshal(ssh.Signature{Format: ssh.KeyAlgoED25519, Blob: ed25519.Sign(p.priv, signed)}), nil
	})
}

func (f *Fleet) planApprovals() []ceremony.Signing {
	var list []ceremony.Signing
	for _, name := range Signers[:2] {
		sig, err := f.Parties.People[name].Sign(ceremony.SignNamespace(ceremony.NamespacePlan, f.Plan.Mode), f.Plan.Raw())
		if err != nil {
			panic(err)
		}
		list = append(list, ceremony.Signing{Name: name, Signature: sig.Armor()})
	}
	return list
}

// signers are those who sign a stage off.
func (f *Fleet) signers() []string {
	list := slices.Clone(Signers)
	for _, p := range f.o.Onlookers {
		if !slices.Contains(f.o.Away, p.Name) {
			list = append(list, p.Name)
		}
	}
	return list
}

// excuse records of those who are away that they give no verdict, and has it
// accepted.
func (f *Fleet) excuse(j *engine.Journal) error {
	if len(f.o.Away) == 0 {
		return nil
	}
	return f.Except(j, &ceremony.Exception{Expected: "everyone", Happened: "not everyone came", Decided: "to go on", Absent: f.o.Away})
}

// Except records an exception and has two officers accept it.
func (f *Fleet) Except(j *engine.Journal, x *ceremony.Exception) error {
	x.Number = len(j.Account().Exceptions) + 1
	if _, err := j.Append(x); err != nil {
		return err
	}
	want, err := j.Account().ExceptionApproval(x.Number)
	if err != nil {
		return err
	}
	people, err := ceremony.PeopleOf(f.Plan)
	if err != nil {
		return err
	}
	return f.Approve(context.Background(), f.Dir, people, want, nil)
}

// Approve has two officers approve whatever is asked for.
func (f *Fleet) Approve(_ context.Context, dir string, people *ceremony.People, want ceremony.Approval, _ []string) error {
	want.Role = ceremony.Officer
	for _, name := range Signers[:2] {
		sig, err := f.Parties.People[name].Sign(want.Namespace(), want.Text())
		if err != nil {
			return err
		}
		if _, err := folder.StoreSignature(dir, ceremony.ApprovalsDir, fmt.Sprintf("%s-%d", want.Act, want.Head.N), people, want.Namespace(), want.Text(), sig); err != nil {
			return err
		}
	}
	return nil
}

// SignOff has people say what they think of a stage.
func (f *Fleet) SignOff(dir string, a *ceremony.Account, stage, verdict string, names ...string) error {
	people, err := a.People()
	if err != nil {
		return err
	}
	for _, name := range names {
		want, err := a.WantedSignoff(stage)
		if err != nil {
			return err
		}
		want.Role, want.Verdict = f.Parties.People[name].Role, verdict
		sig, err := f.Parties.People[name].Sign(want.Namespace(), want.Text())
		if err != nil {
			return err
		}
		if _, err := folder.StoreSignature(dir, ceremony.SignoffDir(stage), "", people, want.Namespace(), want.Text(), sig); err != nil {
			return err
		}
	}
	return nil
}

// Machine answers for everybody in the room, as a rehearsal lets a machine do.
type Machine struct{}

const machine = "machine"

func (Machine) Words(context.Context) ([]string, string, error) {
	return []string{"aardvark", "adroitness", "zulu"}, machine, nil
}

func (Machine) Clock(_ context.Context, now func() time.Time) (time.Time, string, error) {
	return now().UTC().Truncate(time.Second), machine, nil
}

// Seal gives each HSM a number of its own: hsm-1 has 4471.
func (Machine) Seal(_ context.Context, hsm string, _ func(string) error) (string, string, string, error) {
	n := 0
	fmt.Sscanf(hsm, "hsm-%d", &n)
	return fmt.Sprint(4470 + n), machine, machine, nil
}

func (Machine) Challenge(context.Context, engine.Question) (int, string, error) {
	return 1, machine, nil
}

// GoOn is for people: a rehearsal that a machine goes through asks nobody.
func (Machine) GoOn(context.Context, []planned.Outlook) (string, error) {
	return "", errors.New("nobody is there who could go on")
}

// OtherProgram has nobody who could compare it with a copy of their own.
func (Machine) OtherProgram(context.Context, ceremony.Program, ceremony.Program) error {
	return errors.New("nobody is there who could agree to another program")
}

// Attestation has no tool to use: see Attester.
func (Machine) Attestation(context.Context, engine.AttestQuestion, error) (*attest.Evidence, error) {
	return nil, errors.New("the machine has no vendor's tool")
}
