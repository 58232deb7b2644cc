package thirdparty_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

const (
	first  = testfleet.FirstAuditor
	second = "auditor-2.example"
	third  = "auditor-3.example"
)

// three are the epochs 1 to 3 of a fleet with three third parties, of which the
// third has signed none; the third epoch is asked for.
func threeEpochs(t *testing.T) (one, two, three *testfleet.Fleet) {
	t.Helper()
	absent := []string{third}
	one = testfleet.New(t, testfleet.Options{Name: "one", Others: 2, Needed: 2, Absent: absent, To: testfleet.ToLogged})
	two = testfleet.New(t, testfleet.Options{Name: "two", After: one, Needed: 2, Absent: absent, To: testfleet.ToLogged})
	three = testfleet.New(t, testfleet.Options{Name: "three", After: two, Needed: 2, To: testfleet.ToRequest})
	return one, two, three
}

// pinning is the third party's policy with others pinned, by name=whose key.
func pinning(t *testing.T, f *testfleet.Fleet, needed int, others ...string) *thirdparty.Policy {
	t.Helper()
	text := fmt.Appendf(f.ThirdPartyPolicy(), "others_needed: %d\nothers:\n", needed)
	for _, x := range others {
		name, whose, ok := strings.Cut(x, "=")
		if !ok {
			whose = name
		}
		key := f.Parties.Auditor(whose).Key()
		text = fmt.Appendf(text, "  - {name: %s, key: %q}\n", name, base64.StdEncoding.EncodeToString(key[:]))
	}
	return must(thirdparty.ParsePolicy("tp.yaml", text))
}

func ledgerOfThird(t *testing.T, f *testfleet.Fleet) *thirdparty.Ledger {
	t.Helper()
	who := f.Parties.Auditor(third)
	l := must(who.OpenLedger())
	t.Cleanup(l.Close)
	return l
}

func signThird(f *testfleet.Fleet, p *thirdparty.Policy, l *thirdparty.Ledger, agree bool) (*bundle.Response, *thirdparty.Gap, error) {
	in, err := thirdparty.Inspect("request.json", f.Request, p, l)
	if err != nil {
		return nil, nil, err
	}
	if agree {
		in.AgreeToGap()
	}
	r, err := thirdparty.Sign(in, l, f.Now(), f.Parties.Auditor(third).Sign)
	return r, in.Gap, err
}

func TestAThirdPartyJoinsOnTheWordOfOthersAndItsOwnConsent(t *testing.T) {
	one, two, three := threeEpochs(t)
	l := ledgerOfThird(t, two)
	// Nobody is pinned whose word could be taken; too few are; one party's two
	// keys are one word; our own word is none.
	for _, p := range []*thirdparty.Policy{
		policy(two), pinning(t, two, 2, first, third), pinning(t, two, 2, "same="+first, "same="+second, third), pinning(t, two, 1, third),
	} {
		_, _, err := signThird(two, p, l, true)
		wantError(t, err, "asks for epoch 2, but the ledger has no statement of "+testfleet.Namespace)
		wantHint(t, err, "sign their requests first, in their order")
	}
	p := pinning(t, two, 2, first, second)
	_, gap, err := signThird(two, p, l, false)
	wantError(t, err, "is not signed without consent to its gap: we join at epoch 2: that epoch 1 has digest")
	if gap == nil || !gap.Joins() || gap.Unnamed() || gap.Epoch != 1 || len(gap.Stated) != 2 || len(l.Statements()) != 0 {
		t.Fatalf("%+v", gap)
	}
	r, _, err := signThird(two, p, l, true)
	if err != nil {
		t.Fatal(err)
	}
	// It is in the ledger, for good, and read back.
	l.Close()
	l = ledgerOfThird(t, two)
	if g := l.Gaps()[0]; g == nil || g.Digest != one.Account.Release.Artifact || g.Epoch != 1 || g.Last != 0 || len(g.Stated) != 2 {
		t.Fatalf("%+v", g)
	}
	// The same request needs no second consent; the epochs before are past.
	again, gap, err := signThird(two, p, l, false)
	if err != nil || gap != nil || !bytes.Equal(again.Raw(), r.Raw()) {
		t.Errorf("%v %+v", err, gap)
	}
	_, _, err = signThird(one, p, l, true)
	wantError(t, err, "asks for epoch 1 of "+testfleet.Namespace+", which the ledger has signed up to epoch 2")
	// The next epoch, whose request was made before we joined, doesn't name us.
	r, gap, err = signThird(three, p, l, true)
	if err != nil || gap == nil || !gap.Unnamed() || r.Statement.Epoch != 3 {
		t.Errorf("%v %+v", err, gap)
	}
}

