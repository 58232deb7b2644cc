package auditlog

import (
	"fmt"
	"time"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// Cosigned is a witness's verified cosignature.
type Cosigned struct {
	Name string // of the witness, within the policy
	Time time.Time
}

// Cosigning is what the witnesses of a policy say about a checkpoint.
type Cosigning struct {
	Witnesses []Cosigned // verified, in the policy's order
	Missing   []string   // witnesses of the policy without a cosignature that counts
	Uncounted []string   // why cosignatures that verify don't count; see [Policy.VerifyAt]
	OtherKeys []string   // of Missing, in whose name another key signed than the pinned one: which two; nothing by it was verified

	Demanded bool // the policy names a quorum
	Quorum   bool // it is met; false where none is demanded

	// QuorumTime is the earliest time by which a quorum had cosigned: the
	// smallest t such that the cosignatures no later than t make the quorum.
	// By then the checkpoint, and all that is under it, existed.
	QuorumTime time.Time
	// NewestQuorumTime is the greatest t such that the cosignatures no
	// earlier than t make the quorum: the proof's age counts from it.
	NewestQuorumTime time.Time
}

// Witnessed is the QuorumTime, nil where no quorum is demanded and met.
func (c *Cosigning) Witnessed() *time.Time {
	if !c.Quorum {
		return nil
	}
	t := c.QuorumTime
	return &t
}

// Enough says whether as many witnesses have cosigned as the policy demands. It is
// true where the policy demands none.
func (c *Cosigning) Enough() bool { return c.Quorum || !c.Demanded }

// Inclusion is what a verified proof shows.
type Inclusion struct {
	Origin string
	Index  uint64 // of the leaf, counted from 0
	Size   uint64 // entries in the checkpoint's tree
	Root   [32]byte
	Cosigning

	// LogOutside says why the log's own signature doesn't count; empty where it
	// does. Only [Policy.VerifyAt] knows.
	LogOutside string

	logs []*Verifier // keys of logs with this origin that signed the checkpoint
}

// Verify checks that exactly these bytes are the entry at the proof's index,
// in a tree that a log of the policy signed. Too few cosignatures are no error:
// Quorum is then false, and the caller decides what follows. A signature by any
// key of the policy that doesn't verify is an error, as signed-note advises.
func (p *Policy) Verify(leaf []byte, pr *Proof) (*Inclusion, error) {
	if err := pr.check(); err != nil {
		return nil, err
	}
	c := pr.Checkpoint
	signed, err := p.verifyCheckpoint(c)
	if err != nil {
		return nil, err
	}
	if !pr.Proves(leaf) {
		return nil, strict.Errorf(pr.file, "does not show that these %d bytes are entry %d of %s", len(leaf), pr.Index, c.Origin).
			WithHint("The proof is for other bytes, or for another index. It must be the proof of the very file, byte for byte.")
	}
	return &Inclusion{
		Origin: c.Origin, Index: pr.Index, Size: c.Size, Root: c.Root,
		Cosigning: *p.cosigning(c, signed), logs: p.signers(signed, c.Origin),
	}, nil
}

// Proves says whether the proof leads from these bytes to its checkpoint's
// root. It verifies no signature: see [Policy.Verify].
func (pr *Proof) Proves(leaf []byte) bool {
	c, h := pr.Checkpoint, rfc6962.DefaultHasher
	return pr.check() == nil && proof.VerifyInclusion(h, pr.Index, c.Size, h.HashLeaf(leaf), slicesOf(pr.Hashes), c.Root[:]) == nil
}

// VerifyCheckpoint checks that a log of the policy, named as the origin says,
// signed the checkpoint, and says who cosigned it.
func (p *Policy) VerifyCheckpoint(c *Checkpoint) (*Cosigning, error) {
	signed, err := p.verifyCheckpoint(c)
	if err != nil {
		return nil, err
	}
	return p.cosigning(c, signed), nil
}

func (p *Policy) verifyCheckpoint(c *Checkpoint) ([]verified, error) {
	signed, err := p.verifySignatures(c)
	if err != nil {
		return nil, err
	}
	if len(p.signers(signed, c.Origin)) == 0 {
		for _, l := range p.logs {
			if other := p.otherKey(c, l.Key); other != "" && l.Key.name == c.Origin {
				return nil, strict.Errorf(c.file, "no log of the policy signed it: %s", other).
					WithHint("Either the log has a new key, or somebody poses as the log. Ask its operator, over another channel, before a policy pins another key.")
			}
		}
		return nil, strict.Errorf(c.file, "no log of the policy signed it: its origin is %q", strict.Clip(c.Origin)).
			WithHint("The policy lists %d logs; one of them must have this origin as its key's name.", len(p.logs))
	}
	if err := p.control(c, signed); err != nil {
		return nil, err
	}
	return signed, nil
}

// verified is a signature line that verified under key.
type verified struct {
	key  *Verifier
	raw  []byte
	time time.Time
}

// verifySignatures verifies every line by a key of the policy and ignores all
// others, which is how keys are rotated and witnesses added.
func (p *Policy) verifySignatures(c *Checkpoint) ([]verified, error) {
	var list []verified
	for _, s := range c.Signatures {
		key := p.known(func(v *Verifier) bool { return v.name == s.Name && v.hash == s.KeyHash })
		if key == nil {
			continue
		}
		for _, v := range list {
			if v.key == key {
				return nil, strict.At(c.file, s.line, "%s+%08x signed twice", key.name, key.hash)
			}
		}
		t, err := key.verify(c, s.Raw)
		if err != nil {
			return nil, strict.At(c.file, s.line, "signature of %s+%08x: %v", key.name, key.hash, err)
		}
		list = append(list, verified{key, s.Raw, t})
	}
	return list, nil
}

// signers are the keys of logs with this origin among those that signed.
func (p *Policy) signers(signed []verified, origin string) (list []*Verifier) {
	for _, l := range p.logs {
		for _, s := range signed {
			if s.key == l.Key && l.Key.name == origin {
				list = append(list, l.Key)
			}
		}
	}
	return list
}

// otherKey says that a checkpoint has a signature in the name of a pinned key, by
// another key than any that is pinned under this name; empty where it has none. Only
// the hash beside the name tells: nothing was verified.
func (p *Policy) otherKey(c *Checkpoint, v *Verifier) string {
	for _, s := range c.Signatures {
		if s.Name == v.name && p.known(func(o *Verifier) bool { return o.name == s.Name && o.hash == s.KeyHash }) == nil {
			return fmt.Sprintf("%s signed with the key %08x, and the policy pins its key %08x", v.name, s.KeyHash, v.hash)
		}
	}
	return ""
}

// impossibleOrigin can't be the origin of a checkpoint, because that is one line.
const impossibleOrigin = "\n"

// control is a negative control: the checks that just passed must fail where
// they can't be right, for another origin and for another root. If they do
// not, they checked nothing, and success would be a lie.
func (p *Policy) control(c *Checkpoint, signed []verified) error {
	if len(p.signers(signed, impossibleOrigin)) > 0 {
		return strict.Errorf(c.file, "negative control: the policy accepts any origin; this is a bug in fleetctl, please report it")
	}
	other := *c
	other.Root[0] ^= 1
	for _, s := range signed {
		if _, err := s.key.verify(&other, s.raw); err == nil {
			return strict.Errorf(c.file, "negative control: the signature of %s+%08x verifies for another root as well; this is a bug in fleetctl, please report it", s.key.name, s.key.hash)
		}
	}
	return nil
}

func (p *Policy) cosigning(from *Checkpoint, signed []verified) *Cosigning {
	c := &Cosigning{Demanded: p.quorum != 0}
	times := make([]time.Time, len(p.witnesses))
	for i, w := range p.witnesses {
		for _, s := range signed {
			if s.key == w.Key {
				times[i] = s.time
			}
		}
		if why := p.uncounted(w); why != "" {
			if !times[i].IsZero() {
				c.Uncounted = append(c.Uncounted, w.Name+": "+why)
			}
			times[i] = time.Time{}
		}
		// A cosigner may state no time. Then it can't count towards the
		// quorum, whose times decide when something existed.
		if times[i].IsZero() {
			c.Missing = append(c.Missing, w.Name)
			if other := p.otherKey(from, w.Key); other != "" {
				c.OtherKeys = append(c.OtherKeys, other)
			}
			continue
		}
		c.Witnesses = append(c.Witnesses, Cosigned{w.Name, times[i]})
	}
	q := p.evaluate(times)
	c.Quorum, c.QuorumTime, c.NewestQuorumTime = q.ok, q.first, q.last
	return c
}
