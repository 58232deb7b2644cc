package ceremony_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/testfleet"
	"github.com/fleetctl/fleetctl/internal/token"
)

// base is a whole ceremony of two roles, so that keys can be mistaken for each
// other within an HSM too.
func base(t testing.TB) *testfleet.Fleet {
	t.Helper()
	return testfleet.New(t, testfleet.Options{HSMs: 2, Roles: []draft.Role{{Name: "session", Algorithm: "ed25519"}, {Name: "backup", Algorithm: "ecdsa-p256"}}})
}

func TestTheForgerWritesTheSameTranscript(t *testing.T) {
	f := base(t)
	if got := newForger(t, f).write(); !bytes.Equal(got, f.Transcript()) {
		t.Fatal("an honest forger writes another transcript: the tests below would test nothing")
	}
}

// Every record is dropped, doubled, swapped with its neighbour, turned into
// another kind, or withheld, and everything else made to fit with every key.
func TestTheOrderOfRecordsHolds(t *testing.T) {
	f := base(t)
	var kinds []ceremony.Kind
	for _, e := range newForger(t, f).entries {
		kinds = append(kinds, e.kind)
	}
	n, count := len(kinds), 0
	for i, kind := range kinds {
		for _, how := range []string{"dropped", "doubled", "swapped", "another kind", "withheld", "without salt", "without body", "moved to the end"} {
			if i+1 == n && (how == "swapped" || how == "moved to the end") {
				continue
			}
			x := newForger(t, f)
			e := x.entries[i]
			switch how {
			case "dropped":
				x.entries = slices.Delete(x.entries, i, i+1)
			case "doubled":
				again := *e
				x.entries = slices.Insert(x.entries, i, &again)
			case "swapped":
				next := x.entries[i+1]
				x.entries[i], x.entries[i+1] = next, e
				e.time, next.time = next.time, e.time
			case "another kind":
				if e.kind = kinds[(i+1)%n]; e.kind == kind {
					e.kind = kinds[(i+2)%n]
				}
			case "withheld":
				e.line = func(r *ceremony.Record) { r.Salt, r.Body = nil, "" }
			case "without salt":
				e.line = func(r *ceremony.Record) { r.Salt = nil }
			case "without body":
				e.line = func(r *ceremony.Record) { r.Body = "" }
			case "moved to the end":
				x.entries = append(slices.Delete(x.entries, i, i+1), e)
				e.time = x.entries[n-2].time
			}
			a, err := x.replay()
			count++
			switch {
			case kind == ceremony.KindUnlock && (how == "doubled" || how == "withheld"):
				if err != nil {
					t.Errorf("record %d, %s, %s: %v", i+1, kind, how, err)
				}
			case i == n-1 && how == "dropped":
				if err != nil || a.Ended() {
					t.Errorf("without its last record: %v", err)
				}
			case err == nil:
				t.Errorf("record %d, %s, %s: taken", i+1, kind, how)
			case a != nil:
				t.Errorf("record %d, %s, %s: an account came with the error", i+1, kind, how)
			}
		}
	}
	t.Logf("%d changes of order", count)
}

