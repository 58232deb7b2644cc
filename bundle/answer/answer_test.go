package answer

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/device"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/testvectors"
)

var now = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

// node is a server on files that a test changes, with bundles of the vectors of a
// device's check.
type node struct {
	*Server
	t     testing.TB
	dir   string
	state string
	now   time.Time
}

func newNode(t testing.TB) *node { return &node{t: t, dir: t.TempDir(), now: now} }

// shared is a file that the vectors of a device's check share.
func shared(t testing.TB, name string) []byte { return testvectors.Data(t, "device", "_files", name) }

func (n *node) put(name, proof string) {
	n.t.Helper()
	err := errors.Join(os.WriteFile(filepath.Join(n.dir, "bundle"), shared(n.t, name+".json"), 0o600), os.WriteFile(filepath.Join(n.dir, "proof"), shared(n.t, proof+".tlog-proof"), 0o600))
	if err != nil {
		n.t.Fatalf("%s, %s: %v", name, proof, err)
	}
}

func (n *node) policy() *device.Policy {
	p, err := device.ParsePolicy("policy", shared(n.t, "policy.policy.json"))
	if err != nil {
		n.t.Fatal(err)
	}
	return p
}

func (n *node) start() error {
	s, err := New(filepath.Join(n.dir, "bundle"), filepath.Join(n.dir, "proof"), n.state, n.policy(), func() time.Time { return n.now })
	n.Server = s
	return err
}

func (n *node) get(method, path string, header ...string) (*http.Response, []byte) {
	r := httptest.NewRequest(method, "http://node"+path, nil)
	if len(header) == 2 {
		r.Header.Set(header[0], header[1])
	}
	w := httptest.NewRecorder()
	n.ServeHTTP(w, r)
	body, _ := io.ReadAll(w.Result().Body)
	return w.Result(), body
}

func (n *node) index() (x index) {
	n.t.Helper()
	_, text := n.get("GET", WellKnown)
	if err := strict.DecodeJSON("index", text, 1024, &x); err != nil {
		n.t.Fatal(err)
	}
	return x
}

func path(d [32]byte) string { return fmt.Sprintf("%s%x", ByDigest, d) }

func TestADeviceTakesWhatANodeHandsOut(t *testing.T) {
	n := newNode(t)
	n.put("epoch-1", "epoch-1")
	if err := n.start(); err != nil {
		t.Fatal(err)
	}
	x := n.index()
	if x.Format != indexFormat || x.Epoch != 1 || x.Fleet != "backup-2026a" || n.Healthy() != nil || n.Age() != 0 {
		t.Errorf("%+v, %v", x, n.Healthy())
	}
	resp, b := n.get("GET", path(x.Bundle.SHA256))
	_, p := n.get("GET", path(x.Proof.SHA256))
	if resp.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" || resp.Header.Get("Content-Type") != "application/json" || len(b) != x.Bundle.Bytes || sha256.Sum256(p) != x.Proof.SHA256 {
		t.Errorf("%v", resp.Header)
	}
	if _, err := device.Judge(b, p, n.policy(), nil, now); err != nil {
		t.Error(err)
	}
	for _, at := range []string{WellKnown, path(x.Bundle.SHA256)} {
		resp, whole := n.get("GET", at)
		if head, body := n.get("HEAD", at); head.StatusCode != 200 || len(body) != 0 || head.Header.Get("Content-Length") != fmt.Sprint(len(whole)) {
			t.Errorf("HEAD %s: %d %v", at, head.StatusCode, head.Header)
		}
		if again, body := n.get("GET", at, "If-None-Match", resp.Header.Get("ETag")); again.StatusCode != http.StatusNotModified || len(body) != 0 {
			t.Errorf("%s, which a cache has: %d", at, again.StatusCode)
		}
		for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "x"} {
			if resp, _ := n.get(method, at); resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %d", method, at, resp.StatusCode)
			}
		}
	}
	if resp, _ := n.get("GET", WellKnown); resp.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("the index may be kept: %v", resp.Header)
	}
	digest := fmt.Sprintf("%x", x.Bundle.SHA256)
	for _, at := range []string{"/", ByDigest, ByDigest + digest[1:], ByDigest + digest + "/", ByDigest + strings.ToUpper(digest), ByDigest + strings.Repeat("0", 64), "/sha256/../bundle", "/bundle", "/.well-known/", WellKnown + "/x", strings.Replace(path(x.Bundle.SHA256), "sha256", "%73ha256", 1)} {
		if resp, body := n.get("GET", at); resp.StatusCode != 404 || bytes.Contains(body, []byte("format")) || resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("GET %s: %d", at, resp.StatusCode)
		}
	}
}

