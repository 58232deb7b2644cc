package replica

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/hashicorp/raft"

	"github.com/fleetctl/fleetctl/internal/fleet/chain"
)

const (
	snapshotMagic = "fleetctl fleet snapshot 1\n"
	mostMembers   = 64
	mostName      = 512
	// mostState is how large a machine's state, and so a file, can be.
	mostState = 1 << 30
)

// snapshot is what a snapshot's file holds.
type snapshot struct {
	at          chain.Point
	configIndex uint64
	members     raft.Configuration
	state       []byte
}

// encode gives the one spelling of a snapshot.
func (s *snapshot) encode() ([]byte, error) {
	if len(s.members.Servers) > mostMembers || len(s.state) > mostState {
		return nil, fmt.Errorf("a snapshot of %d members and %d bytes is too large", len(s.members.Servers), len(s.state))
	}
	out := binary.BigEndian.AppendUint64([]byte(snapshotMagic), s.at.Index)
	out = append(binary.BigEndian.AppendUint64(out, s.at.Term), s.at.Head[:]...)
	out = append(binary.BigEndian.AppendUint64(out, s.configIndex), byte(len(s.members.Servers)))
	for _, m := range s.members.Servers {
		if len(m.ID) > mostName || len(m.Address) > mostName || m.Suffrage < 0 || m.Suffrage > raft.Nonvoter {
			return nil, fmt.Errorf("member %q at %q can't be written", m.ID, m.Address)
		}
		out = append(out, byte(m.Suffrage))
		for _, text := range []string{string(m.ID), string(m.Address)} {
			out = append(binary.BigEndian.AppendUint16(out, uint16(len(text))), text...)
		}
	}
	return append(binary.BigEndian.AppendUint32(out, uint32(len(s.state))), s.state...), nil
}

// digest is what the anchor has of a snapshot's file.
func digest(file []byte) (d [24]byte) {
	sum := sha256.Sum256(file)
	copy(d[:], sum[:])
	return d
}

// parseSnapshot reads a snapshot's file. What it takes is written as the same bytes.
func parseSnapshot(data []byte) (*snapshot, error) {
	s, rest := &snapshot{}, data
	short := false
	take := func(n int) []byte {
		if short = short || n > len(rest); short {
			return make([]byte, min(n, 64))
		}
		b := rest[:n:n]
		rest = rest[n:]
		return b
	}
	if !bytes.Equal(take(len(snapshotMagic)), []byte(snapshotMagic)) {
		return nil, errors.New("this is no snapshot of the fleet, version 1")
	}
	s.at.Index, s.at.Term = binary.BigEndian.Uint64(take(8)), binary.BigEndian.Uint64(take(8))
	copy(s.at.Head[:], take(32))
	s.configIndex = binary.BigEndian.Uint64(take(8))
	n := int(take(1)[0])
	if n > mostMembers {
		return nil, fmt.Errorf("a snapshot of %d members, of at most %d", n, mostMembers)
	}
	for range n {
		m := raft.Server{Suffrage: raft.ServerSuffrage(take(1)[0])}
		var text [2]string
		for i := range text {
			size := int(binary.BigEndian.Uint16(take(2)))
			if size > mostName {
				return nil, fmt.Errorf("a member's name of %d bytes, of at most %d", size, mostName)
			}
			text[i] = string(take(size))
		}
		if m.ID, m.Address = raft.ServerID(text[0]), raft.ServerAddress(text[1]); m.Suffrage > raft.Nonvoter {
			return nil, fmt.Errorf("a member's vote of %d", m.Suffrage)
		}
		s.members.Servers = append(s.members.Servers, m)
	}
	size := binary.BigEndian.Uint32(take(4))
	if short || uint64(size) != uint64(len(rest)) || size > mostState || s.at.Index == 0 || s.at.Term == 0 || s.at.Index == math.MaxUint64 {
		return nil, errors.New("the snapshot isn't whole")
	}
	s.state = rest
	return s, nil
}
