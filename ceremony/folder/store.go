package folder

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Stored is the result of storing a signature.
type Stored struct {
	Name  string // the signer's, from the plan
	Again bool   // the signer had signed this text before; the first signature is kept
	Aside string // the new path of the earlier signature that this one replaced
}

// StoreSignature verifies a person's signature and stores it with its text. what is the
// beginning of the files' name. It replaces an earlier signature by that person about
// the same thing, which moves into the private folder, unless the transcript lists that
// one already.
func StoreSignature(root, dir, what string, people *ceremony.People, namespace string, text []byte, sig *sshsig.Signature) (*Stored, error) {
	name, role, ok := people.RoleOf(sig.Key())
	if !ok {
		return nil, strict.Errorf("", "the key %s is nobody's in the plan", sig.Key().Fingerprint())
	}
	base := name
	if what != "" {
		base = what + "-" + name
	}
	k := &storing{root: root, dir: dir, base: base, namespace: namespace, text: text, sig: sig, kept: &Stored{Name: name}}
	if err := mayStore(dir, name, role, text); err != nil {
		return nil, err
	}
	if err := sig.Verify(namespace, text); err != nil {
		return nil, strict.Errorf(k.path()+ceremony.SigSuffix, "is no signature of %s over this text: %v", name, err)
	}
	if err := durable.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
		return nil, err
	}
	if dir != ceremony.PlanApprovalsDir {
		unlock, err := holdSigners(root)
		if err != nil {
			return nil, err
		}
		defer unlock()
		settle := syncTranscript
		if dir == ceremony.CloseSignoffDir {
			settle = SettleClosed
		}
		if err := settle(root); err != nil {
			return nil, err
		}
	} else if err := keepApproved(root, text); err != nil {
		return nil, err
	}
	return k.kept, k.store()
}

// mayStore says whether a person of this role may sign the text. Signatures that would
// not count are not stored.
func mayStore(dir, name, role string, text []byte) error {
	said := ceremony.Officer // the signer's role by the text
	switch dir {
	case ceremony.PlanApprovalsDir:
		if role != ceremony.Officer {
			return strict.Errorf("", "%s is a %s: officers approve the plan", name, role)
		}
		return nil
	case ceremony.ApprovalsDir:
		p, err := ceremony.ParseApproval(dir, text)
		if err != nil {
			return err
		}
		if said = p.Role; said != ceremony.Officer && p.Act != ceremony.ApproveAbort {
			return strict.Errorf("", "%s is a %s: officers approve acts", name, role)
		}
	case ceremony.ReleaseSignoffDir, ceremony.CloseSignoffDir:
		o, err := ceremony.ParseSignoff(dir, text)
		if err != nil {
			return err
		}
		if said = o.Role; ceremony.SignoffDir(o.Stage) != dir {
			return strict.Errorf("", "the text signs off the %s and has no place in %s", o.Stage, dir)
		}
	default:
		return fmt.Errorf("nothing that people sign is kept in %q", dir)
	}
	if said != role {
		return strict.Errorf("", "the text says that its signer is %q; %s is %q", said, name, role)
	}
	return nil
}

// storing stores one signature.
type storing struct {
	root, dir, base string // the file's name, without .sig
	namespace       string
	text            []byte
	sig             *sshsig.Signature
	kept            *Stored
}

func (k *storing) path() string { return filepath.Join(k.root, k.dir, k.base) }

func (k *storing) store() error {
	text, terr := durable.ReadFile(k.path())
	armor, serr := durable.ReadFile(k.path() + ceremony.SigSuffix)
	for _, err := range []error{terr, serr} {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	same := k.dir == ceremony.PlanApprovalsDir || terr == nil && bytes.Equal(text, k.text)
	// With some kinds of key, the same text signed again has another signature. The
	// first one is kept.
	if serr == nil && same && k.covers(armor) {
		k.kept.Again = true
		return nil
	}
	if serr == nil || terr == nil && !same {
		if err := k.replaceable(); err != nil {
			return err
		}
		if err := k.setAside(serr == nil, terr == nil && !same); err != nil {
			return err
		}
	}
	write := Temp(k.root)
	if k.dir != ceremony.PlanApprovalsDir && (terr != nil || !same) {
		if err := write.Create(k.path(), k.text, 0o644); err != nil {
			return err
		}
	}
	// If this fails, the signature may be there nevertheless, so the text stays. If the
	// signature isn't there, tidy sets the text aside.
	return write.Create(k.path()+ceremony.SigSuffix, k.sig.Armor(), 0o644)
}

// covers says whether an armoured signature is by the same signer, over this text.
func (k *storing) covers(armor []byte) bool {
	have, err := sshsig.Parse(k.base+ceremony.SigSuffix, armor)
	return err == nil && have.Key().Fingerprint() == k.sig.Key().Fingerprint() && have.Verify(k.namespace, k.text) == nil
}

// replaceable says why an earlier signature can't be replaced: a record lists its file.
func (k *storing) replaceable() error {
	a, err := ReadToLastRecord(k.root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the plan's ceremony hasn't begun
	}
	if err != nil {
		return err
	}
	path := k.dir + "/" + k.base
	if a.Request == nil || !a.Lists(path) && !a.Lists(path+ceremony.SigSuffix) {
		return nil
	}
	return strict.Errorf(k.path(), "stands: the third parties were asked with it, and the transcript lists it").
		WithHint("what is wrong is said by an exception, or by not agreeing to the close:\nfleetctl ceremony sign %s --signoff close --verdict %s --key KEY", k.root, ceremony.DoNotAgree)
}

// setAside moves the earlier signature away before its text, so that an interruption
// can't leave a signature standing that its signer took back.
func (k *storing) setAside(sig, text bool) (err error) {
	if sig {
		if k.kept.Aside, err = setAside(k.root, k.dir+"/"+k.base+ceremony.SigSuffix); err != nil {
			return err
		}
	}
	if text {
		_, err = setAside(k.root, k.dir+"/"+k.base)
	}
	return err
}
