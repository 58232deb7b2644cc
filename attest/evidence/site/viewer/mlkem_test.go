package viewer_test

import (
	"bytes"
	"crypto/mlkem"
	"crypto/sha512"
	"fmt"
	"testing"

	"github.com/fleetctl/fleetctl/internal/keys"
)

// From a key and 32 bytes JavaScript makes the ciphertext and the secret that Go makes, and
// it admits the keys that Go admits.
func TestJavaScriptEncapsulatesAsGoDoes(t *testing.T) {
	var list []map[string][]byte
	var want [][]byte
	add := func(spki []byte, n int) {
		m := bytes.Repeat([]byte{byte(n), 0xa5}, 16)
		list = append(list, map[string][]byte{"key": spki, "random": m})
		p, err := keys.ParseAs(keys.MLKEM768, spki)
		if err != nil {
			want = append(want, nil)
			return
		}
		s := must(keys.ParseScalar(keys.MLKEM768, m))
		want = append(want, append(must(s.Peer(p)).Encode(), must(s.Secret(p))...))
	}
	var spki []byte
	for n := range 8 {
		seed := sha512.Sum512(fmt.Appendf(nil, "viewer %d", n))
		spki = must(keys.FromMLKEM(must(mlkem.NewDecapsulationKey768(seed[:])).EncapsulationKey().Bytes())).SPKI()
		add(spki, n)
	}
	for _, at := range []int{0, 10, 20, 21, 22, 600, 1180, 1205} {
		add(flipped(spki, at), at)
	}
	above := bytes.Clone(spki)
	above[22], above[23] = 0xff, 0xff // 4095
	add(above, 1)
	add(append(bytes.Clone(spki[:22]), make([]byte, 1184)...), 2) // t is zero
	add(spki[:1205], 3)
	var got [][]byte
	node(t, "encapsulated", list, &got)
	taken := 0
	for i := range list {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("case %d: JavaScript gives %d bytes, %.20x, Go %d, %.20x", i, len(got[i]), got[i], len(want[i]), want[i])
		}
		if want[i] != nil {
			taken++
		}
	}
	if taken < 8 || taken > len(list)-7 {
		t.Errorf("%d of %d keys are admitted", taken, len(list))
	}
}
