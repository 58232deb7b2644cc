package viewer_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/keys"
)

// What JavaScript takes of ML-DSA is what Go takes: Wycheproof's cases, each context
// against each, and signatures with a bit changed in each of their parts.
func TestJavaScriptTakesTheMLDSASignaturesThatGoTakes(t *testing.T) {
	list := wycheproof(t)
	for _, alg := range []keys.Algorithm{keys.MLDSA44, keys.MLDSA65, keys.MLDSA87} {
		seed := sha256.Sum256([]byte("viewer " + alg))
		k := must(keys.NewMLDSA(alg, seed[:]))
		spki, message := k.Public().SPKI(), []byte("an artifact")
		uses := []keys.Context{keys.ForPossession, keys.ForCountersignature, "app.example/v1"}
		for _, as := range uses {
			sig := must(k.Sign(as, message))
			for _, use := range uses {
				list = append(list, signedCase{alg, spki, message, sig, string(use)})
			}
			list = append(list, signedCase{alg, spki, message[1:], sig, string(as)}, signedCase{alg, spki, message, append(bytes.Clone(sig), 0), string(as)})
			for _, at := range []int{0, 31, 40, len(sig) / 2, len(sig) - 90, len(sig) - 9, len(sig) - 1} {
				list = append(list, signedCase{alg, spki, message, flipped(sig, at), string(as)})
			}
		}
		sig := must(k.Sign(keys.ForPossession, message))
		for _, at := range []int{0, 10, 21, 22, 60, len(spki) - 1} {
			list = append(list, signedCase{alg, flipped(spki, at), message, sig, string(keys.ForPossession)})
		}
		for n := range 6 { // messages whose hashes end in another block each
			long := bytes.Repeat([]byte{byte(n)}, 40+n*17)
			list = append(list, signedCase{alg, spki, long, must(k.Sign(keys.ForPossession, long)), string(keys.ForPossession)})
		}
	}
	var got []bool
	node(t, "signed", list, &got)
	taken := 0
	for i, c := range list {
		as := keys.Context(c.Context)
		if as == "" {
			as = keys.ForLog // which signs with an empty context
		}
		p, err := keys.ParseAs(c.Algorithm, c.Key)
		want := err == nil && p.Verify(as, c.Message, c.Signature) == nil
		if got[i] != want {
			t.Errorf("case %d, %s, context %q: JavaScript says %t, Go %t", i, c.Algorithm, c.Context, got[i], want)
		}
		if want {
			taken++
		}
	}
	t.Logf("%d cases, %d verify", len(list), taken)
	if taken != 11+3*(3+6) { // of the 17 that verify by FIPS 204 six are under keys by which anyone can sign
		t.Errorf("%d verify", taken)
	}
}

// wycheproof are the cases that internal/keys has of them.
func wycheproof(t *testing.T) (list []signedCase) {
	t.Helper()
	prefix := map[string]string{
		"ml-dsa-44": "30820532300b06096086480165030403110382052100", "ml-dsa-65": "308207b2300b0609608648016503040312038207a100", "ml-dsa-87": "30820a32300b060960864801650304031303820a2100",
	}
	raw := func(text string) []byte {
		if text == "-" {
			return nil
		}
		return must(base64.StdEncoding.DecodeString(text))
	}
	var key signedCase
	for line := range strings.Lines(string(must(os.ReadFile("../../../../internal/keys/testdata/wycheproof-mldsa.txt")))) {
		f := strings.Fields(line)
		switch {
		case f[0] == "#":
		case f[0] == "key":
			var begin []byte
			if _, err := fmt.Sscanf(prefix[f[1]], "%x", &begin); err != nil {
				t.Fatal(err)
			}
			key = signedCase{Algorithm: keys.Algorithm(f[1]), Key: append(begin, raw(f[2])...)}
		default:
			list = append(list, signedCase{key.Algorithm, key.Key, raw(f[3]), raw(f[4]), string(raw(f[2]))})
		}
	}
	if len(list) != 39 {
		t.Fatalf("%d cases", len(list))
	}
	return list
}
