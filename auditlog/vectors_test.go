package auditlog

import (
	"crypto/ed25519"
	"fmt"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/testvectors"
)

// A vector is what is logged, a log policy and a proof. What must come of it is
// "quorum", "no quorum", or "refused" with what the message must say. Every vector
// but the good ones has one failure.
type vector struct {
	name, expect, says, comment string
	policy                      string
	change                      func(*Proof)
	text                        func(string) string
}

var vectors = []vector{
	{name: "good", expect: "quorum", comment: "all three witnesses of a 2-of-3 policy"},
	{name: "good-without-quorum", expect: "no quorum", comment: "quorum none demands nothing and shows nothing",
		policy: "log " + logKey.vkey() + "\nquorum none\n"},
	{name: "good-unknown-signature", expect: "quorum", comment: "a line by an unknown key is ignored",
		change: func(p *Proof) {
			p.Checkpoint.Signatures = append(p.Checkpoint.Signatures, Signature{Name: "x.example", Raw: []byte("junk")})
		}},
	{name: "one-cosignature", expect: "no quorum", comment: "one of the two demanded",
		change: func(p *Proof) { p.Checkpoint.Signatures = p.Checkpoint.Signatures[:2] }},
	{name: "cosignature-without-time", expect: "no quorum", comment: "an ML-DSA-44 cosignature with timestamp 0 does not count",
		change: func(p *Proof) { p.Checkpoint.Signatures = p.Checkpoint.Signatures[:2]; w3.sign(p.Checkpoint, 0) }},
	{name: "cosignature-spoilt", expect: "refused", says: "does not verify", comment: "though the other two would make the quorum",
		change: func(p *Proof) { p.Checkpoint.Signatures[1].Raw[20] ^= 1 }},
	{name: "cosignature-of-other-root", expect: "refused", says: "does not verify",
		change: func(p *Proof) {
			other := *p.Checkpoint
			other.Root[0] ^= 1
			w2.sign(&other, 3000)
			p.Checkpoint.Signatures[2] = other.Signatures[4]
		}},
	{name: "cosignature-time-changed", expect: "refused", says: "does not verify", change: func(p *Proof) { p.Checkpoint.Signatures[1].Raw[7]++ }},
	{name: "cosignature-in-year-10000", expect: "refused", says: "after the year 9999",
		change: func(p *Proof) { w1.sign(p.Checkpoint, maxTimestamp+1); dropSignature(p, 1) }},
	{name: "cosigned-twice", expect: "refused", says: "signed twice", change: func(p *Proof) { w1.sign(p.Checkpoint, 1001) }},
	{name: "log-signature-missing", expect: "refused", says: "no log of the policy signed it", change: func(p *Proof) { dropSignature(p, 0) }},
	{name: "log-signature-spoilt", expect: "refused", says: "does not verify", change: func(p *Proof) { p.Checkpoint.Signatures[0].Raw[63] ^= 0x80 }},
	{name: "origin-of-other-log", expect: "refused", says: "no log of the policy signed it", comment: "signed by a log of the policy under another log's name",
		change: func(p *Proof) {
			p.Checkpoint.Origin, p.Checkpoint.Signatures = "fleet.example/log2", nil
			logKey.sign(p.Checkpoint, 0)
		}},
	{name: "index-wrong", expect: "refused", says: "does not show", change: func(p *Proof) { p.Index = 4 }},
	{name: "index-is-size", expect: "refused", says: "only 11 entries", change: func(p *Proof) { p.Index = 11 }},
	{name: "index-leading-zero", expect: "refused", says: "leading zero", text: replace("index 5", "index 05")},
	{name: "size-2-63", expect: "refused", says: "above 2^53-1", text: replace("\n11\n", "\n9223372036854775808\n")},
	{name: "hash-missing", expect: "refused", says: "has 3 hashes", change: func(p *Proof) { p.Hashes = p.Hashes[:3] }},
	{name: "hash-too-many", expect: "refused", says: "has 5 hashes", change: func(p *Proof) { p.Hashes = append(p.Hashes, [32]byte{}) }},
	{name: "hash-wrong", expect: "refused", says: "does not show", change: func(p *Proof) { p.Hashes[0][0] ^= 1 }},
	{name: "extra-line", expect: "refused", says: "extra line", text: replace("\nindex", "\nextra Zm9v\nindex")},
	{name: "extension-line", expect: "refused", says: "extension lines are refused", text: replace("\n\n— fleet", "\nmore\n\n— fleet")},
	{name: "crlf", expect: "refused", says: "carriage return", text: replace("\n", "\r\n")},
	{name: "no-final-lf", expect: "refused", says: "no LF at its end", text: func(s string) string { return strings.TrimSuffix(s, "\n") }},
	{name: "base64-not-canonical", expect: "refused", says: "not canonical base64", text: func(s string) string {
		i := strings.Index(s, "=\n")
		return s[:i-1] + string(s[i-1]+1) + s[i:]
	}},
	{name: "policy-log-is-witness", expect: "refused", says: "has the same key",
		policy: "log " + logKey.vkey() + "\nwitness self " + (&testKey{name: "self", typ: Ed25519Cosignature, ed: logKey.ed}).vkey() + "\nquorum self\n"},
	{name: "policy-without-quorum", expect: "refused", says: "quorum", policy: "log " + logKey.vkey() + "\n"},
	{name: "policy-two-quorums", expect: "refused", says: "second quorum", policy: "log " + logKey.vkey() + "\nquorum none\nquorum none\n"},
	{name: "policy-quorum-of-nobody", expect: "refused", says: "not defined above", policy: "log " + logKey.vkey() + "\nquorum one\n"},
	{name: "policy-group-before-its-member", expect: "refused", says: "not defined above",
		policy: "log " + logKey.vkey() + "\ngroup g all one\nwitness one " + w1.vkey() + "\nquorum g\n"},
	{name: "policy-member-of-two-groups", expect: "refused", says: "one",
		policy: "log " + logKey.vkey() + "\nwitness one " + w1.vkey() + "\ngroup g all one\ngroup h all one g\nquorum h\n"},
	{name: "policy-witness-with-a-logs-key-type", expect: "refused", says: "type",
		policy: "log " + logKey.vkey() + "\nwitness one " + vkeyOf("w1.example", Ed25519, w1.ed.Public().(ed25519.PublicKey)) + "\nquorum one\n"},
	{name: "policy-log-with-a-witness-key-type", expect: "refused", says: "type", policy: "log " + w1.vkey() + "\nquorum none\n"},
	{name: "policy-key-twice", expect: "refused", says: "key", policy: "log " + logKey.vkey() + "\nwitness one " + w1.vkey() + "\nwitness two " + w1.vkey() + "\nquorum one\n"},
	{name: "policy-hash-of-another-key", expect: "refused", says: "the key hash is", policy: "log " + strings.Replace(logKey.vkey(), "+c73a1ae2+", "+c73a1ae3+", 1) + "\nquorum none\n"},
	{name: "policy-name-twice", expect: "refused", says: "is taken", policy: "log " + logKey.vkey() + "\nwitness one " + w1.vkey() + "\nwitness one " + w2.vkey() + "\nquorum one\n"},
	{name: "policy-group-of-too-many", expect: "refused", says: "the threshold is 2 of 1 members", policy: "log " + logKey.vkey() + "\nwitness one " + w1.vkey() + "\ngroup g 2 one\nquorum g\n"},
	{name: "policy-url-with-a-user", expect: "refused", says: "no absolute URL", policy: "log " + logKey.vkey() + " https://user@log.example/\nquorum none\n"},
	{name: "policy-line-unknown", expect: "refused", says: "", policy: "log " + logKey.vkey() + "\ntrust all\nquorum none\n"},
	{name: "policy-without-a-log", expect: "refused", says: "log", policy: "witness one " + w1.vkey() + "\nquorum one\n"},
	{name: "good-with-comments-and-tabs", expect: "no quorum", comment: "blank and TAB part fields, # begins a comment",
		policy: "# a comment\n\nlog\t" + logKey.vkey() + "   https://log.example/\nquorum none\n"},
	{name: "good-any-of-a-group", expect: "quorum", comment: "any of a group, and a witness besides",
		policy: "log " + logKey.vkey() + "\nwitness one " + w1.vkey() + "\nwitness two " + w2.vkey() + "\ngroup g any one two\nquorum g\n"},
	{name: "control-character", expect: "refused", says: "", text: replace("fleet.example/log1\n11", "fleet.example/log1\x01\n11")},
	{name: "size-with-a-sign", expect: "refused", says: "", text: replace("\n11\n", "\n+11\n")},
	{name: "not-a-proof", expect: "refused", says: "", text: replace("c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v2")},
	{name: "policy-small-order-key", expect: "refused", says: "small order",
		policy: "log " + vkeyOf(testOrigin, Ed25519, make([]byte, 32)) + "\nquorum none\n"},
}

