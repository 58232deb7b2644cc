package evidence_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/closing"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// absentOfficer is an officer of the plan who was not there on the day, and signs
// afterwards what had to be signed before the third parties were asked. The
// policy takes him for one of the two who approved.
type absentOfficer struct {
	*testfleet.Fleet
	plan, acts, release bool // what he signs afterwards
}

// signs writes his signatures into a ceremony's folder that stands at its close.
func (o absentOfficer) signs(t testing.TB, a *ceremony.Account) {
	t.Helper()
	p := o.Parties.People["ozan"]
	write := func(path, namespace string, text []byte, beside bool) {
		file := filepath.Join(o.Dir, path)
		err := os.WriteFile(file+".sig", must(p.Sign(namespace, text)).Armor(), 0o644)
		if err == nil && beside {
			err = os.WriteFile(file, text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if o.plan {
		write("plan-approvals/ozan", ceremony.SignNamespace(ceremony.NamespacePlan, a.Plan.Mode), a.Plan.Raw(), false)
	}
	for _, need := range a.Needs {
		if o.acts {
			need.Role = ceremony.Officer
			write(fmt.Sprintf("approvals/%s-%d-ozan", need.Act, need.Head.N), need.Namespace(), need.Text(), true)
		}
	}
	if o.release {
		want := must(a.WantedSignoff(ceremony.StageRelease))
		want.Role, want.Verdict = ceremony.Officer, ceremony.Agree
		write("signoffs/release/ozan", want.Namespace(), want.Text(), true)
	}
}

// signedAfterwards is a package that such an officer signed, and the policy that
// pins him and not omar, who was there.
func signedAfterwards(t testing.TB, o absentOfficer, name string) (*testfleet.Fleet, []byte) {
	t.Helper()
	o.Fleet = testfleet.New(t, testfleet.Options{Name: name, To: testfleet.ToLogged})
	j := must(o.Journal())
	defer j.Close()
	o.signs(t, j.Account())
	if err := o.End(j); err != nil {
		t.Fatal(err)
	}
	if err := o.SignOff(o.Dir, j.Account(), ceremony.StageClose, ceremony.Agree, "ozan"); err != nil {
		t.Fatal(err)
	}
	files, _, err := closing.PackFolder(o.Dir, false)
	if err != nil {
		t.Fatal(err)
	}
	o.Files, o.Archive = files, must(evidence.Pack(files))
	before, rest, ok := strings.Cut(string(o.Policy), "  - name: omar\n")
	_, after, next := strings.Cut(rest, "  - name: ")
	if !ok || !next {
		t.Fatal("the policy does not name omar before somebody else")
	}
	return o.Fleet, []byte(before + "  - name: " + after)
}

// What leads to the request is approved before it, and what leads to the
// countersignature before that: their records list what had been signed. A
// signature made afterwards says what somebody thinks of it, and isn't an approval.
func TestApprovalsAreThereBeforeTheAct(t *testing.T) {
	for _, c := range []struct {
		name  string
		late  absentOfficer
		claim string
		want  string
	}{
		{"everything", absentOfficer{plan: true, acts: true, release: true}, evidence.ClaimPlanApproved, "1 of 2 officers whom the policy pins approved the plan; not counted: plan-approvals/ozan.sig, the request's record does not list it"},
		{"the release", absentOfficer{plan: true, acts: true, release: true}, evidence.ClaimReleaseSignoff, "1 of 2 officers agree; not counted: signoffs/release/ozan.sig"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, policy := signedAfterwards(t, c.late, "afterwards "+c.name)
			r := must(evidence.Verify(evidence.Input{File: "e", Data: f.Archive}, must(evidence.ParsePolicy("policy.yaml", policy)), evidence.Question{Now: f.Now()}))
			claim := r.Claim(c.claim)
			if r.Verified || claim.Grade != evidence.NotShown || !strings.Contains(claim.Detail, c.want) {
				t.Errorf("verified is %t, %s is %s: %s %+v", r.Verified, c.claim, claim.Grade, claim.Detail, r.Problems)
			}
			// They are no fault either: those who were there make the quorum.
			if r := must(evidence.Verify(evidence.Input{File: "e", Data: f.Archive}, must(evidence.ParsePolicy("policy.yaml", f.Policy)), evidence.Question{Now: f.Now()})); !r.Verified {
				t.Errorf("with those who were there pinned: %s", says(r))
			}
		})
	}
}

// Which record has to list a signature follows from what it is for.
func TestWhatIsDoneAndApprovedLaterWasNotApproved(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "afterwards which", To: testfleet.ToLogged})
	j := must(f.Journal())
	defer j.Close()
	exception(f, j)
	a := j.Account()
	head := map[string]int{}
	for _, need := range a.Needs {
		head[need.Act] = need.Head.N
	}
	for path, want := range map[string]ceremony.Kind{
		"plan-approvals/olga.sig":                                             "",
		"plan-approvals/ozan.sig":                                             ceremony.KindRequest,
		"signoffs/release/ada.sig":                                            "",
		"signoffs/release/ozan.sig":                                           ceremony.KindRequest,
		"signoffs/close/ozan.sig":                                             "",
		fmt.Sprintf("approvals/open-%d-olga.sig", head["open"]):               "",
		fmt.Sprintf("approvals/open-%d-ozan.sig", head["open"]):               ceremony.KindRequest,
		fmt.Sprintf("approvals/exception-%d-ozan.sig", head["open"]):          ceremony.KindRequest,
		fmt.Sprintf("approvals/request-%d-ozan.sig", head["request"]):         ceremony.KindRequest,
		fmt.Sprintf("approvals/resume-%d-ozan.sig", head["request"]+1):        ceremony.KindCountersignature,
		fmt.Sprintf("approvals/exception-%d-ozan.sig", head["request"]+1):     "", // due at the close
		fmt.Sprintf("approvals/countersign-%d-olga.sig", head["countersign"]): "",
		fmt.Sprintf("approvals/countersign-%d-ozan.sig", head["countersign"]): ceremony.KindCountersignature,
		fmt.Sprintf("approvals/resume-%d-ozan.sig", head["countersign"]+1):    "",
		fmt.Sprintf("approvals/exception-%d-ozan.sig", head["exception"]):     "",
	} {
		if got := a.Afterwards(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}
