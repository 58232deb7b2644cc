package vault

import (
	"bytes"
	"context"
	"io"
	"testing"

	"github.com/fleetctl/fleetctl/internal/fleet/guess"
	"github.com/fleetctl/fleetctl/internal/fleet/wire"
)

// stream is a session whose device says what it says without listening.
type stream struct {
	io.Reader
	said bytes.Buffer
}

func (s *stream) Write(b []byte) (int, error) { return s.said.Write(b) }

// FuzzServe has a device say whatever: a sealed key never leaves for it, and the node
// answers with messages alone.
func FuzzServe(f *testing.F) {
	v, m := newVault(f)
	number := register(f, v, "sealed").Registration
	y := newTry(f, nil, account, secret)
	for _, list := range [][]wire.Message{
		{y.start, &wire.LoginFinish{}},
		{&wire.RegisterStart{Account: "drill.b", Request: [32]byte(y.start.KE1[:32])}, &wire.RegisterFinish{Envelope: []byte("x")}},
		{&wire.StatusRequest{}, &wire.Erase{Account: account, Registration: number}},
		{&wire.LoginFinish{}},
	} {
		var b bytes.Buffer
		for _, m := range list {
			must(f, wire.Write(&b, m))
		}
		f.Add(b.Bytes())
	}
	state := m.machine.Snapshot()
	f.Fuzz(func(t *testing.T, data []byte) {
		machine, err := guess.Restore(state)
		must(t, err)
		c := v.c
		c.Log = &memory{machine: machine, index: m.index}
		v, err := New(c)
		must(t, err)
		s := &stream{Reader: bytes.NewReader(data)}
		_ = v.Serve(context.Background(), s, exporter)
		for {
			m, err := wire.Read(&s.said)
			if err == io.EOF {
				return
			}
			if err != nil {
				t.Fatalf("what the node says can't be read: %v", err)
			}
			if _, ok := m.(*wire.Recovered); ok {
				t.Error("the sealed key left without KE3")
			}
		}
	})
}