// hostile are transcripts in which one thing is wrong, and everything else is
// as it should be and signed by the right keys.
var hostile = []struct {
	name, want string
	edit       func(x *forger)
}{
	// Opening.
	{"another mode", "mode, fleet, namespace or epoch differ", func(x *forger) {
		change(x.get(ceremony.KindOpen, 0), func(c *ceremony.Open) { c.Mode = ceremony.Production })
	}},
	{"another epoch", "mode, fleet, namespace or epoch differ", func(x *forger) { change(x.get(ceremony.KindOpen, 0), func(c *ceremony.Open) { c.Epoch = 2 }) }},
	{"two words", "it has 2 words; the witness chooses 3", func(x *forger) {
		change(x.get(ceremony.KindOpen, 0), func(c *ceremony.Open) { c.Words = c.Words[:2] })
	}},
	{"words by an officer", "its words are chosen by", func(x *forger) {
		change(x.get(ceremony.KindOpen, 0), func(c *ceremony.Open) { c.ChosenBy = ceremony.Officer })
	}},
	// Intake.
	{"another serial", "reports serial", func(x *forger) { change(x.get(ceremony.KindIntake, 1), func(c *ceremony.Intake) { c.Serial = "0000" }) }},
	{"another hsm's turn", "the step is about", func(x *forger) { change(x.get(ceremony.KindIntake, 1), func(c *ceremony.Intake) { c.HSM = "hsm-1" }) }},
	{"a token that isn't empty", "is not empty: 1 objects", func(x *forger) {
		change(x.get(ceremony.KindInventory, 0), func(c *ceremony.Inventory) { c.Objects = []ceremony.Object{{Class: "secret", ID: []byte{1}}} })
	}},
	{"an inventory of another hsm", "the step is about", func(x *forger) {
		change(x.get(ceremony.KindInventory, 0), func(c *ceremony.Inventory) { c.HSM = "hsm-2" })
	}},
	{"other firmware in one", `hsm-2 fails the check "firmware"`, func(x *forger) {
		change(x.get(ceremony.KindIntake, 1), func(c *ceremony.Intake) { c.Firmware = "0.9" })
	}},
	// Intent.
	{"another role", "the step is for", func(x *forger) { change(x.get(ceremony.KindIntent, 0), func(c *ceremony.Intent) { c.Role = "backup" }) }},
	{"another algorithm", "the step is for", func(x *forger) {
		change(x.get(ceremony.KindIntent, 0), func(c *ceremony.Intent) { c.Algorithm = "ecdsa-p256" })
	}},
	{"a template less", "its template is not the plan's", func(x *forger) {
		change(x.get(ceremony.KindIntent, 0), func(c *ceremony.Intent) { c.Template = c.Template[1:] })
	}},
	{"an extractable template", "its template has EXTRACTABLE true", func(x *forger) {
		change(x.get(ceremony.KindIntent, 0), func(c *ceremony.Intent) {
			for i := range c.Template {
				if c.Template[i].Name == token.Extractable {
					c.Template[i].Value = true
				}
			}
		})
	}},
	{"a short CKA_ID", "its CKA_ID has 15 bytes", func(x *forger) {
		change(x.get(ceremony.KindIntent, 0), func(c *ceremony.Intent) { c.ID = c.ID[:15] })
	}},
	{"a rehearsal's key whose label doesn't say so", "its label is", func(x *forger) {
		x.get(ceremony.KindIntent, 0).content.(*ceremony.Intent).Label = "backup-2026a/1/hsm-1/session"
	}},
	{"a CKA_ID twice", "its CKA_ID was used at record", func(x *forger) {
		first := x.get(ceremony.KindIntent, 0).content.(*ceremony.Intent).ID
		change(x.get(ceremony.KindIntent, 1), func(c *ceremony.Intent) { c.ID = first })
	}},
	// Outcome.
	{"of another intent", "which is not the open one", func(x *forger) { change(x.get(ceremony.KindOutcome, 0), func(c *ceremony.Outcome) { c.Intent++ }) }},
	{"a result of one's own", "is none of generated, failed, destroyed", func(x *forger) {
		change(x.get(ceremony.KindOutcome, 0), func(c *ceremony.Outcome) { c.Result = "imported" })
	}},
	{"a key of another algorithm", "its public key is ecdsa-p256, the intent was ed25519", func(x *forger) {
		other := x.get(ceremony.KindOutcome, 1).content.(*ceremony.Outcome).PublicKey
		change(x.get(ceremony.KindOutcome, 0), func(c *ceremony.Outcome) { c.PublicKey = other })
	}},
	{"no key", "its public key", func(x *forger) {
		change(x.get(ceremony.KindOutcome, 0), func(c *ceremony.Outcome) { c.PublicKey = nil })
	}},
	{"one key in two HSMs", "has the key of hsm-1 session", func(x *forger) {
		first := x.get(ceremony.KindOutcome, 0).content.(*ceremony.Outcome).PublicKey
		change(x.get(ceremony.KindOutcome, 2), func(c *ceremony.Outcome) { c.PublicKey = first })
		o := x.get(ceremony.KindOutcome, 2)
		o.fixed = false
	}},
	{"a required attribute dropped", "was generated without SENSITIVE, which the plan requires", func(x *forger) {
		change(x.get(ceremony.KindOutcome, 0), func(c *ceremony.Outcome) { c.Dropped = []string{token.Sensitive} })
		x.get(ceremony.KindOutcome, 0).fixed = false
	}},
	{"destroyed with its key", "has a reason and no public key", func(x *forger) {
		change(x.get(ceremony.KindOutcome, 0), func(c *ceremony.Outcome) { c.Result = ceremony.Destroyed })
	}},
	// Attributes.
	{"extractable", `EXTRACTABLE is "true", the plan says false`, attribute(token.Extractable, "true", "")},
	{"not local", `LOCAL is "false", the plan says true`, attribute(token.Local, "false", "")},
	{"was extractable", `NEVER_EXTRACTABLE is "false"`, attribute(token.NeverExtractable, "false", "")},
	{"a required one unreadable", "SENSITIVE can't be read (CKR_ATTRIBUTE_TYPE_INVALID), and the plan requires it", attribute(token.Sensitive, "", "CKR_ATTRIBUTE_TYPE_INVALID")},
	{"a required one not asked for", "ALWAYS_SENSITIVE can't be read (not asked for)", attribute(token.AlwaysSensitive, "", "-")},
	{"an optional one readable and wrong", `COPYABLE is "true", the plan says false`, attribute(token.Copyable, "true", "")},
	{"a boolean that is none", `SENSITIVE is "02"`, attribute(token.Sensitive, "02", "")},
	{"read twice", "was read twice", func(x *forger) {
		change(x.get(ceremony.KindAttributes, 0), func(c *ceremony.Attributes) { c.Private = append(c.Private, c.Private[3]) })
		x.get(ceremony.KindAttributes, 0).fixed = false
	}},
	// Attempts.
	{"an attempt that succeeded", "attempt export succeeded: the key can leave its HSM", attempt(0, "CKR_OK", false)},
	{"an attempt that ended otherwise", "attempt export ended with CKR_DEVICE_ERROR, which does not mean a refusal", attempt(0, "CKR_DEVICE_ERROR", false)},
	{"the wrong refusal for a wrapping", "which does not mean a refusal", attempt(1, "CKR_ARGUMENTS_BAD", false)},
	{"an attempt that every token must withstand", "could not be made (CKR_MECHANISM_INVALID); it can be made on every token, and must be refused", attempt(0, "CKR_MECHANISM_INVALID", true)},
	{"a relaxation that wasn't tried", "it can be made on every token", attempt(6, "CKR_MECHANISM_INVALID", true)},
	{"unstaged for no reason", "could not be made: C_WrapKey: CKR_GENERAL_ERROR", attempt(1, "CKR_GENERAL_ERROR", true)},
	{"unstaged, though it worked", "could not be made: C_WrapKey: CKR_OK", attempt(1, "CKR_OK", true)},
	{"an attempt too few", "7 attempts to take the key out, 8 are demanded", func(x *forger) {
		change(x.get(ceremony.KindNegativeTest, 0), func(c *ceremony.NegativeTest) { c.Attempts = c.Attempts[:7] })
		x.get(ceremony.KindNegativeTest, 0).fixed = false
	}},
	{"one attempt for another", `attempt 1 is "wrap-aes-kw", "export" is demanded`, func(x *forger) {
		change(x.get(ceremony.KindNegativeTest, 0), func(c *ceremony.NegativeTest) {
			c.Attempts[0].Name, c.Attempts[0].Call = token.TryWrapKW, token.CallWrap
		})
		x.get(ceremony.KindNegativeTest, 0).fixed = false
	}},
	// Readings and challenges.
	{"a clock that is wrong", "the wall clock says", func(x *forger) {
		change(x.get(ceremony.KindReading, 0), func(c *ceremony.Reading) { c.Value = "2026-11-21T09:57:00Z" })
	}},
	{"a clock that is none", "time", func(x *forger) {
		change(x.get(ceremony.KindReading, 0), func(c *ceremony.Reading) { c.Value = "noon" })
	}},
	{"a clock read by an officer", `it was typed by "officer"`, func(x *forger) {
		change(x.get(ceremony.KindReading, 0), func(c *ceremony.Reading) { c.By = ceremony.Officer })
	}},
	{"a seal read by one person", "two different people must read a seal", func(x *forger) {
		change(x.get(ceremony.KindReading, 1), func(c *ceremony.Reading) { c.By, c.Confirmed = ceremony.Witness, ceremony.Witness })
	}},
	{"two hsms under one seal", "the number 4471 is that of the seal of hsm-1; the seal of hsm-2 has another", func(x *forger) {
		change(x.get(ceremony.KindReading, 2), func(c *ceremony.Reading) { c.Value = "4471" })
	}},
	{"two hsms under one seal, typed otherwise", "the number a 4471B is that of the seal of hsm-1", func(x *forger) {
		change(x.get(ceremony.KindReading, 1), func(c *ceremony.Reading) { c.Value = "A4471b" })
		change(x.get(ceremony.KindReading, 2), func(c *ceremony.Reading) { c.Value = "a 4471B" })
	}},
	{"adjourned with two hsms under one seal", "the number 9920 is that of the seal of hsm-1; the seal of hsm-2 has another", func(x *forger) {
		x.insert(x.at(ceremony.KindChallenge, -2), &ceremony.Adjourn{Reason: "lunch", Seals: []ceremony.Seal{{What: "hsm-1", Number: "9920"}, {What: "hsm-2", Number: "9920"}}})
	}},
	{"reconvened with two hsms under one seal", "the number 9920 is that of the seal of hsm-1", func(x *forger) {
		n := x.at(ceremony.KindChallenge, -2)
		x.insert(n, &ceremony.Reconvene{Seals: []ceremony.Seal{{What: "hsm-1", Number: "9920"}, {What: "hsm-2", Number: "9920"}}})
		x.insert(n, &ceremony.Adjourn{Reason: "lunch", Seals: []ceremony.Seal{{What: "hsm-1", Number: "9920"}, {What: "hsm-2", Number: "9921"}}})
	}},
	{"a seal of another hsm", "the step is about", func(x *forger) { change(x.get(ceremony.KindReading, 1), func(c *ceremony.Reading) { c.HSM = "hsm-2" }) }},
	{"words of another key", "it is not about the step's key", challenge(1, func(c *ceremony.Challenge) { c.Subject[0] ^= 1 })},
	{"words about another intent", "it is not about the step's key", challenge(1, func(c *ceremony.Challenge) { c.Intent++ })},
	{"words of another fleet check", "it is not about the step's fleet", challenge(-3, func(c *ceremony.Challenge) { c.Subject[0] ^= 1 })},
	{"words of another plan", "it is not about the step's plan", challenge(0, func(c *ceremony.Challenge) { c.Subject[0] ^= 1 })},
	{"words of another key set", "it is not about the step's key-set", challenge(-2, func(c *ceremony.Challenge) { c.Subject[0] ^= 1 })},
	{"words of another bundle", "it is not about the step's bundle", challenge(-1, func(c *ceremony.Challenge) { c.Subject[0] ^= 1 })},
	{"the key set's words taken for the bundle's", "it is not about the step's bundle", challenge(-1, func(c *ceremony.Challenge) { c.What = ceremony.ChallengeKeySet })},
	{"released without being read", `wants a record "challenge" here`, func(x *forger) { x.drop(x.at(ceremony.KindChallenge, -2)) }},
	{"logged without being read", `wants a record "challenge" here`, func(x *forger) { x.drop(x.at(ceremony.KindChallenge, -1)) }},
	{"a plan that nobody read", `wants a record "challenge" here`, func(x *forger) { x.drop(x.at(ceremony.KindChallenge, 0)) }},
	{"two words read", "its positions are not 3 different ones", challenge(0, func(c *ceremony.Challenge) { c.Positions = c.Positions[:2] })},
	{"one word thrice", "its positions are not 3 different ones", challenge(0, func(c *ceremony.Challenge) { c.Positions = []int{1, 1, 1} })},
	{"a word that isn't there", "its positions are not 3 different ones", challenge(0, func(c *ceremony.Challenge) { c.Positions = []int{1, 2, 33} })},
	{"words that nobody typed", "its number of tries is 0", challenge(0, func(c *ceremony.Challenge) { c.Tries = 0 })},
	{"words typed by an officer", `it was typed by "officer"`, challenge(0, func(c *ceremony.Challenge) { c.By = ceremony.Officer })},
	// Possession.
	{"by another key", "its proof of possession", possession(func(x *forger, a *ceremony.Account, k *ceremony.Key) []byte {
		return must(x.fleet.Parties.ThirdParty.Sign(a.PossessionText(k)))
	})},
	{"over another nonce", "its proof of possession", possession(func(x *forger, a *ceremony.Account, k *ceremony.Key) []byte {
		other := *k
		other.IntentHash[0] ^= 1
		return x.sign(k.Outcome.PublicKey, a.PossessionText(&other))
	})},
	{"of another ceremony", "its proof of possession", possession(func(x *forger, a *ceremony.Account, k *ceremony.Key) []byte {
		text := bytes.Replace(a.PossessionText(k), []byte(a.Open.Ceremony), []byte("another.1.20260101.00000000"), 1)
		return x.sign(k.Outcome.PublicKey, text)
	})},
	{"for production", "its proof of possession", possession(func(x *forger, a *ceremony.Account, k *ceremony.Key) []byte {
		text := bytes.Replace(a.PossessionText(k), []byte("\nrehearsal\n"), []byte("\nproduction\n"), 1)
		return x.sign(k.Outcome.PublicKey, text)
	})},
	{"for another role", "its proof of possession", possession(func(x *forger, a *ceremony.Account, k *ceremony.Key) []byte {
		other := *k
		other.Role = "backup"
		return x.sign(k.Outcome.PublicKey, a.PossessionText(&other))
	})},
	{"for another hsm", "its proof of possession", possession(func(x *forger, a *ceremony.Account, k *ceremony.Key) []byte {
		other := *k
		other.HSM = "hsm-2"
		return x.sign(k.Outcome.PublicKey, a.PossessionText(&other))
	})},
	{"of nothing", "signature is empty", possession(func(*forger, *ceremony.Account, *ceremony.Key) []byte { return []byte{} })},
	// Found.
	{"another key found", "a new process found another public key", found(func(c *ceremony.Found) { c.PublicKey[0] ^= 1 })},
	{"a foreign object", "which this ceremony did not make", found(func(c *ceremony.Found) {
		c.Objects = append(c.Objects, ceremony.Object{Class: "secret", ID: []byte{9}})
	})},
	{"the private half twice", "which this ceremony did not make", found(func(c *ceremony.Found) { c.Objects = append(c.Objects, c.Objects[0]) })},
	{"the private half gone", "a new process does not find the object private", found(func(c *ceremony.Found) { c.Objects = c.Objects[1:] })},
	{"nothing found", "a new process does not find the object", found(func(c *ceremony.Found) { c.Objects = nil })},
	// Fleet check.
	{"a matrix of one's own", "its matrix is not the one that follows from the records before it", func(x *forger) {
		change(x.get(ceremony.KindFleetCheck, 0), func(c *ceremony.FleetCheck) { c.Majority = 1 })
	}},
	{"a row less", "its matrix is not", func(x *forger) {
		change(x.get(ceremony.KindFleetCheck, 0), func(c *ceremony.FleetCheck) { c.Rows = c.Rows[1:] })
	}},
	{"a check less", "its matrix is not", func(x *forger) {
		change(x.get(ceremony.KindFleetCheck, 0), func(c *ceremony.FleetCheck) { c.Checks = c.Checks[1:] })
	}},
	// Release to log.
	{"another artifact", "the artifact that it releases is not the one", func(x *forger) {
		change(x.get(ceremony.KindRelease, 0), func(c *ceremony.Release) { c.Artifact[0] ^= 1 })
	}},
	{"a statement of another epoch", "not " + testfleet.Namespace + ", epoch 1", statement(func(s *bundle.Statement) { s.Epoch = 2 })},
	{"a statement of another namespace", "signed rehearsal.other", statement(func(s *bundle.Statement) { s.Namespace = "rehearsal.other" })},
	{"a statement of another artifact", "signed another artifact", statement(func(s *bundle.Statement) { s.Digest[0] ^= 1 })},
	{"a statement in the other ciphersuite", "signed with ciphersuite 2, the plan says 1", statement(func(s *bundle.Statement) { s.Ciphersuite = 2 })},
	{"a statement from before the release", "before the artifact was released", statement(func(s *bundle.Statement) { s.Timestamp -= 3600_000 })},
	{"a statement by nobody", "is not that of a third party of the plan", func(x *forger) {
		change(x.get(ceremony.KindResponse, 0), func(c *ceremony.Response) { c.Key[0] ^= 1 })
	}},
	{"a countersignature by another", "its key or form is not the plan's", func(x *forger) {
		change(x.get(ceremony.KindCountersignature, 0), func(c *ceremony.Countersignature) { c.Key = x.fleet.Parties.ThirdParty.Public.SPKI() })
	}},
	{"a countersignature in the other form", "its key or form is not the plan's", func(x *forger) {
		change(x.get(ceremony.KindCountersignature, 0), func(c *ceremony.Countersignature) { c.Form = bundle.FormSignature })
	}},
	{"a countersignature over something else", "the countersignature of operator-1", func(x *forger) {
		change(x.get(ceremony.KindCountersignature, 0), func(c *ceremony.Countersignature) {
			c.Signature = must(x.fleet.Parties.Operator.Sign([]byte("x")))
		})
	}},
	{"a request that lists a file of no signature", "is not a file in plan-approvals", func(x *forger) {
		change(x.get(ceremony.KindRequest, 0), func(c *ceremony.Request) {
			c.Files = append(slices.Clone(c.Files), ceremony.File{Path: "transcript.jsonl"})
		})
	}},
	{"a request that lists a file twice", "are not sorted and distinct", func(x *forger) {
		change(x.get(ceremony.KindRequest, 0), func(c *ceremony.Request) { c.Files = slices.Insert(slices.Clone(c.Files), 0, c.Files[0]) })
	}},
	{"a countersignature that lists no signature of before", "which the request lists, is missing or has another digest", func(x *forger) {
		change(x.get(ceremony.KindCountersignature, 0), func(c *ceremony.Countersignature) { c.Files = []ceremony.File{} })
	}},
	{"a countersignature that lists another signature than before", "which the request lists, is missing or has another digest", func(x *forger) {
		change(x.get(ceremony.KindCountersignature, 0), func(c *ceremony.Countersignature) {
			c.Files = slices.Clone(c.Files)
			c.Files[len(c.Files)-1].SHA256[0] ^= 1
		})
	}},
	{"an exception about the clock of another time", "which is not the time of record", func(x *forger) {
		x.insert(len(x.entries)-1, &ceremony.Exception{Number: 1, Expected: "a", Happened: "b", Decided: "c",
			Clock: &ceremony.Clock{Since: time.Unix(1, 0).UTC(), Wall: time.Unix(1, 0).UTC()}})
	}},
	{"an exception with a torn line and nothing of the clock", "it tells of a torn line", func(x *forger) {
		x.insert(len(x.entries)-1, &ceremony.Exception{Number: 1, Expected: "a", Happened: "b", Decided: "c", Torn: 3})
	}},
	{"another bundle logged", "its bundle is not the one", func(x *forger) {
		change(x.get(ceremony.KindLogProof, 0), func(c *ceremony.LogProof) { c.Bundle[0] ^= 1 })
	}},
	// Ends and pauses.
	{"a record after the close", "the ceremony ended with record", func(x *forger) {
		x.insert(len(x.entries), &ceremony.Abort{Reason: "late", Keys: []ceremony.KeyState{}})
	}},
	{"a record after an abort", "the ceremony ended with record", func(x *forger) {
		x.insert(x.at(ceremony.KindIntent, 0), &ceremony.Abort{Reason: "stop", Keys: []ceremony.KeyState{}})
	}},
	{"an abort after the request", "the third parties have been asked", func(x *forger) {
		x.insert(x.at(ceremony.KindResponse, 0), abortOf(x, ceremony.Destroyed))
	}},
	{"an abort that is silent of its keys", "it says what became of 0 keys", func(x *forger) {
		x.insert(x.at(ceremony.KindFleetCheck, 0), &ceremony.Abort{Reason: "stop", Keys: []ceremony.KeyState{}})
	}},
	{"an abort of other keys", "it does not say what became of the key of hsm-1", func(x *forger) {
		c := abortOf(x, ceremony.Destroyed)
		c.Keys[0] = c.Keys[1]
		x.insert(x.at(ceremony.KindFleetCheck, 0), c)
	}},
	{"an abort with keys in no state", "and a reason", func(x *forger) {
		x.insert(x.at(ceremony.KindFleetCheck, 0), abortOf(x, "not destroyed: "))
	}},
	{"an abort before the opening", "there is nothing to abort", func(x *forger) { x.insert(0, &ceremony.Abort{Reason: "stop", Keys: []ceremony.KeyState{}}) }},
	{"an exception that names a stranger as absent", "whom the plan does not name", absent("nobody")},
	{"an exception that names the only auditor as absent", "ada is the only auditor; one has to be there", absent("ada")},
	{"an exception that names an officer as absent", "who is an officer", absent("olga")},
	{"an exception that names one twice as absent", "it says twice that wanda is absent", absent("wanda", "wanda")},
	{"an exception that names nobody as absent", "the list is left out", absent()},
	{"reconvened without adjourning", "is not adjourned", func(x *forger) {
		x.insert(x.at(ceremony.KindRelease, 0), &ceremony.Reconvene{Seals: []ceremony.Seal{}})
	}},
	{"going on while adjourned", "has to be reconvened first", func(x *forger) {
		x.insert(x.at(ceremony.KindChallenge, -2), &ceremony.Adjourn{Reason: "lunch", Seals: []ceremony.Seal{}})
	}},
	{"reconvened with another seal", "its seals are not those of the adjournment, and no exception was made of that: bag had 1 then and has 2 now", func(x *forger) {
		n := x.at(ceremony.KindChallenge, -2)
		x.insert(n, &ceremony.Reconvene{Seals: []ceremony.Seal{{What: "bag", Number: "2"}}})
		x.insert(n, &ceremony.Adjourn{Reason: "lunch", Seals: []ceremony.Seal{{What: "bag", Number: "1"}}})
	}},
	{"adjourned within a step", "adjourned between two steps", func(x *forger) {
		x.insert(x.at(ceremony.KindFound, 0), &ceremony.Adjourn{Reason: "lunch", Seals: []ceremony.Seal{}})
	}},
	{"an exception out of number", "the next exception is 1", func(x *forger) {
		x.insert(x.at(ceremony.KindRelease, 0), &ceremony.Exception{Number: 2, Expected: "a", Happened: "b", Decided: "c"})
	}},
	{"resumed since another time", "its since is not the time of record", func(x *forger) {
		n := x.at(ceremony.KindRelease, 0)
		x.insert(n, &ceremony.Resume{Since: x.entries[n-1].time.Add(-time.Second)})
	}},
	{"resumed about another intent", "the open one is", func(x *forger) {
		n := x.at(ceremony.KindFound, 0)
		x.insert(n, &ceremony.Resume{Since: x.entries[n-1].time, Intent: 1})
	}},
	{"going on after a failed check", "only destruction and abort may follow", attempt(0, "CKR_OK", false)},
	// Records.
	{"a time that goes back", "is before that of record", func(x *forger) { e := x.get(ceremony.KindRelease, 0); e.time = e.time.Add(-time.Hour) }},
	{"a number twice", "says that it is record", func(x *forger) { x.get(ceremony.KindRelease, 0).line = func(r *ceremony.Record) { r.N-- } }},
	{"a broken chain", "the chain is broken", func(x *forger) { x.get(ceremony.KindRelease, 0).line = func(r *ceremony.Record) { r.Prev[0] ^= 1 } }},
	{"another plan's", "does not begin at this plan", func(x *forger) { x.entries[0].line = func(r *ceremony.Record) { r.Prev[0] ^= 1 } }},
	{"another body than committed to", "its body is not the one it committed to", func(x *forger) {
		x.get(ceremony.KindRelease, 0).line = func(r *ceremony.Record) { r.Body = strings.Replace(r.Body, "artifact", "artefact", 1) }
	}},
	{"another commitment", "its body is not the one it committed to", func(x *forger) { x.get(ceremony.KindRelease, 0).line = func(r *ceremony.Record) { r.Commit[0] ^= 1 } }},
	{"a short salt", "has a salt of 31 bytes, not 32", func(x *forger) { e := x.get(ceremony.KindRelease, 0); e.salt = e.salt[:31] }},
	{"an unknown kind", `is of the unknown kind "party"`, func(x *forger) { x.get(ceremony.KindRelease, 0).kind = "party" }},
	{"an unknown field", "note", func(x *forger) { body(x, ceremony.KindRelease, `}`, `,"note":"x"}`) }},
	{"white space in a body", "not in its one canonical form", func(x *forger) { body(x, ceremony.KindRelease, `:`, `: `) }},
	{"a withheld public record", "is withheld, and only restricted kinds may be", func(x *forger) {
		x.get(ceremony.KindPossession, 0).line = func(r *ceremony.Record) { r.Salt, r.Body = nil, "" }
	}},
}

