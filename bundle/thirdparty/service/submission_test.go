package service

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// submitTo posts an epoch's digest as an owner does.
func submitTo(t *testing.T, c *http.Client, url, namespace string, body string) (int, string, http.Header) {
	t.Helper()
	resp, err := c.Post(url+"/namespaces/"+namespace+"/audits", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text := string(must(io.ReadAll(resp.Body)))
	if !json.Valid([]byte(text)) {
		t.Errorf("it answers %q", text)
	}
	return resp.StatusCode, text, resp.Header
}

func bare(epoch uint64, digest [32]byte) string {
	return fmt.Sprintf(`{"epoch": %d, "digest": "%x"}`, epoch, digest)
}

// counts says how many requests and digests have to wait.
func counts(t *testing.T, q *Queue, requests, digests int) {
	t.Helper()
	if r, d, err := q.Count(); r != requests || d != digests || err != nil {
		t.Errorf("%d requests and %d digests wait, not %d and %d: %v", r, d, requests, digests, err)
	}
}

func TestADigestWaitsForItsRequestAndIsAnsweredOnceThatIsSigned(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToRequest})
	q := queue(t, f)
	var told bytes.Buffer
	q.Log = slog.New(slog.NewTextHandler(&told, nil))
	url, good, bad := mtls(t, q, f)
	digest := f.Request.Core.KeySet.Digest()
	if resp, err := bad.Post(url+"/namespaces/"+ns+"/audits", "", strings.NewReader(bare(1, digest))); err == nil {
		resp.Body.Close()
		t.Error("a stranger's certificate is taken")
	}
	if list := must(List(q.Dir)); len(list) != 0 {
		t.Errorf("%+v", list)
	}
	ledger := must(os.ReadFile(f.Parties.Ledger))
	for range 2 {
		code, body, h := submitTo(t, good, url, ns, bare(1, digest))
		if code != 202 || !strings.Contains(body, `"status":"waiting for its request"`) || h.Get("Retry-After") != "60" {
			t.Errorf("%d %s %v", code, body, h)
		}
	}
	counts(t, q, 0, 1)
	list := must(List(q.Dir))
	if len(list) != 1 || !list[0].Bare || list[0].Digest != digest || list[0].Epoch != 1 || list[0].Fault != "" {
		t.Fatalf("%+v", list)
	}
	// The other digest comes too late. A request for another artifact is a request: it
	// waits beside the digest, and both say so.
	elsewhere := testfleet.New(t, testfleet.Options{Name: "elsewhere", To: testfleet.ToRequest})
	if code, body, _ := submitTo(t, good, url, ns, bare(1, [32]byte{1})); code != 409 || !strings.Contains(body, "another digest waits for this epoch") {
		t.Errorf("%d %s", code, body)
	}
	other := elsewhere.Request.Core.KeySet.Digest()
	if code, body := post(t, good, url, bytes.NewReader(elsewhere.Request.Raw())); code != 201 || !strings.Contains(body, fmt.Sprintf(`"against":"%x"`, digest)) {
		t.Errorf("%d %s", code, body)
	}
	if both := must(List(q.Dir)); len(both) != 2 || both[0].Against != digest || both[0].Digest != other || both[1].Against != other || !both[1].Bare {
		t.Errorf("%+v", both)
	}
	if said := told.String(); !strings.Contains(said, fmt.Sprintf("a request and a digest of one epoch contradict each other\" from=\"CN=operator\" epoch=1 digest=%x submitted=%x", other, digest)) {
		t.Errorf("the log says %s", said)
	}
	if code, body, _ := submitTo(t, good, url, ns, bare(1, digest)); code != 409 || !strings.Contains(body, "another digest waits for this epoch") {
		t.Errorf("the digest again: %d %s", code, body)
	}
	must(0, os.Remove(q.place(ns, 1, queued))) // a person rejects it
	// Its request comes: now a person is waited for.
	if code, body := post(t, good, url, bytes.NewReader(f.Request.Raw())); code != 201 {
		t.Errorf("%d %s", code, body)
	}
	if code, body, _ := submitTo(t, good, url, ns, bare(1, digest)); code != 202 || !strings.Contains(body, `"status":"waiting for a person"`) {
		t.Errorf("%d %s", code, body)
	}
	if list := must(List(q.Dir)); len(list) != 1 || list[0].Bare {
		t.Errorf("%+v", list)
	}
	if !bytes.Equal(ledger, must(os.ReadFile(f.Parties.Ledger))) {
		t.Error("the ledger grew without a person")
	}
	if resp := must(good.Get(url + "/namespaces/" + ns + "/audits/1")); resp.StatusCode != 404 {
		t.Errorf("before it is signed: %s", resp.Status)
	}
	counts(t, q, 1, 0)
	r := must(f.Answer(f.Request, f.Now()))
	code, body, _ := submitTo(t, good, url, ns, bare(1, digest))
	if code != 200 || body != string(r.Statement.Raw()) {
		t.Errorf("%d %s", code, body)
	}
	resp := must(good.Get(url + "/namespaces/" + ns + "/audits/1"))
	if got := must(io.ReadAll(resp.Body)); resp.StatusCode != 200 || !bytes.Equal(got, r.Statement.Raw()) {
		t.Errorf("%s: %s", resp.Status, got)
	}
	counts(t, q, 0, 0)
	if list := must(List(q.Dir)); len(list) != 0 {
		t.Errorf("what is signed still waits: %+v", list)
	}
	signed := must(ListSigned(q.Dir))
	if len(signed) != 2 || !signed[0].Signed.Equal(r.Statement.Time().Truncate(time.Second)) || signed[0].Digest != digest {
		t.Errorf("%+v", signed)
	}
	// The request that was signed is answered with its statement, another is refused.
	if code, body := post(t, good, url, bytes.NewReader(f.Request.Raw())); code != 200 || body != string(r.Statement.Raw()) {
		t.Errorf("%d %s", code, body)
	}
	if code, body := post(t, good, url, bytes.NewReader(elsewhere.Request.Raw())); code != 409 || !strings.Contains(body, "epoch 1 was signed with another digest: one epoch has one digest") {
		t.Errorf("%d %s", code, body)
	}
	if said := told.String(); strings.Count(said, "level=WARN msg=\"a request contradicts the ledger\"") != 1 {
		t.Errorf("the log says %s", said)
	}
	counts(t, q, 0, 0)
	// What was signed stands: no second digest, no digest twice, nothing before it.
	for body, want := range map[string]string{
		bare(1, [32]byte{1}): "epoch 1 was signed with another digest: one epoch has one digest",
		bare(2, digest):      "the digest was signed as epoch 1: no digest recurs",
	} {
		if code, got, _ := submitTo(t, good, url, ns, body); code != 409 || !strings.Contains(got, want) {
			t.Errorf("%s: %d %s", body, code, got)
		}
	}
	if code, _, _ := submitTo(t, good, url, ns, bare(2, [32]byte{2})); code != 202 {
		t.Errorf("the next epoch: %d", code)
	}
}