func replace(old, new string) func(string) string {
	return func(s string) string { return strings.Replace(s, old, new, 1) }
}

// made are a vector's policy and proof.
func (v vector) made(t *testing.T) (policy, proof []byte) {
	p := goodProof(t)
	if v.change != nil {
		v.change(p)
	}
	text, policyText := string(p.Marshal()), testPolicyText
	if v.text != nil {
		text = v.text(text)
	}
	if v.policy != "" {
		policyText = v.policy
	}
	return []byte(policyText), []byte(text)
}

// TestVectors holds testdata/vectors to what it says of itself, and to what is made
// here.
func TestVectors(t *testing.T) {
	set := testvectors.NewSet("proof")
	for _, v := range vectors {
		policy, proof := v.made(t)
		got, err := judge(testLeaf(5), policy, proof)
		if got != v.expect || !strings.Contains(fmt.Sprint(err), v.says) {
			t.Errorf("%s: expect %q saying %q, got %q: %v", v.name, v.expect, v.says, got, err)
		}
		c := testvectors.Case{Name: v.name, What: v.comment, Verdict: testvectors.Accept}
		if v.comment == "" {
			c.What = strings.ReplaceAll(v.name, "-", " ")
		}
		switch v.expect {
		case "refused":
			c.Verdict, c.Reason = testvectors.Reject, v.says
			if v.says == "" {
				c.Reason = fmt.Sprint(err)
			}
		case "quorum":
			c.Claims = map[string]string{"log.included": "proven", "log.witnessed": "proven"}
		default:
			c.Claims = map[string]string{"log.included": "proven"}
		}
		set.Add(t, c, testvectors.Part{Part: "entry", Name: "entry", Data: testLeaf(5)},
			testvectors.Part{Part: "log-policy", Name: "log.policy", Data: policy}, testvectors.Part{Part: "proof", Name: "entry.tlog-proof", Data: proof})
	}
	set.Check(t)
}

func judge(leaf, policyText, proofText []byte) (string, error) {
	policy, err := ParsePolicy("policy", policyText)
	if err != nil {
		return "refused", err
	}
	proof, err := ParseProof("proof", proofText)
	if err != nil {
		return "refused", err
	}
	in, err := policy.Verify(leaf, proof)
	switch {
	case err != nil:
		return "refused", err
	case in.Quorum:
		return "quorum", nil
	}
	return "no quorum", nil
}
