// Package challenge is the auditor's side of the proof that an HSM holds a key that
// agrees. The auditor's own machine draws a challenge, keeps it, opens it and later
// compares the transcript with it. That machine has no HSM and no network: people type
// codes, or a camera reads them.
package challenge

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// What says what a code is about.
type What string

// The codes, in the order in which they cross the room.
const (
	Peer   What = "peer"   // from the auditor's screen
	Answer What = "answer" // the key's
	Scalar What = "scalar" // from the auditor's screen
)

// checkBytes is how many bytes of a digest end a code, so that a typing error is noticed
// at once.
const checkBytes = 4

func check(what What, data []byte) []byte {
	h := sha256.New()
	fmt.Fprintf(h, "fleetctl agreement %s\n", what)
	h.Write(data)
	return h.Sum(nil)[:checkBytes]
}

// Code is what people type for some bytes: hex in groups of four digits. The last two
// groups are a check.
func Code(what What, data []byte) string {
	digits := hex.EncodeToString(append(bytes.Clone(data), check(what, data)...))
	var b strings.Builder
	for i := 0; i < len(digits); i += 4 {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(digits[i:min(i+4, len(digits))])
	}
	return b.String()
}

// longest is the most bytes that a code is for: a ciphertext of ML-KEM-768, which a picture
// carries.
const longest = 1088

// ParseCode reads a code as it was typed, in either case and with any spaces.
func ParseCode(what What, typed string) ([]byte, error) {
	digits := strings.ToLower(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, typed))
	if len(digits) > 2*(longest+checkBytes) {
		return nil, fmt.Errorf("is longer than every code of the %s", what)
	}
	all, err := hex.DecodeString(digits)
	if err != nil || len(all) <= checkBytes {
		return nil, fmt.Errorf("is no code of the %s: it is of the digits 0-9 and a-f", what)
	}
	data := all[:len(all)-checkBytes]
	if !bytes.Equal(all[len(data):], check(what, data)) {
		return nil, fmt.Errorf("is no code of the %s, or has a slip: its last 8 digits don't fit the others", what)
	}
	return data, nil
}

const keptFormat = "fleetctl challenges v1"

// maxKept is the largest file in bytes: room for the 768 keys that a ceremony has at most,
// each of ML-KEM.
const maxKept = 1 << 22

// Kept is the file that the auditor's machine keeps. It is secret: until a challenge is
// opened, whoever reads its scalar can answer it without the HSM.
type Kept struct {
	Format     string `strict:"format"`
	Challenges []One  `strict:"challenges"`
}

// One is a challenge to one key.
type One struct {
	Algorithm ceremony.Algorithm `strict:"algorithm"`
	Scalar    []byte             `strict:"scalar,hex"`
	// PublicKey is the key that a challenge of ML-KEM is for. One of ECDH is for any key.
	PublicKey []byte `strict:"public_key,base64,optional"`
	// Answer was typed before the challenge was opened; zero if it isn't open.
	Answer [32]byte `strict:"answer,hex,optional"`
}

// Parse reads the file.
func Parse(file string, data []byte) (*Kept, error) {
	n, err := strict.ParseJSON(file, data, maxKept)
	if err != nil {
		return nil, err
	}
	if err := strict.Format(file, n, keptFormat); err != nil {
		return nil, err
	}
	k := &Kept{}
	if err := strict.Decode(file, n, k); err != nil {
		return nil, err
	}
	for i, c := range k.Challenges {
		if _, err := keys.ParseScalar(c.Algorithm, c.Scalar); err != nil {
			return nil, strict.At(file, n.LineOf("challenges", i), "challenge %d: its scalar %v", i+1, err)
		}
		if _, err := c.peer(); err != nil {
			return nil, strict.At(file, n.LineOf("challenges", i), "challenge %d: the key that it is for %v", i+1, err)
		}
	}
	return k, nil
}

// Encode returns the file.
func (k *Kept) Encode() []byte {
	out := *k
	out.Format = keptFormat
	if out.Challenges == nil {
		out.Challenges = []One{}
	}
	return strict.EncodeJSON(&out)
}

