package evidence_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/token"
)

// forgedTable has a verdict for each lie and each attacker; FLEETCTL_WRITE=1 writes
// it, and git shows which verdict changed.
const forgedTable = "testdata/forger.txt"

// reasons say why a lie may be accepted: field and attackers, as regular
// expressions, and whose word it is.
var reasons = []struct{ field, who, why string }{
	{`unlock body`, `.*`, "the login's record may be withheld by whoever publishes: its hash stays in the chain, and no claim rests on it (SPEC 7.4)"},
	{`unlock\.(hsm|method|result)`, `everyone`, "how a PIN came is the machine's word, and no claim rests on it"},
	{`.* (time|salt)`, `everyone`, "the machine's clock and randomness: those who were there saw the clock, and signed the record"},
	{`(adjourn|reconvene|resume|challenge\((fleet|key-set|bundle)\)|release|exception|exception\(clock\)|request|refusal|response|response\(late\)|countersignature|log-proof|lockdown|close|abort) (time|salt)`, `all but the third parties`,
		"the third parties sign the key set, which commits to the records up to the fleet check; what comes later is the people's word"},
	{`open\.(version|binary|words\[0\]|chosen_by)`, `everyone`, "which program ran and which words were chosen: the word of those who were there"},
	{`reading\((clock|seal)\)\.(value|by|confirmed)`, `everyone`, "what was read off, and by whom: the word of those who were there"},
	{`challenge\(.*\)\.(positions\[0\]|tries|by)`, `everyone`, "which words were read back, and by whom: the word of those who were there"},
	{`challenge\((fleet|key-set|bundle)\)\.(positions\[0\]|tries|by)`, `all but the third parties`, "the same, after what the third parties sign"},
	{`intake\.(manufacturer|hardware|library|module|model|firmware|serial)`, `everyone`, "what a token says of itself: the device's word, which nothing authenticates without an attestation"},
	{`intent\.cka_id`, `everyone`, "the id of a key in its token is the device's word"},
	{`response\.statement\.timestamp`, `everyone`, "when it signed is the third party's word, until witnesses have seen it: the operator countersigns it"},
	{`outcome\.(mechanism|public_key)`, `everyone`, "that this key was generated in that HSM is the device's word: the claim's grade is device"},
	{`negative-test\.attempts\[0\]\.code`, `everyone`, "with which of the listed codes an attempt was refused is the device's word"},
	{`(adjourn\.reason|exception(\(clock\))?\.(expected|happened|decided|clock|torn)|lockdown\.(reading|by|confirmed)|refusal\.(key|reason)|abort\.(reason|torn|keys\[0\]\.state))`, `everyone|all but the third parties`,
		"what people say happened: officers accepted or signed it"},
	{`attestation\.(level|anchor|firmware|by)`, `everyone`, "what the people in the room made of a device's evidence: whoever verifies judges the evidence itself"},
	{`drills/1\.json (counts\.consumed|figures\[0\]\.value|histories\[0\]\.sha256)`, `everyone|all but the third parties`, "what a drill did and measured nobody can see again: the word of those who were there and signed the close"},
	{`plan\.yaml (a comment|fleet|hsms\.name|roles\.name|hsms\.(site|serial)|people\.name|third_parties\.name|countersigner\.name)`, `everyone`, "a name by which nobody is told from another: the policy pins keys, and a serial is the device's word too"},
	{`plan\.yaml third_parties\.key`, `everyone`, "the plan's second third party, whom the policy pins, signed too, and the policy wants one"},
	{`plan\.yaml (threshold|log_policy)`, `everyone`, "a plan may ask for less than the policy: the policy's number of officers and its quorum hold"},
	{`approvals/abort by the .* signature`, `.*`, "one signature of four is taken away, and those left are enough for what is demanded; the log has a second entry then, which its monitor tells of"},
	{`approvals/abort by the .* role`, `.*`, "signed in another's part it counts for nothing, and the three that are left are enough for what is demanded"},
}

