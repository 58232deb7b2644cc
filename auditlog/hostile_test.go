package auditlog

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// accepted says whether the policy accepts the text as the proof of leaf 5
// with its quorum, as a device would ask.
func accepted(tb testing.TB, policy *Policy, text []byte) bool {
	tb.Helper()
	p, err := ParseProof("proof", text)
	if err != nil {
		wantStrict(tb, err, "")
		if p != nil {
			tb.Fatal("there is a proof beside the error")
		}
		return false
	}
	if !bytes.Equal(p.Marshal(), text) {
		tb.Fatalf("parsed, but marshals to other bytes:\n%q\n%q", text, p.Marshal())
	}
	in, err := policy.Verify(testLeaf(5), p)
	if err != nil {
		wantStrict(tb, err, "")
		return false
	}
	return in.Quorum
}

// strictPolicy demands all three, so that no signature can be spared.
func strictPolicy(tb testing.TB) *Policy {
	return testPolicy(tb, strings.Replace(testPolicyText, "two-of-three 2", "two-of-three all", 1))
}

func TestEveryByteOfAProofMatters(t *testing.T) {
	policy, good := strictPolicy(t), goodProof(t).Marshal()
	if !accepted(t, policy, good) {
		t.Fatal("the good proof is not accepted")
	}
	for i := range good {
		// All of a proof but ML-DSA's 3 kB get every bit flipped.
		bits := []byte{1, 2, 4, 8, 16, 32, 64, 128}
		if i > 1200 {
			bits = []byte{1 << (i % 8)}
		}
		for _, bit := range bits {
			bad := bytes.Clone(good)
			bad[i] ^= bit
			if accepted(t, policy, bad) {
				t.Fatalf("accepted with byte %d changed from %q to %q", i, good[i], bad[i])
			}
		}
		if accepted(t, policy, good[:i]) {
			t.Fatalf("accepted when cut at byte %d", i)
		}
	}
}

func TestEveryLineOfAProofMatters(t *testing.T) {
	policy, good := strictPolicy(t), goodProof(t).Marshal()
	all := lines(good)
	sigs := len(all) - 4 // signature lines may come in any order
	for i := range all {
		try := func(what string, changed []string) {
			t.Helper()
			text := []byte(strings.Join(changed, ""))
			if what != "good" && bytes.Equal(text, good) {
				return
			}
			if accepted(t, policy, text) {
				t.Errorf("accepted with line %d %s: %q", i+1, what, all[i])
			}
		}
		try("dropped", slices.Delete(slices.Clone(all), i, i+1))
		try("duplicated", slices.Insert(slices.Clone(all), i, all[i]))
		try("followed by an empty line", slices.Insert(slices.Clone(all), i+1, "\n"))
		try("ended by CR LF", slices.Replace(slices.Clone(all), i, i+1, strings.Replace(all[i], "\n", "\r\n", 1)))
		try("with a space before", slices.Replace(slices.Clone(all), i, i+1, " "+all[i]))
		try("with a space after", slices.Replace(slices.Clone(all), i, i+1, strings.Replace(all[i], "\n", " \n", 1)))
		for j := range i {
			if j >= sigs {
				continue
			}
			swapped := slices.Clone(all)
			swapped[i], swapped[j] = swapped[j], swapped[i]
			try(fmt.Sprintf("swapped with line %d", j+1), swapped)
		}
	}
}

func TestSignatureLinesComeInAnyOrder(t *testing.T) {
	p := goodProof(t)
	slices.Reverse(p.Checkpoint.Signatures)
	if !accepted(t, strictPolicy(t), p.Marshal()) {
		t.Error("the order of signature lines made a difference")
	}
}

