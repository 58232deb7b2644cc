package simulation

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/history"
	"github.com/fleetctl/fleetctl/bundle/history/fetch"
	"github.com/fleetctl/fleetctl/bundle/history/saved"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/simdisk"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// saving saves what a live auditor says, checks it, and keeps a record.
type saving struct {
	t                      testing.TB
	file, record, evidence string
	key                    ed25519.PrivateKey
	newest                 uint64
	rewritten              bool            // epoch 2, by the auditor
	saved                  map[string]bool // statements that somebody was told are saved
	recorded               map[string]bool // those that a run was told are on the record
	conflict               []string        // files of what can't both be honest
	done                   int
}

func newHistory(t testing.TB, d *simdisk.Disk) follower {
	seed := sha256.Sum256([]byte("the key of an auditor"))
	return &saving{
		t: t, file: d.Path("saved.jsonl"), record: d.Path("seen"), evidence: d.Path("seen.evidence"),
		key: ed25519.NewKeyFromSeed(seed[:]), newest: 3, saved: map[string]bool{}, recorded: map[string]bool{},
	}
}

// statement is what the auditor says of an epoch.
func (h *saving) statement(epoch uint64) []byte {
	what := fmt.Sprintf("artifact %d", epoch)
	if h.rewritten && epoch == 2 {
		what = "another artifact 2"
	}
	s, err := bundle.NewStatement(bundle.Protobuf, testfleet.Namespace, 1772442000000+epoch, epoch, sha256.Sum256([]byte(what)))
	if err != nil {
		h.t.Fatal(err)
	}
	return s.Encode([64]byte(ed25519.Sign(h.key, s.Message())))
}

// RoundTrip answers as the auditor does.
func (h *saving) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := func(code int, body []byte) (*http.Response, error) {
		return &http.Response{StatusCode: code, Body: io.NopCloser(bytes.NewReader(body)), Header: http.Header{"Content-Type": {"application/json"}}, Request: r}, nil
	}
	base := "/namespaces/" + testfleet.Namespace
	var epoch uint64
	if r.URL.Path == base {
		return answer(http.StatusOK, fmt.Appendf(nil, `{"name":%q,"root":"1/00","last_verified_epoch":%d,"status":"Online"}`, testfleet.Namespace, h.newest))
	}
	if n, _ := fmt.Sscanf(strings.TrimPrefix(r.URL.Path, base), "/audits/%d", &epoch); n == 1 && epoch <= h.newest {
		return answer(http.StatusOK, h.statement(epoch))
	}
	return answer(http.StatusNotFound, nil)
}

func (h *saving) act() func() error {
	if h.done == rounds {
		return nil
	}
	return h.run
}

// client asks the auditor.
func (h *saving) client() (*fetch.Client, error) {
	c, err := fetch.New("https://auditor.example", testfleet.Namespace, "test", 1000)
	if err == nil {
		c.HTTP = &http.Client{Transport: h}
		c.Wait = func(context.Context, time.Duration) error { return nil }
	}
	return c, err
}

// tell is what somebody is told who sees a run succeed: all is saved, and on the record.
// Of two statements of an epoch the record has the first, the evidence both.
func (h *saving) tell() {
	for epoch := uint64(1); epoch <= h.newest; epoch++ {
		h.saved[string(h.statement(epoch))] = true
		if epoch != 2 || !h.rewritten {
			h.recorded[string(h.statement(epoch))] = true
		}
	}
}

// run is the command history --url --save --record, once.
func (h *saving) run() error {
	c, err := h.client()
	if err != nil {
		return err
	}
	again, err := c.Save(context.Background(), h.file, fetch.Options{})
	if err != nil {
		return err
	}
	archive, err := saved.Open([]string{h.file}, nil)
	if err != nil {
		return err
	}
	archive.Live(h.file)
	record, err := saved.OpenRecord(h.record)
	if err != nil {
		return h.beginAnew(err)
	}
	defer record.Close()
	r, err := history.Check(context.Background(), archive, history.Options{
		Keys: []history.Key{{Name: "auditor", Key: [32]byte(h.key.Public().(ed25519.PublicKey))}},
		Now:  time.Unix(1772528400, 0), Seen: record.Seen, Again: again.Again,
	})
	if err != nil {
		return err
	}
	files, err := saved.KeepEvidence(h.evidence, r.Evidence)
	if err == nil {
		err = record.Extend(r, time.Unix(1772528400, 0))
	}
	if err != nil {
		return err
	}
	h.tell()
	if h.rewritten {
		h.conflict = files
	}
	h.newest, h.rewritten = h.newest+2, h.rewritten || h.done == 2
	h.done++
	return nil
}

// beginAnew moves away a record whose first run was cut off, as the refusal says.
func (h *saving) beginAnew(why error) error {
	if len(h.recorded) > 0 || !strings.Contains(why.Error(), "its first run was cut off") {
		return why
	}
	return errors.Join(why, durable.Rename(h.record, h.record+".cut-off"))
}

// end has everything that was told of: what was saved, what is on the record, and
// the two statements of one epoch.
func (h *saving) end() error {
	if err := h.holds(); err != nil {
		return err
	}
	r, err := saved.OpenRecord(h.record)
	if err != nil {
		return err
	}
	defer r.Close()
	if len(h.conflict) != 2 {
		return fmt.Errorf("two statements of one epoch are kept in %q", h.conflict)
	}
	for _, f := range h.conflict {
		data, err := durable.ReadFile(f)
		if err != nil || !h.saved[string(data)] {
			return fmt.Errorf("lost: %s is evidence, and has %q: %w", f, data, err)
		}
	}
	return nil
}

// holds says what was lost of what was saved, and of the record.
func (h *saving) holds() error {
	data, err := durable.ReadFile(h.file)
	if err != nil {
		return fmt.Errorf("lost: what was saved: %w", err)
	}
	have := map[string]bool{}
	for line := range bytes.Lines(data) {
		have[strings.TrimSuffix(string(line), "\n")] = true
	}
	for s := range h.saved {
		if !have[s] {
			return fmt.Errorf("lost: %s was saved", s)
		}
	}
	if _, err := saved.ReadIndex(h.file, testfleet.Namespace); err != nil {
		return err
	}
	record, err := durable.ReadFile(h.record)
	if err != nil {
		return fmt.Errorf("lost: the record: %w", err)
	}
	for s := range h.recorded {
		x, err := bundle.ParseServed("told", []byte(s))
		if err != nil {
			return err
		}
		if !bytes.Contains(record, []byte(base64.StdEncoding.EncodeToString(x.Signature[:]))) {
			return fmt.Errorf("lost: epoch %d was on the record", x.Epoch)
		}
	}
	return nil
}
