package witness

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Signer is a witness's key: an Ed25519 or ML-DSA-44 key, in a file or in an HSM, that
// signs nothing but cosignatures.
type Signer struct {
	Key  *auditlog.Verifier // type 0x04 or 0x06
	Sign func(msg []byte) ([]byte, error)
}

// NewSigner makes a witness's signer of its name, its public key, and a function
// that signs.
func NewSigner(name string, public *auditlog.PublicKey, sign func(msg []byte) ([]byte, error)) (*Signer, error) {
	key, err := auditlog.VerifierOf(name, public, true)
	if err != nil {
		return nil, err
	}
	return &Signer{key, sign}, nil
}

// Options say what a witness watches.
type Options struct {
	State string // directory of what was cosigned, one file for each log
	Logs  []*auditlog.Verifier
	// First begins the record of logs that have none. The operator must say so,
	// because a record that was lost looks the same as one that never was, and a
	// witness that starts over lets the log start over too.
	First bool
	Now   func() time.Time // nil means the clock
}

// Witness cosigns checkpoints that continue those before.
type Witness struct {
	signer *Signer
	o      Options
	mu     sync.Mutex
}

// Open opens a witness. Every log needs a record.
func Open(s *Signer, o Options) (*Witness, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if len(o.Logs) == 0 {
		return nil, strict.Errorf("", "the witness is told no log's key")
	}
	w := &Witness{signer: s, o: o}
	if o.First {
		if err := durable.MkdirAll(o.State, 0o755); err != nil {
			return nil, err
		}
	}
	unlock, err := w.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := durable.Temp(o.State).Sweep(); err != nil {
		return nil, err
	}
	for _, key := range o.Logs {
		path := w.recordPath(key.Name())
		if _, err := durable.Lstat(path); o.First && errors.Is(err, fs.ErrNotExist) {
			if err := durable.Create(path, emptyRecord(key).marshal(), 0o644); err != nil {
				return nil, err
			}
		}
		if _, err := readRecord(path, key); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// Refusal is why a witness doesn't cosign, with the status that tlog-witness
// has for it.
type Refusal struct {
	Status int
	Size   uint64 // of the tree cosigned last, with 409
	Err    error
}

func (r *Refusal) Error() string { return r.Err.Error() }
func (r *Refusal) Unwrap() error { return r.Err }

func refuse(status int, err error) error { return &Refusal{Status: status, Err: err} }

// Cosign checks a request, makes the checkpoint durable as the newest, and
// only then signs it.
func (w *Witness) Cosign(r *auditlog.Request) (auditlog.Signature, error) {
	var none auditlog.Signature
	c := r.Checkpoint
	key := w.log(c.Origin)
	if key == nil {
		return none, refuse(http.StatusNotFound, strict.Errorf("", "the log %q is not known here", c.Origin))
	}
	line, ok := c.SignedBy(key)
	if !ok {
		return none, refuse(http.StatusForbidden, strict.Errorf("", "the checkpoint is not signed by %s", key))
	}
	if _, err := key.Check(c, line.Raw); err != nil {
		return none, refuse(http.StatusForbidden, err)
	}
	if r.Old > c.Size {
		return none, refuse(http.StatusBadRequest, strict.Errorf("", "the checkpoint has %d entries, fewer than the %d it is to continue", c.Size, r.Old))
	}
	unlock, err := w.lock()
	if err != nil {
		return none, err
	}
	defer unlock()
	path := w.recordPath(c.Origin)
	last, err := readRecord(path, key)
	if err != nil {
		return none, err
	}
	if r.Old != last.Size {
		return none, &Refusal{http.StatusConflict, last.Size, goneBack(c, r.Old, last.Size)}
	}
	if err := r.Verify(last.Root); err != nil {
		if c.Size == last.Size {
			err = errors.Join(err, w.keepFork(c))
		}
		return none, refuse(http.StatusUnprocessableEntity, err)
	}
	// Only the log's signature is kept, not other witnesses' cosignatures.
	signed := *c
	signed.Signatures = []auditlog.Signature{line}
	if err := durable.Replace(path, (&record{key, c.Size, c.Root, &signed}).marshal(), 0o644); err != nil {
		return none, err
	}
	return c.Cosign(w.signer.Key, w.o.Now(), w.signer.Sign)
}

// State is the directory of the records.
func (w *Witness) State() string { return w.o.State }

// Origins are the names of the logs that it cosigns for.
func (w *Witness) Origins() []string {
	list := make([]string, len(w.o.Logs))
	for i, key := range w.o.Logs {
		list[i] = key.Name()
	}
	return list
}

// Healthy says why it can't cosign: a record can't be read. The text is public.
func (w *Witness) Healthy() error {
	for _, origin := range w.Origins() {
		if _, _, err := w.Last(origin); err != nil {
			return fmt.Errorf("the record of the log %s can't be read", origin)
		}
	}
	return nil
}

// Last is the newest checkpoint that was cosigned, or nil, and its size.
func (w *Witness) Last(origin string) (*auditlog.Checkpoint, uint64, error) {
	key := w.log(origin)
	if key == nil {
		return nil, 0, strict.Errorf("", "the log %q is not known here", origin)
	}
	r, err := readRecord(w.recordPath(origin), key)
	if err != nil {
		return nil, 0, err
	}
	return r.Checkpoint, r.Size, nil
}

func goneBack(c *auditlog.Checkpoint, old, last uint64) error {
	if c.Size < last {
		return strict.Errorf("", "the checkpoint has %d entries, this witness has cosigned %d: it doesn't go back", c.Size, last).
			WithHint("If the log was restored from an older copy, it has lost entries; keep this checkpoint as evidence.")
	}
	return strict.Errorf("", "the request continues a tree of %d entries, this witness has cosigned %d", old, last).
		WithHint("Make the request again with `fleetctl log prove --consistency %d`.", last)
}

func (w *Witness) log(origin string) *auditlog.Verifier {
	for _, key := range w.o.Logs {
		if key.Name() == origin {
			return key
		}
	}
	return nil
}

// keepFork keeps a checkpoint that the log signed over another root than the
// one this witness has cosigned at that size: together they are the proof.
func (w *Witness) keepFork(c *auditlog.Checkpoint) error {
	path := fmt.Sprintf("%s-%d-%x.fork", w.recordPath(c.Origin), c.Size, c.Root[:4])
	err := durable.Create(path, c.Marshal(), 0o644)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	return err
}

// lock lets one request at a time read the record and sign, among all processes
// with this state.
func (w *Witness) lock() (func(), error) {
	w.mu.Lock()
	path := filepath.Join(w.o.State, "lock")
	deadline := time.Now().Add(10 * time.Second)
	for {
		unlock, err := durable.Lock(path)
		if err == nil {
			return func() { unlock(); w.mu.Unlock() }, nil
		}
		if !errors.Is(err, durable.ErrLocked) || time.Now().After(deadline) {
			w.mu.Unlock()
			if errors.Is(err, os.ErrNotExist) {
				return nil, strict.Errorf(w.o.State, "does not exist: nothing is known of what this witness has cosigned").WithHint("%s", lostRecord)
			}
			return nil, err
		}
		time.Sleep(5 * time.Millisecond)
	}
}
