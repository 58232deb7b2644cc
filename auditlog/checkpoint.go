package auditlog

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// Checkpoint is a log's signed tree head (C2SP tlog-checkpoint), as read. Nothing
// of it is verified: [Policy.VerifyCheckpoint] checks who signed it.
type Checkpoint struct {
	Origin     string   // the log's name
	Size       uint64   // entries in the tree
	Root       [32]byte // RFC 6962 root of the tree
	Signatures []Signature

	// extension is the line below the root that Rekor v1 once signed, with its
	// LF. Only ParseRekorCheckpoint accepts such a line.
	extension string
	file      string
}

// ParseCheckpoint reads a checkpoint. It refuses a tree head without signatures
// and one with extension lines.
func ParseCheckpoint(file string, data []byte) (*Checkpoint, error) {
	l, err := newLines(file, data)
	if err != nil {
		return nil, err
	}
	c := readCheckpoint(l, file)
	if err := l.Done(); err != nil {
		return nil, err
	}
	return c, nil
}

// ParseTreeHead reads only the text that a log signs, which a [Checkpoint] gives
// as its Text, without signatures.
func ParseTreeHead(file string, data []byte) (*Checkpoint, error) {
	l, err := newLines(file, data)
	if err != nil {
		return nil, err
	}
	c := readTreeHead(l, file)
	if err := l.Done(); err != nil {
		return nil, err
	}
	return c, nil
}

func readCheckpoint(l *strict.Lines, file string) *Checkpoint {
	c := readTreeHead(l, file)
	if line := l.Next(); line != "" {
		l.Failf("has %q where the empty line before the signatures was expected: extension lines are refused, no monitor can audit them", strict.Clip(line))
	}
	c.Signatures = readSignatures(l)
	return c
}

func readTreeHead(l *strict.Lines, file string) *Checkpoint {
	c := &Checkpoint{file: file}
	if c.Origin = l.Next(); c.Origin == "" {
		l.Failf("the checkpoint's origin is empty")
	}
	c.Size = l.Uint("")
	c.Root = readHash(l)
	return c
}

// readHash takes a line with a SHA-256 digest in base64.
func readHash(l *strict.Lines) (h [32]byte) {
	b := l.Base64("")
	if len(b) != len(h) {
		l.Failf("the hash has %d bytes, a SHA-256 digest has %d", len(b), len(h))
		return h
	}
	return [32]byte(b)
}

// Text is the exact text that log and witnesses sign: origin, size and root,
// a line each.
func (c *Checkpoint) Text() string { return string(c.text(nil)) }

// text appends the Text.
func (c *Checkpoint) text(b []byte) []byte {
	b = slices.Grow(b, len(c.Origin)+len(c.extension)+80)
	b = append(append(b, c.Origin...), '\n')
	b = append(strconv.AppendUint(b, c.Size, 10), '\n')
	b = append(base64.StdEncoding.AppendEncode(b, c.Root[:]), '\n')
	return append(b, c.extension...)
}

// Marshal writes the checkpoint: byte for byte as [ParseCheckpoint] read it.
func (c *Checkpoint) Marshal() []byte {
	var b strings.Builder
	b.WriteString(c.Text())
	b.WriteByte('\n')
	for _, s := range c.Signatures {
		b.WriteString(s.String())
		b.WriteByte('\n')
	}
	return []byte(b.String())
}
