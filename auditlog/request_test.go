package auditlog

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// request is from size old to 11, cosigned by w1.
func testRequest(tb testing.TB, old int64) (*Request, [32]byte) {
	tb.Helper()
	tree := newTestTree(tb, testLeaves(11)...)
	r := &Request{Old: uint64(old), Checkpoint: tree.checkpoint(tb, 11)}
	logKey.sign(r.Checkpoint, 0)
	w1.sign(r.Checkpoint, 1000)
	if old == 0 {
		return r, [32]byte{}
	}
	path, err := tlog.ProveTree(11, old, tree)
	if err != nil {
		tb.Fatal(err)
	}
	for _, h := range path {
		r.Hashes = append(r.Hashes, h)
	}
	return r, tree.checkpoint(tb, old).Root
}

func TestRequestComesBackAndHolds(t *testing.T) {
	for old := range int64(11) {
		r, root := testRequest(t, old)
		if old == 0 {
			root = [32]byte(newTestTree(t).checkpoint(t, 0).Root)
		}
		got, err := ParseRequest("r", r.Marshal())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Marshal(), r.Marshal()) {
			t.Errorf("old %d: %q comes back as %q", old, r.Marshal(), got.Marshal())
		}
		if err := got.Verify(root); err != nil {
			t.Errorf("old %d: %v", old, err)
		}
		root[0] ^= 1
		if err := got.Verify(root); err == nil {
			t.Errorf("old %d: another root is continued as well", old)
		}
	}
	// Nothing to prove, and a hash nevertheless.
	r, _ := testRequest(t, 0)
	r.Hashes = make([][32]byte, 1)
	wantStrict(t, r.Verify([32]byte{}), "nothing to prove")
}

func TestRequestRefuses(t *testing.T) {
	r, _ := testRequest(t, 5)
	good := string(r.Marshal())
	hash := strings.Split(good, "\n")[1] + "\n"
	for name, c := range map[string][2]string{
		"empty":               {"", "ends here"},
		"old missing":         {strings.TrimPrefix(good, "old 5\n"), "beginning with \"old \""},
		"old with zero":       {strings.Replace(good, "old 5", "old 05", 1), "leading zero"},
		"old negative":        {strings.Replace(good, "old 5", "old -5", 1), ""},
		"63 hashes and one":   {"old 5\n" + strings.Repeat(hash, 64) + "\n" + string(r.Checkpoint.Marshal()), "more than 63 hashes"},
		"short hash":          {strings.Replace(good, hash, "AAAA\n", 1), "a SHA-256 digest has 32"},
		"no checkpoint":       {"old 5\n\n", "ends here"},
		"checkpoint unsigned": {"old 5\n\n" + r.Checkpoint.Text(), ""},
		"carriage return":     {strings.Replace(good, "\n", "\r\n", 1), "carriage return"},
		"line behind":         {good + "x\n", "was expected"},
	} {
		got, err := ParseRequest("r", []byte(c[0]))
		if got != nil {
			t.Errorf("%s: a result beside the refusal", name)
		}
		if err == nil {
			t.Errorf("%s: taken", name)
			continue
		}
		wantStrict(t, err, c[1])
	}
}

func TestCosignedLinesReplaceEachOther(t *testing.T) {
	c := goodProof(t).Checkpoint
	n := len(c.Signatures)
	fresh := *c
	fresh.Signatures = nil
	w1.sign(&fresh, 9000)
	more := c.With(fresh.Signatures...)
	if len(more.Signatures) != n || len(c.Signatures) != n {
		t.Fatalf("%d lines of %d", len(more.Signatures), n)
	}
	p := testPolicy(t, testPolicyText)
	got, err := p.VerifyCheckpoint(more)
	if err != nil || got.Witnesses[0].Time.Unix() != 9000 {
		t.Errorf("%+v, %v", got, err)
	}
	old, err := p.VerifyCheckpoint(c)
	if err != nil || old.Witnesses[0].Time.Unix() != 1000 {
		t.Errorf("the older checkpoint was changed: %+v, %v", old, err)
	}
}

func TestCosignVerifiesWhatItIsGiven(t *testing.T) {
	c := goodProof(t).Checkpoint
	v, err := NewVerifier(w1.name, Ed25519Cosignature, w1.public())
	if err != nil || v.String() != w1.vkey() {
		t.Fatalf("%v, %v", v, err)
	}
	good := func(msg []byte) ([]byte, error) { return ed25519.Sign(w1.ed, msg), nil }
	s, err := c.Cosign(v, time.Unix(5000, 0), good)
	if err != nil {
		t.Fatal(err)
	}
	if at, err := v.Check(c, s.Raw); err != nil || at.Unix() != 5000 {
		t.Errorf("%v, %v", at, err)
	}
	for name, sign := range map[string]func([]byte) ([]byte, error){
		"other key": func(msg []byte) ([]byte, error) { return ed25519.Sign(w2.ed, msg), nil },
		"empty":     func([]byte) ([]byte, error) { return nil, nil },
	} {
		if _, err := c.Cosign(v, time.Unix(5000, 0), sign); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := c.Cosign(v, time.Unix(0, 0), good); err == nil {
		t.Error("a cosignature without time is made")
	}
	if s, err := c.Cosign(v, time.Unix(maxTimestamp, 0), good); err != nil {
		t.Errorf("in the last second that can be written: %v", err)
	} else if at, err := v.Check(c, s.Raw); err != nil || at.Unix() != maxTimestamp {
		t.Errorf("%v, %v", at, err)
	}
	if _, err := c.Cosign(v, time.Unix(maxTimestamp+1, 0), good); err == nil {
		t.Error("a time that can't be written is taken")
	}
	log, err := ParseVKey(logKey.vkey())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Cosign(log, time.Unix(5000, 0), good); err == nil {
		t.Error("a log's key cosigns")
	}
	for _, bad := range []string{"", "a b", "a+b"} {
		if _, err := NewVerifier(bad, Ed25519, w1.public()); err == nil {
			t.Errorf("the name %q is taken", bad)
		}
	}
}

// What an ML-DSA cosignature covers has the origin's length in one byte.
func TestACosignatureOfMLDSACoversAnOriginOfAsManyBytesAsOneByteCounts(t *testing.T) {
	v, err := ParseVKey(w3.vkey())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{254, 255, 256} {
		c := &Checkpoint{Origin: strings.Repeat("o", n), Size: 1}
		w3.sign(c, 5000)
		at, err := v.Check(c, c.Signatures[0].Raw)
		if want := n <= 255; (err == nil) != want || want && at.Unix() != 5000 {
			t.Errorf("%d bytes: %v, %v", n, at, err)
		}
	}
}

func FuzzRequest(f *testing.F) {
	for _, old := range []int64{0, 3, 10} {
		r, _ := testRequest(f, old)
		f.Add(r.Marshal())
	}
	_, root := testRequest(f, 3)
	f.Fuzz(func(t *testing.T, data []byte) {
		if list, err := ParseSignatures("f", data); isStrict(t, err) && list != nil {
			t.Fatal("result beside an error")
		}
		r, err := ParseRequest("f", data)
		if isStrict(t, err) {
			if r != nil {
				t.Fatal("result beside an error")
			}
			return
		}
		if !bytes.Equal(r.Marshal(), data) {
			t.Fatalf("%q comes back as %q", data, r.Marshal())
		}
		isStrict(t, r.Verify(root))
	})
}
