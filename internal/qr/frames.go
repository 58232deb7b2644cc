// Package qr carries a small file across an air gap as QR codes: each is a
// frame that says which part of which file it is, so that they can be taken in
// any order, and what is missing has a number.
//
// A frame is text in the characters that QR's alphanumeric mode packs best:
//
//	FLEETCTL-QR1:<part, from 1>:<parts>:<SHA-256 of the file>:<the part>
//
// with hash and part in base32 (RFC 4648, without padding). So any reader of
// QR codes will do, and the parts can be put together by hand.
package qr

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/internal/strict"
)

const (
	// PartSize is how many bytes of the file a frame carries.
	PartSize = 1 << 10
	// MaxFrames is how many frames a person may be asked to hold before a
	// camera.
	MaxFrames = 40
	// MaxFile is the largest file that fits.
	MaxFile = PartSize * MaxFrames

	prefix = "FLEETCTL-QR1"
	// Prefix begins the text of every frame.
	Prefix = prefix + ":"
)

var alphabet = base32.StdEncoding.WithPadding(base32.NoPadding)

// TooLarge is the error of a file that doesn't fit into MaxFrames frames.
type TooLarge struct{ Size int }

func (e *TooLarge) Error() string {
	return fmt.Sprintf("%d bytes are %d QR frames, %d are allowed", e.Size, (e.Size+PartSize-1)/PartSize, MaxFrames)
}

// Split gives a file's frames.
func Split(data []byte) ([]string, error) {
	if len(data) == 0 {
		return nil, fmt.Errorf("there is nothing to put into QR frames")
	}
	if len(data) > MaxFile {
		return nil, &TooLarge{len(data)}
	}
	sum := sha256.Sum256(data)
	var frames []string
	n := (len(data) + PartSize - 1) / PartSize
	for part := range slices.Chunk(data, PartSize) {
		frames = append(frames, fmt.Sprintf("%s:%d:%d:%s:%s", prefix, len(frames)+1, n, alphabet.EncodeToString(sum[:]), alphabet.EncodeToString(part)))
	}
	return frames, nil
}

// Collector puts frames together again.
type Collector struct {
	sum   [32]byte
	parts [][]byte // nil where missing
	began bool
}

// Add takes a frame, in any order and as often as it comes. name says where it
// is from, for errors. One that belongs to another file, or contradicts one
// that was taken, is refused.
func (c *Collector) Add(name, text string) error {
	f, err := parseFrame(text)
	if err != nil {
		return strict.Errorf(name, "%v", err)
	}
	if !c.began {
		c.sum, c.parts, c.began = f.sum, make([][]byte, f.of), true
	}
	switch old := c.parts; {
	case f.sum != c.sum || f.of != len(old):
		return strict.Errorf(name, "is a frame of another file than the ones before")
	case old[f.part-1] != nil && !bytes.Equal(old[f.part-1], f.data):
		return strict.Errorf(name, "is frame %d, with other content than the one before", f.part)
	}
	c.parts[f.part-1] = f.data
	return nil
}

// Missing are the numbers of the frames that are still wanted, of how many.
func (c *Collector) Missing() (missing []int, of int) {
	for i, p := range c.parts {
		if p == nil {
			missing = append(missing, i+1)
		}
	}
	return missing, len(c.parts)
}

// File is the whole file, once no frame is missing.
func (c *Collector) File() ([]byte, error) {
	switch missing, of := c.Missing(); {
	case !c.began:
		return nil, strict.Errorf("", "there is no QR frame")
	case len(missing) > 0:
		return nil, strict.Errorf("", "of %d QR frames these are missing: %s", of, Numbers(missing))
	}
	data := bytes.Join(c.parts, nil)
	if sha256.Sum256(data) != c.sum {
		return nil, strict.Errorf("", "the QR frames put together are not the file that they name")
	}
	return data, nil
}

// FileOf is the SHA-256 of the file that a frame is of.
func FileOf(text string) (sum [32]byte, err error) {
	f, err := parseFrame(text)
	if err != nil {
		return sum, err
	}
	return f.sum, nil
}

// Numbers lists the numbers of frames.
func Numbers(list []int) string {
	var s []string
	for _, n := range list {
		s = append(s, fmt.Sprint(n))
	}
	return strings.Join(s, ", ")
}

type frame struct {
	part, of int
	sum      [32]byte
	data     []byte
}

func parseFrame(text string) (*frame, error) {
	f := strings.Split(text, ":")
	if f[0] != prefix {
		return nil, fmt.Errorf("holds a QR code, but no frame of ours")
	}
	if len(f) != 5 {
		return nil, fmt.Errorf("is no QR frame: it has %d fields, not 5", len(f))
	}
	part, err := strict.ParseUint(f[1])
	if err != nil {
		return nil, fmt.Errorf("is no QR frame: its number %w", err)
	}
	of, err := strict.ParseUint(f[2])
	if err != nil || of < 1 || of > MaxFrames || part < 1 || part > of {
		return nil, fmt.Errorf("is no QR frame: it calls itself frame %s of %s", f[1], f[2])
	}
	sum, err := decode(f[3])
	if err != nil || len(sum) != 32 {
		return nil, fmt.Errorf("is no QR frame: its hash can't be read")
	}
	data, err := decode(f[4])
	if err != nil || len(data) == 0 || len(data) > PartSize || part < of && len(data) != PartSize {
		return nil, fmt.Errorf("is no QR frame: its part can't be read")
	}
	return &frame{int(part), int(of), [32]byte(sum), data}, nil
}

// decode takes the one spelling that encoding gives: base32 has spare bits.
func decode(s string) ([]byte, error) {
	b, err := alphabet.DecodeString(s)
	if err == nil && alphabet.EncodeToString(b) != s {
		err = fmt.Errorf("another spelling")
	}
	return b, err
}
