package nshield

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// acl is the access control list with which a key was made.
type acl struct{ groups []group }

// group is a set of actions that are allowed together.
type group struct {
	certifiers []hash // of keys that must allow them first
	actions    []action
}

// action is something that may be done with the key.
type action struct {
	kind  uint32
	perms uint32 // of an operation
	mech  uint32 // of a derivation
	blob  blob
}

// blob is how the key may be written down, encrypted.
type blob struct {
	flags    uint32
	km, kt   hash
	softcard bool
	token    bool // token parameters are given
}

// The kinds of actions that are understood.
const (
	actOp      = 1
	actBlob    = 2
	actArchive = 3
	actDerive  = 5
	actDerive2 = 47
)

// The flags of a permission group that are understood: a key's hash, its hash
// with the mechanism, the module's serial number, a key's longer hash.
const (
	groupCertifier = 0x01
	groupCertMech  = 0x04
	groupSerial    = 0x08
	groupCertLong  = 0x40
)

// The flags of a blob.
const (
	blobKmOnly   = 0x01
	blobNonKm0   = 0x02
	blobKm       = 0x04
	blobKt       = 0x08
	blobToken    = 0x10
	blobNullKm   = 0x20
	blobFile     = 0x40
	blobAll      = 0x7f
	publicHalf   = 29     // the derivation that gives the public key
	permsKnown   = 0xffff // sixteen operations are defined
	permsExport  = 0x4    // ExportAsPlain
	permsExpand  = 0x40   // ExpandACL
	softcardFlag = 0x4
)

// forbidden are operations that let a key protect other keys, or its application
// data be set. Entrust says that a signing key has none of them.
func forbidden() map[uint32]string {
	return map[uint32]string{0x10: "SetAppData", 0x400: "UseAsBlobKey", 0x800: "UseAsKM", 0x4000: "UseAsLoaderKey"}
}

func (r *reader) acl() *acl {
	a := &acl{}
	for range r.count("permission groups", 16) {
		a.groups = append(a.groups, r.group())
		if r.err != nil {
			return nil
		}
	}
	return a
}

func (r *reader) group() (g group) {
	flags := r.word()
	if flags&^(groupCertifier|groupCertMech|groupSerial|groupCertLong) != 0 {
		r.fail("the ACL has a permission group with the flags %X, which aren't understood", flags)
	}
	for range r.count("use limits", 8) {
		switch kind := r.word(); kind {
		case 1, 6: // how often: in total, or after each authorisation
			r.hash()
			r.word()
		case 3: // how long
			r.word()
		default:
			r.fail("the ACL has a use limit of the kind %d, which isn't understood", kind)
		}
	}
	for range r.count("actions", 32) {
		g.actions = append(g.actions, r.action())
		if r.err != nil {
			return g
		}
	}
	if flags&groupCertifier != 0 {
		g.certifiers = append(g.certifiers, r.hash())
	}
	if flags&groupCertMech != 0 {
		g.certifiers = append(g.certifiers, r.hash())
		r.word()
	}
	if flags&groupSerial != 0 {
		r.text()
	}
	if flags&groupCertLong != 0 {
		if mech := r.word(); mech != mechSHA1 {
			r.fail("the ACL has a key's hash by mechanism %d, which isn't read", mech)
		}
		g.certifiers = append(g.certifiers, r.hash())
		r.word()
	}
	return g
}

func (r *reader) action() (a action) {
	a.kind = r.word()
	switch a.kind {
	case actOp:
		a.perms = r.word()
	case actBlob:
		a.blob = r.blob()
	case actArchive:
		flags := r.word()
		if flags > 3 {
			r.fail("the ACL has an archive with the flags %X, which aren't understood", flags)
		}
		r.word()
		if flags&1 != 0 {
			r.hash()
		}
		if flags&2 != 0 {
			r.blobFile()
		}
	case actDerive, actDerive2:
		flags := r.word()
		r.word() // the role of this key
		a.mech = r.word()
		if others := r.word(); flags != 0 || others != 0 {
			r.fail("the ACL has a derivation with parameters or other keys, which isn't understood")
		}
	default:
		r.fail("the ACL has an action of the kind %d, which isn't understood", a.kind)
	}
	return a
}