func TestASubmissionIsReadStrictly(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToRequest})
	q := queue(t, f)
	q.Most = 1
	url, good, _ := mtls(t, q, f)
	digest := f.Request.Core.KeySet.Digest()
	for _, c := range []struct {
		namespace, body string
		code            int
		want            string
	}{
		{"other", bare(1, digest), 404, "there is none"},
		{ns, "", 400, "JSON"},
		{ns, "<html>", 400, "is not JSON"},
		{ns, bare(0, digest), 400, "epoch 0 is not between"},
		{ns, `{"epoch": 1}`, 400, "digest is missing"},
		{ns, `{"epoch": 1, "digest": "11"}`, 400, "digest"},
		{ns, strings.ToUpper(bare(1, digest)), 400, "EPOCH is not a field"},
		{ns, strings.Replace(bare(1, digest), "}", `, "epoch": 1}`, 1), 400, `has \"epoch\" twice`},
		{ns, strings.Replace(bare(1, digest), "}", `, "sign": true}`, 1), 400, "sign is not a field"},
		{ns, strings.Repeat(" ", maxSubmission) + bare(1, digest), 413, "at most 1024 bytes"},
		{ns, bare(1, digest), 202, "waiting for its request"},
		{ns, bare(2, [32]byte{2}), 503, "too many requests wait already"},
	} {
		if code, body, _ := submitTo(t, good, url, c.namespace, c.body); code != c.code || !strings.Contains(body, c.want) {
			t.Errorf("%.60q: %d %s", c.body, code, body)
		}
	}
	if code, body := post(t, good, url, bytes.NewReader(f.Request.Raw())); code != 201 {
		t.Errorf("digests that wait keep a request out: %d %s", code, body)
	}
	// What lies in the queue is read as it was written, and what isn't so is told.
	must(0, os.WriteFile(q.place(ns, 1, submitted), []byte("{}"), 0o600))
	if list := must(List(q.Dir)); len(list) != 2 || !strings.Contains(list[1].Fault, "format") {
		t.Errorf("%+v", list)
	}
	if code, _, _ := submitTo(t, good, url, ns, bare(1, digest)); code != 409 {
		t.Errorf("%d", code)
	}
}

func TestADigestAloneKeepsNoRequestOut(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToRequest})
	for range 20 {
		q := queue(t, f)
		var taken [2]error
		var wg sync.WaitGroup
		wg.Go(func() { _, _, taken[0] = q.Put(f.Request.Raw()) })
		wg.Go(func() { _, taken[1] = q.keep(&submission{submissionFormat, ns, 1, [32]byte{1}}) })
		wg.Wait()
		list := must(List(q.Dir))
		if taken[0] != nil || errors.Is(taken[1], errTaken) != (len(list) == 1) || len(list) == 2 && list[0].Against != list[1].Digest {
			t.Fatalf("%v, and %d wait", taken, len(list))
		}
	}
	// Nor does one that can't be read any more.
	q := queue(t, f)
	must(0, os.WriteFile(q.place(ns, 1, submitted), []byte("{}"), 0o600))
	if _, w, err := q.Put(f.Request.Raw()); err != nil || w.Against != [32]byte{} {
		t.Error(err)
	}
}

func TestANamespaceThatBeginsWithADotIsListed(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToRequest})
	q := queue(t, f)
	for _, namespace := range []string{".hidden", "..", ".fleetctl-x"} {
		if _, err := q.keep(&submission{submissionFormat, namespace, 1, [32]byte{1}}); err != nil {
			t.Fatal(err)
		}
	}
	list := must(List(q.Dir))
	counts(t, q, 0, 3)
	if len(list) != 3 || list[0].Namespace != ".." || list[2].Namespace != ".hidden" {
		t.Errorf("%+v", list)
	}
}

func FuzzSubmission(f *testing.F) {
	f.Add([]byte(bare(1, [32]byte{7})))
	f.Add([]byte(`{"format": "` + submissionFormat + `", "namespace": "a", "epoch": 1, "digest": "` + strings.Repeat("11", 32) + `"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if x, err := parseSubmission("f", data); (x == nil) == (err == nil) {
			t.Fatalf("%+v, %v", x, err)
		}
		x, err := parsePosted("example.ns", data)
		if err != nil {
			if x != nil {
				t.Fatal("a submission came with the error")
			}
			return
		}
		if x.Epoch == 0 || x.Namespace != "example.ns" {
			t.Fatalf("%+v", x)
		}
	})
}
