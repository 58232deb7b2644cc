package smartcardhsm

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest"
)

func file(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func evidence(request, chain []byte) *attest.Evidence {
	return &attest.Evidence{Format: Format, Parts: []attest.Part{{Name: PartRequest, Data: request}, {Name: PartChain, Data: chain}}}
}

// shipped are the anchors that come with the program.
func shipped(t testing.TB) *attest.Anchors {
	t.Helper()
	a, err := attest.ParseAnchors("anchors.yaml", attest.Shipped())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func pin(t testing.TB, name string, k *key) *attest.Anchors {
	t.Helper()
	spki, err := k.spki()
	if err != nil {
		t.Fatal(err)
	}
	a, err := attest.NewAnchors(attest.Anchor{Vendor: "cardcontact", Name: name, Formats: []string{Format}, SPKI: sha256.Sum256(spki)})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

var ceremony = time.Date(2026, 9, 24, 12, 0, 0, 0, time.UTC)

func TestARealNitrokeysRequestsVerify(t *testing.T) {
	chain := file(t, "testdata/ef2f02.bin")
	for name, spki := range map[string]string{"ce01-secp256k1": "", "ce03-p256": "spki-ce03", "ce04-rsa2048": "spki-ce04"} {
		in := attest.Input{Evidence: evidence(file(t, "testdata/"+name+".bin"), chain), Anchors: shipped(t), At: ceremony}
		c, err := attest.Check(Verifier{}, in)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if c.Level != attest.Anchored || c.Platform.Identity != "DENK0404144" || c.Key.Local != attest.True || len(c.Unknown) != 0 {
			t.Errorf("%s: got %+v", name, c)
		}
		if c.Key.Extractable != attest.NotShown || c.Key.NeverExtractable != attest.NotShown || c.Key.Sensitive != attest.NotShown {
			t.Errorf("%s: the format does not say whether the key can leave, and the claims do: %+v", name, c.Key)
		}
		if want := time.Date(2031, 5, 28, 0, 0, 0, 0, time.UTC); !c.Until.Equal(want) {
			t.Errorf("%s: until %v, want %v", name, c.Until, want)
		}
		if spki != "" && !bytes.Equal(c.Key.SPKI, file(t, "testdata/"+spki+".bin")) {
			t.Errorf("%s: the key is not the one that the token gave", name)
		}
	}
}

func TestTheBrainpoolCurveAgreesWithWycheproof(t *testing.T) {
	b := file(t, "testdata/wycheproof-brainpoolP256r1-sha256.txt")
	k := &key{curve: curves()[0]}
	n := 0
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		f := strings.Fields(s.Text())
		switch {
		case f[0] == "#" || strings.HasPrefix(f[0], "("):
		case f[0] == "key":
			if k.x, k.y = k.curve.point(unhex(t, f[1])); k.x == nil {
				t.Fatalf("%s is no point", f[1])
			}
		default:
			digest := sha256.Sum256(unhex(t, f[1]))
			if got := k.curve.verify(k.x, k.y, digest[:], unhex(t, f[2])); got != (f[3] == "valid") {
				t.Errorf("test %s: verified %v, want %s", f[0], got, f[3])
			}
			n++
		}
	}
	if n != 261 {
		t.Errorf("%d tests were read, the file has 261", n)
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	if s == "-" {
		return nil
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
