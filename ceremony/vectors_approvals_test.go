package ceremony_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/testvectors"
)

// signedFiles are what people signed in a ceremony, for one thing to be wrong in.
type signedFiles struct {
	f     *testfleet.Fleet
	files map[string][]byte
}

// first is the first file of a folder whose name begins so.
func (s *signedFiles) first(begin string) string {
	for _, path := range slices.Sorted(maps.Keys(s.files)) {
		if strings.HasPrefix(path, begin) && !strings.HasSuffix(path, ".sig") {
			return path
		}
	}
	panic("nothing begins with " + begin)
}

// of is a person's file in a folder.
func (s *signedFiles) of(begin, name string) string {
	at := s.first(begin)
	return at[:strings.LastIndexAny(at, "-/")+1] + name
}

func (s *signedFiles) drop(path string) {
	delete(s.files, path)
	delete(s.files, path+".sig")
}

// sign has somebody sign a text, under a name.
func (s *signedFiles) sign(path, who, namespace string, text []byte) {
	s.files[path] = text
	s.files[path+".sig"] = must(s.f.Parties.People[who].Sign(namespace, text)).Armor()
}

// approve has somebody sign an approval that was changed.
func (s *signedFiles) approve(act, who string, change func(*ceremony.Approval)) {
	at := s.of("approvals/"+act, who)
	a := must(ceremony.ParseApproval(at, s.files[s.first("approvals/"+act)]))
	change(a)
	s.sign(at, who, a.Namespace(), a.Text())
}

// say has somebody sign a sign-off that was changed.
func (s *signedFiles) say(stage, who string, change func(*ceremony.Signoff)) {
	at := "signoffs/" + stage + "/" + who
	o := must(ceremony.ParseSignoff(at, s.files[at]))
	change(o)
	s.sign(at, who, o.Namespace(), o.Text())
}

