package service

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/durable"
)

// What the ledger has signed waits for nobody: it is moved into a folder of the
// queue, its name after the time of the statement.
const (
	signedDir  = "signed"
	signedTime = "20060102T150405Z"
)

// Settled is a request or a digest that is signed and out of the queue.
type Settled struct {
	Waiting
	Signed time.Time // to the second
}

// settle moves what the ledger has signed out of the queue.
func (q *Queue) settle(st *state) {
	q.one.Lock()
	defer q.one.Unlock()
	for _, epochs := range st.epochs {
		for _, x := range epochs {
			for _, suffix := range []string{queued, submitted} {
				if err := q.moveSigned(q.place(x.Namespace, x.Epoch, suffix), x); err != nil {
					q.Log.Error("what is signed can't be taken out of the queue", "error", err)
				}
			}
		}
	}
}

// moveSigned moves a file that is about what was signed. One of another digest stays,
// for a person to see and to reject.
func (q *Queue) moveSigned(file string, x *bundle.Statement) error {
	if w, err := other(file); err != nil || w == nil || w.Digest != x.Digest {
		return nil
	}
	dir := filepath.Join(q.Dir, signedDir)
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// A file that has this name already is about the same statement.
	return durable.Move(file, filepath.Join(dir, x.Time().Format(signedTime)+"-"+filepath.Base(file)))
}

// ListSigned is what was signed and taken out of the queue, the oldest first.
func ListSigned(dir string) ([]Settled, error) {
	dir = filepath.Join(dir, signedDir)
	entries, err := durable.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []Settled
	for _, e := range entries {
		at, _, _ := strings.Cut(e.Name(), "-")
		signed, err := time.Parse(signedTime, at)
		if err != nil || !waits(e) {
			continue
		}
		w, err := readWaiting(dir, e)
		if err != nil {
			return nil, err
		}
		list = append(list, Settled{w, signed})
	}
	slices.SortFunc(list, func(a, b Settled) int { return strings.Compare(a.File, b.File) })
	return list, nil
}