func TestAnAbsentPartyBackfillsInOrder(t *testing.T) {
	one, two, three := threeEpochs(t)
	l := ledgerOfThird(t, one)
	p := policy(one) // no word of others is needed
	r, gap, err := signThird(one, p, l, false)
	if err != nil || gap != nil {
		t.Fatalf("%v %+v", err, gap)
	}
	for _, f := range []*testfleet.Fleet{two, three} {
		_, gap, err := signThird(f, p, l, false)
		wantError(t, err, "the request does not name our last statement, epoch")
		if gap == nil || !gap.Unnamed() || len(gap.Stated) != 0 {
			t.Fatalf("%+v", gap)
		}
		if r, _, err = signThird(f, p, l, true); err != nil {
			t.Fatal(err)
		}
	}
	if r.Statement.Epoch != 3 || len(l.Statements()) != 3 {
		t.Errorf("%+v", r.Statement)
	}
	// A request that is made now names it, and there is no gap any more.
	two.Wait(2 * time.Hour)
	j := must(two.Journal())
	if _, err := j.ImportResponse(must(bundle.NewResponse(bundle.Signed{Key: l.Key(), Statement: l.Statements()[1]}))); err != nil {
		t.Fatal(err)
	}
	must(0, j.Close())
	two.Account = j.Account()
	l.Close()
	must(0, os.Remove(two.Parties.Auditor(third).Ledger))
	must(0, os.Remove(thirdparty.GuardPath(two.Parties.Auditor(third).Ledger)))
	l = ledgerOfThird(t, two)
	for _, f := range []*testfleet.Fleet{one, two} {
		if _, _, err := signThird(f, p, l, true); err != nil {
			t.Fatal(err)
		}
	}
	fresh := testfleet.New(t, testfleet.Options{Name: "fresh", After: two, Needed: 2, To: testfleet.ToRequest})
	_, err = thirdparty.Inspect("r", fresh.Request, policy(fresh), l)
	wantError(t, err, "names another last statement of ours than the ledger has")
}

func TestAGapPassesOverEpochsForGood(t *testing.T) {
	one, two, three := threeEpochs(t)
	l := ledgerOfThird(t, one)
	if _, _, err := signThird(one, policy(one), l, false); err != nil {
		t.Fatal(err)
	}
	_, _, err := signThird(three, policy(three), l, true)
	wantError(t, err, "asks for epoch 3 of "+testfleet.Namespace+"; the next one is 2")
	p := pinning(t, three, 1, first, second)
	_, gap, err := signThird(three, p, l, false)
	wantError(t, err, "we signed up to epoch 1 and pass over epoch 2 for good")
	if gap.Last != 1 || gap.Epoch != 2 || gap.Joins() || gap.Unnamed() {
		t.Errorf("%+v", gap)
	}
	if _, _, err := signThird(three, p, l, true); err != nil {
		t.Fatal(err)
	}
	_, _, err = signThird(two, p, l, true)
	wantError(t, err, "asks for epoch 2 of "+testfleet.Namespace+", which the ledger has signed up to epoch 3")
}

// A ledger that was put back is no gap: the request names what we signed.
func TestNoConsentFillsWhatALedgerLost(t *testing.T) {
	one := testfleet.New(t, testfleet.Options{Name: "one", Others: 2, To: testfleet.ToLogged})
	who := one.Parties.Auditor(third)
	ledger, guard := must(os.ReadFile(who.Ledger)), must(os.ReadFile(thirdparty.GuardPath(who.Ledger)))
	two := testfleet.New(t, testfleet.Options{Name: "two", After: one, To: testfleet.ToLogged})
	three := testfleet.New(t, testfleet.Options{Name: "three", After: two, To: testfleet.ToRequest})
	must(0, os.WriteFile(who.Ledger, ledger, 0o600))
	must(0, os.WriteFile(thirdparty.GuardPath(who.Ledger), guard, 0o600))
	l := ledgerOfThird(t, three)
	_, _, err := signThird(three, pinning(t, three, 1, first, second), l, true)
	wantError(t, err, "the next one is 2")
	wantHint(t, err, "names a statement by our key about epoch 2, which the ledger lacks")
}

// What others signed for an epoch is known from a later request: another
// artifact for the same epoch isn't signed.
func TestALatecomerSignsNoSecondDigest(t *testing.T) {
	one, _, _ := threeEpochs(t)
	l := ledgerOfThird(t, one)
	by := one.Parties.Auditor(second)
	st := must(bundle.NewStatement(bundle.Protobuf, testfleet.Namespace, 1795255200000, 1, sha256.Sum256([]byte("another"))))
	other := bundle.Signed{Key: by.Key(), Statement: must(st.Seal(by.Key(), must(by.Sign(st.Message()))))}
	// A stranger's statement keeps nobody from signing.
	must(0, l.Meet([]bundle.Signed{statementBy("stranger", 1, sha256.Sum256([]byte("more")))}))
	if _, err := thirdparty.Inspect("r", one.Request, policy(one), l); err != nil {
		t.Fatal(err)
	}
	must(0, l.Meet([]bundle.Signed{other}))
	_, err := thirdparty.Inspect("r", one.Request, policy(one), l)
	wantError(t, err, "one epoch has one digest")
	wantHint(t, err, "together they show that there are two")
}

