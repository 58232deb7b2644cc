// Package anchor has what a node of the reference fleet keeps in its HSM of its
// log: where the log ends that the node has answered for.
//
// Disks can be copied and put back. A node whose disk was would answer as it did
// then: it would have forgotten guesses that were counted, and votes that were
// given. So the node writes an anchor wherever Raft acknowledges something to
// others, and before it does. At its start the disk is held against it. That stops
// disks that are put back, however many of them. It doesn't stop whoever has the
// HSM's PIN, or puts back the HSM's memory together with the disk.
package anchor

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Anchor is what is kept. The zero Vote is no vote in this term, the zero Snapshot
// no snapshot.
type Anchor struct {
	Fleet       [16]byte // begins the digest that names the fleet
	Incarnation [16]byte // random, of this member's one life
	Term        uint64   // Raft's current term
	Vote        [12]byte // begins the SHA-256 of whom this node voted for in it
	LastIndex   uint64   // of the last entry that was acknowledged
	LastTerm    uint64
	Head        [32]byte // of the chain over the log's entries, at that one
	Snapshot    [24]byte // begins the SHA-256 of the snapshot's file
}

// Size is the size of an anchor: what fits a TPM's NV index.
const Size = 128

const version = 1

// check is short: it is there for a write that was torn, not for an attacker,
// from whom the HSM guards it.
const check = 3

// Encode gives the one spelling of an anchor.
func (a *Anchor) Encode() []byte {
	out := append(make([]byte, 0, Size), version)
	out = append(append(out, a.Fleet[:]...), a.Incarnation[:]...)
	out = append(binary.BigEndian.AppendUint64(out, a.Term), a.Vote[:]...)
	out = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(out, a.LastIndex), a.LastTerm)
	out = append(append(out, a.Head[:]...), a.Snapshot[:]...)
	sum := sha256.Sum256(out)
	return append(out, sum[:check]...)
}

// Parse reads an anchor. What it takes encodes to the same bytes.
func Parse(data []byte) (*Anchor, error) {
	if len(data) != Size || data[0] != version {
		return nil, fmt.Errorf("an anchor has %d bytes and version %d; here are %d bytes", Size, version, len(data))
	}
	body := data[:Size-check]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:check], data[Size-check:]) {
		return nil, errors.New("the anchor is torn: its check doesn't fit it")
	}
	a, rest := &Anchor{}, body[1:]
	take := func(to []byte) { rest = rest[copy(to, rest):] }
	number := func(to *uint64) { *to, rest = binary.BigEndian.Uint64(rest), rest[8:] }
	take(a.Fleet[:])
	take(a.Incarnation[:])
	number(&a.Term)
	take(a.Vote[:])
	number(&a.LastIndex)
	number(&a.LastTerm)
	take(a.Head[:])
	take(a.Snapshot[:])
	if err := a.Check(); err != nil {
		return nil, err
	}
	return a, nil
}

// Check says what is wrong with an anchor: no node writes such a one.
func (a *Anchor) Check() error {
	switch {
	case a.Fleet == [16]byte{} || a.Incarnation == [16]byte{}:
		return errors.New("the anchor is of no fleet or no incarnation")
	case a.LastTerm > a.Term || (a.LastIndex == 0) != (a.LastTerm == 0) || (a.LastIndex == 0) != (a.Head == [32]byte{}):
		return errors.New("the anchor ends at an entry that no log has")
	case a.LastIndex == 0 && a.Snapshot != [24]byte{}:
		return errors.New("the anchor has a snapshot of no entry")
	}
	return nil
}

// ErrNone means that a keeper has no anchor: nobody has begun one there.
var ErrNone = errors.New("there is no anchor")

// ErrBegun means that a keeper has an anchor already.
var ErrBegun = errors.New("there is an anchor already: it is of a member that has begun; to give it up, remove that member from the fleet and the anchor from the HSM")

// Keeper keeps one anchor as bytes: an HSM, outside what a disk's copy puts back.
type Keeper interface {
	// Read gives what was written last, or ErrNone.
	Read() ([]byte, error)
	// Write returns once what it was given is there for good. After an error
	// either the old or the new value is there.
	Write(data []byte) error
}

// Load reads a keeper's anchor.
func Load(k Keeper) (*Anchor, error) {
	data, err := k.Read()
	if err != nil {
		return nil, err
	}
	return Parse(data)
}

// Begin makes a member's first anchor, with an incarnation that is drawn from
// random. A keeper that has one is left alone: a member that was lost is replaced
// by another incarnation, with another keeper.
func Begin(k Keeper, fleet [16]byte, random io.Reader) (*Anchor, error) {
	switch _, err := k.Read(); {
	case err == nil:
		return nil, ErrBegun
	case !errors.Is(err, ErrNone):
		return nil, err
	}
	a := &Anchor{Fleet: fleet}
	if _, err := io.ReadFull(random, a.Incarnation[:]); err != nil {
		return nil, fmt.Errorf("drawing an incarnation: %w", err)
	}
	if err := a.Check(); err != nil {
		return nil, err
	}
	return a, k.Write(a.Encode())
}

// VoteFor is what Anchor.Vote is for a candidate.
func VoteFor(candidate []byte) (vote [12]byte) {
	sum := sha256.Sum256(candidate)
	copy(vote[:], sum[:])
	return vote
}
