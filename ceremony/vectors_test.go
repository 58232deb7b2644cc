package ceremony_test

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/testvectors"
)

// transcripts are the vectors of transcripts as they are made.
type transcripts struct {
	t   *testing.T
	set *testvectors.Set
}

// add adds a transcript, under the plan of a fleet that several share by name.
func (v *transcripts) add(fleet, name, want string, f *testfleet.Fleet, data []byte) {
	v.t.Helper()
	c := testvectors.Case{Name: strings.NewReplacer(": ", "-", " ", "-", ",", "", "'", "").Replace(name), What: name, Verdict: testvectors.Accept, Reason: want}
	if want != "" {
		c.Verdict = testvectors.Reject
	}
	plan := v.set.Share(fleet+".plan.yaml", f.Plan.Raw())
	v.set.Add(v.t, c, testvectors.Part{Part: "plan", At: plan}, testvectors.Part{Part: "transcript", Name: "transcript.jsonl", Data: data})
}

// forged adds a transcript of a fleet, changed by whoever has every key, and cut off
// after the record that is refused.
func (v *transcripts) forged(fleet, name, want string, f *testfleet.Fleet, edit func(*forger)) {
	v.t.Helper()
	x := newForger(v.t, f)
	edit(x)
	data := x.write()
	if want != "" {
		data = upToTheFault(v.t, f.Plan, data, want)
	}
	v.add(fleet, name, want, f, data)
}

// onAttempts changes the attempts on the second key of a fleet: one that agrees.
func onAttempts(edit func([]ceremony.Attempt)) func(*forger) {
	return func(x *forger) {
		n := x.get(ceremony.KindNegativeTest, 1).content.(*ceremony.NegativeTest)
		n.Attempts = slices.Clone(n.Attempts)
		edit(n.Attempts)
	}
}

// Transcripts in which one thing is wrong, and everything else is as it should be and
// signed by the right keys; and such as may be.
func TestTranscriptVectors(t *testing.T) {
	v := &transcripts{t, testvectors.NewSet("transcript")}
	f := base(t)
	v.add("base", "good", "", f, f.Transcript())
	v.ends(f)
	for _, name := range slices.Sorted(maps.Keys(honestForms)) {
		v.forged("base", "good: "+name, "", f, honestForms[name])
	}
	for _, c := range slices.Concat(hostile, hostileForms) {
		v.forged("base", c.name, c.want, f, c.edit)
	}
	a := agreeingOnce(t)
	v.add("agreeing", "good: keys that agree", "", a, a.Transcript())
	for _, name := range slices.Sorted(maps.Keys(agreementFaults)) {
		v.forged("agreeing", "agreement: "+name, agreementFaults[name].want, a, agreementFaults[name].forge)
	}
	for _, name := range slices.Sorted(maps.Keys(misuseFaults)) {
		v.forged("agreeing", "misuse: "+name, misuseFaults[name].want, a, onAttempts(misuseFaults[name].edit))
	}
	tpm := byTPM(t, testfleet.Options{})
	v.add("by-a-tpm", "good: keys that agree by their TPM", "", tpm, tpm.Transcript())
	for _, name := range slices.Sorted(maps.Keys(tpmFaults)) {
		if c := tpmFaults[name]; c.plain {
			v.forged("agreeing", "tpm: "+name, c.want, a, onAttempts(c.edit))
		} else {
			v.forged("by-a-tpm", "tpm: "+name, c.want, tpm, onAttempts(c.edit))
		}
	}
	l := lax(t)
	v.add("tolerating", "good: what a plan tolerates", "", l, l.Transcript())
	for _, c := range hostileRelaxations {
		v.forged("tolerating", "tolerated: "+c.name, c.want, l, func(x *forger) { c.edit(x.get(ceremony.KindNegativeTest, 0).content.(*ceremony.NegativeTest)) })
	}
	d := attestedFleet(t)
	v.add("attested", "good: a fleet whose devices attest", "", d, d.Transcript())
	for _, c := range hostileAttestations {
		v.forged("attested", "attestation: "+c.name, c.want, d, c.edit)
	}
	w := drilledOnce(t)
	for _, name := range slices.Sorted(maps.Keys(drillForms)) {
		v.forged("drilled", "good: "+name, "", w, drillForms[name])
	}
	for _, name := range slices.Sorted(maps.Keys(drillFaults)) {
		v.forged("drilled", "drill: "+name, drillFaults[name].want, w, drillFaults[name].edit)
	}
	r := answered(t)
	v.add("answered", "good: three third parties of whom one is late", "", r, r.Transcript())
	for _, name := range slices.Sorted(maps.Keys(answerFaults)) {
		v.forged("answered", "answers: "+name, answerFaults[name].want, r, func(x *forger) {
			asAnswered(x)
			answerFaults[name].edit(x)
		})
	}
	g := destroying(t)
	v.add("destroying", "good: keys that are destroyed", "", g, g.Transcript())
	for _, name := range slices.Sorted(maps.Keys(destructionForms)) {
		v.forged("destroying", "good: "+name, "", g, destructionForms[name])
	}
	for _, name := range slices.Sorted(maps.Keys(destructionFaults)) {
		v.forged("destroying", "destruction: "+name, destructionFaults[name].want, g, destructionFaults[name].forge)
	}
	v.set.Check(t)
}

