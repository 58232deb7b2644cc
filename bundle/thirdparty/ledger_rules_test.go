package thirdparty_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func policyWith(t testing.TB, f *testfleet.Fleet, more string) *thirdparty.Policy {
	t.Helper()
	return must(thirdparty.ParsePolicy("policy.yaml", append(f.ThirdPartyPolicy(), more...)))
}

// ledger opens the fleet's until the test ends.
func ledgerOf(t testing.TB, f *testfleet.Fleet) *thirdparty.Ledger {
	t.Helper()
	l := must(f.OpenLedger())
	t.Cleanup(l.Close)
	return l
}

func inspect(t testing.TB, f *testfleet.Fleet, l *thirdparty.Ledger) *thirdparty.Inspection {
	t.Helper()
	return must(thirdparty.Inspect("request.json", f.Request, policyWith(t, f, ""), l))
}

func TestTheClockMayNotGoBackNorJump(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToRequest})
	l := ledgerOf(t, f)
	in := inspect(t, f, l)
	release := in.Account.ReleaseTime
	unsigned := func([]byte) ([]byte, error) { t.Error("a signature was asked for"); return nil, errors.New("no") }
	_, err := thirdparty.Sign(in, l, release.Add(-6*time.Minute), unsigned)
	wantError(t, err, "was released at")
	_, err = thirdparty.Sign(in, l, release.Add(31*24*time.Hour), unsigned)
	wantError(t, err, "it has jumped by more than 30 days")
	if len(must(os.ReadFile(f.Parties.Ledger))) != 0 || len(l.Statements()) != 0 {
		t.Error("the ledger has an entry")
	}
	wide := must(thirdparty.Inspect("request.json", f.Request, policyWith(t, f, "clock_bound_days: 60\n"), l))
	if _, err := thirdparty.Sign(wide, l, release.Add(31*24*time.Hour), f.Parties.ThirdParty.Sign); err != nil {
		t.Error(err)
	}
	_, err = thirdparty.ParsePolicy("p", append(f.ThirdPartyPolicy(), "clock_bound_days: 4000\n"...))
	wantError(t, err, "clock_bound_days is 4000")
}

// A request that says it was released in the year 1, at Go's zero time, is as
// old as it says: the clock is held against it all the same.
func TestAReleaseInTheYearOneDoesNotSwitchTheClockCheckOff(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToRequest})
	l := ledgerOf(t, f)
	in := inspect(t, f, l)
	in.Account.ReleaseTime = time.Time{}
	_, err := thirdparty.Sign(in, l, f.Now(), func([]byte) ([]byte, error) { t.Error("a signature was asked for"); return nil, errors.New("no") })
	wantError(t, err, "it has jumped by more than 30 days")
}

func TestTheSameQuestionGetsTheSameAnswer(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToRequest})
	first := must(f.Answer(f.Request, f.Now()))
	again := must(f.Answer(f.Request, f.Now().Add(time.Hour)))
	if !bytes.Equal(first.Raw(), again.Raw()) {
		t.Error("another answer")
	}
	other := testfleet.New(t, testfleet.Options{Name: "other", Parties: f.Parties, To: testfleet.ToRequest})
	_, err := other.Answer(other.Request, other.Now())
	wantError(t, err, "one epoch has one digest")
	l := ledgerOf(t, f)
	if want := append(bytes.Clone(first.Statement.Raw()), '\n'); !bytes.Equal(l.Export(), want) {
		t.Errorf("%s", l.Export())
	}
}

func TestOfManyWhoSignAtOnceOneDoes(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToRequest})
	other := testfleet.New(t, testfleet.Options{Name: "other", Parties: f.Parties, To: testfleet.ToRequest})
	var wg sync.WaitGroup
	var mu sync.Mutex
	signed := map[[32]byte]bool{}
	for i := range 16 {
		one := []*testfleet.Fleet{f, other}[i%2]
		wg.Go(func() {
			for {
				r, err := one.Answer(one.Request, f.Now())
				if errors.Is(err, durable.ErrLocked) {
					continue
				}
				mu.Lock()
				if err == nil {
					signed[r.Statement.Digest] = true
				} else if !strings.Contains(err.Error(), "one epoch has one digest") {
					t.Error(err)
				}
				mu.Unlock()
				return
			}
		})
	}
	wg.Wait()
	if len(signed) != 1 || len(ledgerOf(t, f).Statements()) != 1 {
		t.Errorf("%d artifacts were signed for one epoch", len(signed))
	}

	// The same within one process, over one open ledger.
	g := testfleet.New(t, testfleet.Options{Name: "g", To: testfleet.ToRequest})
	l := ledgerOf(t, g)
	in := inspect(t, g, l)
	answers := make([]*bundle.Response, 8)
	for i := range answers {
		wg.Go(func() { answers[i] = must(thirdparty.Sign(in, l, g.Now(), g.Parties.ThirdParty.Sign)) })
	}
	wg.Wait()
	for _, a := range answers {
		if !bytes.Equal(a.Raw(), answers[0].Raw()) {
			t.Error("two answers to one request")
		}
	}
}

