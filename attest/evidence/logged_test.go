package evidence_test

import (
	"bytes"
	"maps"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// TestEvidenceLogged grades a package by the proof of its identity.
func TestEvidenceLogged(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "logged"})
	policy := must(evidence.ParsePolicy("policy.yaml", f.Policy))
	leaf := must(evidence.PackageLeaf("evidence.tar", f.Archive))
	if leaf.Head != f.Account.Head || leaf.Epoch != 1 || leaf.Ceremony != f.Account.Open.Ceremony || leaf.Ending != evidence.EndingClosed {
		t.Errorf("%+v", leaf)
	}
	entry := func(change func(*evidence.Leaf)) []byte {
		l := *leaf
		change(&l)
		return must(f.Parties.Log.Append(l.Marshal()))
	}
	good := entry(func(*evidence.Leaf) {})
	for name, c := range map[string]struct {
		proof    []byte
		grade    evidence.Grade
		verified bool
	}{
		"its proof":       {good, evidence.Proven, true},
		"none":            {nil, evidence.NotShown, true},
		"another head":    {entry(func(l *evidence.Leaf) { l.Head[0] ^= 1 }), evidence.NotShown, false},
		"an abort":        {entry(func(l *evidence.Leaf) { l.Ending = evidence.EndingAborted }), evidence.NotShown, false},
		"another's":       {entry(func(l *evidence.Leaf) { l.Ceremony += "0" }), evidence.NotShown, false},
		"other sign-offs": {entry(func(l *evidence.Leaf) { l.Signatures[0] ^= 1 }), evidence.NotShown, false},
		"the bundle's":    {f.Files[ceremony.ProofFile], evidence.NotShown, false},
		"junk":            {[]byte("junk\n"), evidence.NotShown, false},
	} {
		r := must(evidence.Verify(evidence.Input{File: "evidence.tar", Data: f.Archive, Logged: c.proof}, policy, evidence.Question{Now: f.Now()}))
		if got := r.Claim(evidence.ClaimLogged); got.Grade != c.grade || r.Verified != c.verified {
			t.Errorf("%s: %+v, verified %v %+v", name, got, r.Verified, r.Problems)
		}
	}
	// A sign-off that is taken out, or put in, after it was logged.
	for name, change := range map[string]func(evidence.Files){
		"taken out": func(x evidence.Files) {
			delete(x, "signoffs/close/ada")
			delete(x, "signoffs/close/ada.sig")
		},
		"put in":  func(x evidence.Files) { x["signoffs/close/ozan.sig"] = x["signoffs/close/olga.sig"] },
		"swapped": func(x evidence.Files) { x["signoffs/close/omar.sig"] = x["signoffs/close/olga.sig"] },
	} {
		files := maps.Clone(f.Files)
		change(files)
		files[evidence.ManifestFile] = files.Manifest()
		r := must(evidence.Verify(evidence.Input{File: "pkg", Folder: files, Logged: good}, policy, evidence.Question{Now: f.Now()}))
		if r.Claim(evidence.ClaimLogged).Grade != evidence.NotShown || r.Verified || !strings.Contains(string(r.JSON()), "evidence.tlog-proof") {
			t.Errorf("%s: %s", name, r.JSON())
		}
	}
	// The policy's quorum counts here as it does for the bundle.
	wanting := bytes.Replace(f.Policy, []byte("  quorum none"), []byte("  witness w witness.example/w+1c5b5f3f+BAAA\n  quorum w"), 1)
	if _, err := evidence.ParsePolicy("policy.yaml", wanting); err == nil {
		t.Error("a spoilt witness key is taken")
	}
}

func FuzzLeaf(f *testing.F) {
	for _, ending := range []string{evidence.EndingClosed, evidence.EndingAborted} {
		l := &evidence.Leaf{Mode: ceremony.Rehearsal, Namespace: testfleet.Namespace, Epoch: 7, Ceremony: "a.1", Ending: ending, Head: [32]byte{1}}
		f.Add(l.Marshal())
	}
	f.Add([]byte("fleetctl evidence v2\nproduction\na\n1\nceremony a\nending open\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := evidence.ParseLeaf("f", data)
		if err != nil {
			if l != nil {
				t.Fatal("result beside an error")
			}
			return
		}
		if !bytes.Equal(l.Marshal(), data) {
			t.Fatalf("%q comes back as %q", data, l.Marshal())
		}
	})
}

// TestAnEndingThatSomebodyIsAgainstIsLoggedAsItIs: others need not sign it first.
func TestAnEndingThatSomebodyIsAgainstIsLoggedAsItIs(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "against"})
	alone := func(verdict string) evidence.Files {
		x := maps.Clone(f.Files)
		maps.DeleteFunc(x, func(path string, _ []byte) bool { return strings.HasPrefix(path, ceremony.CloseSignoffDir+"/") })
		s := must(f.Account.WantedSignoff(ceremony.StageClose))
		s.Role, s.Verdict = ceremony.Officer, verdict
		x[ceremony.CloseSignoffDir+"/olga"] = s.Text()
		x[ceremony.CloseSignoffDir+"/olga.sig"] = must(f.Parties.People["olga"].Sign(s.Namespace(), s.Text())).Armor()
		return x
	}
	if _, err := evidence.PackageLeaf("evidence.tar", must(sealed(alone(ceremony.Agree)))); err == nil || !strings.Contains(err.Error(), "is not signed yet") {
		t.Errorf("agreed to by one officer alone: %v", err)
	}
	l, err := evidence.PackageLeaf("evidence.tar", must(sealed(alone(ceremony.DoNotAgree))))
	if err != nil || l.Ending != evidence.EndingClosed || l.Head != f.Account.Head {
		t.Errorf("one officer is against it: %+v, %v", l, err)
	}
}
