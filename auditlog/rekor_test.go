package auditlog

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testrekor"
)

var rekorBundle = []byte("{\"format\": \"a bundle, for all that Rekor knows\"}\n")

func publicOf(tb testing.TB, k *ecdsa.PrivateKey) *keys.Public {
	tb.Helper()
	der, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		tb.Fatal(err)
	}
	p, err := keys.ParseSPKI(der)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func pinRekor(tb testing.TB, l *testrekor.Log) *RekorLog {
	tb.Helper()
	pinned, err := NewRekorLog(l.Version, l.Host, l.PEM())
	if err != nil {
		tb.Fatal(err)
	}
	return pinned
}

// rekorWorld is a log, an entry of rekorBundle in it, and what pins both.
type rekorWorld struct {
	log        *testrekor.Log
	pinned     *RekorLog
	entry      testrekor.Entry
	submitters []*keys.Public
}

func newRekorWorld(tb testing.TB, version int) *rekorWorld {
	tb.Helper()
	l := testrekor.New(version, "rekor.test")
	w := &rekorWorld{log: l, pinned: pinRekor(tb, l), entry: l.Append(rekorBundle, testrekor.Submitter("us"))}
	w.submitters = []*keys.Public{publicOf(tb, testrekor.Submitter("another of ours")), publicOf(tb, testrekor.Submitter("us"))}
	return w
}

// verify is what a verifier does with a file.
func (w *rekorWorld) verify(tb testing.TB, file []byte) (*RekorInclusion, error) {
	tb.Helper()
	e, err := ParseRekorEntry("f.rekor.json", file)
	if err != nil {
		wantStrict(tb, err, "")
		if e != nil {
			tb.Fatal("there is an entry beside the error")
		}
		return nil, err
	}
	if !bytes.Equal(e.Marshal(), file) {
		tb.Fatalf("parsed, but marshals to other bytes:\n%s\n%s", file, e.Marshal())
	}
	in, err := w.pinned.Verify(rekorBundle, e, w.submitters, nil)
	if err != nil {
		wantStrict(tb, err, "f.rekor.json")
		if in != nil {
			tb.Fatal("there is a result beside the error")
		}
	}
	return in, err
}

func bothVersions(t *testing.T, test func(t *testing.T, w *rekorWorld)) {
	for _, version := range []int{RekorV1, RekorV2} {
		t.Run(fmt.Sprintf("v%d", version), func(t *testing.T) { test(t, newRekorWorld(t, version)) })
	}
}

func TestRekorEntryIsVerified(t *testing.T) {
	bothVersions(t, func(t *testing.T, w *rekorWorld) {
		in, err := w.verify(t, w.entry.File())
		if err != nil {
			t.Fatal(err)
		}
		if in.Origin != w.log.Origin() || in.Index != 3 || in.TreeIndex != 3 || in.Size != 4 || in.Submitter != w.submitters[1] {
			t.Errorf("%+v", in)
		}
		if v1 := w.log.Version == RekorV1; v1 != in.Integrated.Equal(w.log.Now) {
			t.Errorf("integrated at %v", in.Integrated)
		}
		// The first entry of a log has a path without hashes.
		first := &testrekor.Log{}
		*first = *testrekor.New(w.log.Version, "rekor.test")
		for i := range 9 {
			first.Add([]byte{byte(i)})
		}
		e := first.Append(rekorBundle, testrekor.Submitter("us"))
		for i := range 5 {
			first.Add([]byte{byte(i)})
		}
		grown := first.Entry(e.Envelope, e.Body, e.Inclusion.Index)
		if in, err := w.verify(t, grown.File()); err != nil || in.Size != 18 {
			t.Errorf("in a grown tree: %v %+v", err, in)
		}
	})
}

