package replica

import (
	"bytes"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/fleetctl/fleetctl/internal/fleet/chain"
)

func FuzzParseSnapshot(f *testing.F) {
	s := &snapshot{at: chain.Point{Index: 7, Term: 2, Head: [32]byte{1}}, configIndex: 3, state: []byte("the state"), members: raft.Configuration{Servers: []raft.Server{
		{ID: "a/01", Address: "127.0.0.1:1"}, {Suffrage: raft.Nonvoter, ID: "b/02", Address: "127.0.0.1:2"},
	}}}
	data, err := s.encode()
	if err != nil {
		f.Fatal(err)
	}
	for n := range data {
		if _, err := parseSnapshot(data[:n]); err == nil {
			f.Fatalf("%d of %d bytes are a snapshot", n, len(data))
		}
	}
	f.Add(data)
	f.Add(append(data, 0))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseSnapshot(data)
		if err != nil {
			return
		}
		if again, err := s.encode(); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x is written as %x, %v", data, again, err)
		}
	})
}
