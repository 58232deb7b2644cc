package ceremony_test

import (
	"bytes"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func FuzzParsePlan(f *testing.F) {
	f.Add(testfleet.Prepared(f, testfleet.Options{}).Plan.Raw())
	f.Add([]byte("format: fleetctl plan v1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ceremony.ParsePlan("f", data)
		if (p == nil) == (err == nil) {
			t.Fatalf("plan %v with error %v", p, err)
		}
		if err != nil {
			return
		}
		if !bytes.Equal(p.Raw(), data) || len(p.Steps()) == 0 || len(p.HSMs) == 0 || p.Majority <= len(p.HSMs)/2 {
			t.Fatal("not the plan that was read, or one without HSMs or majority")
		}
		for i := range p.Roles {
			settings, _ := p.Roles[i].Template()
			for _, s := range settings {
				if s.Name == "EXTRACTABLE" && s.Value || s.Name == "SENSITIVE" && !s.Value {
					t.Fatalf("role %s: %+v", p.Roles[i].Name, s)
				}
			}
		}
	})
}

// Whatever replays is written in its one form, and is the good transcript or
// the beginning of it: nothing else has the right signatures.
func FuzzReplay(f *testing.F) {
	a := testfleet.New(f, testfleet.Options{HSMs: 1})
	good := a.Transcript()
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add(must(ceremony.Withhold(a.Plan, good)))
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		account, tr, err := ceremony.Replay(a.Plan, "f", data)
		if err != nil {
			if account != nil || tr != nil {
				t.Fatal("an account came with the error")
			}
			return
		}
		var again bytes.Buffer
		for _, r := range tr.Records {
			again.Write(r.Line())
		}
		if !bytes.Equal(append(again.Bytes(), tr.Torn...), data) {
			t.Fatal("writes as other bytes")
		}
		if one := must(ceremony.ParseTranscript("f", data, a.Plan.Digest())); len(one.Records) != account.N {
			t.Fatal("the account has another number of records")
		}
		if account.FleetCheck == nil || account.Fault != "" {
			return
		}
		if account.FleetCheckHash != a.Account.FleetCheckHash {
			t.Fatal("another fleet check than the one its keys answered for")
		}
	})
}

func FuzzParseApproval(f *testing.F) {
	a := testfleet.New(f, testfleet.Options{HSMs: 1})
	for path, data := range a.Files {
		if bytes.HasPrefix(data, []byte("fleetctl ")) {
			f.Add(data)
			_ = path
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ceremony.ParseApproval("f", data)
		if (p == nil) == (err == nil) || err == nil && (!bytes.Equal(p.Text(), data) || p.Namespace() == "") {
			t.Fatalf("%+v with %v", p, err)
		}
		s, err := ceremony.ParseSignoff("f", data)
		if (s == nil) == (err == nil) || err == nil && !bytes.Equal(s.Text(), data) {
			t.Fatalf("%+v with %v", s, err)
		}
		if s != nil && p != nil {
			t.Fatal("one text is two things")
		}
	})
}
