package vault

import (
	"bytes"
	"crypto/rand"
	"slices"
	"testing"

	"github.com/fleetctl/fleetctl/internal/fleet/guess"
	"github.com/fleetctl/fleetctl/internal/fleet/opaque"
	"github.com/fleetctl/fleetctl/internal/fleet/wire"
)

// drawn gives the same bytes always, so that what two nodes answer differs in nothing but
// in what they have.
type drawn struct{}

func (drawn) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte{7}, len(p))), nil }

// nodeOf is another node's vault, with these secrets and a log of its own, which has begun.
func nodeOf(t *testing.T, private, seed []byte) *Vault {
	t.Helper()
	s, err := opaque.NewServer(drawn{}, slices.Clone(private), slices.Clone(seed), fleet)
	must(t, err)
	m := &memory{machine: guess.New()}
	begin := guess.Command{Kind: guess.Begin, Epoch: 1, Secrets: [32]byte{1}}
	data, err := begin.Encode()
	must(t, err)
	_, err = m.Submit(t.Context(), data)
	must(t, err)
	v, err := New(Config{Log: m, Server: s, Random: rand.Reader, Epoch: 1, Limit: limit, Status: func() wire.Status { return wire.Status{} }})
	must(t, err)
	return v
}

// TestEachNodeAnswersForAnUnknownAccountWithTheSameFake: else whoever asks two nodes would
// know that there is no such account (RFC 9807, 10.9).
func TestEachNodeAnswersForAnUnknownAccountWithTheSameFake(t *testing.T) {
	private, err := opaque.NewServerKey(rand.Reader)
	must(t, err)
	seed := bytes.Repeat([]byte{1}, opaque.SeedSize)
	start := newTry(t, nil, "drill.nobody", "a guess").start
	answer := func(seed []byte, account string) wire.LoginAnswer {
		t.Helper()
		d := open(t, nodeOf(t, private, seed), exporter)
		a, ok := d.say(&wire.LoginStart{Account: account, KE1: start.KE1}).(*wire.LoginAnswer)
		if !ok {
			t.Fatal("it isn't answered")
		}
		must(t, d.end())
		return *a
	}
	one := answer(seed, "drill.nobody")
	if two := answer(seed, "drill.nobody"); one != two {
		t.Errorf("one node answers %x, another one %x", one, two)
	}
	// What is compared tells fakes apart.
	for what, other := range map[string]wire.LoginAnswer{"another account": answer(seed, "drill.somebody"), "other secrets": answer(bytes.Repeat([]byte{2}, opaque.SeedSize), "drill.nobody")} {
		if bytes.Equal(other.KE2[:32], one.KE2[:32]) || bytes.Equal(other.KE2[64:], one.KE2[64:]) {
			t.Errorf("%s is answered the same", what)
		}
	}
}