// ends are transcripts that end otherwise than by a close.
func (v *transcripts) ends(f *testfleet.Fleet) {
	whole := f.Transcript()
	lines := bytes.SplitAfter(whole, []byte("\n"))
	v.add("base", "good: logins withheld", "", f, must(ceremony.Withhold(f.Plan, whole)))
	v.add("base", "good: not at its end yet", "", f, bytes.Join(lines[:20], nil))
	v.add("base", "good: nothing yet", "", f, []byte{})
	v.forged("base", "good: aborted", "", f, func(x *forger) {
		n := x.at(ceremony.KindRelease, 0)
		x.insert(n, abortOf(x, ceremony.Destroyed))
		x.cut(n + 1)
	})
	v.add("base", "cut off within a record", "is cut off after record 20", f, append(bytes.Join(lines[:20], nil), lines[20][:40]...))
	v.add("base", "cut off before its LF", "is cut off after record 20", f, append(bytes.Join(lines[:20], nil), bytes.TrimSuffix(lines[20], []byte("\n"))...))
	v.add("base", "an empty line between records", "record", f, append(bytes.Join(lines[:20], nil), append([]byte("\n"), lines[20]...)...))
	v.add("base", "CR LF", "record", f, bytes.ReplaceAll(bytes.Join(lines[:3], nil), []byte("\n"), []byte("\r\n")))
	x := newForger(v.t, f)
	attempt(0, "CKR_OK", false)(x)
	x.cut(x.at(ceremony.KindNegativeTest, 0) + 1)
	v.add("base", "a check that failed and nothing after it", "a check failed: hsm-1 session: attempt export succeeded", f, x.write())
}

// atLine is a refusal's line of a transcript.
var atLine = regexp.MustCompile(`^transcript\.jsonl:(\d+):`)

// upToTheFault is a transcript up to the record that is refused: for the same reason.
func upToTheFault(t *testing.T, plan *ceremony.Plan, data []byte, want string) []byte {
	_, _, err := ceremony.Replay(plan, "transcript.jsonl", data)
	m := atLine.FindStringSubmatch(fmt.Sprint(err))
	if m == nil {
		t.Fatalf("%v has no line", err)
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	cut := bytes.Join(lines[:must(strconv.Atoi(m[1]))], nil)
	if _, _, err := ceremony.Replay(plan, "transcript.jsonl", cut); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("cut off after line %s: %v, want %q", m[1], err, want)
	}
	return cut
}