// Draw draws a challenge and returns its peer. spki is the key that it is for: of ML-KEM
// the ciphertext is made with it, of ECDH it isn't looked at.
func (k *Kept) Draw(alg ceremony.Algorithm, spki []byte, random io.Reader) (peer []byte, err error) {
	s, err := keys.DrawScalar(alg, random)
	if err != nil {
		return nil, err
	}
	c := One{Algorithm: alg, Scalar: s.Encode()}
	if alg.IsMLKEM() {
		c.PublicKey = spki
	}
	p, err := c.peer()
	if err != nil {
		return nil, fmt.Errorf("the key that the challenge is for %w", err)
	}
	k.Challenges = append(k.Challenges, c)
	return p.Encode(), nil
}

// Last is the peer of the challenge that was drawn last.
func (k *Kept) Last() ([]byte, error) {
	if len(k.Challenges) == 0 {
		return nil, fmt.Errorf("no challenge was drawn")
	}
	p, err := k.Challenges[len(k.Challenges)-1].peer()
	if err != nil {
		return nil, err
	}
	return p.Encode(), nil
}

func (c *One) peer() (*keys.Peer, error) {
	s, err := keys.ParseScalar(c.Algorithm, c.Scalar)
	if err != nil {
		return nil, err
	}
	if !c.Algorithm.IsMLKEM() {
		if c.PublicKey != nil {
			return nil, fmt.Errorf("is named, and a challenge of %s is for any key", c.Algorithm)
		}
		return s.Peer(nil)
	}
	p, err := keys.ParseAs(c.Algorithm, c.PublicKey)
	if err != nil {
		return nil, err
	}
	return s.Peer(p)
}

// Open takes the answer to the challenge that was drawn last, and returns its scalar. It
// opens each challenge to one answer only: a second answer could have been computed with
// the scalar.
func (k *Kept) Open(answer []byte) (scalar []byte, err error) {
	if len(answer) != sha256.Size {
		return nil, fmt.Errorf("an answer has %d bytes, this one %d", sha256.Size, len(answer))
	}
	if len(k.Challenges) == 0 {
		return nil, fmt.Errorf("no challenge was drawn")
	}
	last := &k.Challenges[len(k.Challenges)-1]
	switch {
	case [32]byte(answer) == [32]byte{}:
		return nil, fmt.Errorf("an answer of zeros is none")
	case last.Answer != [32]byte{} && last.Answer != [32]byte(answer):
		return nil, fmt.Errorf("the challenge that was drawn last is open, to another answer: draw a new one for the next key")
	}
	last.Answer = [32]byte(answer)
	return last.Scalar, nil
}

// Compared is the result for one key that agrees.
type Compared struct {
	HSM, Role string
	Record    int    // number of the key's intent
	Fault     string // empty: the key answered a challenge that is kept here
}

// Compare compares a replayed transcript with the challenges that were kept. An auditor
// who drew challenges looks at it before signing the release off.
func (k *Kept) Compare(a *ceremony.Account) (list []Compared) {
	for _, key := range a.KeysOf(keys.Agree) {
		list = append(list, Compared{key.HSM, key.Role, key.N, k.fault(key)})
	}
	return list
}

func (k *Kept) fault(key *ceremony.Key) string {
	if key.Peer == nil || key.Possession == nil || key.Opened == nil {
		return "it has not answered, or its peer is not opened"
	}
	for _, c := range k.Challenges {
		p, err := c.peer()
		if err != nil || c.Algorithm != key.Intent.Algorithm || !bytes.Equal(p.Encode(), key.Peer.Peer) {
			continue
		}
		switch {
		case c.Answer == [32]byte{}:
			return "its challenge is kept here, and was opened without an answer that was typed here before"
		case c.Answer != key.Possession.Answer:
			return "the record has another answer than was typed here before the challenge was opened"
		case key.Peer.By != ceremony.Auditor:
			return "the record doesn't say that an auditor challenged"
		}
		return ""
	}
	return "its peer is none that was drawn here"
}
