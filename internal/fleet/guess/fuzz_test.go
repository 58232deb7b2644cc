package guess_test

import (
	"bytes"
	"testing"

	"github.com/fleetctl/fleetctl/internal/fleet/guess"
)

func FuzzParseCommand(f *testing.F) {
	for _, c := range []guess.Command{registration(1, 3), attempt(1), right(1, 2), look,
		{Kind: guess.Begin, Epoch: 1, Secrets: [32]byte{1}}, {Kind: guess.Move, Epoch: 2, Secrets: [32]byte{1}}, {Kind: guess.Retire, Epoch: 1}, {Kind: guess.Erase, Account: alice, Registration: [16]byte{1}}} {
		data, err := c.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(data[:len(data)-1])
		f.Add(append(data, 0))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := guess.ParseCommand(data)
		if err != nil {
			if c != nil {
				t.Fatal("a command and an error")
			}
			return
		}
		if again, err := c.Encode(); err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%x is written as %x, %v", data, again, err)
		}
	})
}

func FuzzRestore(f *testing.F) {
	m := guess.New()
	f.Add(m.Snapshot())
	for i, c := range []guess.Command{{Kind: guess.Begin, Epoch: 1, Secrets: [32]byte{1}}, registration(1, 2), attempt(1), right(1, 1), attempt(2), attempt(3), attempt(4)} {
		data, err := c.Encode()
		if err != nil {
			f.Fatal(err)
		}
		m.Apply(uint64(i+1), data)
		f.Add(m.Snapshot())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := guess.Restore(data)
		if err != nil {
			if m != nil {
				t.Fatal("a machine and an error")
			}
			return
		}
		if !bytes.Equal(m.Snapshot(), data) {
			t.Fatalf("%x is written as %x", data, m.Snapshot())
		}
		// What was read can be used.
		for i, c := range []guess.Command{attempt(1), right(1, 1), registration(2, 2), attempt(9)} {
			command, err := c.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if m.Apply(m.Index()+uint64(i)+1, command).Status == 0 {
				t.Fatal("no answer")
			}
		}
	})
}

// A machine answers whatever comes, and what it holds can be written and read.
func FuzzApply(f *testing.F) {
	var all []byte
	for _, c := range []guess.Command{{Kind: guess.Begin, Epoch: 1, Secrets: [32]byte{1}}, registration(1, 2), attempt(1), right(1, 1), attempt(2)} {
		data, err := c.Encode()
		if err != nil {
			f.Fatal(err)
		}
		all = append(append(all, byte(len(data))), data...)
	}
	f.Add(all)
	f.Fuzz(func(t *testing.T, data []byte) {
		m := guess.New()
		for i := uint64(1); len(data) > 0; i++ {
			n := min(int(data[0]), len(data)-1)
			if a := m.Apply(i, data[1:1+n]); a.Status == 0 || a.Status > guess.Locked {
				t.Fatalf("%v", a.Status)
			}
			data = data[1+n:]
		}
		if _, err := guess.Restore(m.Snapshot()); err != nil {
			t.Fatal(err)
		}
	})
}
