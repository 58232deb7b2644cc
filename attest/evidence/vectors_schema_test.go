package evidence_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/evidence/closing"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func init() { vectors = append(vectors, schemaVectors...) }

// schemaVectors have in a field, a folder or a page what nobody would judge by its
// content.
var schemaVectors = []vector{
	{"against-an-aborted-release", "nothing: an officer did not agree to the release, and the ceremony was aborted", "", evidence.TypeAbort, func(t *testing.T) made {
		return spoken(t, "vector against", func(f *testfleet.Fleet, a *ceremony.Account) error {
			return f.SignOff(f.Dir, a, ceremony.StageRelease, ceremony.DoNotAgree, "ozan")
		}, nil)
	}},
	{"text-beside-a-plan-approval", "a text beside a signature over the plan, in an aborted ceremony", "plan-approvals/olga: is a text of its own", evidence.TypeAbort, func(t *testing.T) made {
		return spoken(t, "vector text", nil, func(x evidence.Files) { x["plan-approvals/olga"] = []byte("I do not approve.\n") })
	}},
	{"approval-under-another-name", "an approval of the opening, lying under the name of another act", "its name must be open-", evidence.TypeAbort, func(t *testing.T) made {
		return spoken(t, "vector name", nil, func(x evidence.Files) {
			for _, path := range x.Paths() {
				if name, ok := strings.CutPrefix(path, "approvals/open-"); ok {
					x["approvals/request-"+name] = x[path]
				}
			}
		})
	}},
	{"page-of-another-version", "nothing but its page, which is of a version yet to come and only shows text", "page: its version is", "", func(t *testing.T) made {
		return paged(t, "vector page", func(page string) string { return strings.Replace(page, "page v4", "page v9", 1) })
	}},
	{"page-with-a-script", "a page of another version that holds a script", `has the element "script"`, "", func(t *testing.T) made {
		return paged(t, "vector script", func(page string) string {
			return strings.Replace(strings.Replace(page, "page v4", "page v9", 1), "<h2>", "<script>document.title = 1</script><h2>", 1)
		})
	}},
	{"firmware-with-a-model", "an HSM of another model, whose firmware is told so that both together read alike", "is not major.minor", "", func(t *testing.T) made {
		f := testfleet.New(t, testfleet.Options{Name: "vector firmware", Tokens: func(list []*testfleet.Token) {
			for _, x := range list {
				x.About.Model, x.About.Firmware = "M 9", "1.2"
			}
		}})
		return resealed(f, ceremony.KindIntake, `"model":"M 9","hardware":"1.0","firmware":"1.2"`, `"model":"M","hardware":"1.0","firmware":"9 1.2"`)
	}},
	{"recorded", "nothing: a package with an index of recordings", "", "", func(t *testing.T) made {
		return plainly(t, filmed(t, "vector recorded", "at 00:00:00 record 1\nat 00:00:05 record 2\n"), nil)
	}},
	{"recorded-at-another-time", "an index of recordings, a place of which is an hour from its record", "which is more than 00:00:02 apart", "", func(t *testing.T) made {
		return plainly(t, filmed(t, "vector another time", "at 00:00:00 record 1\nat 01:00:05 record 2\n"), nil)
	}},
	{"recorded-before-a-record", "an index of recordings with a record that there isn't", "there is no record 999", "", func(t *testing.T) made {
		return plainly(t, filmed(t, "vector no record", "at 00:00:00 record 1\nat 00:00:05 record 999\n"), nil)
	}},
	{"call-of-another-attempt", "an export that is said to have been decided by a call that exports nothing", "attempt export names the call C_GetTokenInfo", "", func(t *testing.T) made {
		return resealed(testfleet.New(t, testfleet.Options{Name: "vector call"}), ceremony.KindNegativeTest, `"call":"C_GetAttributeValue"`, `"call":"C_GetTokenInfo"`)
	}},
	{"code-of-ones-own", "an attempt that was refused with a return code that there isn't", "is no return code of a call", "", func(t *testing.T) made {
		return resealed(testfleet.New(t, testfleet.Options{Name: "vector code"}), ceremony.KindNegativeTest, `"CKR_ATTRIBUTE_SENSITIVE"`, `"CKR_REFUSED"`)
	}},
	{"refusal-without-a-login", "a refused login that is said to have opened nothing before", "did not open the token before the lock-down", "", func(t *testing.T) made {
		return resealed(loginRefused(t, "vector unopened"), ceremony.KindLockdown, `"before":"CKR_OK",`, ``)
	}},
	{"refusal-of-a-wrong-pin", "a PIN that was refused before the lock-down and after it", "did not open the token before the lock-down", "", func(t *testing.T) made {
		return resealed(loginRefused(t, "vector wrong pin"), ceremony.KindLockdown, `"before":"CKR_OK"`, `"before":"CKR_PIN_INCORRECT"`)
	}},
	{"id-of-another-day", "a ceremony's id of a day a month before it", "its id is of 20261021", "", func(t *testing.T) made {
		return resealed(testfleet.New(t, testfleet.Options{Name: "vector id"}), ceremony.KindOpen, ".20261121.", ".20261021.")
	}},
	{"one-seal-on-two-hsms", "the second HSM taken in under the number of the first one's seal: nobody read it", "the number 4471 is that of the seal of hsm-1", "", func(t *testing.T) made {
		return resealed(testfleet.New(t, testfleet.Options{Name: "vector seal"}), ceremony.KindReading, `"value":"4472"`, `"value":"4471"`)
	}},
	{"attribute-of-ones-own", "an attribute read back that PKCS#11 doesn't have", "ATTESTED is not an attribute that is read", "", func(t *testing.T) made {
		return resealed(testfleet.New(t, testfleet.Options{Name: "vector attribute"}), ceremony.KindAttributes, `"private":[`, `"private":[{"name":"ATTESTED","value":"true"},`)
	}},
	{"exception-after-the-request", "a release signed off with an exception that was made after the request", "agrees with exception 1", "", func(t *testing.T) made {
		f := testfleet.New(t, testfleet.Options{Name: "vector late exception", To: testfleet.ToLogged})
		c := f.Config(f.Dir, testfleet.Random("vector late exception"))
		j := must(engine.OpenJournal(f.Dir, testfleet.Program, c.Now, c.Random))
		must(j.Append(&ceremony.Exception{Number: 1, Expected: "a witness", Happened: "none", Decided: "to go on"}))
		want := must(j.Account().ExceptionApproval(1))
		must(0, f.Approve(t.Context(), f.Dir, must(ceremony.NewPeople(f.Plan.People, 2)), want, nil))
		must(0, f.End(j))
		must(0, j.Close())
		x := maps.Clone(f.Files)
		s := must(f.Account.WantedSignoff(ceremony.StageRelease))
		s.Role, s.Verdict, s.Exceptions = ceremony.Officer, ceremony.AgreeWithExceptions, []int{1}
		x["signoffs/release/ozan"], x["signoffs/release/ozan.sig"] = s.Text(), must(f.Parties.People["ozan"].Sign(s.Namespace(), s.Text())).Armor()
		return made{archive: must(sealed(closedAgain(f, x))), policy: f.Policy, now: f.Now()}
	}},
}

// spoken is a ceremony that was released, then aborted and signed as that; say is
// done before the abort, add to its files.
func spoken(t *testing.T, name string, say func(*testfleet.Fleet, *ceremony.Account) error, add func(evidence.Files)) made {
	t.Helper()
	f, a := released(t, name)
	if say != nil {
		must(0, say(f, a))
	}
	files, _, err := closing.PackFolder(f.Dir, false)
	if err != nil {
		t.Fatal(err)
	}
	if add != nil {
		add(files)
	}
	m := made{archive: must(sealed(files)), policy: f.Policy, now: f.Now()}
	m.logged = endLogged(f, m.archive)
	return m
}

// paged is a package whose page everybody signed.
func paged(t *testing.T, name string, edit func(string) string) made {
	t.Helper()
	f := testfleet.New(t, testfleet.Options{Name: name})
	x := maps.Clone(f.Files)
	x[evidence.PageFile] = []byte(edit(string(x[evidence.PageFile])))
	if string(x[evidence.PageFile]) == string(f.Files[evidence.PageFile]) {
		panic(fmt.Sprint(name, ": nothing is changed"))
	}
	return made{archive: must(sealed(closedAgain(f, x, evidence.PageFile))), policy: f.Policy, now: f.Now()}
}
