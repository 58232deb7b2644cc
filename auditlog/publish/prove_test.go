//go:build unix

package publish

import (
	"errors"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/witness"
)

// cosign adds a witness's cosignature to a checkpoint, whatever its record says.
func cosign(tb testing.TB, c *auditlog.Checkpoint, name string) *auditlog.Checkpoint {
	tb.Helper()
	v := must(auditlog.NewVerifier(name, auditlog.Ed25519Cosignature, publicOf(name)))(tb)
	return c.With(must(c.Cosign(v, time.Unix(1_700_000_000, 0), signWith(keyOf(name))))(tb))
}

func TestTheLargestCheckpointThatSatisfiesThePolicyIsChosen(t *testing.T) {
	l := newLog(t)
	var at []*auditlog.Checkpoint // of size 1, 2, 3
	for _, id := range []string{"c.1", "c.2", "c.3"} {
		l.mustAppend(t, id)
		at = append(at, must(l.reader.Checkpoint())(t))
	}
	w1, w2 := newWitness(t, l, "w1"), newWitness(t, l, "w2")
	both, none := policy(t, l, 2, "", w1, w2), must(auditlog.ParsePolicy("policy", []byte("log "+l.VKey()+"\nquorum none\n")))(t)
	by := func(n int, names ...string) *auditlog.Checkpoint {
		c := at[n-1]
		for _, name := range names {
			c = cosign(t, c, name)
		}
		return c
	}
	unsigned := *by(3, "w1", "w2")
	unsigned.Signatures = unsigned.Signatures[1:]
	for name, c := range map[string]struct {
		policy *auditlog.Policy
		index  uint64
		list   []*auditlog.Checkpoint
		want   uint64 // its size; 0: none
	}{
		"the largest":                       {both, 0, []*auditlog.Checkpoint{by(1, "w1", "w2"), by(3, "w1", "w2"), by(2, "w1", "w2")}, 3},
		"an older one has the quorum":       {both, 0, []*auditlog.Checkpoint{by(3, "w1"), by(2, "w2", "w1"), by(1, "w1", "w2")}, 2},
		"cosigners of two don't add up":     {both, 0, []*auditlog.Checkpoint{by(3, "w1"), by(2, "w2")}, 0},
		"the entry is newer":                {both, 2, []*auditlog.Checkpoint{by(3, "w1"), by(2, "w1", "w2")}, 0},
		"the entry is its last":             {both, 1, []*auditlog.Checkpoint{by(3, "w1"), by(2, "w1", "w2")}, 2},
		"a witness that the policy has not": {both, 0, []*auditlog.Checkpoint{by(3, "w1", "w3")}, 0},
		"the log did not sign it":           {both, 0, []*auditlog.Checkpoint{&unsigned}, 0},
		"none is demanded":                  {none, 0, []*auditlog.Checkpoint{by(2, "w1"), by(3)}, 3},
		"there is none":                     {none, 0, nil, 0},
	} {
		got := uint64(0)
		if best := choose(c.policy, c.list, c.index); best != nil {
			got = best.Size
		}
		if got != c.want {
			t.Errorf("%s: chosen is the checkpoint of size %d, want %d", name, got, c.want)
		}
	}
}

func TestTooFewWitnessesLeaveTheEntryLoggedAndTheNextRunFinishes(t *testing.T) {
	l := newLog(t)
	e := l.mustAppend(t, "c.1")
	up, down, file := newWitness(t, l, "up"), newWitness(t, l, "down"), newWitness(t, l, "file")
	down.stop()
	p := policy(t, l, 2, "file", up, down, file)
	s := wantShort(t, second(e.Prove(t.Context(), Witnessing{Policy: p})), "logged, not yet witnessed: entry 0, 1 of 3 witnesses cosigned the checkpoint of size 1, missing down, file")
	if len(s.Cosigned) != 1 || s.Cosigned[0].Name != "up" || !s.Cosigned[0].Time.Equal(up.now) || s.Fork != nil || s.Renewal || s.Origin != origin {
		t.Errorf("%+v", s)
	}
	if !errors.Is(s.Missing[0].Err, witness.ErrUnreachable) || !errors.Is(s.Missing[1].Err, witness.ErrNoURL) {
		t.Errorf("%+v", s.Missing)
	}
	// The cosignature that came was kept: with the one by file it is a quorum.
	up.stop()
	carried := file.byFile(t, l)
	c := must(e.Cosigned(p, "by-file", carried))(t)
	proof := must(e.Prove(t.Context(), Witnessing{Policy: p, Cosigned: []*auditlog.Checkpoint{c}}))(t)
	if in := must(e.Check(p, "proof", proof))(t); !in.Enough() || len(in.Witnesses) != 2 {
		t.Errorf("%+v", in)
	}
	// An entry that was witnessed stays proven when the log grows unwitnessed.
	later := l.mustAppend(t, "c.2")
	in := must(e.Check(p, "proof", must(e.Prove(t.Context(), Witnessing{Policy: p}))(t)))(t)
	if in.Size != 1 || !in.Enough() {
		t.Errorf("%+v", in)
	}
	wantShort(t, second(later.Prove(t.Context(), Witnessing{Policy: p})), "entry 1, 0 of 3")
	// Without a policy the log's own signature is enough.
	if in := must(later.Check(p, "proof", must(later.Prove(t.Context(), Witnessing{}))(t)))(t); in.Size != 2 || in.Enough() {
		t.Errorf("%+v", in)
	}
}