func TestAGapInALedgerHasToAgreeWithItself(t *testing.T) {
	_, two, _ := threeEpochs(t)
	l := ledgerOfThird(t, two)
	if _, _, err := signThird(two, pinning(t, two, 2, first, second), l, true); err != nil {
		t.Fatal(err)
	}
	l.Close()
	path := two.Parties.Auditor(third).Ledger
	good := string(must(os.ReadFile(path)))
	key := l.Key()
	_, gap, _ := strings.Cut(good, `"gap":`)
	part := func(s string) string { return gap[strings.Index(gap, s):] }
	statement := part(`"statement":"`)[len(`"statement":"`):]
	statement = statement[:strings.IndexByte(statement, '"')]
	_, own, _ := strings.Cut(good, `"statement":"`)
	own = own[:strings.IndexByte(own, '"')]
	stated := part(`"stated":[`)
	stated = stated[:strings.IndexByte(stated, ']')+1]
	digest := part(`"digest":"`)[:len(`"digest":"`)+64]
	for name, c := range map[string][3]string{
		"after it":            {`"last":0`, `"last":2`, "is not before epoch 2"},
		"another epoch":       {`"epoch":1,"digest"`, `"epoch":2,"digest"`, "is not before epoch 2"},
		"epoch 0":             {`"epoch":1,"digest"`, `"epoch":0,"digest"`, "is not before epoch 2"},
		"nobody's word":       {stated, `"stated":[]`, "rests on 0 statements"},
		"another digest":      {digest, digest[:len(digest)-4] + "0000", "rests on a statement about something else"},
		"our own next":        {statement, own, "rests on a statement about something else"},
		"no key of the curve": {`"stated":[{"key":"`, `"stated":[{"key":"AAAA`, "gap.stated"},
		"too many":            {stated, `"stated":[` + strings.Repeat(stated[len(`"stated":[`):len(stated)-1]+",", 9) + stated[len(`"stated":[`):], "rests on 20 statements"},
	} {
		bad := strings.Replace(good, c[0], c[1], 1)
		must(0, os.WriteFile(path, []byte(bad), 0o600))
		if _, err := thirdparty.ReadLedger(path, key); bad == good || err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOthersOfAPolicy(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Others: 1, To: testfleet.ToRequest})
	key := f.Parties.Auditor(second).Key()
	one := fmt.Sprintf("  - {name: a, key: %q}\n", base64.StdEncoding.EncodeToString(key[:]))
	for text, want := range map[string]string{
		"others_needed: 1\n":                      "others_needed is 1; with 0 others",
		"others: []\nothers_needed: 1\n":          "others lists nobody",
		"others:\n" + one:                         "others_needed is missing",
		"others_needed: 2\nothers:\n" + one:       "others_needed is 2; with 1 others it is from 1 to 1",
		"others_needed: 0\nothers:\n" + one:       "others_needed is 0",
		"others_needed: 1\nothers:\n" + one + one: `third party "a" has the key of "a"`,
		"others_needed: 1\nothers:\n  - {name: a, key: \"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}\n": `third party "a": key`,
	} {
		_, err := thirdparty.ParsePolicy("tp.yaml", append(f.ThirdPartyPolicy(), text...))
		wantError(t, err, want)
	}
	// A key of another length is one fault, however many there are: what
	// couldn't be read has neither an order nor another's owner.
	spki := "  - {name: a, key: \"MCowBQYDK2VwAyEAAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\"}\n"
	_, err := thirdparty.ParsePolicy("tp.yaml", append(f.ThirdPartyPolicy(), "others_needed: 1\nothers:\n"+spki+strings.Replace(spki, "name: a", "name: b", 1)...))
	wantError(t, err, "has 44 bytes, not 32")
	for _, follows := range []string{"small order", "has the key of"} {
		if strings.Contains(err.Error(), follows) {
			t.Errorf("%q follows from a key that wasn't read: %v", follows, err)
		}
	}
	zero := "others_needed: 1\nothers:\n  - {name: a, key: \"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}\n"
	_, err = thirdparty.ParsePolicy("tp.yaml", append(f.ThirdPartyPolicy(), zero...))
	wantError(t, err, `third party "a": key`)
	if p := pinning(t, f, 1, "them="+second); p.NameOf(key) != "them" {
		t.Error(p.NameOf(key))
	}
}
