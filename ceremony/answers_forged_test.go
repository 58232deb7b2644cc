package ceremony_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// answered is a ceremony of three third parties, of whom two are needed and one is late.
func answered(t testing.TB) *testfleet.Fleet {
	return testfleet.New(t, testfleet.Options{HSMs: 1, Others: 2, Needed: 2, Late: []string{"auditor-3.example"}})
}

// asAnswered keeps what the third parties answered: nothing that a forger changes is
// signed by them anew.
func asAnswered(x *forger) {
	for _, e := range x.entries {
		e.fixed = e.fixed || e.kind == ceremony.KindResponse
	}
}

// answerFaults are answers on the record that no ceremony can have.
var answerFaults = map[string]struct {
	edit func(x *forger)
	want string
}{
	"one of two": {func(x *forger) {
		x.entries = slices.Delete(x.entries, x.at(ceremony.KindResponse, 0), x.at(ceremony.KindResponse, 0)+1)
	}, `wants a record "response" here`},
	"one counted twice": {func(x *forger) {
		x.entries[x.at(ceremony.KindResponse, 1)].content = x.get(ceremony.KindResponse, 0).content
	}, "on the record already"},
	"late twice": {func(x *forger) {
		x.insert(len(x.entries)-1, x.get(ceremony.KindResponse, 2).content)
	}, "on the record already"},
	"before the request": {func(x *forger) {
		x.insert(x.at(ceremony.KindRequest, 0), x.get(ceremony.KindResponse, 0).content)
	}, `wants a record "request" here`},
	"refused before the request": {func(x *forger) {
		x.insert(x.at(ceremony.KindRequest, 0), refusal(x, 0, "why not"))
	}, "no third party has been asked yet"},
	"refused what was taken": {func(x *forger) { x.insert(len(x.entries)-1, refusal(x, 0, "why not")) }, "it refuses an answer that was taken before"},
	"refused without reason": {func(x *forger) { x.insert(x.at(ceremony.KindResponse, 2), refusal(x, 2, " ")) }, "its reason is blank"},
	"refused in two lines":   {func(x *forger) { x.insert(x.at(ceremony.KindResponse, 2), refusal(x, 2, "a\nb")) }, "its reason has the character U+000A"},
	"refused at length":      {func(x *forger) { x.insert(x.at(ceremony.KindResponse, 2), refusal(x, 2, strings.Repeat("a", 501))) }, "its reason has 501 bytes, 500 are allowed"},
	"refused nothing": {func(x *forger) {
		r := refusal(x, 2, "why not")
		r.Statement = []byte("{}")
		x.insert(x.at(ceremony.KindResponse, 2), r)
	}, "is missing"},
	"after the close": {func(x *forger) { x.insert(len(x.entries), x.get(ceremony.KindResponse, 2).content) }, "the ceremony ended"},
}

func TestForgedAnswersAreNoTranscript(t *testing.T) {
	f := answered(t)
	x := newForger(t, f)
	asAnswered(x)
	if string(x.write()) != string(f.Transcript()) {
		t.Fatal("an honest forger writes another transcript")
	}
	for name, c := range answerFaults {
		x := newForger(t, f)
		asAnswered(x)
		c.edit(x)
		if _, err := x.replay(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func refusal(x *forger, response int, reason string) *ceremony.Refusal {
	r := x.get(ceremony.KindResponse, response).content.(*ceremony.Response)
	return &ceremony.Refusal{Key: r.Key, Statement: r.Statement, Reason: reason}
}