// everything is a closed ceremony in which all happened that can.
func everything(t testing.TB) *base {
	t.Helper()
	f := testfleet.New(t, testfleet.Options{Name: "forged", HSMs: 2, Witnesses: 3, Others: 1, Needed: 1, Late: []string{"auditor-2.example"},
		Lockdown: []string{"Bag the HSMs"}, Onlookers: []ceremony.Person{{Name: "wim", Role: ceremony.Witness}}, Away: []string{"wim"},
		Challenger: "ada", Roles: []draft.Role{{Name: "session", Algorithm: keys.Ed25519}, {Name: "sealing", Algorithm: keys.ECDHP256}},
		Tolerates: []string{token.TryRelaxExtractable, token.TryRelaxSensitive},
		Tokens:    func(l []*testfleet.Token) { l[0].OnRelaxed = func(*token.Relaxed) {} }})
	records := must(ceremony.ParseTranscript("t", f.Transcript(), f.Plan.Digest())).Records
	after := func(kind ceremony.Kind, what string) int {
		for i, r := range slices.Backward(records) {
			c, ok := r.Content.(*ceremony.Challenge)
			if r.Kind == kind && (what == "" || ok && c.What == what) {
				return i + 1
			}
		}
		panic("no such record")
	}
	insert := func(at int, list ...*ceremony.Record) {
		for _, r := range list {
			r.Time, r.Salt = records[at-1].Time, bytes.Repeat([]byte{byte(at)}, 32)
		}
		records = slices.Insert(records, at, list...)
	}
	answer := records[after(ceremony.KindResponse, "")-1].Content.(*ceremony.Response)
	said := must(bundle.ParseStatement("", answer.Statement))
	stranger := testfleet.SoftSigner(keys.Ed25519, "somebody else")
	raw, _ := stranger.Public.Ed25519()
	said = must(bundle.NewStatement(said.Ciphersuite, said.Namespace, said.Timestamp, said.Epoch, said.Digest))
	said = must(said.Seal([32]byte(raw), must(stranger.Sign(said.Message()))))
	insert(after(ceremony.KindRequest, ""), &ceremony.Record{Kind: ceremony.KindRefusal, Content: &ceremony.Refusal{Key: [32]byte(raw), Statement: said.Raw(), Reason: "the plan does not name it"}})
	seals := []ceremony.Seal{{What: "hsm-1", Number: "4471"}}
	insert(after(ceremony.KindChallenge, ceremony.ChallengeFleet),
		&ceremony.Record{Kind: ceremony.KindAdjourn, Content: &ceremony.Adjourn{Reason: "night", Seals: seals}},
		&ceremony.Record{Kind: ceremony.KindReconvene, Content: &ceremony.Reconvene{Seals: seals}},
		&ceremony.Record{Kind: ceremony.KindResume, Content: &ceremony.Resume{}})
	last := len(records) - 1
	insert(last, &ceremony.Record{Kind: ceremony.KindException, Content: &ceremony.Exception{Number: 3, Expected: "the right time", Happened: "another", Decided: "to set it",
		Clock: &ceremony.Clock{Wall: records[last-1].Time}}})
	return newBase(t, f, numbered(records), "")
}

func numbered(records []*ceremony.Record) []*ceremony.Record {
	for i, r := range records {
		r.N = i + 1
	}
	return records
}

// ended is an aborted ceremony.
func ended(t testing.TB) *base {
	t.Helper()
	f := testfleet.New(t, testfleet.Options{Name: "forged abort", HSMs: 2, Witnesses: 3, To: testfleet.ToFleetRun})
	a, tr, err := ceremony.Replay(f.Plan, "t", must(os.ReadFile(filepath.Join(f.Dir, ceremony.TranscriptFile))))
	if err != nil {
		t.Fatal(err)
	}
	end := &ceremony.Abort{Reason: "a fire"}
	for _, k := range a.Keys {
		end.Keys = append(end.Keys, ceremony.KeyState{HSM: k.HSM, Role: k.Role, ID: k.Intent.ID, State: ceremony.Destroyed})
	}
	records := append(tr.Records, &ceremony.Record{Kind: ceremony.KindAbort, Time: tr.Records[len(tr.Records)-1].Time, Salt: bytes.Repeat([]byte{9}, 32), Content: end})
	return newBase(t, f, numbered(records), evidence.TypeAbort)
}

// verdicts are what a lie comes to in the mouth of each attacker.
type verdicts struct {
	lie      lie
	by       []hands
	texts    []string
	accepted []bool
}

func judgeAll(b *base, lies []lie) []verdicts {
	list := make([]verdicts, len(lies))
	work := make(chan int)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range work {
				v := verdicts{lie: lies[i], by: b.by}
				for _, who := range b.by {
					text, ok := b.judge(who, lies[i])
					v.texts, v.accepted = append(v.texts, text), append(v.accepted, ok)
				}
				list[i] = v
			}
		})
	}
	for i := range lies {
		work <- i
	}
	close(work)
	wg.Wait()
	return list
}

