package evidence_test

import (
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// sealing is a fleet of keys that agree, which an auditor challenges.
func sealing(t *testing.T, name string, o testfleet.Options) *testfleet.Fleet {
	t.Helper()
	o.Name, o.HSMs = "vector "+name, 2
	o.Roles = []draft.Role{{Name: "sealing", Algorithm: keys.ECDHP256}}
	return testfleet.New(t, o)
}

// challenged is a vector under a policy that wants the word of a challenger.
func challenged(m made) made {
	m.policy = []byte(strings.Replace(string(m.policy), "key.agreement: device", "key.agreement: attested", 1))
	return m
}

// withRecords is a package in which records of keys that agree are changed: each kind's
// bodies in their order, a key each.
func withRecords(t *testing.T, name string, o testfleet.Options, edit func(bodies map[ceremony.Kind][]string)) made {
	t.Helper()
	o.Challenger = "ada"
	f := sealing(t, name, o)
	tr := must(ceremony.ParseTranscript(ceremony.TranscriptFile, f.Transcript(), f.Plan.Digest()))
	bodies := map[ceremony.Kind][]string{}
	for _, r := range tr.Records {
		bodies[r.Kind] = append(bodies[r.Kind], r.Body)
	}
	edit(bodies)
	n := map[ceremony.Kind]int{}
	files := reseal(f.Files, func(r *ceremony.Record) {
		switch r.Kind {
		case ceremony.KindIntent, ceremony.KindAttributes, ceremony.KindNegativeTest, ceremony.KindAgreementPeer, ceremony.KindPossession, ceremony.KindAgreementOpened:
			r.Body = bodies[r.Kind][n[r.Kind]]
			n[r.Kind]++
		}
	})
	return challenged(made{archive: must(sealed(files)), policy: f.Policy, now: f.Now()})
}

// member is the value of a member of a record's body, as it is written.
func member(body, name string) string {
	_, rest, ok := strings.Cut(body, `"`+name+`":"`)
	value, _, _ := strings.Cut(rest, `"`)
	if !ok {
		panic(body + " has no " + name)
	}
	return value
}

// swap replaces one text of the first key's record.
func swap(kind ceremony.Kind, old, new string) func(map[ceremony.Kind][]string) {
	return func(b map[ceremony.Kind][]string) {
		if !strings.Contains(b[kind][0], old) {
			panic(b[kind][0] + " has no " + old)
		}
		b[kind][0] = strings.Replace(b[kind][0], old, new, 1)
	}
}

// agreementVectors are of keys that agree: what nobody challenged, and what no HSM
// and no auditor can have done.
var agreementVectors = []struct {
	name, kind, want string
	o                testfleet.Options
	edit             func(map[ceremony.Kind][]string)
}{
	{"agreement-peer-of-another-key", "the second key answers to the peer of the first, whose private half is on the record by then", "was drawn for another key of this ceremony already", testfleet.Options{}, func(b map[ceremony.Kind][]string) {
		b[ceremony.KindAgreementPeer][1] = strings.Replace(b[ceremony.KindAgreementPeer][1], member(b[ceremony.KindAgreementPeer][1], "peer"), member(b[ceremony.KindAgreementPeer][0], "peer"), 1)
	}},
	{"agreement-with-no-point", "a peer that is no point of the curve, with which an answer would tell the key", "no compressed point of P-256", testfleet.Options{}, func(b map[ceremony.Kind][]string) {
		b[ceremony.KindAgreementPeer][0] = strings.Replace(b[ceremony.KindAgreementPeer][0], member(b[ceremony.KindAgreementPeer][0], "peer"), "02"+strings.Repeat("00", 31)+"04", 1)
	}},
	{"agreement-challenged-by-a-witness", "a peer in the name of the witness, where the plan's auditors challenge", `drawn by "wanda", who is no auditor of the plan`, testfleet.Options{}, swap(ceremony.KindAgreementPeer, `"challenger":"ada"`, `"challenger":"wanda"`)},
	{"agreement-machine-as-an-auditor", "a peer that the machine drew, in the name of the auditor", `its by is "machine" and its challenger "ada"`, testfleet.Options{}, swap(ceremony.KindAgreementPeer, `"by":"auditor"`, `"by":"machine"`)},
	{"agreement-answer-left-out", "a key whose answer is missing", "proves possession by an answer, not by a signature", testfleet.Options{}, func(b map[ceremony.Kind][]string) {
		b[ceremony.KindPossession][0], _, _ = strings.Cut(b[ceremony.KindPossession][0], `,"answer"`)
		b[ceremony.KindPossession][0] += "}"
	}},
	{"agreement-signature-for-an-answer", "a key that agrees shows that its HSM has it by a signature", "proves possession by an answer, not by a signature", testfleet.Options{}, func(b map[ceremony.Kind][]string) {
		before, _, _ := strings.Cut(b[ceremony.KindPossession][0], `,"answer"`)
		b[ceremony.KindPossession][0] = before + `,"signature":"AAAA"}`
	}},
	{"agreement-answer-of-another-key", "the answer of another key of the fleet", "hsm-1 sealing: its proof of possession: the answer is not the key's", testfleet.Options{}, func(b map[ceremony.Kind][]string) {
		b[ceremony.KindPossession][0] = strings.Replace(b[ceremony.KindPossession][0], member(b[ceremony.KindPossession][0], "answer"), member(b[ceremony.KindPossession][1], "answer"), 1)
	}},
	{"agreement-opened-with-another-scalar", "a peer that is opened with a private half that is not its own", "is not the private half of the peer that the key agreed with", testfleet.Options{}, func(b map[ceremony.Kind][]string) {
		b[ceremony.KindAgreementOpened][0] = strings.Replace(b[ceremony.KindAgreementOpened][0], member(b[ceremony.KindAgreementOpened][0], "scalar"), member(b[ceremony.KindAgreementOpened][1], "scalar"), 1)
	}},
	{"agreement-key-made-to-sign", "a key of a role that agrees, made as one that signs", `it is for role "sealing", ecdsa-p256`, testfleet.Options{}, swap(ceremony.KindIntent, `"ecdh-p256"`, `"ecdsa-p256"`)},
	{"agreement-key-that-signs", "a key that agrees, and that the HSM signs with all the same", "attempt sign succeeded: the key signs, and it is only for agreement", testfleet.Options{}, swap(ceremony.KindNegativeTest, `"name":"sign","call":"C_SignInit","code":"CKR_KEY_FUNCTION_NOT_PERMITTED"`, `"name":"sign","call":"C_Sign","code":"CKR_OK"`)},
	{"agreement-with-any-point", "a key that agrees with a point that is none, which tells it piece by piece", "attempt agree-invalid-point succeeded", testfleet.Options{}, swap(ceremony.KindNegativeTest, `"code":"CKR_MECHANISM_PARAM_INVALID"}`, `"code":"CKR_OK"}`)},
	{"agreement-tpm-that-was-not-asked", "a key of tpm2-pkcs11 of which the module says that it doesn't sign, and its TPM was asked nothing", "attempt sign was decided by C_SignInit, and by the plan TPM2_Sign decides it", testfleet.Options{Agreement: ceremony.AgreementTPM}, swap(ceremony.KindNegativeTest, `"call":"TPM2_Sign","code":"TPM_RC_KEY"`, `"call":"C_SignInit","code":"CKR_MECHANISM_INVALID"`)},
	{"agreement-tpm-where-a-module-agrees", "a refusal by a TPM, of an HSM whose module agrees itself by the plan", "attempt sign was decided by TPM2_Sign, and by the plan C_SignInit decides it", testfleet.Options{}, swap(ceremony.KindNegativeTest, `"call":"C_SignInit","code":"CKR_KEY_FUNCTION_NOT_PERMITTED"`, `"call":"TPM2_Sign","code":"TPM_RC_KEY"`)},
}

func init() {
	abe := ceremony.Person{Name: "abe", Role: ceremony.Auditor}
	vectors = append(vectors,
		vector{"agreement", "nothing: keys that agree, each challenged by an auditor who signed the release", "", "", func(t *testing.T) made {
			return challenged(plainly(t, sealing(t, "agreement", testfleet.Options{Challenger: "ada"}), nil))
		}},
		vector{"agreement-by-a-tpm", "nothing: the same of keys that agree by their TPM", "", "", func(t *testing.T) made {
			return challenged(plainly(t, sealing(t, "agreement by a tpm", testfleet.Options{Challenger: "ada", Agreement: ceremony.AgreementTPM}), nil))
		}},
		vector{"agreement-that-nobody-challenged", "peers that the ceremony's machine drew: whoever drew them needs no HSM to answer", "key.agreement: 2 of 2 keys answered; nobody challenged", "", func(t *testing.T) made {
			return challenged(plainly(t, sealing(t, "nobody challenged", testfleet.Options{}), nil))
		}},
		vector{"agreement-without-its-challengers-word", "keys that an auditor challenged who was gone when the release was signed off", "who challenged hsm-1 sealing, gives no word for it that counts", "", func(t *testing.T) made {
			return challenged(plainly(t, sealing(t, "challenger away", testfleet.Options{Challenger: "abe", Onlookers: []ceremony.Person{abe}, Away: []string{"abe"}}), nil))
		}},
		vector{"agreement-by-an-auditor-of-nobodys", "keys challenged, and the release signed off, by an auditor of the plan whom the verifier's policy doesn't pin", "who challenged hsm-1 sealing, gives no word for it that counts", "", func(t *testing.T) made {
			m := challenged(plainly(t, sealing(t, "unpinned challenger", testfleet.Options{Challenger: "abe", Onlookers: []ceremony.Person{abe}}), nil))
			text, rest, _ := strings.Cut(string(m.policy), "  - name: abe\n")
			_, rest, _ = strings.Cut(rest, "third_parties_needed:")
			m.policy = []byte(text + "third_parties_needed:" + rest)
			return m
		}})
	for _, x := range agreementVectors {
		vectors = append(vectors, vector{x.name, x.kind, x.want, "", func(t *testing.T) made {
			return withRecords(t, x.name, x.o, x.edit)
		}})
	}
}
