package submit

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

const (
	format   = "fleetctl submission v1"
	maxState = 4 << 10 // bytes
)

// state says that an epoch is on its way to a third party, and since when. It is on
// disk before anything is sent.
type state struct {
	Format    string    `strict:"format"`
	Party     string    `strict:"third_party,token"`
	Address   string    `strict:"address"`
	Namespace string    `strict:"namespace,token"`
	Epoch     uint64    `strict:"epoch"`
	Digest    [32]byte  `strict:"digest,hex"`
	Time      time.Time `strict:"time"`
}

// parseState reads the state of a submission.
func parseState(file string, data []byte) (*state, error) {
	n, err := strict.ParseJSON(file, data, maxState)
	if err != nil {
		return nil, err
	}
	if err := strict.Format(file, n, format); err != nil {
		return nil, err
	}
	s := new(state)
	if err := strict.Decode(file, n, s); err != nil {
		return nil, err
	}
	if s.Epoch == 0 || s.Address == "" || s.Time.IsZero() {
		return nil, strict.Errorf(file, "names no epoch, no address or no time")
	}
	return s, nil
}

func (s *state) encode() []byte { return strict.EncodeJSON(s) }

func (s *Submission) path() string { return filepath.Join(s.Dir, s.Party+".json") }

// begin writes down what is about to be sent. Where an earlier run did that, it has
// to have been the same, to the same address; since says when.
func (s *Submission) begin() (since time.Time, err error) {
	now := &state{format, s.Party, s.Client.Base.String(), s.Client.Namespace, s.Epoch, s.Digest, s.Now().UTC().Truncate(time.Second)}
	if err := durable.MkdirAll(s.Dir, 0o700); err != nil {
		return since, err
	}
	err = durable.Create(s.path(), now.encode(), 0o600)
	if !errors.Is(err, fs.ErrExist) {
		return since, err
	}
	data, err := durable.ReadFile(s.path())
	if err != nil {
		return since, err
	}
	before, err := parseState(s.path(), data)
	if err != nil {
		return since, err
	}
	// Whoever wrote it may have been killed before its name was durable.
	if err := durable.SyncDir(s.Dir); err != nil {
		return since, err
	}
	switch {
	case before.Party != now.Party || before.Namespace != now.Namespace || before.Epoch != now.Epoch || before.Digest != now.Digest:
		return since, strict.Errorf(s.path(), "is about epoch %d of %s, digest %x, for %s, and not about what is to be submitted now", before.Epoch, before.Namespace, before.Digest, before.Party).
			WithHint("find out who put it there before anything is sent")
	case before.Address != now.Address:
		return since, strict.Errorf(s.path(), "it was submitted to %s before, and not to %s", before.Address, now.Address).
			WithHint("ask there for it, with --url %s. If that was no address of %s, move the file away", before.Address, s.Party)
	}
	return before.Time, nil
}

// keep keeps a statement that the third party signed about this very epoch and
// another digest: with the statement about ours, it proves equivocation.
func (s *Submission) keep(r *bundle.Response) error {
	st := r.Statement
	if st.Namespace != s.Client.Namespace || st.Epoch != s.Epoch || st.Digest == s.Digest {
		return nil
	}
	sum := sha256.Sum256(r.Raw())
	s.Kept = filepath.Join(s.Dir, fmt.Sprintf("%s-%x.json", s.Party, sum[:8]))
	return durable.CreateSame(s.Kept, r.Raw(), 0o600)
}