func TestATornLineIsKeptAndTold(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToLogged})
	whole := must(os.ReadFile(f.Parties.Ledger))
	raw, _ := f.Parties.ThirdParty.Public.Ed25519()
	for cut := 1; cut < len(whole); cut += 97 {
		torn := append(bytes.Clone(whole), whole[:cut]...)
		if err := os.WriteFile(f.Parties.Ledger, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		looked := must(thirdparty.ReadLedger(f.Parties.Ledger, [32]byte(raw)))
		if looked.Torn != cut || len(looked.Statements()) != 1 || !bytes.Equal(must(os.ReadFile(f.Parties.Ledger)), torn) {
			t.Fatalf("looking at it: %d torn, %d entries", looked.Torn, len(looked.Statements()))
		}
		l := must(f.OpenLedger())
		l.Close()
		if l.Torn != cut || !bytes.Equal(must(os.ReadFile(l.TornAt)), whole[:cut]) || !bytes.Equal(must(os.ReadFile(f.Parties.Ledger)), whole) {
			t.Fatalf("cut at %d: %d torn, kept at %s", cut, l.Torn, l.TornAt)
		}
		os.Remove(l.TornAt)
	}
	if _, err := thirdparty.Sign(nil2(t, f), must(thirdparty.ReadLedger(f.Parties.Ledger, [32]byte(raw))), f.Now(), nil); err == nil {
		t.Error("a ledger that is only read signs")
	}
}

// nil2 is an inspection of the request that was signed already, under another
// ledger's eyes.
func nil2(t *testing.T, f *testfleet.Fleet) *thirdparty.Inspection {
	l := must(f.OpenLedger())
	defer l.Close()
	return must(thirdparty.Inspect("request.json", f.Request, policyWith(t, f, ""), l))
}

func TestEveryByteOfALedgerCounts(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToLogged})
	two := testfleet.New(t, testfleet.Options{Name: "two", After: f, To: testfleet.ToLogged})
	whole := must(os.ReadFile(two.Parties.Ledger))
	raw, _ := f.Parties.ThirdParty.Public.Ed25519()
	first := bytes.IndexByte(whole, '\n')
	for i := 0; i < len(whole)-1; i += 11 {
		if i > first {
			break // a second entry's core hash is nobody's to check but the next one's
		}
		changed := bytes.Clone(whole)
		changed[i] ^= 1
		os.WriteFile(two.Parties.Ledger, changed, 0o600)
		if _, err := thirdparty.ReadLedger(two.Parties.Ledger, [32]byte(raw)); err == nil {
			t.Errorf("byte %d changed from %q, and the ledger opens", i, whole[i])
		}
	}
	os.WriteFile(two.Parties.Ledger, whole[first+1:], 0o600)
	_, err := thirdparty.ReadLedger(two.Parties.Ledger, [32]byte(raw))
	wantError(t, err, "does not follow the one before")
}

// statementBy is a statement of the fleet's namespace by some key.
func statementBy(name string, epoch uint64, digest [32]byte) bundle.Signed {
	s := testfleet.SoftSigner(keys.Ed25519, name)
	raw, _ := s.Public.Ed25519()
	st := must(bundle.NewStatement(bundle.Protobuf, testfleet.Namespace, 1795255200000, epoch, digest))
	return bundle.Signed{Key: [32]byte(raw), Statement: must(st.Seal([32]byte(raw), must(s.Sign(st.Message()))))}
}

func TestEquivocationByOthersIsKeptAndStopsTheSigning(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToLogged})
	l := ledgerOf(t, f)
	one, two := statementBy("someone", 5, sha256.Sum256([]byte("a"))), statementBy("someone", 5, sha256.Sum256([]byte("b")))
	for range 2 {
		if err := l.Meet([]bundle.Signed{one, statementBy("another", 5, sha256.Sum256([]byte("a")))}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // it stays so
		var e *thirdparty.Equivocation
		if err := l.Meet([]bundle.Signed{two}); !errors.As(err, &e) {
			t.Fatalf("%v", err)
		}
		if e.Key != one.Key || e.Epoch != 5 || !bytes.Equal(must(os.ReadFile(e.Files[0])), one.Statement.Raw()) || !bytes.Equal(must(os.ReadFile(e.Files[1])), two.Statement.Raw()) {
			t.Errorf("%+v", e)
		}
	}
	// So is a statement by our own key that the ledger contradicts.
	raw, _ := f.Parties.ThirdParty.Public.Ed25519()
	st := must(bundle.NewStatement(bundle.Protobuf, testfleet.Namespace, 1795255200000, 1, sha256.Sum256([]byte("forged"))))
	forged := bundle.Signed{Key: [32]byte(raw), Statement: must(st.Seal([32]byte(raw), must(f.Parties.ThirdParty.Sign(st.Message()))))}
	wantError(t, l.Meet([]bundle.Signed{forged}), "signed two statements about epoch 1")
}

