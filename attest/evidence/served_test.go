package evidence_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// A live service's answer is in the evidence byte for byte, what a reader of ours
// doesn't know of it too; the bundle has the statement alone.
func TestAServedStatementIsInTheEvidenceAsItCame(t *testing.T) {
	for _, suite := range []uint32{1, 2} {
		var served []byte
		f := testfleet.New(t, testfleet.Options{Name: fmt.Sprint("served-", suite), Ciphersuite: suite, HSMs: 1, Served: func(statement []byte) []byte {
			served = fmt.Appendf(nil, " %s \n", bytes.Replace(statement, []byte(`"epoch"`), []byte(`"proof":{"kind":"none"},"epoch"`), 1))
			return served
		}})
		r := must(evidence.Verify(evidence.Input{File: "evidence.tar", Data: f.Archive}, must(evidence.ParsePolicy("policy.yaml", f.Policy)), evidence.Question{Now: f.Now()}))
		if !r.Verified {
			t.Errorf("ciphersuite %d: %+v", suite, r.Problems)
		}
		var body struct{ Statement []byte }
		for line := range bytes.Lines(f.Files[ceremony.TranscriptFile]) {
			var record struct{ Kind, Body string }
			if err := json.Unmarshal(line, &record); err != nil {
				t.Fatal(err)
			}
			if record.Kind == "response" {
				if err := json.Unmarshal([]byte(record.Body), &body); err != nil {
					t.Fatal(err)
				}
			}
		}
		if !bytes.Equal(body.Statement, served) || len(served) == 0 {
			t.Errorf("on the record is %q, served was %q", body.Statement, served)
		}
		if b := must(f.Account.Bundle()); bytes.Contains(b.Statements[0].Statement.Raw(), []byte("proof")) || b.Statements[0].Statement.Ciphersuite != suite {
			t.Errorf("%s", b.Statements[0].Statement.Raw())
		}
	}
}