// signedFaults are what can be wrong with what people signed: 7.2, 7.3.
var signedFaults = []struct {
	name, what, want string
	edit             func(s *signedFiles)
}{
	{"good", "nothing: every act is approved, and both stages are signed off", "", func(*signedFiles) {}},
	{"a-stranger-too", "nothing: somebody whom the plan doesn't name signed the plan too, which counts for nothing", "", func(s *signedFiles) {
		s.files["plan-approvals/xenia.sig"] = must(testfleet.NewPerson("xenia", ceremony.Officer).Sign("fleetctl-plan-rehearsal", s.f.Plan.Raw())).Armor()
	}},
	{"plan-by-one-officer", "the plan approved by one officer of the two that are needed", "1 of 2 officers approved the plan", func(s *signedFiles) {
		for _, name := range []string{"omar", "ozan"} {
			delete(s.files, "plan-approvals/"+name+".sig")
		}
	}},
	{"plan-by-the-witness", "the witness's signature over the plan in place of the second officer's", "1 of 2 officers approved the plan", func(s *signedFiles) {
		for _, name := range []string{"omar", "ozan"} {
			delete(s.files, "plan-approvals/"+name+".sig")
		}
		s.files["plan-approvals/wanda.sig"] = must(s.f.Parties.People["wanda"].Sign("fleetctl-plan-rehearsal", s.f.Plan.Raw())).Armor()
	}},
	{"act-by-one-officer", "the opening approved by one officer", `the act "open" after record`, func(s *signedFiles) {
		for _, name := range []string{"omar", "ozan"} {
			s.drop(s.of("approvals/open-", name))
		}
	}},
	{"name-of-another-act", "an approval of the opening under the name of a request's", "its name must be open-", func(s *signedFiles) {
		at := s.of("approvals/open-", "olga")
		other := strings.Replace(at, "open-", "request-", 1)
		s.files[other], s.files[other+".sig"] = s.files[at], s.files[at+".sig"]
	}},
	{"folder-within", "a folder among the approvals", "its name can't be that of a signature", func(s *signedFiles) {
		at := s.of("approvals/open-", "olga")
		s.files["approvals/more/open"], s.files["approvals/more/open.sig"] = s.files[at], s.files[at+".sig"]
	}},
	{"text-without-a-signature", "a text that nobody signed", "has no signature beside it", func(s *signedFiles) {
		delete(s.files, s.of("approvals/open-", "olga")+".sig")
	}},
	{"signature-without-a-text", "a signature over a text that is not there", "signs a text that is not beside it", func(s *signedFiles) {
		delete(s.files, s.of("approvals/open-", "olga"))
	}},
	{"text-beside-a-plan-approval", "a text where the plan is what is signed", "is a text of its own", func(s *signedFiles) {
		s.files["plan-approvals/olga"] = []byte("I do not approve.\n")
	}},
	{"signature-over-another-text", "a text that was changed after it was signed", "does not verify", func(s *signedFiles) {
		at := s.of("signoffs/close/", "olga")
		s.files[at] = bytes.Replace(s.files[at], []byte("verdict agree\n"), []byte("verdict agree-with-exceptions 1\n"), 1)
		s.files[at] = s.files["signoffs/close/ada"]
	}},
	{"signature-of-another-act", "an approval of the opening signed in the namespace of plans", "the signature is for", func(s *signedFiles) {
		at := s.of("approvals/open-", "olga")
		s.sign(at, "olga", "fleetctl-plan-rehearsal", s.files[at])
	}},
	{"signature-for-production", "an approval signed in the namespace of production", "the signature is for", func(s *signedFiles) {
		at := s.of("approvals/open-", "olga")
		s.sign(at, "olga", "fleetctl-session", s.files[at])
	}},
	{"text-with-more-behind", "an approval with a line behind it", "has more lines than the format allows", func(s *signedFiles) {
		at := s.of("approvals/open-", "olga")
		s.sign(at, "olga", "fleetctl-session-rehearsal", append(bytes.Clone(s.files[at]), "x\n"...))
	}},
	{"approval-in-another-mode", "an approval for production", "another ceremony", func(s *signedFiles) {
		s.approve("open-", "olga", func(a *ceremony.Approval) { a.Mode = "production" })
	}},
	{"approval-of-another-ceremony", "an approval in another ceremony", "another ceremony", func(s *signedFiles) {
		s.approve("open-", "olga", func(a *ceremony.Approval) { a.Ceremony = strings.Replace(a.Ceremony, ".1.", ".2.", 1) })
	}},
	{"approval-under-another-plan", "an approval under another plan", "another ceremony", func(s *signedFiles) {
		s.approve("open-", "olga", func(a *ceremony.Approval) { a.Plan[0] ^= 1 })
	}},
	{"approval-over-another-head", "an approval over a record that isn't this transcript's", "not this transcript's", func(s *signedFiles) {
		s.approve("open-", "olga", func(a *ceremony.Approval) { a.Head.Hash[0] ^= 1 })
	}},
	{"request-without-a-subject", "an approval of a request that names no core", "names no subject", func(s *signedFiles) {
		s.approve("request-", "olga", func(a *ceremony.Approval) { a.Subject = [32]byte{} })
	}},
	{"opening-with-a-subject", "an approval of the opening with a subject", "has none", func(s *signedFiles) {
		s.approve("open-", "olga", func(a *ceremony.Approval) { a.Subject = [32]byte{1} })
	}},
	{"request-of-another-core", "the request approved by everybody for another core", `the act "request" after record`, func(s *signedFiles) {
		for _, name := range []string{"olga", "omar", "ozan"} {
			if s.files[s.of("approvals/request-", name)] != nil {
				s.approve("request-", name, func(a *ceremony.Approval) { a.Subject[0] ^= 1 })
			}
		}
	}},
	{"approved-as-a-witness", "an approval of the opening as witness", "is signed as witness", func(s *signedFiles) {
		s.approve("open-", "wanda", func(a *ceremony.Approval) { a.Role = "witness" })
	}},
	{"exception-that-is-none", "an exception accepted that is not on the record", "not on the record", func(s *signedFiles) {
		at := s.first("approvals/open-")
		a := must(ceremony.ParseApproval(at, s.files[at]))
		a.Act, a.Subject = ceremony.ApproveException, a.Head.Hash
		s.sign(fmt.Sprintf("approvals/exception-%d-olga", a.Head.N), "olga", a.Namespace(), a.Text())
	}},
	{"abort-that-is-none", "an abort attested in a ceremony that was closed", "an abort that is not the last record", func(s *signedFiles) {
		at := s.first("approvals/open-")
		a := must(ceremony.ParseApproval(at, s.files[at]))
		a.Act, a.Subject = ceremony.ApproveAbort, a.Head.Hash
		s.sign(fmt.Sprintf("approvals/abort-%d-olga", a.Head.N), "olga", a.Namespace(), a.Text())
	}},
	{"close-without-an-auditor", "no auditor's verdict on the close", "no auditor", func(s *signedFiles) { s.drop("signoffs/close/ada") }},
	{"close-without-a-witness", "no witness's verdict on the close", "no witness", func(s *signedFiles) { s.drop("signoffs/close/wanda") }},
	{"close-by-one-officer", "the close signed off by one officer", "officers agree", func(s *signedFiles) {
		s.drop("signoffs/close/omar")
		s.drop("signoffs/close/ozan")
	}},
	{"somebody-does-not-agree", "an officer who does not agree to the close, where enough others do", "does not agree", func(s *signedFiles) {
		s.say("close", "olga", func(o *ceremony.Signoff) { o.Verdict = ceremony.DoNotAgree })
	}},
	{"signed-in-anothers-part", "an officer who signs the close off as auditor", "olga", func(s *signedFiles) {
		s.say("close", "olga", func(o *ceremony.Signoff) { o.Role = "auditor" })
	}},
	{"signed-in-no-part", "a sign-off in a part that there isn't", "none of officer, witness, auditor", func(s *signedFiles) {
		s.say("close", "olga", func(o *ceremony.Signoff) { o.Role = "guest" })
	}},
	{"with-an-exception-that-is-none", "a verdict with an exception that is not on the record", "exception", func(s *signedFiles) {
		s.say("close", "olga", func(o *ceremony.Signoff) { o.Verdict, o.Exceptions = ceremony.AgreeWithExceptions, []int{7} })
	}},
	{"stage-of-the-other-folder", "a sign-off of the release among those of the close", "something else than this stage", func(s *signedFiles) {
		s.files["signoffs/close/olga"], s.files["signoffs/close/olga.sig"] = s.files["signoffs/release/olga"], s.files["signoffs/release/olga.sig"]
	}},
	{"artifact-of-another-release", "a sign-off of another artifact", "something else than this stage", func(s *signedFiles) {
		s.say("close", "olga", func(o *ceremony.Signoff) { o.Artifact[0] ^= 1 })
	}},
}

