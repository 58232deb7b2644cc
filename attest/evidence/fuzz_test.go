package evidence_test

import (
	"bytes"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// What unpacks packs to the same bytes: no archive says a thing in two ways.
func FuzzUnpack(f *testing.F) {
	f.Add(testfleet.New(f, testfleet.Options{HSMs: 1}).Archive)
	f.Add(must(evidence.Pack(evidence.Files{"a": nil, "b/c": []byte("x")})))
	f.Fuzz(func(t *testing.T, data []byte) {
		files, err := evidence.Unpack("f", data)
		if err != nil {
			if files != nil {
				t.Fatal("files came with the error")
			}
			return
		}
		if again := must(evidence.Pack(files)); !bytes.Equal(again, data) {
			t.Fatal("packs to other bytes")
		}
		if !bytes.Equal(files.Manifest(), must(evidence.Unpack("f", data)).Manifest()) {
			t.Fatal("unpacks in two ways")
		}
	})
}

// Whatever is verified, it never panics, never passes but for the good bytes,
// and its report can be written as JSON.
func FuzzVerify(f *testing.F) {
	w := newWorld(f, testfleet.New)
	plan, proof := w.good.Files[ceremony.PlanFile], w.good.Files[ceremony.ProofFile]
	good := [][]byte{w.good.Archive, w.good.Files[ceremony.BundleFile], w.good.Transcript(), w.good.Response.Raw(), w.good.Response.Statement.Raw()}
	for _, data := range append(good, plan, w.sister.Archive, w.stranger.Archive, []byte("{}"), nil) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		in := evidence.Input{File: "f", Data: data, Plan: plan, Proof: proof}
		r, err := evidence.Verify(in, w.policy, evidence.Question{Now: w.now})
		if err != nil {
			t.Fatal(err)
		}
		// A bundle is verified as one without being told, with the proof that is its own.
		if r.Verified && !bytes.Equal(data, w.good.Archive) && !bytes.Equal(data, w.sister.Archive) && !bytes.Equal(data, w.good.Files[ceremony.BundleFile]) {
			t.Fatal("verified, and neither the good package nor its bundle")
		}
		again := must(evidence.Verify(in, w.policy, evidence.Question{Now: w.now}))
		if !bytes.Equal(r.JSON(), again.JSON()) {
			t.Fatal("two reports of the same bytes differ")
		}
		if evidence.Detect(data) != r.Object {
			t.Fatalf("detected as %q, verified as %q", evidence.Detect(data), r.Object)
		}
	})
}

func FuzzParsePolicy(f *testing.F) {
	a := testfleet.New(f, testfleet.Options{HSMs: 1})
	f.Add(a.Policy)
	f.Add(bytes.Replace(a.Policy, []byte("rehearsal"), []byte("production"), 1))
	f.Add([]byte("format: fleetctl policy v1\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := evidence.ParsePolicy("f", data)
		if err != nil {
			if p != nil {
				t.Fatal("a policy came with the error")
			}
			return
		}
		if len(p.Demands) == 0 || len(p.Namespaces) == 0 {
			t.Fatal("a policy that demands nothing, or pins no namespace")
		}
		for _, d := range p.Demands {
			if d.Least == evidence.NotShown {
				t.Fatalf("%s is demanded with no grade", d.Claim)
			}
		}
		if r, err := evidence.Verify(evidence.Input{File: "f"}, p, evidence.Question{Now: a.Now()}); err != nil || r.Verified {
			t.Fatalf("nothing at all: %v, %v", r, err)
		}
	})
}
