package evidence_test

import (
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// TestADisagreementCantBeLeftOut: each witness and auditor of the plan is heard,
// or a signed exception says that they are not, whether the policy pins them or
// not; so a do-not-agree can't be outvoted by leaving it out.
func TestADisagreementCantBeLeftOut(t *testing.T) {
	onlookers := []ceremony.Person{{Name: "wim", Role: ceremony.Witness}, {Name: "abe", Role: ceremony.Auditor}}
	f := testfleet.New(t, testfleet.Options{Name: "heard", Onlookers: onlookers})
	away := testfleet.New(t, testfleet.Options{Name: "away", Onlookers: onlookers, Away: []string{"wim", "abe"}})
	unaware := func(policy []byte) []byte { // pins no more than one witness and one auditor
		text, rest, _ := strings.Cut(string(policy), "  - name: wim\n")
		_, rest, ok := strings.Cut(rest, "third_parties_needed:")
		if !ok {
			t.Fatal("the policy does not name them last")
		}
		return []byte(text + "third_parties_needed:" + rest)
	}
	without := func(paths ...string) func(evidence.Files) {
		return func(x evidence.Files) {
			for _, path := range paths {
				if x[path] == nil {
					t.Fatalf("there is no %s", path)
				}
				delete(x, path)
				delete(x, path+".sig")
			}
		}
	}
	against := func(stage, name string) func(evidence.Files) {
		return func(x evidence.Files) {
			want := must(f.Account.WantedSignoff(stage))
			p := f.Parties.People[name]
			want.Role, want.Verdict = p.Role, ceremony.DoNotAgree
			path := ceremony.SignoffDir(stage) + "/" + name
			x[path], x[path+".sig"] = want.Text(), must(p.Sign(want.Namespace(), want.Text())).Armor()
		}
	}
	var accepted []string // the officers' signatures on the exceptions
	for path := range away.Files {
		if strings.HasPrefix(path, "approvals/exception-") && !strings.HasSuffix(path, ".sig") {
			accepted = append(accepted, path)
		}
	}
	if len(accepted) != 4 {
		t.Fatalf("%q", accepted)
	}
	for name, c := range map[string]struct {
		fleet  *testfleet.Fleet
		change func(evidence.Files)
		claim  string // that is not shown; empty: verified
		want   string
	}{
		"everyone agrees":                     {f, nil, "", "2 officers, 2 witnesses, 2 auditors: agree"},
		"two are away, by exceptions":         {away, nil, "", "2 officers, 1 witness, 1 auditor: agree; no verdict by ozan, wim, abe"},
		"a witness is left out of the close":  {f, without("signoffs/close/wim"), evidence.ClaimCloseSignoff, "no verdict by wim, and no exception"},
		"an auditor is left out of the close": {f, without("signoffs/close/abe"), evidence.ClaimCloseSignoff, "no verdict by abe, and no exception"},
		"both":                                {f, without("signoffs/close/wim", "signoffs/close/abe"), evidence.ClaimCloseSignoff, "no verdict by wim, abe, and no exception"},
		"one left out of the release":         {f, without("signoffs/release/wim"), evidence.ClaimReleaseSignoff, "no verdict by wim, and no exception"},
		"exceptions that nobody accepted":     {away, without(accepted...), evidence.ClaimCloseSignoff, "no verdict by wim, abe, and no exception that officers accepted"},
		"a witness who does not agree":        {f, against(ceremony.StageClose, "wim"), evidence.ClaimCloseSignoff, "wim does not agree"},
		"an auditor who does not agree":       {f, against(ceremony.StageRelease, "abe"), evidence.ClaimReleaseSignoff, "abe does not agree"},
	} {
		for kind, policy := range map[string][]byte{"all pinned": c.fleet.Policy, "not all pinned": unaware(c.fleet.Policy)} {
			files := with(c.fleet.Files, evidence.ManifestFile, nil)
			if c.change != nil {
				c.change(files)
			}
			r := must(evidence.Verify(evidence.Input{File: "e", Data: must(sealed(files))}, must(evidence.ParsePolicy("policy.yaml", policy)), evidence.Question{Now: c.fleet.Now()}))
			if r.Verified != (c.claim == "") {
				t.Errorf("%s, %s: verified %t: %+v", name, kind, r.Verified, r.Problems)
			}
			claim := c.claim
			if claim == "" {
				claim = evidence.ClaimCloseSignoff
			}
			got := r.Claim(claim)
			want := c.want
			if kind != "all pinned" && c.claim == "" {
				want = "2 officers, 1 witness, 1 auditor: agree" // those who are pinned
			}
			if (got.Grade == evidence.Proven) != (c.claim == "") || !strings.Contains(got.Detail, want) {
				t.Errorf("%s, %s: %s %s: %s, want %q", name, kind, claim, got.Grade, got.Detail, want)
			}
		}
	}
}
