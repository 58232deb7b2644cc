package auditlog

import (
	"bytes"
	"errors"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// The two Rekor logs that there are: version 1 (sigstore/rekor over Trillian)
// and version 2 (sigstore/rekor-tiles).
const (
	RekorV1 = 1
	RekorV2 = 2
)

const (
	rekorFormat = "fleetctl rekor-entry v1"
	// maxRekor holds the largest bundle in base64 twice, and a checkpoint.
	maxRekor = 1 << 20
)

// RekorEntry is what the file `bundle.json.rekor.json` keeps of an entry in a
// Rekor log, as read. Nothing of it is verified: that is for [RekorLog.Verify].
//
// Rekor stores digests and signatures, not the envelope. So the file keeps the
// exact envelope, and the entry's body is derived from it again.
type RekorEntry struct {
	Version    int
	Envelope   []byte    // the exact DSSE envelope
	Body       []byte    // the log's leaf, as the log gives it back
	LogID      [32]byte  // SHA-256 that names the log's key
	Index      uint64    // by the log's count; over all its shards in version 1
	Integrated time.Time // version 1: by the log's own word, signed in the SET

	TreeIndex  uint64     // of the leaf in the checkpoint's tree
	Hashes     [][32]byte // RFC 6962 audit path: the leaf's sibling first
	Checkpoint *Checkpoint
	SET        []byte // version 1: signed entry timestamp

	envelope *envelope
	file     string
}

// rekorFile is the file. Its fields' order is the only one it may have.
type rekorFile struct {
	Format     string         `strict:"format"`
	Version    int            `strict:"rekor"`
	Envelope   []byte         `strict:"envelope,base64"`
	Body       []byte         `strict:"body,base64"`
	LogID      [32]byte       `strict:"log_id,hex"`
	Index      uint64         `strict:"index"`
	Integrated time.Time      `strict:"integrated_time,optional"`
	Inclusion  rekorInclusion `strict:"inclusion"`
	Checkpoint string         `strict:"checkpoint"`
	SET        []byte         `strict:"signed_entry_timestamp,optional,base64"`
}

type rekorInclusion struct {
	Index  uint64     `strict:"index"`
	Hashes [][32]byte `strict:"hashes,base64"`
}

// ParseRekorEntry reads a `.rekor.json` file. It accepts only the spelling that
// [RekorEntry.Marshal] writes.
func ParseRekorEntry(file string, data []byte) (*RekorEntry, error) {
	f := &rekorFile{}
	root, err := strict.ParseJSON(file, data, maxRekor)
	if err == nil {
		err = strict.Format(file, root, rekorFormat)
	}
	if err == nil {
		err = strict.Decode(file, root, f)
	}
	if err != nil {
		return nil, firstFault(err)
	}
	if f.Version != RekorV1 && f.Version != RekorV2 {
		return nil, strict.Errorf(file, "is of Rekor version %d; known are 1 and 2", f.Version)
	}
	if v1 := f.Version == RekorV1; v1 == f.Integrated.IsZero() || v1 == (f.SET == nil) {
		return nil, strict.Errorf(file, "an entry of Rekor version 1 has integrated_time and signed_entry_timestamp, one of version 2 has neither")
	}
	c, err := ParseRekorCheckpoint("", f.Version, []byte(f.Checkpoint))
	if err != nil {
		return nil, strict.Errorf(file, "the checkpoint's %v", err)
	}
	env, err := parseEnvelope(f.Envelope)
	if err != nil {
		return nil, strict.Errorf(file, "the DSSE envelope %v", err)
	}
	c.file = file
	e := &RekorEntry{
		Version: f.Version, Envelope: f.Envelope, Body: f.Body, LogID: f.LogID, Index: f.Index, Integrated: f.Integrated,
		TreeIndex: f.Inclusion.Index, Hashes: f.Inclusion.Hashes, Checkpoint: c, SET: f.SET, envelope: env, file: file,
	}
	if err := e.check(); err != nil {
		return nil, err
	}
	if !bytes.Equal(e.Marshal(), data) {
		return nil, strict.Errorf(file, "is not in the one form that fleetctl writes").
			WithHint("It was edited or formatted anew. Use the file as fleetctl log append wrote it.")
	}
	return e, nil
}

// Marshal writes the file.
func (e *RekorEntry) Marshal() []byte {
	return strict.EncodeJSON(&rekorFile{
		Format: rekorFormat, Version: e.Version, Envelope: e.Envelope, Body: e.Body, LogID: e.LogID, Index: e.Index, Integrated: e.Integrated,
		Inclusion: rekorInclusion{e.TreeIndex, e.Hashes}, Checkpoint: string(e.Checkpoint.Marshal()), SET: e.SET,
	})
}

// Holds says whether the envelope wraps exactly these bytes. It needs no key and
// verifies nothing: it only tells which bundle a file is about.
func (e *RekorEntry) Holds(leaf []byte) bool { return bytes.Equal(e.envelope.payload, leaf) }

// check says whether the proof's numbers fit together, before anything is hashed.
func (e *RekorEntry) check() error {
	p := &Proof{Index: e.TreeIndex, Hashes: e.Hashes, Checkpoint: e.Checkpoint, file: e.file}
	if len(e.Hashes) > maxHashes {
		return strict.Errorf(e.file, "has more than %d hashes", maxHashes)
	}
	return p.check()
}

// ParseRekorCheckpoint reads a checkpoint as Rekor writes it. Version 1 once
// signed a line "Timestamp: <nanoseconds>" below the root, and its public log's
// old entries still have it; it is kept, because it is part of what was signed,
// and never used. Version 2's checkpoints are plain C2SP.
func ParseRekorCheckpoint(file string, version int, data []byte) (*Checkpoint, error) {
	const stamp = "Timestamp: "
	l, err := newLines(file, data)
	if err != nil {
		return nil, err
	}
	c := readTreeHead(l, file)
	if line, _ := l.Peek(); version == RekorV1 && strings.HasPrefix(line, stamp) {
		digits := l.After(stamp)
		if len(digits) != 19 || strings.Trim(digits, "0123456789") != "" || digits[0] == '0' {
			l.Failf("the checkpoint's timestamp is no time in nanoseconds")
		}
		c.extension = stamp + digits + "\n"
	}
	l.Literal("")
	c.Signatures = readSignatures(l)
	if err := l.Done(); err != nil {
		return nil, err
	}
	return c, nil
}

// firstFault gives the first refusal of a list.
func firstFault(err error) error {
	var list strict.Errors
	if errors.As(err, &list) {
		return list[0]
	}
	return err
}
