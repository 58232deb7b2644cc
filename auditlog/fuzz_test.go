package auditlog

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/strict"
)

// isStrict fails if a refusal is of another kind, and says whether it is one.
func isStrict(t *testing.T, err error) bool {
	t.Helper()
	var e *strict.Error
	if err != nil && !errors.As(err, &e) {
		t.Fatalf("error is %T: %v", err, err)
	}
	return err != nil
}

func FuzzCheckpoint(f *testing.F) {
	c := goodProof(f).Checkpoint
	f.Add(c.Marshal())
	f.Add([]byte(c.Text()))
	f.Add([]byte("a\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n— a AAAAAAA=\n"))
	policy := testPolicy(f, testPolicyText)
	f.Fuzz(func(t *testing.T, data []byte) {
		if head, err := ParseTreeHead("f", data); !isStrict(t, err) && head.Text() != string(data) {
			t.Fatalf("%q comes back as %q", data, head.Text())
		}
		c, err := ParseCheckpoint("f", data)
		if isStrict(t, err) {
			if c != nil {
				t.Fatal("result beside an error")
			}
			return
		}
		if !bytes.Equal(c.Marshal(), data) {
			t.Fatalf("%q comes back as %q", data, c.Marshal())
		}
		_, err = policy.VerifyCheckpoint(c)
		isStrict(t, err)
	})
}

func FuzzProof(f *testing.F) {
	f.Add(goodProof(f).Marshal())
	f.Add(newTestTree(f, testLeaf(5)).proof(f, 0, 1).Marshal())
	policy := testPolicy(f, testPolicyText)
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParseProof("f", data)
		if isStrict(t, err) {
			if p != nil {
				t.Fatal("result beside an error")
			}
			return
		}
		if !bytes.Equal(p.Marshal(), data) {
			t.Fatalf("%q comes back as %q", data, p.Marshal())
		}
		_, err = policy.Verify(testLeaf(5), p)
		isStrict(t, err)
	})
}

func FuzzVKey(f *testing.F) {
	for _, k := range []*testKey{logKey, w1, w3} {
		f.Add(k.vkey())
	}
	f.Add("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
	c := goodProof(f).Checkpoint
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseVKey(s)
		if isStrict(t, err) {
			return
		}
		if v.String() != s {
			t.Fatalf("%q comes back as %q", s, v)
		}
		for _, sig := range c.Signatures {
			_, err := v.Check(c, sig.Raw)
			isStrict(t, err)
		}
	})
}

// FuzzCosignature holds that no other bytes than those the witness made are
// its cosignature: signatures can't be varied by third parties.
func FuzzCosignature(f *testing.F) {
	c := goodProof(f).Checkpoint
	var known []*Verifier
	for i, k := range []*testKey{logKey, w1, w2, w3} {
		v, err := ParseVKey(k.vkey())
		if err != nil {
			f.Fatal(err)
		}
		known = append(known, v)
		f.Add(i, c.Signatures[i].Raw)
	}
	f.Fuzz(func(t *testing.T, which int, raw []byte) {
		if which < 0 || which >= len(known) {
			return
		}
		_, err := known[which].Check(c, raw)
		if !isStrict(t, err) && !bytes.Equal(raw, c.Signatures[which].Raw) {
			t.Fatalf("%x is taken for a signature of %s", raw, known[which].Name())
		}
	})
}

// render writes a policy in the one form that has no comment and no spare
// white space.
func (r *policyReader) render() string {
	var b strings.Builder
	names := make([]string, len(r.nodes))
	for name, i := range r.byName {
		names[i] = name
	}
	for _, l := range r.logs {
		fmt.Fprintln(&b, strings.TrimSpace("log "+l.Key.String()+" "+l.URL))
	}
	for i, n := range r.nodes {
		if n.isWitness {
			w := r.witnesses[n.witness]
			fmt.Fprintln(&b, strings.TrimSpace("witness "+w.Name+" "+w.Key.String()+" "+w.URL))
			continue
		}
		fmt.Fprintf(&b, "group %s %d", names[i], n.k)
		for _, m := range n.members {
			b.WriteString(" " + names[m])
		}
		b.WriteByte('\n')
	}
	quorum := "none"
	if r.quorum > 0 {
		quorum = names[r.quorum-1]
	}
	fmt.Fprintf(&b, "quorum %s\n", quorum)
	return b.String()
}

func readPolicy(text string) (*policyReader, error) {
	r := &policyReader{Policy: &Policy{file: "f"}, byName: map[string]int{}}
	l := strict.NewLines("f", []byte(text))
	for l.More() {
		l.Check(r.line(l.Next()))
	}
	return r, l.Done()
}

func FuzzPolicy(f *testing.F) {
	f.Add(testPolicyText)
	f.Add("quorum none\n")
	f.Add("log " + logKey.vkey() + "\nwitness a " + w1.vkey() + "\ngroup b any a\ngroup c 1 b\nquorum c\n")
	proof := goodProof(f)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePolicy("f", []byte(text))
		if isStrict(t, err) {
			if p != nil {
				t.Fatal("result beside an error")
			}
			return
		}
		first, err := readPolicy(text)
		if err != nil {
			t.Fatal(err)
		}
		again, err := readPolicy(first.render())
		if err != nil {
			t.Fatalf("%q, rendered from %q: %v", first.render(), text, err)
		}
		if again.render() != first.render() || !reflect.DeepEqual(again.nodes, first.nodes) || again.quorum != first.quorum {
			t.Fatalf("%q and its rendering %q are two policies", text, first.render())
		}
		in, err := p.Verify(testLeaf(5), proof)
		if !isStrict(t, err) && in.Quorum && !in.Demanded {
			t.Fatal("a quorum nobody demanded")
		}
	})
}
