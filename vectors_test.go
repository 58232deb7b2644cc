package fleetctl_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/testvectors"
)

// judged is what fleetctl says of a case.
type judged struct {
	verdict, reason, code string
	notShown              []string
	claims                map[string]string
}

// judges are the kinds of testdata/vectors, with what judges a case of each: from
// the case's files alone.
var judges = map[string]func(c *testvectors.Case) (judged, error){
	"approvals":  judgeApprovals,
	"bundle":     judgeBundle,
	"core":       reads("core", "request-core.json", bundle.ParseCore),
	"device":     judgeDevice,
	"keyset":     reads("keyset", "fleet-keys.json", bundle.ParseKeySet),
	"plan":       reads("plan", "plan.yaml", ceremony.ParsePlan),
	"policy":     reads("policy", "policy.yaml", evidence.ParsePolicy),
	"proof":      judgeProof,
	"request":    reads("request", "request.json", bundle.ParseRequest),
	"response":   reads("response", "response.json", bundle.ParseResponse),
	"signature":  judgeSignature,
	"statement":  judgeStatement,
	"transcript": judgeTranscript,
	"package":    judgePackage,
}

// Every case is judged as it says: by its files alone, without what made them.
func TestEveryVectorIsJudgedAsItSays(t *testing.T) {
	kinds, err := testvectors.Kinds()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range kinds {
		judge := judges[kind]
		if judge == nil {
			t.Errorf("nothing judges the kind %s", kind)
			continue
		}
		list, err := testvectors.All(kind)
		if err != nil {
			t.Fatal(err)
		}
		told := map[string]int{}
		for _, c := range list {
			if err := c.Check(); err != nil {
				t.Error(err)
			}
			told[c.Verdict]++
			got, err := judge(c)
			switch {
			case err != nil:
				t.Errorf("%s/%s: %v", kind, c.Name, err)
			case got.verdict != c.Go || !strings.Contains(got.reason, c.Reason) || got.code != c.Code:
				t.Errorf("%s/%s: %s, for %q; want %s, for %q", kind, c.Name, got.verdict, got.code+" "+got.reason, c.Go, c.Code+" "+c.Reason)
			case !maps.Equal(got.claims, c.Claims) || !slices.Equal(got.notShown, c.NotShown):
				t.Errorf("%s/%s: claims %v, short %v; want %v, short %v", kind, c.Name, got.claims, got.notShown, c.Claims, c.NotShown)
			}
		}
		if len(told) < 2 {
			t.Errorf("%s: every case ends alike: nothing is told apart", kind)
		}
		t.Logf("%s: %d cases, %v", kind, len(list), told)
	}
	if len(kinds) != len(judges) {
		t.Errorf("there are cases of %v, and judges of %d kinds", kinds, len(judges))
	}
}

// reads judges what is only read.
func reads[T any](part, file string, parse func(file string, data []byte) (T, error)) func(c *testvectors.Case) (judged, error) {
	return func(c *testvectors.Case) (judged, error) {
		data, err := c.File(part)
		if err != nil {
			return judged{}, err
		}
		_, refused := parse(file, data)
		return refusal(refused), nil
	}
}

// judgeStatement reads a statement and, where a key is given, verifies its signature.
func judgeStatement(c *testvectors.Case) (judged, error) {
	data, err := c.File("statement")
	if err != nil {
		return judged{}, err
	}
	s, refused := bundle.ParseStatement("statement.json", data)
	if text := c.With["key"]; text != "" && refused == nil {
		raw, err := strict.ParseBase64(text)
		if err != nil || len(raw) != 32 {
			return judged{}, fmt.Errorf("its key is no 32 bytes: %v", err)
		}
		if refused = keys.AdmitEd25519(raw); refused == nil {
			refused = s.Verify([32]byte(raw))
		}
	}
	return refusal(refused), nil
}

// judgeBundle reads a bundle and, where a policy is given, verifies it under that.
func judgeBundle(c *testvectors.Case) (judged, error) {
	x, err := inputs(c, "bundle", "policy", "proof")
	if err != nil || x[1] == nil {
		_, refused := bundle.ParseBundle("bundle.json", x[0])
		return refusal(refused), err
	}
	now, err := at(c)
	if err != nil {
		return judged{}, err
	}
	return underPolicy(c, evidence.Input{File: "bundle.json", Data: x[0], Proof: x[2]}, x[1], evidence.Question{Now: now, Expect: evidence.TypeBundle})
}

