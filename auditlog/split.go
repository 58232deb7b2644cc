package auditlog

import (
	"github.com/fleetctl/fleetctl/internal/strict"
)

const (
	// SplitFormat is how a split view's file begins.
	SplitFormat = "fleetctl split-view v1"
	maxSplit    = 1 << 20
)

// SplitView is two checkpoints that one log signed and that contradict each
// other: at the smaller one's size, the larger one's tree has another root.
// Anyone who pins the log's key can check this without asking the log.
type SplitView struct {
	Smaller, Larger *Checkpoint
	Root            [32]byte   // the larger one's tree at the smaller one's size; zero where both sizes are the same
	Hashes          [][32]byte // consistency proof from there to the larger

	file string
}

// splitFile is the JSON file. The checkpoints are texts, so that their signed
// bytes are carried along as they are.
type splitFile struct {
	Format  string     `strict:"format"`
	Smaller string     `strict:"smaller"`
	Larger  string     `strict:"larger"`
	Root    [32]byte   `strict:"root,base64,optional"`
	Proof   [][32]byte `strict:"proof,base64"`
}

// ParseSplitView reads a split view. It doesn't check that the checkpoints
// contradict each other: that is for [Policy.VerifySplit] and
// [RekorLog.VerifySplit].
func ParseSplitView(file string, data []byte) (*SplitView, error) {
	var f splitFile
	if err := strict.DecodeJSON(file, data, maxSplit, &f); err != nil {
		return nil, firstOf(file, err)
	}
	if f.Format != SplitFormat {
		return nil, strict.Errorf(file, "format is %q; this version reads %q", strict.Clip(f.Format), SplitFormat)
	}
	if len(f.Proof) > maxHashes {
		return nil, strict.Errorf(file, "has more than %d hashes", maxHashes)
	}
	s := &SplitView{Root: f.Root, Hashes: f.Proof, file: file}
	var err error
	if s.Smaller, err = ParseCheckpoint(file+", smaller", []byte(f.Smaller)); err != nil {
		return nil, err
	}
	if s.Larger, err = ParseCheckpoint(file+", larger", []byte(f.Larger)); err != nil {
		return nil, err
	}
	return s, nil
}

// firstOf keeps this package's promise that a refusal is one *strict.Error.
func firstOf(file string, err error) error {
	var list strict.Errors
	list.Add(err)
	if len(list) == 0 {
		return strict.Errorf(file, "can't be read")
	}
	return list[0]
}

// Marshal writes the split view.
func (s *SplitView) Marshal() []byte {
	return strict.EncodeJSON(&splitFile{SplitFormat, string(s.Smaller.Marshal()), string(s.Larger.Marshal()), s.Root, s.Hashes})
}

// VerifySplit is nil if the two checkpoints prove that a log of the policy
// signed two histories.
func (p *Policy) VerifySplit(s *SplitView) error {
	return s.verify(func(c *Checkpoint) error {
		_, err := p.VerifyCheckpoint(c)
		return err
	})
}

func (s *SplitView) verify(signed func(*Checkpoint) error) error {
	for _, c := range []*Checkpoint{s.Smaller, s.Larger} {
		if err := signed(c); err != nil {
			return err
		}
	}
	a, b := s.Smaller, s.Larger
	switch {
	case a.Origin != b.Origin:
		return strict.Errorf(s.file, "the checkpoints are of two logs, %q and %q", strict.Clip(a.Origin), strict.Clip(b.Origin))
	case a.Size == 0 || a.Size > b.Size:
		return strict.Errorf(s.file, "the smaller checkpoint has %d entries, the larger one %d", a.Size, b.Size)
	case a.Size == b.Size && (len(s.Hashes) > 0 || s.Root != [32]byte{}):
		return strict.Errorf(s.file, "has a proof where two checkpoints of one size need none")
	case a.Size == b.Size && a.Root == b.Root:
		return strict.Errorf(s.file, "the two checkpoints are the same: nothing is proven")
	case a.Size == b.Size:
		return nil
	case s.Root == a.Root:
		return strict.Errorf(s.file, "the larger checkpoint continues the smaller: nothing is proven")
	}
	if err := VerifyConsistency(&Checkpoint{Origin: b.Origin, Size: a.Size, Root: s.Root}, b, s.Hashes); err != nil {
		return strict.Errorf(s.file, "it is not shown which root the larger checkpoint's tree has at size %d: nothing is proven", a.Size).
			WithHint("Keep both checkpoints; with the larger tree's tiles the proof can still be made.")
	}
	return nil
}
