package auditlog

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// RekorInclusion is what a verified entry shows.
type RekorInclusion struct {
	Origin     string
	Index      uint64 // by the log's count
	TreeIndex  uint64
	Size       uint64
	Root       [32]byte
	Integrated time.Time  // version 1: the log's own word; zero in version 2
	Submitter  *PublicKey // of those given, the one that signed
	Cosigning             // by the witnesses of the policy given
}

// Verify checks that the log holds an entry for exactly this bundle, submitted
// by one of the submitters: the envelope wraps the bundle's bytes and a
// submitter signed it; the entry's body is what follows from that envelope and
// key; the log signed for it (version 1: its signed entry timestamp; both: a
// checkpoint whose tree has the body as a leaf).
//
// The caller judges whether the submitter's key counts at this time. If a policy
// is given, the result also says which of its witnesses cosigned the checkpoint.
func (l *RekorLog) Verify(leaf []byte, e *RekorEntry, submitters []*PublicKey, witnesses *Policy) (*RekorInclusion, error) {
	submitter, err := e.bind(leaf, submitters)
	if err != nil {
		return nil, err
	}
	in, err := l.verifyLogged(e, witnesses)
	if err != nil {
		return nil, err
	}
	in.Submitter = submitter
	return in, nil
}

// bind checks that the entry is derived from this bundle and one submitter's key.
func (e *RekorEntry) bind(leaf []byte, submitters []*keys.Public) (*keys.Public, error) {
	if !e.Holds(leaf) {
		return nil, strict.Errorf(e.file, "is about another bundle: its envelope wraps other bytes").
			WithHint("It belongs beside the very file that was submitted, byte for byte.")
	}
	for _, s := range submitters {
		if s.Algorithm() != keys.P256 || e.envelope.verify(s) != nil {
			continue
		}
		if want := e.envelope.body(e.Version, s); !bytes.Equal(e.Body, want) {
			return nil, strict.Errorf(e.file, "is another entry's: the logged body is not the one that this bundle's envelope and submitter key give").
				WithHint("A log's entry counts for a bundle only if it is derived from it. Have the bundle logged again.")
		}
		return s, nil
	}
	return nil, strict.Errorf(e.file, "none of the %d pinned submitter keys signed the envelope", len(submitters)).
		WithHint("Pin the submitter's key under rekor: submitters:, once you have confirmed whose it is.")
}

// verifyLogged checks what the log itself states: its id, its timestamp, its
// checkpoint, and the path from the entry's body to the root.
func (l *RekorLog) verifyLogged(e *RekorEntry, witnesses *Policy) (*RekorInclusion, error) {
	if e.Version != l.version {
		return nil, strict.Errorf(e.file, "is of Rekor version %d, the policy pins version %d", e.Version, l.version)
	}
	if e.LogID != l.id {
		return nil, strict.Errorf(e.file, "is of the log with id %x, the pinned key's is %x", e.LogID[:8], l.id[:8]).
			WithHint("Another log's entry, or the log's key was changed. Confirm the key with the log's operator over another channel before you pin a new one.")
	}
	if err := e.check(); err != nil {
		return nil, err
	}
	if e.Version == RekorV1 && !l.verifySET(e) {
		return nil, strict.Errorf(e.file, "the signed entry timestamp does not verify under the log's key")
	}
	if e.Version == RekorV2 && e.Index != e.TreeIndex {
		return nil, strict.Errorf(e.file, "says index %d and proves index %d; a log of version 2 has one count", e.Index, e.TreeIndex)
	}
	raw, err := l.VerifyCheckpoint(e.Checkpoint)
	if err != nil {
		return nil, err
	}
	// Only the size and root of the signed checkpoint are used.
	if !included(e, e.Body) {
		return nil, strict.Errorf(e.file, "does not show that its body is entry %d of %s", e.TreeIndex, e.Checkpoint.Origin)
	}
	if err := l.control(e, raw); err != nil {
		return nil, err
	}
	in := &RekorInclusion{Origin: e.Checkpoint.Origin, Index: e.Index, TreeIndex: e.TreeIndex, Size: e.Checkpoint.Size, Root: e.Checkpoint.Root, Integrated: e.Integrated}
	cosigning, err := witnesses.cosigners(e.Checkpoint)
	if err != nil {
		return nil, err
	}
	in.Cosigning = *cosigning
	return in, nil
}