func TestANodeHandsOutNothingThatADeviceRefuses(t *testing.T) {
	for name, why := range map[string]bundle.Reason{"one-signer": bundle.ReasonSignatures, "no-json": bundle.ReasonMalformed, "rehearsal": bundle.ReasonNamespace} {
		n := newNode(t)
		n.put(name, name)
		var r *bundle.Refusal
		if err := n.start(); !errors.As(err, &r) || r.Reason != why || n.Server != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	n := newNode(t)
	n.put("too-large", "too-large")
	if err := n.start(); err == nil || !strings.Contains(err.Error(), "has more than the 65535 bytes") {
		t.Error(err)
	}
	if err := errors.Join(os.Remove(filepath.Join(n.dir, "bundle")), os.Mkdir(filepath.Join(n.dir, "bundle"), 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := n.start(); err == nil || !strings.Contains(err.Error(), "is no regular file") {
		t.Error(err)
	}
}

// A pipe that nobody writes to would hold whoever opens it for ever.
func TestANodeDoesNotWaitForAPipe(t *testing.T) {
	n := newNode(t)
	n.put("epoch-1", "epoch-1")
	if err := n.start(); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(n.dir, "proof")
	if err := os.Remove(pipe); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfifo", pipe).CombinedOutput(); err != nil {
		t.Skipf("%v %s", err, out)
	}
	if changed, err := n.Reread(); changed || err == nil || !strings.Contains(err.Error(), "is no regular file") {
		t.Error(changed, err)
	}
}

// A proof is refreshed while the node runs. Who read the index just before still
// gets what it named; what a device would refuse takes nothing's place.
func TestANewerAnswerTakesTheOldOnesPlace(t *testing.T) {
	n := newNode(t)
	n.put("epoch-1", "half-a-day-old")
	if err := n.start(); err != nil {
		t.Fatal(err)
	}
	reread := func(want bool, says string) {
		t.Helper()
		changed, err := n.Reread()
		if changed != want || (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%v, %v", changed, err)
		}
	}
	reread(false, "")
	first := n.index()
	n.put("epoch-1", "epoch-1")
	reread(true, "")
	second := n.index()
	if first.Proof == second.Proof || first.Bundle != second.Bundle {
		t.Errorf("%+v, %+v", first, second)
	}
	n.put("epoch-1", "one-witness")
	reread(false, "lacks a quorum")
	n.put("epoch-1", "epoch-2")
	reread(false, "does not show that these")
	n.put("second-epoch-1", "second-epoch-1")
	reread(false, "is a second artifact for epoch 1 of fleet backup-2026a: the signers equivocate")
	if n.index() != second {
		t.Error("what was refused is handed out")
	}
	n.put("epoch-2", "epoch-2")
	reread(true, "")
	if resp, _ := n.get("GET", path(first.Proof.SHA256)); resp.StatusCode != 200 {
		t.Errorf("what the index named a moment ago: %d", resp.StatusCode)
	}
	n.put("epoch-1", "epoch-1")
	reread(false, "epoch 2 was seen already")
	n.put("void-of-2", "void-of-2")
	reread(true, "")
	n.put("epoch-2", "epoch-2")
	reread(false, "which was declared void")
	n.put("epoch-1", "epoch-1") // whose keys are in force again
	reread(true, "")
	if resp, _ := n.get("GET", path(first.Proof.SHA256)); resp.StatusCode != 404 {
		t.Errorf("what is long gone: %d", resp.StatusCode)
	}
}

// What the node handed out, devices have seen: it judges what comes next as they do.
func TestWhatDevicesHaveSeenIsNotTakenBack(t *testing.T) {
	for what, x := range map[string]struct {
		seen []string
		next string
		says string
	}{
		"a void epoch":                          {[]string{"epoch-2", "void-of-2"}, "epoch-2", "which was declared void"},
		"a void epoch, once others are back":    {[]string{"epoch-2", "void-of-2", "epoch-1"}, "epoch-2", "which was declared void"},
		"before the epoch that a void followed": {[]string{"epoch-4-after-the-void"}, "epoch-1", "epoch 4 was seen already"},
		"an epoch after the fleet's retirement": {[]string{"epoch-2", "retirement"}, "epoch-4-after-the-retirement", "which was retired"},
		"an epoch with another past":            {[]string{"epoch-1"}, "epoch-2-of-the-second", "the signers equivocate"},
		"a fleet that another one replaced":     {[]string{"epoch-2", "another-fleet"}, "epoch-1", "epoch 2 was seen already"},
	} {
		n := newNode(t)
		for i, name := range x.seen {
			n.put(name, name)
			if i == 0 {
				if err := n.start(); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
			} else if changed, err := n.Reread(); !changed || err != nil {
				t.Fatalf("%s: %s: %v, %v", what, name, changed, err)
			}
		}
		before := n.index()
		n.put(x.next, x.next)
		if changed, err := n.Reread(); changed || err == nil || !strings.Contains(err.Error(), x.says) || n.index() != before {
			t.Errorf("%s: %v, %v", what, changed, err)
		}
	}
}

// Whoever asks for a node's health makes it verify nothing: once a minute is enough.
func TestHealthIsJudgedOnceAMinute(t *testing.T) {
	n := newNode(t)
	n.put("epoch-1", "half-a-day-old")
	if err := n.start(); err != nil || n.Healthy() != nil {
		t.Fatal(err)
	}
	judged := func() int64 {
		n.Healthy()
		n.Age()
		return n.judged.minute
	}
	first := judged()
	if allocs := testing.AllocsPerRun(20, func() { judged() }); allocs != 0 {
		t.Errorf("each question costs %.0f allocations: it is judged anew", allocs)
	}
	n.now = n.now.Add(time.Minute)
	if judged() != first+1 {
		t.Error("a minute later it isn't judged anew")
	}
	n.put("epoch-1", "epoch-1")
	before := n.judged.of
	if changed, err := n.Reread(); !changed || err != nil {
		t.Fatal(err)
	}
	if judged(); n.judged.of == before {
		t.Error("another proof is handed out, and its health is the old one's")
	}
}

// A node that is started again has forgotten nothing where it has a folder for it.
func TestANodeThatIsStartedAgainHandsOutNothingOlder(t *testing.T) {
	n := newNode(t)
	n.state = filepath.Join(n.dir, "state")
	n.put("epoch-2", "epoch-2")
	if err := n.start(); err != nil {
		t.Fatal(err)
	}
	n.put("epoch-1", "epoch-1")
	var r *bundle.Refusal
	if err := n.start(); !errors.As(err, &r) || r.Reason != bundle.ReasonEpoch {
		t.Errorf("the epoch before, after a new start: %v", err)
	}
	n.put("void-of-2", "void-of-2")
	if err := n.start(); err != nil {
		t.Fatal(err)
	}
	n.put("epoch-1", "epoch-1") // whose keys are in force again
	if changed, err := n.Reread(); !changed || err != nil {
		t.Error(changed, err)
	}
	n.put("epoch-2", "epoch-2")
	if err := n.start(); !errors.As(err, &r) || r.Reason != bundle.ReasonVoid {
		t.Errorf("an epoch that is void: %v", err)
	}
	// Another fleet has a state of its own, and one that is damaged is no state.
	n.put("another-fleet", "another-fleet")
	if err := n.start(); err != nil {
		t.Error(err)
	}
	n.put("epoch-1", "epoch-1")
	if err := os.WriteFile(filepath.Join(n.state, "backup-2026a.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := n.start(); !errors.As(err, &r) || r.Reason != device.ReasonState || n.Server != nil {
		t.Errorf("a damaged state: %v", err)
	}
}

func TestANodeIsIllOnceDevicesRefuseItsAnswer(t *testing.T) {
	n := newNode(t)
	n.put("epoch-1", "epoch-1")
	if err := n.start(); err != nil || n.Healthy() != nil {
		t.Fatal(err)
	}
	n.now = now.Add(25 * time.Hour)
	if err := n.Healthy(); err == nil || err.Error() != "devices refuse what is handed out, for the reason age" {
		t.Error(err)
	}
	if n.Age() != 25*time.Hour {
		t.Error(n.Age())
	}
	n.now = now.Add(-time.Hour)
	if err := n.Healthy(); err == nil || n.Age() != -1 {
		t.Error(err, n.Age())
	}
}
