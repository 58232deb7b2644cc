package site

import (
	"encoding/json"
	"fmt"
	"maps"
	"testing"

	"github.com/fleetctl/fleetctl/internal/testbrowser"
	"github.com/fleetctl/fleetctl/internal/testvectors"
)

// asking has the page's own verifier judge a case of testdata/vectors, and says accept,
// reject or not checked of its answer, as the cases do.
const asking = `(async ({kind, files, given}) => {
	const part = (name) => files[name] && Uint8Array.from(atob(files[name]), (c) => c.charCodeAt(0));
	const proofs = [part("logged"), part("proof")].filter((p) => p);
	const question = {policy: part("policy"), time: given?.time, proofs, expect: kind === "package" ? given?.expect : undefined};
	const a = await (kind === "package" ? fleetctlVerify.verifyPackage : fleetctlVerify.verifyBundle)(part(kind), question);
	const left = a.areas.length > 0 || Object.keys(files).some((name) => name.startsWith("beside"));
	const wrong = a.problems.length > 0 || a.claims.some((c) => c.ok === false);
	return {verdict: wrong ? "reject" : left || !a.accepted ? "not checked" : "accept",
		claims: Object.fromEntries(a.claims.filter((c) => c.grade !== "not shown" && c.grade !== "not checked").map((c) => [c.id, c.grade]))};
})(%s)`

// everyVectorIsJudgedAlikeInABrowser: the browser's cryptography is another one than
// that of node, which runs all vectors. What can be dropped onto the page is judged by
// the page, from a disk, as each case says that JavaScript has to.
func everyVectorIsJudgedAlikeInABrowser(t *testing.T, b *testbrowser.Browser) {
	v := newVisit(t, b)
	v.come(v.address[0])
	counts := map[string]int{}
	for _, kind := range []string{"package", "bundle"} {
		all, err := testvectors.All(kind)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range all {
			if c.Files["policy"] == "" {
				continue // read by itself, under no policy
			}
			files := map[string][]byte{}
			for part := range c.Files {
				files[part] = must(c.File(part))
			}
			var got struct {
				Verdict string
				Claims  map[string]string
			}
			v.p.Eval(fmt.Sprintf(asking, must(json.Marshal(map[string]any{"kind": kind, "files": files, "given": c.With}))), &got)
			counts[got.Verdict]++
			if got.Verdict != c.JavaScript || got.Verdict == testvectors.Accept && !maps.Equal(got.Claims, c.Claims) {
				t.Errorf("%s/%s (%s): the browser says %s and %v, JavaScript has to say %s and %v", kind, c.Name, c.What, got.Verdict, got.Claims, c.JavaScript, c.Claims)
			}
		}
	}
	if t.Logf("in Chromium: %v", counts); counts[testvectors.Accept] < 2 || counts[testvectors.Reject] < 40 {
		t.Errorf("only %v", counts)
	}
}
