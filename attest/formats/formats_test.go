package formats_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/attest/attesttest"
	"github.com/fleetctl/fleetctl/attest/formats"
	"github.com/fleetctl/fleetctl/internal/keys"
)

func TestEachFormatHasItsRowInTheDocument(t *testing.T) {
	data, err := os.ReadFile(attesttest.Document(t))
	if err != nil {
		t.Fatal(err)
	}
	list := formats.All().Formats()
	for _, f := range list {
		if !strings.Contains(string(data), "\n| [`"+f+"`](#"+f+") |") || !strings.Contains(string(data), "\n## "+f+"\n") {
			t.Errorf("%s: no row or no section: its test runs attesttest.Run", f)
		}
	}
	if n := strings.Count(string(data), "\n| [`"); n != len(list) {
		t.Errorf("%d rows for %d formats", n, len(list))
	}
}

// What no evidence of a format can be about, and what none shows of a key.
func TestEachFormatSaysWhichKeysItCantAttest(t *testing.T) {
	var got []string
	for _, f := range formats.All().Formats() {
		for _, alg := range keys.Algorithms {
			if none := formats.NoEvidence(f, string(alg)); alg.IsMLDSA() || alg.IsMLKEM() {
				if none == "" {
					t.Errorf("%s %s: there is evidence", f, alg)
				}
				continue
			}
			switch none, lacks := formats.NoEvidence(f, string(alg)), formats.Lacks(f, string(alg)); {
			case none != "" && lacks != none:
				t.Errorf("%s %s: there is no evidence, and it lacks %q", f, alg, lacks)
			case none != "":
				got = append(got, f+" "+string(alg)+": none")
			case lacks != "":
				got = append(got, f+" "+string(alg)+": "+lacks)
			}
		}
	}
	const agrees, may, leave = "it never shows that a key agrees", "it never shows what a key may do", "it never shows that a key can't leave"
	want := []string{
		"luna-pkc x25519: " + agrees, "luna-pkc ecdh-p256: " + agrees,
		"marvell-liquidsecurity ed25519: none", "marvell-liquidsecurity x25519: none",
		"nshield ed25519: none", "nshield ecdsa-p256: " + may, "nshield ecdsa-p384: none", "nshield x25519: none", "nshield rsa-3072: " + may, "nshield ecdh-p256: none",
		"securosys-xml x25519: none",
		"smartcard-hsm ed25519: none", "smartcard-hsm ecdsa-p256: " + leave, "smartcard-hsm ecdsa-p384: " + leave, "smartcard-hsm x25519: none", "smartcard-hsm rsa-3072: " + leave, "smartcard-hsm ecdh-p256: " + leave,
		"tpm2-certify ed25519: none", "tpm2-certify x25519: none",
		"yubikey-piv x25519: " + agrees, "yubikey-piv ecdh-p256: " + agrees,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
