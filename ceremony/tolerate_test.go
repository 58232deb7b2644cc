package ceremony_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/token"
)

// both are all that can be tolerated.
var both = []string{token.TryRelaxExtractable, token.TryRelaxSensitive}

// loose makes tokens whose keys can be made weaker.
func loose(list []*testfleet.Token) {
	for _, x := range list {
		x.OnRelaxed = func(*token.Relaxed) {}
	}
}

// lax is a whole ceremony whose first HSM has such a token; the others refuse.
func lax(t testing.TB) *testfleet.Fleet {
	t.Helper()
	return testfleet.New(t, testfleet.Options{Tolerates: both, Tokens: func(l []*testfleet.Token) { loose(l[:1]) }})
}

func TestWhatAPlanToleratesIsUndone(t *testing.T) {
	f := lax(t)
	got := f.Account.Tolerated()
	want := []ceremony.Tolerated{{HSM: "hsm-1", Attempt: both[0]}, {HSM: "hsm-1", Attempt: both[1]}}
	if !slices.Equal(got, want) {
		t.Errorf("tolerated %v, want %v", got, want)
	}
	k := f.Account.Keys[0]
	if k.Relaxed == nil || len(k.Relaxed.Attempts) != 6 || len(k.Relaxed.Restored) != 2 {
		t.Errorf("what was tried again isn't on the record: %+v", k.Relaxed)
	}
	if n := k.Refused(); n != 5+5 {
		t.Errorf("%d attempts were refused, not 10", n)
	}
	if f.Account.Keys[1].Relaxed != nil {
		t.Error("a token that refuses was attacked again")
	}
	if got := ceremony.Beyond(got, both[:1]); !slices.Equal(got, want[1:]) {
		t.Errorf("beyond %v is %v", both[:1], got)
	}
}

// hostileRelaxations are told by whoever has every key. Each must be found.
var hostileRelaxations = []struct {
	name, want string
	edit       func(*ceremony.NegativeTest)
}{
	{"the other attempts were not made again", "the other attempts were not made again after it", func(c *ceremony.NegativeTest) { c.Relaxed = nil }},
	{"tried again after nothing", "these are not the attempts that succeeded", func(c *ceremony.NegativeTest) {
		c.Attempts[6].Code, c.Attempts[7].Code = "CKR_ACTION_PROHIBITED", "CKR_ACTION_PROHIBITED"
	}},
	{"one of two was left out", "these are not the attempts that succeeded", func(c *ceremony.NegativeTest) { c.Relaxed.Names = c.Relaxed.Names[:1] }},
	{"another was named", "these are not the attempts that succeeded", func(c *ceremony.NegativeTest) { c.Relaxed.Names[0] = token.TryExport }},
	{"one was named twice", "these are not the attempts that succeeded", func(c *ceremony.NegativeTest) { c.Relaxed.Names[1] = c.Relaxed.Names[0] }},
	{"another attempt was tolerated", "attempt copy-extractable succeeded: the key can leave its HSM", func(c *ceremony.NegativeTest) {
		c.Attempts[4].Code = "CKR_OK"
		c.Relaxed.Names = []string{token.TryCopyExtractable, both[0], both[1]}
	}},
	{"success that wasn't staged", "could not be made (CKR_OK)", func(c *ceremony.NegativeTest) {
		c.Attempts[6].Unstaged = true
		c.Relaxed.Names = both[1:]
	}},
	{"the second export succeeded", "made weaker: attempt export succeeded", again(0, "C_GetAttributeValue", "CKR_OK", false)},
	{"the second wrapping succeeded", "made weaker: attempt wrap-aes-cbc-pad succeeded", again(3, "C_WrapKey", "CKR_OK", false)},
	{"the second copy succeeded", "made weaker: attempt copy-insensitive succeeded", again(5, "C_CopyObject", "CKR_OK", false)},
	{"the second export ended otherwise", "made weaker: attempt export ended with CKR_DEVICE_ERROR, which does not mean a refusal", again(0, "C_GetAttributeValue", "CKR_DEVICE_ERROR", false)},
	{"no key to wrap with", "here the token itself has to refuse", again(1, "C_GenerateKey", "CKR_MECHANISM_INVALID", true)},
	{"no fitting key to wrap with", "here the token itself has to refuse", again(1, "C_WrapKey", "CKR_WRAPPING_KEY_TYPE_INCONSISTENT", true)},
	{"the key that was there may not wrap", "which may be about the wrapping key", again(2, "C_WrapKey", "CKR_KEY_FUNCTION_NOT_PERMITTED", false)},
	{"an attempt too few", "made weaker: 5 attempts to take the key out, 6 are demanded", func(c *ceremony.NegativeTest) { c.Relaxed.Attempts = c.Relaxed.Attempts[:5] }},
	{"one attempt for another", `made weaker: attempt 1 is "wrap-aes-kw"`, func(c *ceremony.NegativeTest) {
		c.Relaxed.Attempts[0].Name, c.Relaxed.Attempts[0].Call = token.TryWrapKW, token.CallWrap
	}},
	{"the key wasn't weaker", `EXTRACTABLE is "false", though it was set to true`, reads(true, token.Extractable, "false")},
	{"the key was still sensitive", `SENSITIVE is "true", though it was set to false`, reads(true, token.Sensitive, "true")},
	{"it had been extractable", `made weaker: NEVER_EXTRACTABLE is "false"`, reads(true, token.NeverExtractable, "false")},
	{"it had not always been sensitive", `made weaker: ALWAYS_SENSITIVE is "false"`, reads(true, token.AlwaysSensitive, "false")},
	{"nothing was read of it", "made weaker: the private half was read back without the CKA_ID", func(c *ceremony.NegativeTest) { c.Relaxed.While = []ceremony.Attribute{} }},
	{"another key was read", "made weaker: the private half was read back without the CKA_ID", reads(true, "ID", "00")},
	{"an attribute with value and code", "SENSITIVE has a value and a return code", func(c *ceremony.NegativeTest) {
		attributeOf(c.Relaxed.While, token.Sensitive).Code = "CKR_ATTRIBUTE_TYPE_INVALID"
	}},
	{"it wasn't set back", "made weaker by relax-extractable: it was not set back", func(c *ceremony.NegativeTest) { c.Relaxed.Restored[0].Code = "CKR_ATTRIBUTE_READ_ONLY" }},
	{"one of two was set back", "1 of 2 attributes were set back", func(c *ceremony.NegativeTest) { c.Relaxed.Restored = c.Relaxed.Restored[:1] }},
	{"the same was set back twice", "made weaker by relax-sensitive: it was not set back", func(c *ceremony.NegativeTest) { c.Relaxed.Restored[1] = c.Relaxed.Restored[0] }},
	{"setting it back wasn't staged", "it was not set back", func(c *ceremony.NegativeTest) { c.Relaxed.Restored[0].Unstaged = true }},
	{"it stayed extractable", `set back: EXTRACTABLE is "true", the plan says false`, reads(false, token.Extractable, "true")},
	{"it stayed insensitive", `set back: SENSITIVE is "false", the plan says true`, reads(false, token.Sensitive, "false")},
	{"it says that it was extractable once", `set back: NEVER_EXTRACTABLE is "false", the plan says true`, reads(false, token.NeverExtractable, "false")},
	{"another key was read afterwards", "set back: the private half was read back without the CKA_ID", reads(false, "ID", "00")},
}