func attribute(name, value, code string) func(*forger) {
	return func(x *forger) {
		c := x.get(ceremony.KindAttributes, 0).content.(*ceremony.Attributes)
		for i := range c.Private {
			if c.Private[i].Name == name {
				if code == "-" {
					c.Private = slices.Delete(c.Private, i, i+1)
					return
				}
				c.Private[i].Value, c.Private[i].Code = value, code
			}
		}
	}
}

func attempt(i int, code string, unstaged bool) func(*forger) {
	return func(x *forger) {
		c := x.get(ceremony.KindNegativeTest, 0).content.(*ceremony.NegativeTest)
		c.Attempts[i].Code, c.Attempts[i].Unstaged = code, unstaged
	}
}

func challenge(i int, edit func(*ceremony.Challenge)) func(*forger) {
	return func(x *forger) {
		n := x.at(ceremony.KindChallenge, i)
		head := *x
		head.entries = slices.Clone(x.entries[:n+1])
		head.write() // makes this one anew, so that it is right but for the edit
		change(x.entries[n], edit)
	}
}

func found(edit func(*ceremony.Found)) func(*forger) {
	return func(x *forger) { edit(x.get(ceremony.KindFound, 0).content.(*ceremony.Found)) }
}

// possession has the first key sign something else.
func possession(sign func(*forger, *ceremony.Account, *ceremony.Key) []byte) func(*forger) {
	return func(x *forger) {
		n := x.at(ceremony.KindPossession, 0)
		head := *x
		head.entries = x.entries[:n]
		a := must(head.replay())
		k := a.Keys[len(a.Keys)-1]
		change(x.entries[n], func(c *ceremony.Possession) { c.Intent, c.Signature = k.N, sign(x, a, k) })
	}
}

// statement has the third party sign something else.
func statement(edit func(*bundle.Statement)) func(*forger) {
	return func(x *forger) {
		n := x.at(ceremony.KindResponse, 0)
		head := *x
		head.entries = x.entries[:n]
		a := must(head.replay())
		change(x.entries[n], func(c *ceremony.Response) {
			old := must(bundle.ParseStatement("", c.Statement))
			c.Statement = x.state(old.Timestamp, a.Release.Artifact, edit)
		})
	}
}

func body(x *forger, kind ceremony.Kind, old, new string) {
	e := x.get(kind, 0)
	e.body = strings.Replace(string(strict.EncodeLine(e.content)), old, new, 1)
}

func TestHostileTranscriptsAreRefused(t *testing.T) {
	f := base(t)
	for _, c := range hostile {
		x := newForger(t, f)
		c.edit(x)
		a, err := x.replay()
		var fault *strict.Error
		if err == nil || a != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error that says %q", c.name, err, c.want)
		} else if !strings.HasPrefix(err.Error(), "transcript.jsonl:") && !(errors.As(err, &fault) && fault.Line > 0) {
			t.Errorf("%s: %v doesn't name file and line", c.name, err)
		}
	}
	t.Logf("%d hostile transcripts", len(hostile))
}
