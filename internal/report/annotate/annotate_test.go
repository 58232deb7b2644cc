package annotate_test

import (
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/report"
	"github.com/fleetctl/fleetctl/internal/report/annotate"
)

func TestEachFailureIsOneCommandWhateverItsTextSays(t *testing.T) {
	r := &report.Run{Command: "fleetctl verify", Subject: "a,b:c.tar", Checks: []report.Check{
		{Rule: "mode", Outcome: report.Passed, Message: "proven"},
		{Rule: "page", Message: "100% wrong\n::set-env name=PATH::/x\r::stop", At: report.Place{File: "a,b:c.tar", Member: "index.html", Line: 7}},
		{Rule: report.RuleNoVerdict, Outcome: report.NoVerdict, Message: "is malformed", Next: "mend it", At: report.Place{File: "policy.yaml", Line: 4}},
	}}
	want := "::error file=a%2Cb%3Ac.tar,line=1,title=fleetctl verify%3A page::index.html:7: 100%25 wrong%0A::set-env name=PATH::/x%0D::stop\n" +
		"::error file=policy.yaml,line=4,title=fleetctl verify%3A no-verdict::is malformed%0Anext: mend it\n"
	if got := string(annotate.Marshal(r)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestAGoodRunIsANotice(t *testing.T) {
	r := &report.Run{Command: "fleetctl verify", Subject: "evidence.tar", Summary: "13 claims demanded, 13 shown", Good: true, Checks: []report.Check{{Rule: "mode", Outcome: report.Passed}}}
	if got := string(annotate.Marshal(r)); got != "::notice title=fleetctl verify::evidence.tar: 13 claims demanded, 13 shown\n" {
		t.Error(got)
	}
	if got := string(annotate.Marshal(&report.Run{Command: "fleetctl verify", Good: true})); !strings.HasPrefix(got, "::error title=") {
		t.Errorf("nothing was checked: %s", got)
	}
}