func (r *reader) blob() (b blob) {
	b.flags = r.word()
	if b.flags&^blobAll != 0 {
		r.fail("the ACL has a blob with the flags %X, which aren't understood", b.flags)
	}
	if b.flags&blobKm != 0 {
		b.km = r.hash()
	}
	if b.flags&blobKt != 0 {
		b.kt = r.hash()
	}
	if b.flags&blobToken != 0 {
		b.token, b.softcard = true, r.word()&softcardFlag != 0
		r.take(12) // shares needed, shares in all, time limit
	}
	if b.flags&blobFile != 0 {
		r.blobFile()
	}
	return b
}

func (r *reader) blobFile() {
	flags := r.word()
	if flags > 3 {
		r.fail("the ACL has a blob's file with the flags %X, which aren't understood", flags)
	}
	if flags&1 != 0 {
		r.word()
	}
	if flags&2 != 0 {
		r.hash()
	}
}

// judgement is what an ACL allows in all.
type judgement struct {
	perms       uint32
	plain       bool // the key may be read in the clear
	expand      bool // the ACL may be widened
	recoverable bool // the Administrator Card Set can recover the key
	protection  []string
	certified   bool // some of it needs another key's certificate
}

// judge says what an ACL allows, whoever has to agree. w has the world's module key;
// it is nil if the bundle doesn't bind one.
func (a *acl) judge(s *state, w *world) (*judgement, error) {
	j := &judgement{}
	for _, g := range a.groups {
		for _, c := range g.certifiers {
			// What the security officer's key allows, the Administrator Card Set can do.
			j.recoverable = j.recoverable || c == s.hknso
			j.certified = true
		}
		for _, act := range g.actions {
			if err := j.action(act, s, w); err != nil {
				return nil, fmt.Errorf("the ACL %w", err)
			}
		}
	}
	return j, nil
}

func (j *judgement) action(a action, s *state, w *world) error {
	switch a.kind {
	case actOp:
		if a.perms&^permsKnown != 0 {
			return fmt.Errorf("allows the operations %X, which aren't understood", a.perms&^permsKnown)
		}
		var names []string
		for bit, name := range forbidden() {
			if a.perms&bit != 0 {
				names = append(names, name)
			}
		}
		if len(names) > 0 {
			slices.Sort(names)
			return fmt.Errorf("allows %s, which a key that signs must not have", strings.Join(names, ", "))
		}
		j.perms |= a.perms
		j.plain, j.expand = j.plain || a.perms&permsExport != 0, j.expand || a.perms&permsExpand != 0
	case actArchive:
		j.recoverable = true
	case actBlob:
		return j.blob(a.blob, s, w)
	case actDerive, actDerive2:
		if a.mech != publicHalf {
			return fmt.Errorf("allows derivation by mechanism %d, which isn't understood", a.mech)
		}
	}
	return nil
}

// blob judges a working blob, which must be under the world's module key or
// something stronger.
func (j *judgement) blob(b blob, s *state, w *world) error {
	switch {
	case b.flags&(blobKmOnly|blobKt) == 0:
		return errors.New("allows a blob under neither a module key nor a token")
	case b.flags&blobKm == 0:
		return errors.New("allows a blob under any module key")
	case b.km == wellKnown:
		return errors.New("allows a blob under the module key that everybody knows")
	case w != nil && b.km != w.hkm, !slices.Contains(s.moduleKeys, b.km):
		return fmt.Errorf("allows a blob under the module key %x, which is not the world's", b.km)
	case b.flags&blobNullKm != 0:
		return errors.New("allows a blob under a token without a module key")
	case b.flags&blobKt != 0 && !b.token:
		return errors.New("allows a blob under a token of any kind")
	}
	how := "module"
	if b.flags&blobKmOnly == 0 {
		if how = "card set"; b.softcard {
			how = "softcard"
		}
	}
	if !slices.Contains(j.protection, how) {
		j.protection = append(j.protection, how)
	}
	return nil
}
