package ceremony_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/sshsig/sktest"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// deviceLine is an Ed25519 key as a FIDO2 device's.
func deviceLine(raw []byte, app string) string {
	return sktest.Ed25519 + " " + base64.StdEncoding.EncodeToString(ssh.Marshal(struct{ Type, Point, App string }{sktest.Ed25519, string(raw), app}))
}

func TestAPlanGivesEachKeyOnePart(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{Others: 1})
	text := string(f.Plan.Raw())
	line := func(name string) string { return f.Parties.People[name].Key().String() }
	olga, _ := f.Parties.People["olga"].Key().Ed25519()
	party := f.Plan.ThirdParties[0].Key
	b64 := base64.StdEncoding.EncodeToString
	partyLine := "ssh-ed25519 " + b64(ssh.Marshal(struct{ Type, Point string }{"ssh-ed25519", string(party[:])}))
	witness := func(raw []byte) string {
		return "\n  witness w " + must(auditlog.NewVerifier("w.example", auditlog.Ed25519Cosignature, raw)).String() + "\n  quorum none"
	}
	spki := must(keys.FromEd25519(olga)).SPKI()
	for name, c := range map[string]struct{ old, new, want string }{
		"a FIDO2 key of an officer's point":       {line("omar"), deviceLine(olga, "ssh:"), `person "omar" has the key of "olga"`},
		"two FIDO2 keys of one point":             {line("omar"), deviceLine(olga, "ssh:b"), `person "omar" has the key of "olga"`},
		"a witness with an officer's point":       {line("wanda"), deviceLine(olga, "ssh:"), `person "wanda" has the key of "olga"`},
		"an officer who is a third party":         {line("omar"), partyLine, `third party "auditor.example" has the key of person "omar"`},
		"a third party with an officer's point":   {b64(party[:]), b64(olga), `third party "auditor.example" has the key of person "olga"`},
		"two third parties of one key":            {b64(f.Parties.Others[0].Public.SPKI()[12:]), b64(party[:]), `third party "auditor-2.example" has the key of "auditor.example"`},
		"a countersigner with an officer's point": {fmt.Sprintf("algorithm: ecdsa-p256\n  key: %s", b64(f.Plan.Countersigner.Key)), "algorithm: ed25519\n  key: " + b64(spki), `operator "operator-1" has the key of person "olga"`},
		"a log's witness who is a third party":    {"\n  quorum none", witness(party[:]), `witness "w" has the key of third party "auditor.example"`},
		"a log's witness who is an officer":       {"\n  quorum none", witness(olga), `witness "w" has the key of person "olga"`},
	} {
		if c.new == deviceLine(olga, "ssh:b") {
			text := strings.Replace(text, line("olga"), deviceLine(olga, "ssh:a"), 1)
			_, err := ceremony.ParsePlan("plan.yaml", []byte(strings.Replace(text, c.old, c.new, 1)))
			wantError(t, err, c.want)
			continue
		}
		changed := strings.Replace(text, c.old, c.new, 1)
		if changed == text {
			t.Fatalf("%s: the plan doesn't have %q", name, c.old)
		}
		_, err := ceremony.ParsePlan("plan.yaml", []byte(changed))
		if wantError(t, err, c.want); err != nil && strings.Count(err.Error(), "the key of") != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The library refuses it too, whoever made the list of people.
func TestPeopleOfOnePointAreOnePerson(t *testing.T) {
	raw, _ := testfleet.NewPerson("p", ceremony.Officer).Key().Ed25519()
	plain := testfleet.NewPerson("p", ceremony.Officer).Key().String()
	person := func(name, role, key string) ceremony.Person { return ceremony.Person{Name: name, Role: role, Key: key} }
	for want, list := range map[string][]ceremony.Person{
		`person "omar" has the key of "olga"`:        {person("olga", "officer", plain), person("omar", "officer", deviceLine(raw, "ssh:"))},
		`person "omar" has the key of "olga" `:       {person("olga", "officer", plain+" a"), person("omar", "officer", plain+" b")},
		`person "olga" has the key of "olga"`:        {person("olga", "officer", plain), person("olga", "officer", deviceLine(raw, "ssh:"))},
		`person "olga" is officer and witness; each`: {person("olga", "officer", plain), person("olga", "witness", testfleet.NewPerson("q", "").Key().String())},
	} {
		p, err := ceremony.NewPeople(list, 2)
		if wantError(t, err, strings.TrimSpace(want)); p != nil {
			t.Errorf("people come with %q", want)
		}
	}
	if _, err := ceremony.NewPeople([]ceremony.Person{person("olga", "officer", plain), person("olga", "officer", testfleet.NewPerson("q", "").Key().String())}, 1); err != nil {
		t.Errorf("an officer's second key: %v", err)
	}
}
