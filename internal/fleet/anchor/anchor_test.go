package anchor_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"path/filepath"
	"testing"

	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/fleet/anchor"
)

func sample() *anchor.Anchor {
	return &anchor.Anchor{Fleet: [16]byte{1}, Incarnation: [16]byte{2}, Term: 7, Vote: anchor.VoteFor([]byte("b")), LastIndex: 9, LastTerm: 6, Head: [32]byte{3}, Snapshot: [24]byte{4}}
}

func TestAnAnchorFitsATPMsIndexAndComesBackAsItWas(t *testing.T) {
	data := sample().Encode()
	if len(data) != anchor.Size || anchor.Size > 128 {
		t.Fatalf("%d bytes", len(data))
	}
	if a, err := anchor.Parse(data); err != nil || *a != *sample() {
		t.Errorf("%+v, %v", a, err)
	}
	for i := range data {
		torn := bytes.Clone(data)
		torn[i] ^= 1
		if _, err := anchor.Parse(torn); err == nil {
			t.Errorf("byte %d is another one, and nothing says so", i)
		}
	}
}

func TestAnAnchorThatNoNodeWritesIsRefused(t *testing.T) {
	for what, change := range map[string]func(*anchor.Anchor){
		"no fleet":               func(a *anchor.Anchor) { a.Fleet = [16]byte{} },
		"no incarnation":         func(a *anchor.Anchor) { a.Incarnation = [16]byte{} },
		"an entry of the future": func(a *anchor.Anchor) { a.LastTerm = 8 },
		"an entry of no term":    func(a *anchor.Anchor) { a.LastTerm = 0 },
		"no entry, and a head":   func(a *anchor.Anchor) { a.LastIndex, a.LastTerm = 0, 0 },
		"no head":                func(a *anchor.Anchor) { a.Head = [32]byte{} },
		"a snapshot of nothing":  func(a *anchor.Anchor) { a.LastIndex, a.LastTerm, a.Head = 0, 0, [32]byte{} },
	} {
		a := sample()
		change(a)
		if _, err := anchor.Parse(a.Encode()); err == nil {
			t.Errorf("%s is taken", what)
		}
	}
}

func TestAMemberBeginsOnce(t *testing.T) {
	for name, k := range map[string]anchor.Keeper{"memory": &anchor.Memory{}, "file": anchor.File(filepath.Join(t.TempDir(), "anchor"))} {
		if _, err := anchor.Load(k); !errors.Is(err, anchor.ErrNone) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := anchor.Begin(k, [16]byte{}, rand.Reader); err == nil {
			t.Errorf("%s: a member of no fleet", name)
		}
		if _, err := anchor.Begin(k, [16]byte{1}, bytes.NewReader(make([]byte, 15))); err == nil {
			t.Errorf("%s: an incarnation of 15 bytes", name)
		}
		a, err := anchor.Begin(k, [16]byte{1}, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := anchor.Load(k); err != nil || *b != *a {
			t.Errorf("%s: %+v, %v", name, b, err)
		}
		if _, err := anchor.Begin(k, [16]byte{1}, rand.Reader); err == nil {
			t.Errorf("%s: begun twice", name)
		}
	}
}

func TestTheKeeperInMemoryFailsAsItIsTold(t *testing.T) {
	m := &anchor.Memory{}
	if err := m.Write([]byte("1")); err != nil {
		t.Fatal(err)
	}
	away := errors.New("away")
	m.Fail(away)
	if _, err := m.Read(); !errors.Is(err, away) || !errors.Is(m.Write([]byte("2")), away) {
		t.Errorf("%v", err)
	}
	m.Fail(nil)
	written := func(abandon bool) error {
		m.Block()
		done := make(chan error)
		go func() { done <- m.Write([]byte("3")) }()
		await.Until(t, "the write waits", func() bool { return m.Waiting() == 1 })
		if abandon {
			m.Abandon()
		} else {
			m.Unblock()
		}
		return <-done
	}
	if err := written(true); !errors.Is(err, anchor.ErrOver) {
		t.Errorf("%v", err)
	}
	if data, err := m.Read(); err != nil || string(data) != "1" {
		t.Errorf("%q, %v", data, err)
	}
	if err := written(false); err != nil || m.Writes() != 2 {
		t.Errorf("%v, %d writes", err, m.Writes())
	}
}

func FuzzParse(f *testing.F) {
	f.Add(sample().Encode())
	f.Add((&anchor.Anchor{Fleet: [16]byte{1}, Incarnation: [16]byte{2}}).Encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := anchor.Parse(data)
		if err != nil {
			if a != nil {
				t.Fatal("an anchor and an error")
			}
			return
		}
		if !bytes.Equal(a.Encode(), data) {
			t.Fatalf("%x is written as %x", data, a.Encode())
		}
	})
}