// TestWhoCanLieAboutWhat changes one field of a package and makes all else fit, as
// each attacker could, and compares the verdicts with those that were read and
// found right.
func TestWhoCanLieAboutWhat(t *testing.T) {
	if testing.Short() || await.RaceDetector {
		t.Skip("takes half a minute of processor time, and shows the same each time")
	}
	start := await.Processor()
	var table strings.Builder
	table.WriteString("# What comes of a lie, by who tells it: one field is changed, and everything else made to fit that they can make fit.\n" +
		"# TestWhoCanLieAboutWhat writes this file, and has a reason for each lie that is VERIFIED. docs/threat-model.md says who is who.\n")
	used := make([]bool, len(reasons))
	count, taken := 0, 0
	write := func(heading string, list []verdicts) {
		fmt.Fprintf(&table, "\n## %s\n", heading)
		for n, v := range list {
			if n == 0 || !slices.Equal(list[n-1].texts, v.texts) {
				table.WriteString("\n")
			}
			fmt.Fprintf(&table, "%s: %s\n", v.lie.field, clean(v.lie.how))
			if n+1 == len(list) || !slices.Equal(list[n+1].texts, v.texts) {
				for _, line := range v.lines() {
					table.WriteString("    " + line + "\n")
				}
			}
			for i, ok := range v.accepted {
				count++
				if i == 0 && v.texts[i] == "it changes nothing" {
					t.Errorf("%s: %s: is no lie", v.lie.field, v.lie.how)
				}
				if !ok {
					continue
				}
				taken++
				if why := reasonOf(v.lie.field, attackers[i].name, used); why == "" {
					t.Errorf("%s: %s: VERIFIED, told by %s, and no reason says why it may be", v.lie.field, v.lie.how, attackers[i].name)
				}
			}
		}
	}
	b := everything(t)
	write("a closed ceremony: the records", judgeAll(b, b.recordLies()))
	write("a closed ceremony: the plan", judgeAll(b, b.planLies()))
	write("a closed ceremony: the files that follow from the records", judgeAll(b, slices.Concat(b.jsonLies(), b.otherLies())))
	write("a closed ceremony: what people signed", judgeAll(b, b.textLies()))
	write("a closed ceremony: the log's proofs", judgeAll(b, b.proofLies()))
	b = deviceFleet(t)
	write("a closed ceremony whose devices attest", judgeAll(b, b.deviceLies()))
	b = drilledFleet(t)
	write("a closed ceremony whose fleet was drilled", judgeAll(b, b.drillLies()))
	b = ended(t)
	of := func(list []lie, prefix string) []lie {
		return slices.DeleteFunc(list, func(l lie) bool { return !strings.HasPrefix(l.field, prefix) })
	}
	write("an aborted ceremony", judgeAll(b, slices.Concat(of(b.recordLies(), "abort"), of(b.textLies(), "approvals/abort"), of(b.proofLies(), endFile))))

	for i, r := range reasons {
		if !used[i] {
			t.Errorf("no lie about %s by %s is VERIFIED any more: take the reason out", r.field, r.who)
		}
	}
	if os.Getenv("FLEETCTL_WRITE") == "1" {
		must(0, os.WriteFile(forgedTable, []byte(table.String()), 0o644))
	}
	if have, err := os.ReadFile(forgedTable); err != nil || string(have) != table.String() {
		t.Errorf("%s is not what comes of the lies today: %v\n%s", forgedTable, err, firstDifference(string(have), table.String()))
	}
	t.Logf("%d lies told, %d of them VERIFIED, %s of processor time", count, taken, (await.Processor() - start).Round(time.Second))
}

// lines are the verdicts with those who get them, in the attackers' order.
func (v *verdicts) lines() (list []string) {
	who := map[string][]string{}
	var order []string
	for i, text := range v.texts {
		if who[text] == nil {
			order = append(order, text)
		}
		who[text] = append(who[text], v.by[i].name)
	}
	for _, text := range order {
		names := strings.Join(who[text], "; ")
		switch len(who[text]) {
		case len(v.by):
			names = "all"
		case len(v.by) - 1:
			if order[0] != text && len(order) == 2 {
				names = "each alone"
			}
		}
		list = append(list, names+": "+text)
	}
	return list
}

func reasonOf(field, who string, used []bool) (why string) {
	for i, r := range reasons {
		if regexp.MustCompile("^("+r.field+")$").MatchString(field) && regexp.MustCompile("^("+r.who+")$").MatchString(who) {
			used[i], why = true, r.why
		}
	}
	return why
}

var (
	manyDigits = regexp.MustCompile(`[0-9a-f]{8,}…?|[A-Za-z0-9+/]{40,}=*`)
	aRecord    = regexp.MustCompile(`record [0-9]+|intent [0-9]+`)
)

// clean takes out of a verdict what changes with every digest.
func clean(s string) string {
	s = manyDigits.ReplaceAllString(s, "…")
	s = aRecord.ReplaceAllStringFunc(s, func(m string) string { return strings.Fields(m)[0] + " N" })
	return strings.ReplaceAll(s, "\n", " ")
}

func firstDifference(have, want string) string {
	h, w := strings.Split(have, "\n"), strings.Split(want, "\n")
	for i := range min(len(h), len(w)) {
		if h[i] != w[i] {
			return fmt.Sprintf("line %d has\n%s\nand is\n%s", i+1, h[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines, now %d", len(h), len(w))
}