func TestRekorCheckpointMayBeCosigned(t *testing.T) {
	witnesses := testPolicy(t, "witness one "+w1.vkey()+"\nwitness three "+w3.vkey()+"\ngroup both all one three\nquorum both\n")
	bothVersions(t, func(t *testing.T, w *rekorWorld) {
		c, err := ParseRekorCheckpoint("", w.log.Version, []byte(w.entry.Checkpoint))
		if err != nil {
			t.Fatal(err)
		}
		w1.sign(c, 1000)
		w3.sign(c, 2000)
		c.Signatures = append(c.Signatures, Signature{Name: "x.example", Raw: []byte("of a key that nobody pins")})
		e := w.entry
		e.Checkpoint = string(c.Marshal())
		if _, err := w.verify(t, e.File()); err != nil {
			t.Fatal(err)
		}
		parsed, err := ParseRekorEntry("f", e.File())
		if err != nil {
			t.Fatal(err)
		}
		in, err := w.pinned.Verify(rekorBundle, parsed, w.submitters, witnesses)
		if err != nil || !in.Quorum || !in.QuorumTime.Equal(time.Unix(2000, 0)) {
			t.Errorf("%v, %+v", err, in)
		}
		c.Signatures[1].Raw[20] ^= 1
		e.Checkpoint = string(c.Marshal())
		parsed, err = ParseRekorEntry("f", e.File())
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.pinned.Verify(rekorBundle, parsed, w.submitters, witnesses)
		wantStrict(t, err, "signature of w1.example")
	})
}

func TestRekorLogIsPinned(t *testing.T) {
	v1, v2 := testrekor.New(1, "rekor.test"), testrekor.New(2, "rekor.test")
	b64 := base64.StdEncoding.EncodeToString
	for _, l := range []*testrekor.Log{v1, v2} {
		p := pinRekor(t, l)
		for name, key := range map[string]string{"PEM": l.PEM(), "base64": b64(l.SPKI()), "vkey": p.VKey()} {
			again, err := NewRekorLog(l.Version, l.Host, key)
			if err != nil || again.VKey() != p.VKey() || again.Version() != l.Version || again.Origin() != l.Host || !again.SameKey(l.PEM()) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if p.SameKey(testrekor.New(l.Version, "other").PEM()) || p.SameKey("") {
			t.Error("another key is the same")
		}
	}
	for name, c := range map[string]struct {
		version          int
		origin, key, say string
	}{
		"version 3":         {3, "rekor.test", v1.PEM(), "known are 1 and 2"},
		"tree in version 2": {2, "rekor.test - 1", v2.PEM(), "only version 1 has"},
		"tree no number":    {1, "rekor.test - x1", v1.PEM(), "is no number"},
		"no origin":         {1, "", v1.PEM(), "name is empty"},
		"Ed25519 in v1":     {1, "rekor.test", v2.PEM(), "signs with ECDSA"},
		"no key":            {1, "rekor.test", "", "is no vkey and no public key"},
		"two keys":          {1, "rekor.test", v1.PEM() + v1.PEM(), "no single PEM block"},
		"another's vkey":    {2, "rekor.test", logKey.vkey(), "the origin is"},
		"a witness's key":   {2, w1.name, w1.vkey(), "has type 0x04"},
		"vkey spoilt":       {2, testOrigin, strings.Replace(logKey.vkey(), "+", "+0", 1), "the key hash"},
	} {
		if l, err := NewRekorLog(c.version, c.origin, c.key); err == nil || l != nil || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: %v, want %q", name, err, c.say)
		}
	}
}

func TestRekorTreeMayBePinned(t *testing.T) {
	w := newRekorWorld(t, RekorV1)
	for origin, ok := range map[string]bool{
		w.log.Origin(): true, "rekor.test": true, "rekor.test - 1": false,
	} {
		p, err := NewRekorLog(1, origin, w.log.PEM())
		if err != nil {
			t.Fatal(err)
		}
		w.pinned = p
		if _, err := w.verify(t, w.entry.File()); (err == nil) != ok {
			t.Errorf("pinned as %q: %v", origin, err)
		}
	}
}