func TestApprovalsVectors(t *testing.T) {
	f := testfleet.New(t, testfleet.Options{Name: "vector approvals", HSMs: 1})
	set := testvectors.NewSet("approvals")
	honest := map[string][]byte{}
	for path, data := range f.Files {
		if ceremony.IsSigned(path) || strings.HasPrefix(path, "signoffs/close/") {
			honest[path] = data
		}
	}
	plan, transcript := set.Share("plan.yaml", f.Plan.Raw()), set.Share("transcript.jsonl", f.Transcript())
	shared := map[string]string{}
	for path, data := range honest {
		shared[path] = set.Share(path, data)
	}
	for _, c := range signedFaults {
		s := &signedFiles{f, maps.Clone(honest)}
		c.edit(s)
		parts := []testvectors.Part{{Part: "plan", At: plan}, {Part: "transcript", At: transcript}}
		for path, data := range s.files {
			if bytes.Equal(data, honest[path]) {
				parts = append(parts, testvectors.Part{Part: path, At: shared[path]})
			} else {
				parts = append(parts, testvectors.Part{Part: path, Name: path, Data: data})
			}
		}
		v := testvectors.Case{Name: c.name, What: c.what, Verdict: testvectors.Accept, Reason: c.want}
		if c.want != "" {
			v.Verdict = testvectors.Reject
		}
		set.Add(t, v, parts...)
	}
	set.Check(t)
}
