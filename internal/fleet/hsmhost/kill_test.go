//go:build cgo && linux

package hsmhost

import (
	"context"
	"crypto/rand"
	"math/big"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/internal/fleet/anchor"
)

// kills is how often the HSM's process is killed: some hundreds in scripts/test --full.
func kills() int {
	if os.Getenv("FLEETCTL_FULL") != "" {
		return 300
	}
	return 12
}

// random is a number below n.
func random(n int64) int64 { return must(rand.Int(rand.Reader, big.NewInt(n))).Int64() }

// TestNoAnchorIsLostWhenTheHSMsProcessItselfIsKilled: of kryoptic. What the HSM said that
// it has, it has; what it hadn't said yet it may have.
func TestNoAnchorIsLostWhenTheHSMsProcessItselfIsKilled(t *testing.T) {
	c, _, _ := kryoptic(t)
	dir := folder(t)
	written, rounds := uint64(0), kills()
	for round := range rounds {
		p, err := Start(dir, c, []byte(pin))
		if err != nil {
			t.Fatalf("round %d: the token is lost: %v", round, err)
		}
		n, err := Dial(context.Background(), p.Socket())
		if err != nil {
			t.Fatal(err)
		}
		k := n.Anchor()
		a, err := anchor.Load(k)
		if round == 0 {
			a, err = anchor.Begin(k, fleet, rand.Reader)
		}
		if err != nil {
			t.Fatalf("round %d: the anchor is lost: %v", round, err)
		}
		if a.LastIndex != written && a.LastIndex != written+1 {
			t.Fatalf("round %d: the anchor is at %d, and the HSM had said that it is at %d", round, a.LastIndex, written)
		}
		written = a.LastIndex
		// At some point of some write: a kill that is always as late hits the same one.
		writes, later := uint64(1+random(20)), time.Duration(random(3000))*time.Microsecond
		for i := uint64(0); ; i++ {
			if i == writes {
				go func() {
					for began := time.Now(); time.Since(began) < later; {
					}
					_ = syscall.Kill(p.PID(), syscall.SIGKILL)
				}()
			}
			a.Term, a.LastTerm, a.LastIndex, a.Head = 1, 1, written+1, [32]byte{1}
			if k.Write(a.Encode()) != nil {
				break
			}
			written++
		}
		_ = n.Close()
		_ = p.Stop() // it was killed, and says so
	}
	t.Logf("%d kills, %d anchors written, none lost", rounds, written)
}