func second[T any](_ T, err error) error { return err }

func TestACheckpointByFileIsOfThisLogAndOfThePolicysKeys(t *testing.T) {
	l := newLog(t)
	e := l.mustAppend(t, "c.1")
	w := newWitness(t, l, "w1")
	p := policy(t, l, 1, "", w)
	good := w.byFile(t, l)
	must(e.Cosigned(p, "good", good))(t)
	_, err := e.Cosigned(p, "junk", []byte("junk"))
	wantRefusal(t, err, "junk")
	forged := []byte(string(good))
	forged[len(origin)+1] ^= 1 // the size
	wantRefusal(t, second(e.Cosigned(p, "forged", forged)), "forged")
	// A policy may pin two logs; a checkpoint of the other one proves nothing here.
	other := must(auditlog.ParsePolicy("policy", []byte("log "+l.VKey()+"\nlog "+otherVKey(t)+"\nquorum none\n")))(t)
	c := must(auditlog.ParseTreeHead("other", []byte("other.example\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")))(t)
	wantRefusal(t, second(e.Cosigned(other, "other", signedBy(t, c, "other.example").Marshal())), "is a checkpoint of other.example, this is "+origin)
}

func TestAWitnessThatSawAnotherHistoryIsReported(t *testing.T) {
	l := newLog(t)
	l.mustAppend(t, "c.1")
	fork := l.fork(t)
	w := newWitness(t, l, "w1")
	p := policy(t, l, 1, "", w)
	e := l.mustAppend(t, "c.2")
	must(e.Prove(t.Context(), Witnessing{Policy: p}))(t)

	e = fork.mustAppend(t, "c.3")
	var told []string
	alarm := func(a witness.Answer) { told = append(told, a.Name) }
	s := wantShort(t, second(e.Prove(t.Context(), Witnessing{Policy: p, Alarm: alarm})), "0 of 1 witnesses")
	if !errors.Is(s.Fork, witness.ErrFork) || len(told) != 1 {
		t.Errorf("%v, told %q", s.Fork, told)
	}
	// It is told also where others make the quorum.
	w2 := newWitness(t, fork, "w2")
	told = nil
	must(e.Prove(t.Context(), Witnessing{Policy: policy(t, l, 1, "", w, w2), Alarm: alarm}))(t)
	if len(told) != 1 || told[0] != "w1" {
		t.Errorf("told %q", told)
	}
}

func TestARenewedProofHasANewerQuorum(t *testing.T) {
	l := newLog(t)
	e := l.mustAppend(t, "c.1")
	w1, w2 := newWitness(t, l, "w1"), newWitness(t, l, "w2")
	p := policy(t, l, 2, "", w1, w2)
	first := must(e.Prove(t.Context(), Witnessing{Policy: p}))(t)
	if _, err := e.Renew(p).Prove(t.Context(), Witnessing{}); err == nil {
		t.Error("a proof that nobody has is renewed")
	}
	r := e.Renew(p)
	wantRefusal(t, r.Known("junk", []byte("junk")), "junk")
	check(t, r.Known("first", first))
	var same *NotNewer
	if err := second(r.Prove(t.Context(), Witnessing{})); !errors.As(err, &same) || err.Error() != "first: is the newest: the new proof's quorum (2023-11-14T22:13:20Z, size 1) is not newer than its own (2023-11-14T22:13:20Z, size 1)" {
		t.Errorf("%T %v", err, err)
	}
	// One of two is newer: the quorum is not.
	w1.now = w1.now.Add(time.Hour)
	if err := second(r.Prove(t.Context(), Witnessing{})); !errors.As(err, &same) {
		t.Errorf("%T %v", err, err)
	}
	w2.now = w2.now.Add(time.Hour)
	fresh := must(r.Prove(t.Context(), Witnessing{}))(t)
	in := must(e.Check(p, "fresh", fresh))(t)
	if !in.NewestQuorumTime.Equal(w1.now) {
		t.Errorf("%+v", in)
	}
	w1.stop()
	w2.stop()
	if s := wantShort(t, second(r.Prove(t.Context(), Witnessing{})), "no newer cosignature: entry 0, 2 of 2 witnesses cosigned the checkpoint of size 1"); !s.Renewal {
		t.Errorf("%+v", s)
	}
}
