package ceremony_test

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testvectors"
)

// Transcripts in which one thing is wrong, and everything else is as it should be and
// signed by the right keys. Each is cut off after the record that is refused.
func TestTranscriptVectors(t *testing.T) {
	f := base(t)
	set := testvectors.NewSet("transcript")
	plan := set.Share("plan.yaml", f.Plan.Raw())
	add := func(name, want string, data []byte) {
		c := testvectors.Case{Name: strings.NewReplacer(" ", "-", ",", "", "'", "").Replace(name), What: name, Verdict: testvectors.Accept, Reason: want}
		if want != "" {
			c.Verdict = testvectors.Reject
		}
		set.Add(t, c, testvectors.Part{Part: "plan", At: plan}, testvectors.Part{Part: "transcript", Name: "transcript.jsonl", Data: data})
	}
	add("good", "", f.Transcript())
	for _, c := range append(hostile, hostileForms...) {
		x := newForger(t, f)
		c.edit(x)
		add(c.name, c.want, upToTheFault(t, f.Plan, x.write(), c.want))
	}
	set.Check(t)
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