func TestParseProofRefuses(t *testing.T) {
	good := string(goodProof(t).Marshal())
	hash := b64(make([]byte, 32)) + "\n"
	for name, test := range map[string]struct{ old, new, says string }{
		"other version":      {"@v1\n", "@v2\n", `proof:1: has "c2sp.org/tlog-proof@v2"`},
		"extra line":         {"\nindex", "\nextra Zm9v\nindex", "proof:2: has an extra line"},
		"no index":           {"index 5\n", "", "proof:2: has"},
		"index +5":           {"index 5", "index +5", "proof:2: "},
		"index 05":           {"index 5", "index 05", "proof:2: "},
		"index 2^53":         {"index 5", "index 9007199254740992", "proof:2: 9007199254740992 is above 2^53-1"},
		"index is size":      {"index 5", "index 11", "only 11 entries"},
		"size 2^62":          {"\n11\n", "\n4611686018427387904\n", "above 2^53-1"},
		"size 2^63":          {"\n11\n", "\n9223372036854775808\n", "above 2^53-1"},
		"size 2^64":          {"\n11\n", "\n18446744073709551616\n", "above 2^53-1"},
		"size 2^53-1":        {"\n11\n", "\n9007199254740991\n", "has 4 hashes, entry 5 of 9007199254740991 has 53"},
		"hash of 31 bytes":   {"index 5\n", "index 5\n" + b64(make([]byte, 31)) + "\n", "proof:3: the hash has 31 bytes"},
		"hash in two forms":  {"index 5\n", "index 5\n" + strings.Replace(hash, "AA=", "AB=", 1), "proof:3: is not canonical base64"},
		"64 hashes":          {"index 5\n", "index 5\n" + strings.Repeat(hash, 60), "proof:66: has more than 63 hashes"},
		"extension line":     {"\n\n— fleet", "\nextension\n\n— fleet", "extension lines are refused"},
		"empty origin":       {testOrigin + "\n11", "\n11", "proof:8: the checkpoint's origin is empty"},
		"control character":  {testOrigin + "\n11", "a\x01b\n11", `proof:8: has the control character '\x01'`},
		"tab":                {testOrigin + "\n11", "a\tb\n11", `proof:8: has the control character '\t'`},
		"not UTF-8":          {testOrigin + "\n11", "\xff\n11", "is not UTF-8"},
		"hyphen, not dash":   {"— w1", "- w1", `proof:13: has "- w1`},
		"name with plus":     {"— w1.example", "— w1+example", `proof:13: the key's name has '+'`},
		"name with NBSP":     {"— w1.example", "— w1\u00a0example", "proof:13: the key's name has"},
		"no name":            {"— w1.example", "— ", "proof:13: the key's name is empty"},
		"no signature":       {"— w1.example", "— w1.example AAAA\n— w1.example", "proof:13: the signature has 3 bytes"},
		"only a key hash":    {"— w1.example", "— w1.example AAAAAA==\n— w1.example", "proof:13: the signature has 4 bytes"},
		"two spaces":         {"— w1.example ", "— w1.example  ", "proof:13: the signature is not canonical base64"},
		"name of 256 bytes":  {"— w1.example", "— " + strings.Repeat("x", 256), "256 bytes, 255 are allowed"},
		"line without a sig": {"— w1.example", "— w1.example\n— w1.example", "proof:13: is no signature line"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := strings.Replace(good, test.old, test.new, 1)
			if bad == good {
				t.Fatal("the test changes nothing")
			}
			_, err := ParseProof("proof", []byte(bad))
			wantStrict(t, err, test.says)
		})
	}
}

func TestSizeLimits(t *testing.T) {
	p := goodProof(t)
	for range MaxSignatures - 4 {
		p.Checkpoint.Signatures = append(p.Checkpoint.Signatures, Signature{Name: "pq.example", Raw: make([]byte, 2428)})
	}
	text := p.Marshal()
	if !accepted(t, strictPolicy(t), text) {
		t.Errorf("%d signatures in %d bytes are refused", MaxSignatures, len(text))
	}
	p.Checkpoint.Signatures = append(p.Checkpoint.Signatures, p.Checkpoint.Signatures[0])
	_, err := ParseProof("", p.Marshal())
	wantStrict(t, err, "more signatures than the 64")

	huge := bytes.Repeat([]byte{'a'}, MaxText+1)
	for name, parse := range map[string]func() error{
		"proof":      func() error { _, err := ParseProof("", huge); return err },
		"checkpoint": func() error { _, err := ParseCheckpoint("", huge); return err },
		"tree head":  func() error { _, err := ParseTreeHead("", huge); return err },
		"policy":     func() error { _, err := ParsePolicy("", huge); return err },
	} {
		t.Run(name, func(t *testing.T) { wantStrict(t, parse(), "are allowed") })
	}
}

func TestTreeHead(t *testing.T) {
	c := goodProof(t).Checkpoint
	got, err := ParseTreeHead("head", []byte(c.Text()))
	if err != nil || got.Text() != c.Text() || got.Signatures != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	_, err = ParseTreeHead("head", c.Marshal())
	wantStrict(t, err, "head:4: has more lines")
	_, err = ParseCheckpoint("cp", []byte(c.Text()))
	wantStrict(t, err, "cp:4: ends here")
	_, err = ParseCheckpoint("cp", []byte(c.Text()+"\n"))
	wantStrict(t, err, "cp:5: ends here")
}