func TestARequestWithoutApprovalsIsRefused(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToRequest})
	l := ledgerOf(t, f)
	for _, dir := range []string{ceremony.PlanApprovalsDir, ceremony.ApprovalsDir, ceremony.ReleaseSignoffDir} {
		var files []bundle.File
		for _, file := range f.Request.Files {
			if !strings.HasPrefix(file.Path, dir+"/") {
				files = append(files, file)
			}
		}
		r := must(bundle.NewRequest(f.Request.Core, files))
		if _, err := thirdparty.Inspect("request.json", r, policyWith(t, f, ""), l); err == nil {
			t.Errorf("a request without %s is taken", dir)
		} else {
			wantError(t, err, dir)
		}
	}
}

func notice(f *testfleet.Fleet, format string, epoch uint64, previous [32]byte) *bundle.Notice {
	n := &bundle.Notice{Format: format, Mode: bundle.Rehearsal, Fleet: f.Plan.Fleet, Namespace: testfleet.Namespace, Epoch: epoch,
		Previous: previous, Created: f.Now(), Reason: "a test"}
	if format == bundle.RetirementFormat {
		n.Effective = new(f.Now().Add(time.Hour))
	}
	return must(bundle.ParseNotice("notice.json", n.Encode()))
}

// approved are officers' signatures over a notice.
func approved(f *testfleet.Fleet, n *bundle.Notice, namespace string, names ...string) (list []ceremony.Signing) {
	for _, name := range names {
		sig := must(f.Parties.People[name].Sign(namespace, n.Raw()))
		list = append(list, ceremony.Signing{Name: name, Signature: sig.Armor()})
	}
	return list
}

func officers(f *testfleet.Fleet) (names []string) {
	for _, p := range f.Plan.People {
		if p.Role == ceremony.Officer {
			names = append(names, p.Name)
		}
	}
	return names
}

func TestRetirementsAndVoidsAreSignedWithApprovals(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{To: testfleet.ToLogged})
	l := ledgerOf(t, f)
	p, who := policyWith(t, f, ""), officers(f)
	end := notice(f, bundle.RetirementFormat, 2, f.Account.Release.Artifact)
	ns := thirdparty.NoticeNamespace(end)
	if ns != "fleetctl-retirement-rehearsal" {
		t.Error(ns)
	}
	for name, c := range map[string]struct {
		n    *bundle.Notice
		by   []ceremony.Signing
		want string
	}{
		"nobody":           {end, nil, "0 of 2 officers whom the policy pins approved it"},
		"one":              {end, approved(f, end, ns, who[0]), "1 of 2 officers"},
		"one twice":        {end, approved(f, end, ns, who[0], who[0]), "1 of 2 officers"},
		"no officer":       {end, approved(f, end, ns, who[0], "ada"), "1 of 2 officers"},
		"another act":      {end, approved(f, end, "fleetctl-void-rehearsal", who[0], who[1]), "is for \"fleetctl-void-rehearsal\""},
		"another text":     {end, approved(f, notice(f, bundle.RetirementFormat, 3, [32]byte{1}), ns, who[0], who[1]), "signature"},
		"another ancestor": {notice(f, bundle.RetirementFormat, 2, [32]byte{1}), nil, "follows the artifact 01"},
		"a later epoch":    {notice(f, bundle.RetirementFormat, 3, [32]byte{1}), nil, "the next one is 2"},
		"an older epoch":   {notice(f, bundle.VoidFormat, 2, [32]byte{1}), nil, "follows the artifact"},
	} {
		by := c.by
		if by == nil && name != "nobody" {
			by = approved(f, c.n, thirdparty.NoticeNamespace(c.n), who[:2]...)
		}
		_, err := thirdparty.InspectNotice("notice.json", c.n, by, p, l)
		if err == nil {
			t.Errorf("%s: taken", name)
			continue
		}
		wantError(t, err, c.want)
	}
	in := must(thirdparty.InspectNotice("notice.json", end, approved(f, end, ns, who[:2]...), p, l))
	r := must(thirdparty.SignNotice(in, l, f.Now(), f.Parties.ThirdParty.Sign))
	if r.Statement.Epoch != 2 || r.Statement.Digest != end.Digest() || fmt.Sprint(in.Officers) != fmt.Sprint(who[:2]) {
		t.Errorf("%+v", r.Statement)
	}
	if again := must(thirdparty.SignNotice(in, l, f.Now(), nil)); !bytes.Equal(again.Raw(), r.Raw()) {
		t.Error("another answer")
	}

	// A void skips the epoch that it voids, and only that one.
	skip := notice(f, bundle.VoidFormat, 4, [32]byte{9})
	by := approved(f, skip, thirdparty.NoticeNamespace(skip), who[:2]...)
	if _, err := thirdparty.SignNotice(must(thirdparty.InspectNotice("n", skip, by, p, l)), l, f.Now(), f.Parties.ThirdParty.Sign); err != nil {
		t.Error(err)
	}
	far := notice(f, bundle.VoidFormat, 7, [32]byte{9})
	_, err := thirdparty.InspectNotice("n", far, approved(f, far, thirdparty.NoticeNamespace(far), who[:2]...), p, l)
	wantError(t, err, "the next one is 5")
}
