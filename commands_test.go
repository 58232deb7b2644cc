package fleetctl_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// judging are the functions and methods by which signatures are verified, approvals
// counted, keys admitted, records judged. Libraries call them; a command gets the
// result from one library call and shows it.
var judging = regexp.MustCompile(`^(Verify\w*|Judge\w*|Admit\w*|CheckSignature\w*|CheckSigned|CheckStatement|CheckAttestations|CheckRekorEnvelope|SignedOff|MayRelease|MayAttest|Apply|FileApprovals|Approvals|PlanApprovals|CountAt|Counts|Proves|Admits)$`)

// mayJudge are the calls of those that a command may make: each gives the library's
// whole verdict about what a person named.
var mayJudge = map[string]string{
	"cmd/fleetctl/evidence: evidence.Verify":   "the verdict about a package or a bundle",
	"cmd/fleetctl/evidence: p.Log.VerifySplit": "the verdict about two checkpoints, by a log's pinned key",
	"cmd/fleetctl/evidence: l.VerifySplit":     "the same, of a Rekor log",
	"cmd/fleetctl/attestation: attest.Judge":   "the verdict about a device's attestation",
	"cmd/fleetctl/policy: succession.Verify":   "the verdict about a policy that follows another",
	// What is checked before it is used: nothing is shown as verified by it.
	"cmd/fleetctl/log: auditlog.CheckRekorEnvelope": "an envelope that an earlier run left, or a token has just signed, before it is sent",
	"cmd/fleetctl/history: keys.AdmitEd25519":       "a key on the command line, before a history is checked with it",
}

// made are the types of verdicts, and of what people sign: a command that writes one
// down decides what only a library may.
var made = []string{"evidence.Report", "evidence.Claim", "bundle.Result", "bundle.Trust", "auditlog.Cosigning", "auditlog.Inclusion", "attest.Claims", "attest.Problem", "ceremony.Approval", "ceremony.Signoff", "ceremony.Account"}

// decides lists what a command's file decides by itself.
func decides(t *testing.T, dir, name, text string) (list []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if sel, ok := n.Fun.(*ast.SelectorExpr); ok && judging.MatchString(sel.Sel.Name) {
				list = append(list, dir+": "+written(sel))
			}
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Verified" && combined(n.Value) {
				list = append(list, dir+": Verified")
			}
		case *ast.AssignStmt:
			for i, l := range n.Lhs {
				if sel, ok := l.(*ast.SelectorExpr); ok && sel.Sel.Name == "Verified" && len(n.Rhs) == len(n.Lhs) && combined(n.Rhs[i]) {
					list = append(list, dir+": Verified")
				}
			}
		case *ast.CompositeLit:
			if sel, ok := n.Type.(*ast.SelectorExpr); ok && slices.Contains(made, written(sel)) {
				list = append(list, dir+": "+written(sel)+"{}")
			}
		}
		return true
	})
	return list
}

// combined says that a value is put together from several conditions.
func combined(e ast.Expr) bool {
	b, ok := e.(*ast.BinaryExpr)
	return ok && (b.Op == token.LAND || b.Op == token.LOR)
}

// written is a chain of names as it stands in the text: p.Log.VerifySplit.
func written(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return written(e.X) + "." + e.Sel.Name
	case *ast.CallExpr:
		return written(e.Fun) + "()"
	}
	return fmt.Sprintf("%T", e)
}

func TestCommandsMakeNoVerdict(t *testing.T) {
	met := map[string]bool{}
	for dir, files := range sources(t) {
		if dir != "cmd/fleetctl" && !isNoun(dir) {
			continue
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range decides(t, dir, f, string(data)) {
				met[d] = true
				if mayJudge[d] == "" {
					t.Errorf("%s: %s: a command shows a verdict and makes none: let a library decide, or say in mayJudge why not", f, d)
				}
			}
		}
	}
	for d := range maps.Keys(mayJudge) {
		if !met[d] {
			t.Errorf("%s is not met any more: take it off the list mayJudge", d)
		}
	}
}

func TestAVerdictInACommandIsFound(t *testing.T) {
	got := decides(t, "cmd", "a.go", `package a
func f() {
	if err := s.Statement.Verify(s.Key); err != nil { return }
	ed25519.Verify(k, m, sig)
	people.FileApprovals(text, ns, list)
	c.Account().MayRelease()
	t := &bundle.Trust{Needed: 1}
	_ = evidence.Claim{}
	show.Verdict(true, "fine")
	r := bundle.Seen{}
	j := &reportJSON{Verified: r.Found == 0 && r.Quorum}
	j.Verified = j.Verified || first
	j.Verified = r.Verified(first || pinned)
}`)
	want := []string{"cmd: s.Statement.Verify", "cmd: ed25519.Verify", "cmd: people.FileApprovals", "cmd: c.Account().MayRelease", "cmd: bundle.Trust{}", "cmd: evidence.Claim{}", "cmd: Verified", "cmd: Verified"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