// judgeProof judges a log's proof under a log policy: that the log has the entry, and
// whether a quorum of its witnesses has seen that.
func judgeProof(c *testvectors.Case) (judged, error) {
	x, err := inputs(c, "entry", "log-policy", "proof")
	if err != nil {
		return judged{}, err
	}
	policy, refused := auditlog.ParsePolicy("log.policy", x[1])
	proof, err := auditlog.ParseProof("entry.tlog-proof", x[2])
	if refused = errors.Join(refused, err); refused != nil {
		return refusal(refused), nil
	}
	in, refused := policy.Verify(x[0], proof)
	got := refusal(refused)
	if refused == nil {
		got.claims = map[string]string{"log.included": "proven"}
		if in.Quorum {
			got.claims["log.witnessed"] = "proven"
		}
	}
	return got, nil
}

// judgeTranscript replays a transcript under its plan. It need not have come to its
// end; one that is cut off within a record, or whose last check failed, is not taken.
func judgeTranscript(c *testvectors.Case) (judged, error) {
	x, err := inputs(c, "plan", "transcript")
	if err != nil {
		return judged{}, err
	}
	plan, err := ceremony.ParsePlan("plan.yaml", x[0])
	if err != nil {
		return judged{}, err
	}
	a, tr, refused := ceremony.Replay(plan, "transcript.jsonl", x[1])
	switch {
	case refused != nil:
	case len(tr.Torn) > 0:
		refused = fmt.Errorf("is cut off after record %d", a.N)
	case a.Fault != "":
		refused = fmt.Errorf("a check failed: %s", a.Fault)
	}
	return refusal(refused), nil
}

// refusal is an error as a verdict.
func refusal(err error) judged {
	if err == nil {
		return judged{verdict: testvectors.Accept}
	}
	return judged{verdict: testvectors.Reject, reason: strings.ReplaceAll(err.Error(), "\n", " | ")}
}

// inputs reads files of a case by their parts; a part that the case doesn't have is nil.
func inputs(c *testvectors.Case, parts ...string) (list [][]byte, err error) {
	for _, part := range parts {
		data, e := c.File(part)
		list, err = append(list, data), errors.Join(err, e)
	}
	return list, err
}

// at is the time at which a case is judged.
func at(c *testvectors.Case) (time.Time, error) { return strict.ParseTime(c.With["time"]) }

// judgePackage judges an evidence package under a policy.
func judgePackage(c *testvectors.Case) (judged, error) {
	x, err := inputs(c, "package", "policy", "logged", "beside", "beside-logged", "beside-proof")
	now, err2 := at(c)
	if err := errors.Join(err, err2); err != nil {
		return judged{}, err
	}
	in := evidence.Input{File: "evidence.tar", Data: x[0], Logged: x[2]}
	if x[3] != nil {
		in.Beside = []evidence.Input{{File: c.Files["beside"], Data: x[3], Logged: x[4], Proof: x[5]}}
	}
	return underPolicy(c, in, x[1], evidence.Question{Now: now})
}

// underPolicy judges an object; a policy that can't be used verifies nothing.
func underPolicy(c *testvectors.Case, in evidence.Input, policy []byte, q evidence.Question) (judged, error) {
	p, err := evidence.ParsePolicy("policy.yaml", policy)
	if err != nil {
		return refusal(err), nil
	}
	if q.Current = c.With["expect"] == "current"; !q.Current && q.Expect == "" {
		q.Expect = evidence.Type(c.With["expect"])
	}
	r, err := evidence.Verify(in, p, q)
	if err != nil {
		return judged{}, err
	}
	got := judged{verdict: testvectors.Accept, claims: map[string]string{}}
	if !r.Verified {
		got.verdict = testvectors.Reject
	}
	for _, x := range r.Problems {
		got.reason += x.Where + ": " + x.What + "\n"
	}
	for _, x := range r.Claims {
		if x.Grade != evidence.NotShown {
			got.claims[x.Name] = x.Grade.String()
		}
		if x.Short() {
			got.reason += x.Name + ": " + x.Detail + "\n"
			got.notShown = append(got.notShown, x.Name)
		}
	}
	got.reason += "UNPINNED: " + strings.Join(p.Unpinned(), ", ")
	return got, nil
}