func again(i int, call, code string, unstaged bool) func(*ceremony.NegativeTest) {
	return func(c *ceremony.NegativeTest) {
		x := &c.Relaxed.Attempts[i]
		x.Call, x.Code, x.Unstaged = call, code, unstaged
	}
}

func reads(while bool, name, value string) func(*ceremony.NegativeTest) {
	return func(c *ceremony.NegativeTest) {
		list := c.Relaxed.After
		if while {
			list = c.Relaxed.While
		}
		attributeOf(list, name).Value = value
	}
}

func attributeOf(list []ceremony.Attribute, name string) *ceremony.Attribute {
	return &list[slices.IndexFunc(list, func(a ceremony.Attribute) bool { return a.Name == name })]
}

func TestHostileRelaxationsAreRefused(t *testing.T) {
	f := lax(t)
	if _, err := newForger(t, f).replay(); err != nil {
		t.Fatal(err)
	}
	for _, c := range hostileRelaxations {
		x := newForger(t, f)
		c.edit(x.get(ceremony.KindNegativeTest, 0).content.(*ceremony.NegativeTest))
		if a, err := x.replay(); err == nil || a != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error that says %q", c.name, err, c.want)
		}
	}
	// What a token that refused at once can't have: it would count as refusals.
	y := newForger(t, f)
	z := y.get(ceremony.KindNegativeTest, 1).content.(*ceremony.NegativeTest)
	z.Relaxed = &ceremony.Relaxed{Names: []string{}, Attempts: z.Attempts[:6]}
	if a, err := y.replay(); err == nil || a != nil || !strings.Contains(err.Error(), "names no attempt that did it") {
		t.Errorf("a key is made weaker by nothing: %v", err)
	}
	// The same record in an HSM whose plan tolerates nothing.
	x := newForger(t, f)
	own := *x.get(ceremony.KindNegativeTest, 0).content.(*ceremony.NegativeTest)
	x.get(ceremony.KindNegativeTest, 1).content = &own
	if a, err := x.replay(); err == nil || a != nil || !strings.Contains(err.Error(), "hsm-2 session: attempt relax-extractable succeeded: the key can leave its HSM") {
		t.Errorf("another HSM's tolerance counts: %v", err)
	}
	t.Logf("%d hostile relaxations", len(hostileRelaxations)+2)
}

func TestAPlanToleratesNothingElse(t *testing.T) {
	f := lax(t)
	good := "\n    tolerates: [relax-extractable, relax-sensitive]"
	for _, c := range []struct{ list, want string }{
		{"[wrap-aes-kw]", `tolerates "wrap-aes-kw"; only relax-extractable and relax-sensitive can be tolerated`},
		{"[relax-extractable, export]", `tolerates "export"`},
		{"[relax-extractable, relax-extractable]", `tolerates "relax-extractable" twice`},
		{"[]", "tolerates nothing"},
		{"relax-extractable", "tolerates"},
		{"[Relax-Extractable]", `tolerates "Relax-Extractable"`},
	} {
		text := strings.Replace(string(f.Plan.Raw()), good, "\n    tolerates: "+c.list, 1)
		if text == string(f.Plan.Raw()) {
			t.Fatal("the plan has no such line")
		}
		_, err := ceremony.ParsePlan("plan.yaml", []byte(text))
		wantError(t, err, c.want)
		wantError(t, err, "plan.yaml:")
	}
	// A rehearsal has the same people see the same.
	if h := draft.Rehearsal(f.Plan).HSMs[0]; !slices.Equal(h.Tolerates, both) {
		t.Errorf("the rehearsal tolerates %v", h.Tolerates)
	}
}
