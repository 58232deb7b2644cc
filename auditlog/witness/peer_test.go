//go:build unix

package witness_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/witness"
	"github.com/fleetctl/fleetctl/internal/testwitness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	testwitness.CleanUp()
	os.Exit(code)
}

// TestRealWitness has torchwood's witness and ours cosign together, then shows
// both a forked log.
func TestRealWitness(t *testing.T) {
	l := newLog(t)
	lite := testwitness.Litewitness(t, origin, l.vkey, "witness.example/lite")
	_, line, _ := ours(t, l, "witness.example/ours")
	lines := lite + line
	p := policy(t, l, lines, "group both all lite witness-example-ours\nquorum both\n")
	var fork *testLog
	for i, n := range []int{1, 4, 300} {
		c := l.grow(t, fmt.Sprint(i), n)
		got, answers := collect(l, p, c, witness.Ask{})
		cosigning, err := p.VerifyCheckpoint(got)
		if err != nil || !cosigning.Quorum {
			t.Fatalf("%v %+v, %v", answers, cosigning, err)
		}
		if i == 1 {
			fork = l.fork(t)
		}
		if i == 2 {
			verifyByTorchwood(t, l, got, lines)
		}
	}
	// Renewed at the same size.
	c, err := l.Checkpoint()
	check(t, err)
	if _, answers := collect(l, p, c, witness.Ask{Again: true}); answers[0].Err != nil || answers[1].Err != nil {
		t.Errorf("renewing: %v", answers)
	}

	// The guard sees nothing in the fork, since its own directory was copied
	// too. Both witnesses do.
	smaller := fork.grow(t, "fork", 7)
	_, answers := collect(fork, p, smaller, witness.Ask{})
	for _, x := range answers {
		if !errors.Is(x.Err, witness.ErrAhead) {
			t.Errorf("a smaller fork: %v", x.Err)
		}
	}
	larger := fork.grow(t, "more", 500)
	_, answers = collect(fork, p, larger, witness.Ask{})
	for _, x := range answers {
		if !errors.Is(x.Err, witness.ErrFork) {
			t.Errorf("a larger fork: %v", x.Err)
		}
	}
}

// verifyByTorchwood has torchwood's code verify our proofs.
func verifyByTorchwood(t *testing.T, l *testLog, c *auditlog.Checkpoint, lines string) {
	t.Helper()
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		check(t, os.WriteFile(path, data, 0o600))
		return path
	}
	policy := file("policy", []byte("log "+l.vkey+"\n"+lines+"group both all lite witness-example-ours\nquorum both\n"))
	for _, index := range []uint64{0, 3, 256, c.Size - 1} {
		leaf, err := l.Entry(context.Background(), index)
		check(t, err)
		proof, err := l.ProveUnder(context.Background(), index, c)
		check(t, err)
		verify := func(leaf []byte) error {
			return exec.Command(filepath.Join(testwitness.Need(t), "verify"), policy, file("proof", proof), file("leaf", leaf)).Run()
		}
		if err := verify(leaf); err != nil {
			t.Errorf("torchwood refuses our proof of entry %d: %v", index, err)
		}
		if verify(append(leaf, 'x')) == nil {
			t.Error("torchwood takes any leaf")
		}
	}
}
