package thirdparty_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/fleetctl/fleetctl/bundle/thirdparty"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/sshsig/sktest"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

func TestAThirdPartysPolicyGivesEachKeyOnePart(t *testing.T) {
	f := testfleet.Prepared(t, testfleet.Options{})
	good := string(f.ThirdPartyPolicy())
	olga, omar := f.Plan.People[0].Key, f.Plan.People[1].Key
	raw, _ := f.Parties.People["olga"].Key().Ed25519()
	device := sktest.Ed25519 + " " + base64.StdEncoding.EncodeToString(ssh.Marshal(struct{ Type, Point, App string }{sktest.Ed25519, string(raw), "ssh:"}))
	for _, c := range []struct{ old, new, want string }{
		{omar, device, `person "omar" has the key of "olga"`},
		{omar, olga + " another comment", `person "omar" has the key of "olga"`},
		{"people:", fmt.Sprintf("others_needed: 1\nothers:\n  - {name: a, key: %q}\npeople:", base64.StdEncoding.EncodeToString(raw)), `third party "a" has the key of person "olga"`},
		{"name: wanda", "name: olga", `person "olga" is officer and witness`},
	} {
		text := strings.Replace(good, c.old, c.new, 1)
		p, err := thirdparty.ParsePolicy("tp.yaml", []byte(text))
		if wantError(t, err, c.want); p != nil || text == good {
			t.Errorf("%q: a policy came with the error", c.new)
		}
	}
}

func TestAThirdPartySignsNoPlanThatGivesSomebodyTwoVoices(t *testing.T) {
	f := asked(t, testfleet.Options{Name: "two voices"})
	l := ledger(t, f)
	good := string(f.ThirdPartyPolicy())
	inspect := func(f *testfleet.Fleet, policy string) error {
		_, err := thirdparty.Inspect("request.json", f.Request, must(thirdparty.ParsePolicy("tp.yaml", []byte(policy))), l)
		return err
	}
	if err := inspect(f, good); err != nil {
		t.Fatal(err)
	}
	swapped := strings.NewReplacer("name: olga", "name: omar", "name: omar", "name: olga").Replace(good)
	wantError(t, inspect(f, swapped), `the policy pins another for "olga": one of them would have two voices`)
	// A fleet of which the countersigner has a key.
	k := f.Account.Keys[0]
	parties := testfleet.SoftParties("two voices", testfleet.TempDir(t))
	parties.Operator = testfleet.SoftSigner(keys.Ed25519, fmt.Sprintf("two voices-1 %x", k.Intent.ID))
	shared := asked(t, testfleet.Options{Name: "two voices", Parties: parties})
	if string(shared.Account.Keys[0].Outcome.PublicKey) != string(parties.Operator.Public.SPKI()) {
		t.Fatal("the operator has no key of the fleet")
	}
	wantError(t, inspect(shared, string(shared.ThirdPartyPolicy())), `fleet key "hsm-1/session" has the key of operator "operator-1"`)
}
