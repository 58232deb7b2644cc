package service

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// twoEpochs is a fleet whose ledger has two entries, and the ledger's first line.
func twoEpochs(t *testing.T) (first, second *testfleet.Fleet, line []byte) {
	t.Helper()
	first = testfleet.New(t, testfleet.Options{To: testfleet.ToLogged})
	second = testfleet.New(t, testfleet.Options{Name: "second", After: first, To: testfleet.ToRequest})
	must(second.Answer(second.Request, second.Now()))
	whole := must(os.ReadFile(first.Parties.Ledger))
	if bytes.Count(whole, []byte("\n")) != 2 {
		t.Fatalf("%s", whole)
	}
	return first, second, whole[:bytes.IndexByte(whole, '\n')+1]
}

func TestALedgerPutBackFromAnOldCopyIsNotServed(t *testing.T) {
	f, _, old := twoEpochs(t)
	ledger, guard := f.Parties.Ledger, thirdparty.GuardPath(f.Parties.Ledger)
	whole, guarded := must(os.ReadFile(ledger)), must(os.ReadFile(guard))
	for name, c := range map[string]struct {
		ledger  []byte
		guarded bool
		says    string
	}{
		"fewer than its guard has seen": {old, true, "has 1 of the 2 entries that its guard " + guard + " has seen"},
		"fewer than were served":        {old, false, "has 1 of the 2 entries that were read before"},
		"none":                          {nil, false, "has 0 of the 2 entries that were read before"},
	} {
		t.Run(name, func(t *testing.T) {
			must(0, os.WriteFile(ledger, whole, 0o600))
			os.Remove(guard)
			if c.guarded {
				must(0, os.WriteFile(guard, guarded, 0o600))
			}
			var told bytes.Buffer
			log := slog.New(slog.NewTextHandler(&told, nil))
			srv := serve(t, f, Config{Log: log})
			s := must(New(Config{Ledger: ledger, Key: keyOf(f), Log: log}))
			if code, _ := ask(t, srv.URL+"/namespaces/"+ns+"/audits/2"); code != 200 || s.Healthy() != nil {
				t.Fatalf("the whole ledger: %d, %v", code, s.Healthy())
			}
			must(0, os.WriteFile(ledger, c.ledger, 0o600))
			for range 2 {
				if err := s.Healthy(); err == nil || strings.Contains(err.Error(), ledger) {
					t.Errorf("it is healthy, or tells too much: %v", err)
				}
			}
			if said := told.String(); strings.Count(said, "level=ERROR") != 1 || !strings.Contains(said, c.says) || !strings.Contains(said, "not served") {
				t.Errorf("the log says %q", said)
			}
			for _, path := range []string{"/namespaces/" + ns + "/audits/1", "/namespaces/" + ns + "/audits/2", "/namespaces/" + ns} {
				if code, body := ask(t, srv.URL+path); code != 503 || strings.Contains(body, ledger) {
					t.Errorf("%s: %d %s", path, code, body)
				}
			}
			if _, err := New(Config{Ledger: ledger, Key: keyOf(f)}); (err != nil) != c.guarded {
				t.Errorf("a start with it: %v", err)
			}
			must(0, os.WriteFile(ledger, whole, 0o600))
			if code, _ := ask(t, srv.URL+"/namespaces/"+ns+"/audits/2"); code != 200 || s.Healthy() != nil {
				t.Errorf("put back: %d, %v", code, s.Healthy())
			}
		})
	}
}

func TestAsManyEntriesButOthersAreNotServed(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToLogged})
	parties := *f.Parties
	parties.Ledger = filepath.Join(t.TempDir(), "ledger.jsonl")
	other := testfleet.New(t, testfleet.Options{Name: "other", Parties: &parties, To: testfleet.ToLogged})
	must(0, os.Remove(thirdparty.GuardPath(f.Parties.Ledger)))
	s := must(New(Config{Ledger: f.Parties.Ledger, Key: keyOf(f), Namespaces: []string{ns}}))
	must(0, os.WriteFile(f.Parties.Ledger, append(must(os.ReadFile(other.Parties.Ledger)), `{"n":2`...), 0o600))
	if _, err := s.read(); err == nil || !strings.Contains(err.Error(), "has other entries, up to entry 1, than were read before") {
		t.Error(err)
	}
}
