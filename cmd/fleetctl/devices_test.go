//go:build cgo && unix

package main

import (
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/tpm"
	"github.com/fleetctl/fleetctl/attest/tpm/tpmtest"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/cli"
)

// Scripts have SoftHSM's tokens for HSMs, which attest nothing: TPMs in software
// stand in for the devices that would hold them, and sign whatever is asked.
type standIns struct {
	t  *testing.T
	mu sync.Mutex
	of map[string]map[string]*tpmtest.Device // by the script's folder and the plan's name
}

// devices PLAN names the plan's HSMs, and the countersigner's, by their stand-ins.
func (s *standIns) devices(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: devices PLAN")
	}
	path := ts.MkAbs(args[0])
	p, err := cli.ReadPlan(path)
	ts.Check(err)
	text := ts.ReadFile(args[0])
	all := map[string]*tpmtest.Device{}
	name := func(after, of, indent string) {
		all[of] = tpmtest.New(s.t)
		if strings.Count(text, after) != 1 {
			ts.Fatalf("the plan has %q not once", after)
		}
		text = strings.Replace(text, after, fmt.Sprintf("%s%sattestation:\n%s  format: %s\n%s  identity: %q\n", after, indent, indent, tpm.Format, indent, all[of].ID), 1)
	}
	for _, h := range p.HSMs {
		name(fmt.Sprintf("    serial: %q\n", h.Serial), h.Name, "    ")
	}
	name("  form: bound\n", "", "  ")
	ts.Check(os.WriteFile(path, []byte(text), 0o600))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.of[ts.Getenv("WORK")] = all
}

// pins POLICY has a policy that pins no anchor pin the stand-ins' authorities.
func (s *standIns) pins(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: pins POLICY")
	}
	s.mu.Lock()
	all := s.of[ts.Getenv("WORK")]
	s.mu.Unlock()
	list := "\n  anchors:"
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list += fmt.Sprintf("\n    - {vendor: test, name: %q, operator: the test, formats: [%s], spki_sha256: %q, origin: the test, check: none, confirmed: by the test}",
			"authority of "+cmp.Or(name, "the operator"), tpm.Format, fmt.Sprintf("%x", sha256.Sum256(all[name].Mid.RawSubjectPublicKeyInfo)))
	}
	text := ts.ReadFile(args[0])
	if strings.Count(text, "\n  anchors: []") != 1 {
		ts.Fatalf("%s has no empty list of anchors", args[0])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Replace(text, "\n  anchors: []", list, 1)), 0o600))
}

// attests DIR OUT [FILE HOW]… has the devices of a ceremony's folder answer all that
// it waits for, into OUT. HOW spoils one answer: stale, another-key, another-device.
func (s *standIns) attests(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 || len(args)%2 != 0 {
		ts.Fatalf("usage: attests DIR OUT [FILE HOW]…")
	}
	s.mu.Lock()
	all := s.of[ts.Getenv("WORK")]
	s.mu.Unlock()
	a, err := folder.ReadToLastRecord(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(os.MkdirAll(ts.MkAbs(args[1]), 0o700))
	for _, step := range a.AttestationSteps() {
		if step.Record != nil {
			continue
		}
		q := engine.QuestionOf(&step)
		file := q.File()
		for i := 2; i < len(args); i += 2 {
			if args[i] == file {
				spoilAnswer(ts, &q, args[i+1], a)
			}
		}
		ts.Check(os.WriteFile(filepath.Join(ts.MkAbs(args[1]), file), answer(ts, all[q.HSM], q).Encode(), 0o600))
	}
}

func answer(ts *testscript.TestScript, d *tpmtest.Device, q engine.AttestQuestion) *attest.Evidence {
	pub, err := x509.ParsePKIXPublicKey(q.SPKI)
	ts.Check(err)
	return d.Attested(pub, tpmtest.KeyAttrs, func(x *tpm2.TPMSAttest) { x.ExtraData.Buffer = q.Nonce[:] }).Input.Evidence
}

func spoilAnswer(ts *testscript.TestScript, q *engine.AttestQuestion, how string, a *ceremony.Account) {
	switch how {
	case "stale":
		q.Nonce[0] ^= 1
	case "another-key":
		q.SPKI = a.Plan.Countersigner.Key
	case "another-device":
		q.HSM = ""
	default:
		ts.Fatalf("no answer is spoiled by %q", how)
	}
}
