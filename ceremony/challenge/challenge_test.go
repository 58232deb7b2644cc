package challenge_test

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/ceremony/challenge"
	"github.com/fleetctl/fleetctl/internal/keys"
)

func TestACodeIsReadAsItIsTypedAndASlipIsNoticed(t *testing.T) {
	data := bytes.Repeat([]byte{0xa5, 0x01}, 16)
	code := challenge.Code(challenge.Peer, data)
	for _, typed := range []string{code, strings.ToUpper(code), strings.ReplaceAll(code, " ", ""), "  " + strings.ReplaceAll(code, " ", "\t") + " "} {
		if got, err := challenge.ParseCode(challenge.Peer, typed); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%q: %x, %v", typed, got, err)
		}
	}
	if n := len(strings.ReplaceAll(challenge.Code(challenge.Peer, make([]byte, 33)), " ", "")); n != 74 {
		t.Errorf("the longest code has %d digits", n)
	}
	digits := []byte(strings.ReplaceAll(code, " ", ""))
	for i := range digits {
		slip := bytes.Clone(digits)
		if slip[i] == '0' {
			slip[i] = '1'
		} else {
			slip[i] = '0'
		}
		if _, err := challenge.ParseCode(challenge.Peer, string(slip)); err == nil {
			t.Fatalf("digit %d typed wrongly is not noticed", i+1)
		}
	}
	for _, typed := range []string{"", "a", "00000000", code[:len(code)-1], code + "0", code[5:], strings.Repeat("0", 4000), "machine", code + "\x00"} {
		if got, err := challenge.ParseCode(challenge.Peer, typed); err == nil {
			t.Errorf("%.20q is read as %x", typed, got)
		}
	}
	// What is meant for one place is taken at no other.
	if _, err := challenge.ParseCode(challenge.Scalar, code); err == nil {
		t.Error("a peer is read as a scalar")
	}
}

func TestAChallengeIsOpenedForOneAnswer(t *testing.T) {
	k := &challenge.Kept{}
	if _, err := k.Open(bytes.Repeat([]byte{1}, 32)); err == nil || !strings.Contains(err.Error(), "no challenge was drawn") {
		t.Error(err)
	}
	peer, err := k.Draw(keys.ECDHP256, nil, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, answer := range [][]byte{nil, make([]byte, 31), make([]byte, 32)} {
		if _, err := k.Open(answer); err == nil {
			t.Errorf("the answer %x is taken", answer)
		}
	}
	scalar, err := k.Open(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	s, err := keys.ParseScalar(keys.ECDHP256, scalar)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := s.Peer(nil); err != nil || !bytes.Equal(again.Encode(), peer) {
		t.Errorf("it is not the scalar of the peer: %v", err)
	}
	if again, err := k.Open(bytes.Repeat([]byte{1}, 32)); err != nil || !bytes.Equal(again, scalar) {
		t.Errorf("the same answer once more: %v", err)
	}
	if _, err := k.Open(bytes.Repeat([]byte{2}, 32)); err == nil || !strings.Contains(err.Error(), "is open, to another answer") {
		t.Errorf("a second answer: %v", err)
	}
	if _, err := k.Draw(keys.Ed25519, nil, rand.Reader); err == nil || len(k.Challenges) != 1 {
		t.Errorf("a key that signs is challenged: %v", err)
	}
	other, err := k.Draw(keys.X25519, nil, rand.Reader)
	if err != nil || bytes.Equal(other, peer) {
		t.Error(err)
	}
	kept, err := challenge.Parse("kept", k.Encode())
	if err != nil || len(kept.Challenges) != 2 || kept.Challenges[0].Answer != [32]byte(bytes.Repeat([]byte{1}, 32)) {
		t.Errorf("%+v, %v", kept, err)
	}
}

func TestWhatWasNotKeptHereIsRefused(t *testing.T) {
	k := &challenge.Kept{}
	if _, err := k.Draw(keys.ECDHP256, nil, bytes.NewReader(bytes.Repeat([]byte{7}, 32))); err != nil {
		t.Fatal(err)
	}
	good := string(k.Encode())
	for name, c := range map[string][3]string{
		"another format":                 {"challenges v1", "challenges v2", "format is"},
		"a scalar of zeros":              {strings.Repeat("07", 32), strings.Repeat("00", 32), "challenge 1: its scalar is no private half"},
		"an algorithm of keys that sign": {"ecdh-p256", "ecdsa-p256", "challenge 1: its scalar a key of kind ecdsa-p256 can't agree"},
		"a member more":                  {`"algorithm"`, `"why": "x", "algorithm"`, "why"},
	} {
		text := strings.Replace(good, c[0], c[1], 1)
		if text == good {
			t.Fatalf("%s: nothing is changed", name)
		}
		if _, err := challenge.Parse("kept", []byte(text)); err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzKept: what is read is written as it was, and never gives a scalar twice.
func FuzzKept(f *testing.F) {
	k := &challenge.Kept{}
	f.Add(k.Encode(), "")
	if _, err := k.Draw(keys.X25519, nil, rand.Reader); err != nil {
		f.Fatal(err)
	}
	f.Add(k.Encode(), challenge.Code(challenge.Answer, make([]byte, 32)))
	f.Fuzz(func(t *testing.T, data []byte, typed string) {
		for _, what := range []challenge.What{challenge.Peer, challenge.Answer, challenge.Scalar} {
			if got, err := challenge.ParseCode(what, typed); err == nil {
				if again, err := challenge.ParseCode(what, challenge.Code(what, got)); err != nil || !bytes.Equal(again, got) {
					t.Fatalf("%x is written and read as %x: %v", got, again, err)
				}
			}
		}
		kept, err := challenge.Parse("kept", data)
		if err != nil {
			return
		}
		again, err := challenge.Parse("kept", kept.Encode())
		if err != nil || !bytes.Equal(again.Encode(), kept.Encode()) {
			t.Fatalf("isn't read as it was written: %v", err)
		}
	})
}
