package witness

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/transparency-dev/merkle/rfc6962"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

const recordHeader = "fleetctl witness v1"

const lostRecord = "Put the witness's state back if it was moved. If this witness has never cosigned anything of\n" +
	"this log, say so with --first; if it has, and the state is lost, give the witness another key."

// record is the newest tree head of one log that the witness has cosigned or, after
// a crash, may not have got to sign. Its file has the log's name in tlog-witness's
// URLs.
type record struct {
	key        *auditlog.Verifier
	Size       uint64
	Root       [32]byte
	Checkpoint *auditlog.Checkpoint // with the log's signature; nil while the tree is empty
}

func emptyRecord(key *auditlog.Verifier) *record {
	return &record{key: key, Root: [32]byte(rfc6962.DefaultHasher.EmptyRoot())}
}

// OriginID is the name of a log in tlog-witness's paths: the SHA-256 of its origin.
func OriginID(origin string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(origin))) }

func (w *Witness) recordPath(origin string) string { return filepath.Join(w.o.State, OriginID(origin)) }

func (r *record) marshal() []byte {
	b := fmt.Appendf(nil, "%s\nlog %s\nsize %d\nroot %s\n", recordHeader, r.key, r.Size, base64.StdEncoding.EncodeToString(r.Root[:]))
	if r.Checkpoint != nil {
		b = append(append(b, '\n'), r.Checkpoint.Marshal()...)
	}
	return b
}

// readRecord reads exactly what marshal writes. A missing file is an error, because
// without it nothing is known of what was cosigned.
func readRecord(path string, key *auditlog.Verifier) (*record, error) {
	data, err := durable.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, strict.Errorf(path, "does not exist: nothing is known of what this witness has cosigned of %s", key.Name()).
			WithHint("%s", lostRecord)
	}
	if err != nil {
		return nil, err
	}
	l := strict.NewLines(path, data)
	l.Literal(recordHeader)
	if l.After("log ") != key.String() {
		l.Failf("is the record of another key")
	}
	r := &record{key: key, Size: l.Uint("size ")}
	root := l.Base64("root ")
	if len(root) != len(r.Root) {
		l.Failf("the root has %d bytes, a SHA-256 digest has %d", len(root), len(r.Root))
	}
	copy(r.Root[:], root)
	if l.More() {
		l.Literal("")
		c, err := auditlog.ParseCheckpoint(path, l.Rest())
		if err != nil {
			return nil, err
		}
		r.Checkpoint = c
	}
	if err := l.Done(); err != nil {
		return nil, err
	}
	switch c := r.Checkpoint; {
	case c == nil && r.Size > 0:
		return nil, strict.Errorf(path, "has no checkpoint of its %d entries", r.Size)
	case c != nil && (c.Size != r.Size || c.Root != r.Root || c.Origin != key.Name()):
		return nil, strict.Errorf(path, "its checkpoint is not of the tree that the lines above it name")
	}
	if !bytes.Equal(r.marshal(), data) {
		return nil, strict.Errorf(path, "is not as it was written")
	}
	return r, nil
}
