//go:build unix

package monitor

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/rekor"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testrekor"
)

func TestMain(m *testing.M) { testrekor.Main(m) }

// reader is a judge that tells the entries of one submitter from all others.
type reader struct {
	counter
	version int
	keys    []*keys.Public
	found   *[]*auditlog.RekorLeaf
}

func (r *reader) Read(_ uint64, leaf []byte) any {
	return auditlog.ReadRekorLeaf(r.version, leaf, r.keys)
}

func (r *reader) Take(index uint64, made any) []Finding {
	r.counter.Take(index, false)
	if x := made.(*auditlog.RekorLeaf); x != nil {
		*r.found = append(*r.found, x)
	}
	return nil
}

// TestMonitorFollowsRealRekor: every entry of a real server is read, other
// people's among ours, and the tree over them has the root that was signed.
func TestMonitorFollowsRealRekor(t *testing.T) {
	eachVersion(t, func(t *testing.T, version int) {
		s := testrekor.Real(t, version)
		key, err := os.ReadFile(s.KeyFile)
		check(t, err)
		log, err := auditlog.NewRekorLog(version, s.Origin, string(key))
		check(t, err)
		c, err := rekor.New(log, rekor.Options{URL: s.URL})
		check(t, err)
		ours, theirs := newSubmitter(t), newSubmitter(t)
		add := func(who *submitter, what string) *rekor.Result {
			t.Helper()
			envelope := auditlog.NewRekorEnvelope([]byte(what), testrekor.LowS(who.private, auditlog.RekorMessage([]byte(what))))
			r, err := c.Append(context.Background(), []byte(what), envelope, who.public)
			check(t, err)
			return r
		}
		state := filepath.Join(t.TempDir(), "seen")
		var found []*auditlog.RekorLeaf
		pass := func(from uint64) *Seen {
			t.Helper()
			m, err := NewRekor(s.URL, nil, log, nil, from, func() Judge {
				r := &reader{counter: *newCounter(t), version: version, keys: []*keys.Public{ours.public}, found: &found}
				r.from = from
				return r
			}, Options{State: state, First: isFirst(state)})
			check(t, err)
			seen, alarms, err := m.Pass(context.Background())
			check(t, err)
			if len(alarms) > 0 {
				t.Fatalf("%+v", alarms)
			}
			return seen
		}
		add(theirs, "first")
		add(ours, "ours 0")
		first := pass(0)
		if first.Entries != first.Size || len(found) != 1 || !found[0].Of([]byte("ours 0")) {
			t.Fatalf("%+v, %d found", first, len(found))
		}
		// Entries of other kinds, made by other people's tools.
		foreign := 0
		if version == 1 {
			foreign = uploadForeign(t, s, ours)
		}
		for i := range 5 {
			add(theirs, fmt.Sprint("theirs ", i))
			add(ours, fmt.Sprint("ours ", i+1))
		}
		if seen := pass(0); seen.Entries != uint64(10+foreign) || len(found) != 6+foreign {
			t.Errorf("%+v, %d found", seen, len(found))
		}
		for i, x := range found[1+foreign:] {
			if !x.Of(fmt.Append(nil, "ours ", i+1)) {
				t.Errorf("%+v is not ours", x)
			}
		}
		if seen := pass(0); seen.Entries != 0 {
			t.Errorf("read again: %+v", seen)
		}
		// Begun in the middle.
		state = filepath.Join(t.TempDir(), "later")
		if seen := pass(first.Size); seen.Entries != uint64(10+foreign) {
			t.Errorf("begun at %d: %+v", first.Size, seen)
		}
		t.Logf("%d entries read, %d of them by our submitter, %d of other kinds", first.Size+uint64(10+foreign), 6+foreign, foreign)
	})
}

type submitter struct {
	private *ecdsa.PrivateKey
	public  *keys.Public
}

func newSubmitter(t *testing.T) *submitter {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	der, err := x509.MarshalPKIXPublicKey(k.Public())
	check(t, err)
	p, err := keys.ParseSPKI(der)
	check(t, err)
	return &submitter{k, p}
}

// uploadForeign has rekor-cli log entries of other kinds with our key, as
// whoever stole it would: none may be overlooked.
func uploadForeign(t *testing.T, s *testrekor.Server, who *submitter) int {
	t.Helper()
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		check(t, os.WriteFile(path, data, 0o600))
		return path
	}
	artifact := []byte("an artifact of " + dir)
	for _, kind := range []string{"hashedrekord", "rekord"} {
		cmd := exec.Command(s.CLI, "upload", "--rekor_server", s.URL, "--type", kind, "--pki-format", "x509",
			"--artifact", file("artifact", artifact), "--signature", file("sig", testrekor.LowS(who.private, artifact)),
			"--public-key", file("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: who.public.SPKI()})))
		cmd.Env = append(os.Environ(), "HOME="+dir)
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "Created entry") {
			t.Fatalf("rekor-cli upload %s: %v\n%s", kind, err, out)
		}
	}
	return 2
}
