package bundle

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// coreFormat is the first field of a request's core.
const coreFormat = "fleetctl request-core v1"

// maxCore bounds a request's core, in bytes.
const maxCore = 1<<16 - 1

// Core is what a third party is asked to sign, with what it needs to tell that this
// continues what it signed before: request-core.json. Officers approve the SHA-256
// of its exact bytes.
type Core struct {
	KeySet      *KeySet  // the artifact to be signed
	Predecessor *KeySet  // the epoch before; nil at epoch 1, and after a notice
	Notice      *Notice  // the epoch before, if it was a void or another fleet's retirement
	Previous    []Signed // third parties' own statements about the epoch before, verified; sorted by key
	Plan        [32]byte // SHA-256 of the plan's file
	Release     Head     // the release record

	raw []byte
}

// Head names a record of a transcript and commits to all up to it.
type Head struct {
	Hash [32]byte `strict:"head,hex"`
	N    uint64   `strict:"n"` // of the record, from 1
}

type coreFile struct {
	Format      string       `strict:"format"`
	Artifact    []byte       `strict:"artifact,base64"`
	Predecessor []byte       `strict:"predecessor,base64,empty"`
	Previous    []signedFile `strict:"previous_statements"`
	Plan        [32]byte     `strict:"plan,hex"`
	Release     Head         `strict:"release"`
}

// encode writes the exact bytes of key sets, which must have been parsed.
func (c *Core) encode() []byte {
	f := coreFile{Format: coreFormat, Artifact: c.KeySet.Raw(), Plan: c.Plan, Release: c.Release}
	if c.Predecessor != nil {
		f.Predecessor = c.Predecessor.Raw()
	} else if c.Notice != nil {
		f.Predecessor = c.Notice.Raw()
	}
	for _, s := range sorted(c.Previous) {
		f.Previous = append(f.Previous, signedFile{Key: s.Key, JSON: s.Statement.filed()})
	}
	return strict.EncodeJSON(&f)
}

// NewCore makes a core and reads back what it wrote. The plan's digest is the one
// that the artifact names. predecessor is nil at epoch 1.
func NewCore(set, predecessor *KeySet, previous []Signed, release Head) (*Core, error) {
	c := &Core{KeySet: set, Predecessor: predecessor, Previous: previous, Plan: set.Ceremony.Plan, Release: release}
	return ParseCore("", c.encode())
}

// NewCoreAfter is NewCore for a key set that follows a notice.
func NewCoreAfter(set *KeySet, notice *Notice, previous []Signed, release Head) (*Core, error) {
	c := &Core{KeySet: set, Notice: notice, Previous: previous, Plan: set.Ceremony.Plan, Release: release}
	return ParseCore("", c.encode())
}

// ParseCore reads a request's core of at most 65,535 bytes. It refuses a
// predecessor that the artifact doesn't follow, and previous statements that are
// not about that predecessor or don't verify under the key beside them. The caller
// checks that these keys are the pinned ones.
func ParseCore(file string, data []byte) (*Core, error) {
	var f coreFile
	d, err := open(file, data, maxCore, coreFormat, &f)
	if err != nil {
		return nil, err
	}
	c := &Core{Plan: f.Plan, Release: f.Release, raw: bytes.Clone(data)}
	if c.KeySet, err = parseKeySet(file+" artifact", f.Artifact); err != nil {
		return nil, err
	}
	if format := FormatOf(f.Predecessor); format == VoidFormat || format == RetirementFormat {
		c.Notice, err = ParseNotice(file+" predecessor", f.Predecessor)
	} else if len(f.Predecessor) > 0 {
		c.Predecessor, err = parseKeySet(file+" predecessor", f.Predecessor)
	}
	if err != nil {
		return nil, err
	}
	if err := follows(c.KeySet, c.before()); err != nil {
		d.failf(d.at("predecessor"), "predecessor %v", err)
		return nil, d.errs
	}
	if c.Plan != c.KeySet.Ceremony.Plan {
		d.failf(d.at("plan"), "plan is %x, but the artifact names plan %x", c.Plan, c.KeySet.Ceremony.Plan)
	}
	if c.Release.N == 0 {
		d.failf(d.at("release", "n"), "release.n is 0; records count from 1")
	}
	c.Previous = d.statements(f.Previous, "previous_statements")
	if err := d.errs.Err(); err != nil {
		return nil, err
	}
	for i, s := range c.Previous {
		if err := c.checkPrevious(s); err != nil {
			d.failf(d.at("previous_statements", i), "previous_statements[%d] %v", i, err)
		}
	}
	if err := d.errs.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

// Raw is the core as it was read. It must not be changed.
func (c *Core) Raw() []byte { return c.raw }

// Subject is the SHA-256 of Raw, which officers approve.
func (c *Core) Subject() [32]byte { return sha256.Sum256(c.raw) }

// follows checks that set comes directly after pred, which is nil if there is none.
func follows(set *KeySet, pred *about) error {
	switch {
	case set.Epoch == 1 && pred != nil:
		return fmt.Errorf("is given, but nothing comes before epoch 1")
	case set.Epoch == 1:
		return nil
	case pred == nil:
		return fmt.Errorf("is empty, but the artifact is epoch %d", set.Epoch)
	}
	switch {
	case !bytes.Equal(pred.digest[:], set.Previous):
		return fmt.Errorf("has digest %x, but the artifact's previous is %x", pred.digest, set.Previous)
	case pred.namespace != set.Namespace:
		return fmt.Errorf("is of namespace %s, the artifact of %s", pred.namespace, set.Namespace)
	case pred.epoch != set.Epoch-1:
		return fmt.Errorf("is epoch %d, the artifact is epoch %d; it must be the one directly before", pred.epoch, set.Epoch)
	case pred.retires && pred.fleet == set.Fleet:
		return fmt.Errorf("retires the fleet %s, which the artifact brings back", set.Fleet)
	}
	return nil
}

// before is the artifact of the epoch before; nil at epoch 1.
func (c *Core) before() *about {
	var a about
	switch {
	case c.Predecessor != nil:
		a = c.Predecessor.about()
	case c.Notice != nil:
		a = c.Notice.about()
	default:
		return nil
	}
	return &a
}

// Fresh checks that all of the artifact's keys are new. An artifact may list a key
// that the epoch before has too; but then the key was not generated in this
// epoch's ceremony, whatever the records say.
func (c *Core) Fresh() error {
	if c.Predecessor == nil {
		return nil
	}
	before := index(c.Predecessor)
	for _, k := range c.KeySet.Keys {
		if before.key(k) {
			return fmt.Errorf("the key of hsm %s, role %s, is one of epoch %d: it was not generated in this ceremony", k.HSM, k.Role, c.Predecessor.Epoch)
		}
	}
	return nil
}

func (c *Core) checkPrevious(s Signed) error {
	before := c.before()
	if before == nil {
		return fmt.Errorf("is given, but nothing comes before epoch 1")
	}
	if s.Addition != nil {
		return fmt.Errorf("has an addition, which a ledger doesn't keep")
	}
	if err := isAbout(s.Statement, *before); err != nil {
		return err
	}
	return s.Statement.Verify(s.Key)
}
