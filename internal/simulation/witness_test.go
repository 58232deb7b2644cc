package simulation

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/witness"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/simdisk"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

const rounds = 5

// watched is a witness of a log that grows.
type watched struct {
	log    *testfleet.Witnesses
	key    *auditlog.Verifier
	o      witness.Options
	signer *witness.Signer
	roots  map[uint64][32]byte // what the key has signed, by size
	begun  bool
	done   int // rounds
}

func newWitness(t testing.TB, d *simdisk.Disk) follower {
	f := testfleet.Prepared(t, testfleet.Options{HSMs: 1, Witnesses: 1})
	w := &watched{log: f.Parties.Log.(*testfleet.Witnesses), roots: map[uint64][32]byte{}}
	w.log.At = func(int) time.Time { return time.Time{} } // the log's own witnesses sleep
	var err error
	if w.key, err = auditlog.ParseVKey(w.log.VKey()); err != nil {
		t.Fatal(err)
	}
	seed := sha256.Sum256([]byte("the key of a witness"))
	priv := ed25519.NewKeyFromSeed(seed[:])
	public, err := keys.FromEd25519(priv.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	w.signer, err = witness.NewSigner("witness.example", public, func(msg []byte) ([]byte, error) {
		return ed25519.Sign(priv, msg), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.o = witness.Options{State: d.Path("witness"), Logs: []*auditlog.Verifier{w.key}, Now: func() time.Time { return time.Unix(1772442000, 0) }}
	return w
}

func (w *watched) act() func() error {
	if w.done == rounds {
		return nil
	}
	return func() error {
		if !w.begun {
			o := w.o
			o.First = true
			_, err := witness.Open(w.signer, o)
			w.begun = err == nil
			return err
		}
		x, err := witness.Open(w.signer, w.o)
		if err != nil {
			return err
		}
		_, last, err := x.Last(w.key.Name())
		if err != nil {
			return err
		}
		r, err := request(w.log, last)
		if err != nil {
			return err
		}
		sign := w.signer.Sign
		w.signer.Sign = func(msg []byte) ([]byte, error) {
			w.roots[r.Checkpoint.Size] = r.Checkpoint.Root
			return sign(msg)
		}
		defer func() { w.signer.Sign = sign }()
		if _, err := x.Cosign(r); err != nil {
			return err
		}
		w.done++
		_, err = w.log.Append(fmt.Appendf(nil, "entry of round %d", w.done))
		return err
	}
}

func request(l *testfleet.Witnesses, old uint64) (*auditlog.Request, error) {
	text, err := l.Continue(int64(old))
	if err != nil {
		return nil, err
	}
	return auditlog.ParseRequest("request", text)
}

// end asks for what another history would need: a cosignature of a log that goes
// another way from before the last tree that was cosigned.
func (w *watched) end() error {
	x, err := witness.Open(w.signer, w.o)
	if err != nil {
		return err
	}
	_, last, err := x.Last(w.key.Name())
	if err != nil {
		return err
	}
	for size := range w.roots {
		if last < size {
			return fmt.Errorf("lost: the witness has cosigned a tree of %d entries and knows of %d", size, last)
		}
	}
	for size := uint64(1); size < last; size++ {
		other := w.log.Copy(int64(size))
		for range last - size + 1 {
			if _, err := other.Append([]byte("of another history")); err != nil {
				return err
			}
		}
		for _, old := range []uint64{size, last} {
			r, err := request(other, old)
			if err != nil {
				return err
			}
			_, err = x.Cosign(r)
			if refused := (*witness.Refusal)(nil); !errors.As(err, &refused) {
				return fmt.Errorf("fork: a history that left the log's at %d is cosigned, or %w", size, err)
			}
		}
	}
	return nil
}