// Cosigning is [RekorLog.VerifyCheckpoint], and who of a policy's witnesses
// cosigned; the policy may be nil.
func (l *RekorLog) Cosigning(c *Checkpoint, witnesses *Policy) (*Cosigning, error) {
	if _, err := l.VerifyCheckpoint(c); err != nil {
		return nil, err
	}
	return witnesses.cosigners(c)
}

// cosigners are the policy's witnesses that cosigned; a nil policy has none.
func (p *Policy) cosigners(c *Checkpoint) (*Cosigning, error) {
	if p == nil {
		return &Cosigning{}, nil
	}
	signed, err := p.verifySignatures(c)
	if err != nil {
		return nil, err
	}
	return p.cosigning(c, signed), nil
}

// VerifySplit is nil if the two checkpoints prove that the log signed two
// histories.
func (l *RekorLog) VerifySplit(s *SplitView) error {
	return s.verify(func(c *Checkpoint) error {
		_, err := l.VerifyCheckpoint(c)
		return err
	})
}

// VerifyCheckpoint checks that a checkpoint is the log's and that the log signed
// it, once. Signature lines of other keys, such as witnesses', are ignored.
func (l *RekorLog) VerifyCheckpoint(c *Checkpoint) (signature []byte, err error) {
	if !l.Signs(c.Origin) {
		return nil, strict.Errorf(c.file, "the checkpoint is of log %q, pinned is %q", strict.Clip(c.Origin), l.origin)
	}
	for _, s := range c.Signatures {
		if s.Name != l.key.name || s.KeyHash != l.key.hash {
			continue
		}
		if signature != nil {
			return nil, strict.Errorf(c.file, "the checkpoint has two signatures of %s+%08x", l.key.name, l.key.hash)
		}
		if _, err := l.key.Check(c, s.Raw); err != nil {
			return nil, err
		}
		signature = s.Raw
	}
	if signature == nil {
		return nil, strict.Errorf(c.file, "the checkpoint is not signed by the pinned key %s+%08x", l.key.name, l.key.hash).
			WithHint("The log's key was changed, or this is another log. Confirm the key with the log's operator over another channel before you pin a new one.")
	}
	return signature, nil
}

// verifySET checks version 1's signed entry timestamp: ECDSA over canonical JSON
// (RFC 8785).
func (l *RekorLog) verifySET(e *RekorEntry) bool {
	text := sha256.Sum256(fmt.Appendf(nil, `{"body":"%s","integratedTime":%d,"logID":"%x","logIndex":%d}`,
		base64.StdEncoding.EncodeToString(e.Body), e.Integrated.Unix(), e.LogID, e.Index))
	return ecdsa.VerifyASN1(l.ecdsa, text[:], e.SET)
}

func included(e *RekorEntry, body []byte) bool {
	h := rfc6962.DefaultHasher
	return proof.VerifyInclusion(h, e.TreeIndex, e.Checkpoint.Size, h.HashLeaf(body), slicesOf(e.Hashes), e.Checkpoint.Root[:]) == nil
}

// control is a negative control, as in [Policy.VerifyCheckpoint]: what just
// passed must fail where it can't be right.
func (l *RekorLog) control(e *RekorEntry, signature []byte) error {
	other := *e
	other.Body = append(bytes.Clone(e.Body), ' ')
	head := *e.Checkpoint
	head.Root[0] ^= 1
	_, err := l.key.Check(&head, signature)
	if err == nil || included(e, other.Body) || e.Version == RekorV1 && l.verifySET(&other) {
		return strict.Errorf(e.file, "negative control: another entry verifies as well; this is a bug in fleetctl, please report it")
	}
	return nil
}
