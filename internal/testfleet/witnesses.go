package testfleet

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"filippo.io/mldsa"
	"golang.org/x/crypto/ed25519"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// cosigner is a witness in memory: it cosigns (C2SP tlog-cosignature, type
// 0x04, or 0x06 with an ML-DSA-44 key) whatever it is given, at whatever time it is told.
type cosigner struct {
	name string
	key  ed25519.PrivateKey
	pq   *mldsa.PrivateKey // in the place of key
	at   time.Time
}

func newCosigner(name string, postQuantum bool) *cosigner {
	c := &cosigner{name: name, key: softEd25519(name)}
	if postQuantum {
		c.pq = must(mldsa.NewPrivateKey(mldsa.MLDSA44(), c.key.Seed()))
	}
	return c
}

func (c *cosigner) public() []byte {
	if c.pq != nil {
		return append([]byte{6}, c.pq.PublicKey().Bytes()...)
	}
	return append([]byte{4}, c.key.Public().(ed25519.PublicKey)...)
}

func (c *cosigner) vkey() string {
	return fmt.Sprintf("%s+%08x+%s", c.name, c.KeyHash(), base64.StdEncoding.EncodeToString(c.public()))
}

func (c *cosigner) Name() string { return c.name }

func (c *cosigner) KeyHash() uint32 {
	sum := sha256.Sum256(append([]byte(c.name+"\n"), c.public()...))
	return binary.BigEndian.Uint32(sum[:])
}

func (c *cosigner) Sign(text []byte) ([]byte, error) {
	stamp := binary.BigEndian.AppendUint64(nil, uint64(c.at.Unix()))
	if c.pq != nil {
		sig, err := c.pq.SignDeterministic(c.subtree(string(text), stamp), nil)
		return append(stamp, sig...), err
	}
	return append(stamp, ed25519.Sign(c.key, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", c.at.Unix(), text))...), nil
}

// subtree is what an ML-DSA-44 witness signs of a checkpoint.
func (c *cosigner) subtree(text string, stamp []byte) []byte {
	lines := strings.Split(text, "\n")
	size := must(strconv.ParseUint(lines[1], 10, 64))
	m := append([]byte("subtree/v1\n\x00"), byte(len(c.name)))
	m = append(append(m, c.name...), stamp...)
	m = append(append(m, byte(len(lines[0]))), lines[0]...)
	m = binary.BigEndian.AppendUint64(append(m, make([]byte, 8)...), size)
	return append(m, must(base64.StdEncoding.DecodeString(lines[2]))...)
}

// Witnesses is a log in memory with witnesses whose clocks and consent are the
// test's.
type Witnesses struct {
	*softLog
	all []*cosigner
	// At is the time at which they cosign, by number; the zero time: they don't.
	At func(witness int) time.Time
}

// VKeys are the witnesses' keys, as a log policy names them.
func (w *Witnesses) VKeys() []string {
	var list []string
	for _, c := range w.all {
		list = append(list, c.vkey())
	}
	return list
}

// policy is the log policy that needs all of them.
func (w *Witnesses) policy() string {
	var b, names strings.Builder
	fmt.Fprintf(&b, "log %s\n", w.vkey)
	for i, c := range w.all {
		fmt.Fprintf(&b, "witness w%d %s\n", i+1, c.vkey())
		fmt.Fprintf(&names, " w%d", i+1)
	}
	return b.String() + "group both all" + names.String() + "\nquorum both\n"
}

func logPolicy(l Log) string {
	if w, ok := l.(*Witnesses); ok {
		return w.policy()
	}
	return fmt.Sprintf("log %s\nquorum none\n", l.VKey())
}

func (w *Witnesses) cosign() []note.Signer {
	var list []note.Signer
	for i, c := range w.all {
		if c.at = w.At(i); !c.at.IsZero() {
			list = append(list, c)
		}
	}
	return list
}

// Append logs a leaf and has the checkpoint cosigned.
func (w *Witnesses) Append(leaf []byte) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.add(leaf)
	return w.prove(w.size-1, w.size, w.cosign()...)
}

// Prove is a proof of an entry in the tree of a size, cosigned now.
func (w *Witnesses) Prove(index, size int64) ([]byte, error) {
	return w.prove(index, size, w.cosign()...)
}

// Size is the number of entries.
func (w *Witnesses) Size() int64 { return w.size }

// Continue is a witness's request from the tree of an older size to this one's,
// its checkpoint cosigned now.
func (w *Witnesses) Continue(old int64) ([]byte, error) {
	var path tlog.TreeProof // everything continues the empty tree
	var err error
	if old > 0 {
		if path, err = tlog.ProveTree(w.size, old, w.hashes); err != nil {
			return nil, err
		}
	}
	checkpoint, err := w.checkpoint(w.size, w.cosign()...)
	if err != nil {
		return nil, err
	}
	return withPath(fmt.Sprintf("old %d\n", old), path, checkpoint), nil
}

// Last is the time of the newest record or signature in the fleet's life.
func (f *Fleet) Last() time.Time { return f.clock.at }

// Copy is a log of its own with the first entries of this one, and with the same
// keys: what is added to it isn't in the other.
func (w *Witnesses) Copy(size int64) *Witnesses {
	l := w.softLog
	c := &Witnesses{At: w.At, softLog: &softLog{origin: l.origin, vkey: l.vkey, signer: l.signer, size: size,
		hashes: slices.Clone(l.hashes[:tlog.StoredHashCount(size)])}}
	for _, x := range w.all {
		c.all = append(c.all, &cosigner{name: x.name, key: x.key, pq: x.pq})
	}
	return c
}

// Sign signs a checkpoint's text: as the log, if log says so, and as those
// witnesses that cosign now. It gives the signatures' lines.
func (w *Witnesses) Sign(text string, log bool) ([]byte, error) {
	signers := w.cosign()
	if log {
		signers = append([]note.Signer{w.signer}, signers...)
	}
	signed, err := note.Sign(&note.Note{Text: text}, signers...)
	return bytes.TrimPrefix(signed, []byte(text+"\n")), err
}
