package bundle

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

type plexiVector struct {
	ID          string
	Ciphersuite uint32
	Namespace   string
	Timestamp   uint64
	Epoch       uint64
	Digest      string
	Signature   string
	PublicKey   string `json:"public_key"`
	SigningKey  string `json:"signing_key"`
	KeyID       uint8  `json:"key_id"`
	Message     string
}

func plexiVectors(t *testing.T) []plexiVector {
	var list []plexiVector
	if err := json.Unmarshal(must(os.ReadFile("testdata/plexi/statements.json")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) < 5 {
		t.Fatalf("%d vectors, at least 5 are expected", len(list))
	}
	return list
}

// served is the vector as plexi's service would write it.
func (v plexiVector) served() []byte {
	return fmt.Appendf(nil, `{"version":%d,"ciphersuite":%d,"namespace":"%s","timestamp":%d,"epoch":%d,"digest":"%s","signature":"%s","key_id":%d,"serialized_message":"%s"}`,
		v.Ciphersuite, v.Ciphersuite, v.Namespace, v.Timestamp, v.Epoch, v.Digest, v.Signature, v.KeyID, v.Message)
}

func TestCloudflareStatementsVerify(t *testing.T) {
	for _, v := range plexiVectors(t) {
		t.Run(v.ID, func(t *testing.T) {
			s, err := ParseStatement(v.ID, v.served())
			if err != nil {
				t.Fatal(err)
			}
			if got := hex.EncodeToString(s.Message()); got != v.Message {
				t.Errorf("message is %s, not %s", got, v.Message)
			}
			key := [32]byte(must(hex.DecodeString(v.PublicKey)))
			if err := s.Verify(key); err != nil {
				t.Error(err)
			}
			if got := s.Encode(s.Signature); !bytes.Equal(got, v.served()) {
				t.Errorf("encodes as %s", got)
			}
			other := *s
			other.Timestamp++
			if other.Verify(key) == nil {
				t.Error("verifies with another timestamp")
			}
			other = *s
			other.Ciphersuite = 3 - s.Ciphersuite
			if other.Verify(key) == nil {
				t.Error("verifies under the other ciphersuite")
			}
		})
	}
}

func TestSealMakesTheSignatureThatCloudflarePublished(t *testing.T) {
	made := 0
	for _, v := range plexiVectors(t) {
		if v.SigningKey == "" {
			continue
		}
		made++
		s := must(NewStatement(v.Ciphersuite, v.Namespace, v.Timestamp, v.Epoch, [32]byte(must(hex.DecodeString(v.Digest)))))
		private := ed25519.NewKeyFromSeed(must(hex.DecodeString(v.SigningKey)))
		sealed, err := s.Seal([32]byte(private[32:]), ed25519.Sign(private, s.Message()))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(sealed.Raw(), v.served()) {
			t.Errorf("%s: made %s", v.ID, sealed.Raw())
		}
	}
	if made == 0 {
		t.Error("no vector has a signing key")
	}
}

func TestSealRefusesWhatDoesNotVerify(t *testing.T) {
	s := must(NewStatement(Protobuf, "a", 1, 1, [32]byte{}))
	sig := ed25519.Sign(edKey("tp-1"), s.Message())
	_, err := s.Seal(edRaw("tp-2"), sig)
	wantError(t, err, "does not verify")
	_, err = s.Seal(edRaw("tp-1"), sig[:63])
	wantError(t, err, "63 bytes")
	_, err = s.Seal([32]byte{1}, sig) // the identity: small order
	wantError(t, err, "small order")
}

func TestNewStatementRefusesWhatNoReaderTakes(t *testing.T) {
	for _, c := range []struct {
		suite     uint32
		namespace string
		ts, epoch uint64
		want      string
	}{
		{3, "a", 1, 1, "ciphersuite is 3"},
		{1, "a b", 1, 1, "namespace"},
		{1, "", 1, 1, "namespace is empty"},
		{1, "a", 1 << 53, 1, "timestamp"},
		{1, "a", 1, 0, "epoch 0"},
		{2, "a", 1, 1 << 53, "epoch 9007199254740992"},
	} {
		s, err := NewStatement(c.suite, c.namespace, c.ts, c.epoch, [32]byte{})
		wantError(t, err, c.want)
		if s != nil {
			t.Errorf("%v: a statement came with the error", c)
		}
	}
}

// An unknown ciphersuite has no message. Were that read as the empty message,
// a signature over nothing would verify for any fields.
func TestSignatureOverNothingIsNoStatement(t *testing.T) {
	s := &Statement{Ciphersuite: 7, Namespace: "a", Epoch: 1}
	copy(s.Signature[:], ed25519.Sign(edKey("tp-1"), nil))
	wantError(t, s.Verify(edRaw("tp-1")), "ciphersuite is 7")
	if s.Message() != nil {
		t.Error("it has a message")
	}
}

func TestStatementFieldPresence(t *testing.T) {
	s := must(NewStatement(Protobuf, "example.ns", 5, 6, [32]byte{7}))
	full := string(s.Encode([64]byte(ed25519.Sign(edKey("tp-1"), s.Message()))))
	message := `,"serialized_message":"` + hex.EncodeToString(s.Message()) + `"`
	for name, c := range map[string]struct{ old, new, want string }{
		"as served":                {"", "", ""},
		"without version":          {`"version":1,`, "", ""},
		"without ciphersuite":      {`"ciphersuite":1,`, "", ""},
		"without either":           {`"version":1,"ciphersuite":1,`, "", "both missing"},
		"disagreeing":              {`"version":1`, `"version":2`, "they name the same thing"},
		"version null":             {`"version":1`, `"version":null`, "version is null"},
		"without message":          {message, "", ""},
		"message null":             {message, `,"serialized_message":null`, ""},
		"message empty":            {message, `,"serialized_message":""`, "serialized_message is empty"},
		"message of another":       {message, strings.Replace(message, "0806", "0807", 1), "serialized_message is not what"},
		"key_id":                   {message, `,"key_id":212` + message, ""},
		"key_id too large":         {message, `,"key_id":256` + message, "key_id 256 is too large"},
		"key_id null":              {message, `,"key_id":null` + message, "key_id is null"},
		"unknown field":            {message, `,"note":1` + message, "note is not a field"},
		"unknown ciphersuite":      {`"version":1,"ciphersuite":1`, `"ciphersuite":9`, "ciphersuite is 9"},
		"ciphersuite beyond u32":   {`"version":1,"ciphersuite":1`, `"ciphersuite":4294967297`, "too large"},
		"timestamp beyond doubles": {`"timestamp":5`, `"timestamp":9007199254740992`, "above 2^53-1"},
		"epoch zero":               {`"epoch":6`, `"epoch":0`, "epoch 0"},
		"namespace with a space":   {`"example.ns"`, `"example ns"`, "namespace"},
		"upper-case hex":           {`"digest":"07`, `"digest":"0A`, "not lowercase hex"},
	} {
		t.Run(name, func(t *testing.T) {
			data := []byte(full)
			if c.old != "" {
				data = swap(t, data, c.old, c.new)
			}
			got, err := ParseStatement("s.json", data)
			if c.want != "" {
				wantError(t, err, c.want)
				if got != nil {
					t.Error("a statement came with the error")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := got.Verify(edRaw("tp-1")); err != nil {
				t.Error(err)
			}
			if !bytes.Equal(got.Raw(), data) {
				t.Error("Raw is not what was read")
			}
		})
	}
}

func TestServedStatementMayHaveFieldsWeDoNotKnow(t *testing.T) {
	s := signed("tp-1", newWorld().set).Statement
	more := swap(t, s.Raw(), `"epoch"`, `"published":true,"epoch"`)
	got, err := ParseServed("answer", append(more, "\n\n"...))
	if err != nil {
		t.Fatal(err)
	}
	if err := got.Verify(edRaw("tp-1")); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(got.Encode(got.Signature), s.Raw()) {
		t.Error("without the unknown field it is not the statement that it was")
	}
	_, err = ParseServed("answer", swap(t, s.Raw(), `"epoch"`, `"Epoch":7,"epoch"`))
	wantError(t, err, `Epoch is not a field of this format; did you mean "epoch"?`)
	_, err = ParseServed("answer", []byte(`{"epoch":`))
	wantError(t, err, "ends in the middle")
	_, err = ParseServed("answer", []byte(`[]`))
	wantError(t, err, "not an object")
}

// protoByHand writes ciphersuite 1 from the words of proto2's encoding guide
// (base-128 varints, least group first), sharing nothing with Message.
func protoByHand(suite uint64, ns string, ts, epoch uint64, digest []byte) []byte {
	varint := func(v uint64) string {
		out := ""
		for v > 127 {
			out += string([]byte{byte(v%128) + 128})
			v /= 128
		}
		return out + string([]byte{byte(v)})
	}
	inner := "\x08" + varint(epoch)
	return []byte("\x08" + varint(suite) + "\x12" + varint(uint64(len(ns))) + ns + "\x18" + varint(ts) +
		"\x22" + varint(uint64(len(inner))) + inner + "\x2a" + varint(uint64(len(digest))) + string(digest))
}

func bincodeByHand(suite uint32, ns string, ts, epoch uint64, digest []byte) []byte {
	var b bytes.Buffer
	for _, v := range []any{suite, uint64(len(ns)), []byte(ns), ts, epoch, uint64(len(digest)), digest} {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
	return b.Bytes()
}

func TestMessagesAgainstAnotherEncoder(t *testing.T) {
	digest := seed("digest")
	numbers := []uint64{0, 1, 127, 128, 300, 16383, 16384, 1<<32 - 1, 1 << 32, 1<<53 - 1, 1<<63 + 5, 1<<64 - 1}
	compared := 0
	for _, ns := range []string{"", "a", strings.Repeat("n", 127), strings.Repeat("n", 128)} {
		for _, ts := range numbers {
			for _, epoch := range numbers {
				s := &Statement{Ciphersuite: Protobuf, Namespace: ns, Timestamp: ts, Epoch: epoch, Digest: [32]byte(digest)}
				if got, want := s.Message(), protoByHand(1, ns, ts, epoch, digest); !bytes.Equal(got, want) {
					t.Fatalf("protobuf of %q %d %d is %x, not %x", ns, ts, epoch, got, want)
				}
				s.Ciphersuite = Bincode
				if got, want := s.Message(), bincodeByHand(2, ns, ts, epoch, digest); !bytes.Equal(got, want) {
					t.Fatalf("bincode of %q %d %d is %x, not %x", ns, ts, epoch, got, want)
				}
				compared += 2
			}
		}
	}
	t.Logf("%d messages compared", compared)
}

func TestParseMessageTakesOneSpellingOnly(t *testing.T) {
	s := must(NewStatement(Protobuf, "ns", 5, 6, [32]byte{7}))
	good := s.Message()
	binc := must(NewStatement(Bincode, "ns", 5, 6, [32]byte{7})).Message()
	for suite, data := range map[uint32][]byte{Protobuf: good, Bincode: binc} {
		want := &Statement{Ciphersuite: suite, Namespace: "ns", Timestamp: 5, Epoch: 6, Digest: [32]byte{7}}
		if back, err := parseMessage("m", data); err != nil || !reflect.DeepEqual(back, want) {
			t.Fatalf("read back %+v, %v", back, err)
		}
	}
	long := bytes.Replace(good, []byte{0x18, 5}, []byte{0x18, 0x85, 0}, 1) // 5 in two bytes
	twice := append(bytes.Clone(good), 0x18, 5)
	suite2 := bytes.Clone(good)
	suite2[1] = 2 // says bincode, is protobuf
	swapped := append(append(bytes.Clone(good[:2]), 0x18, 5), bytes.Replace(good[2:], []byte{0x18, 5}, nil, 1)...)
	binc3 := bytes.Clone(binc)
	binc3[1] = 1
	for name, data := range map[string][]byte{
		"empty": nil, "cut": good[:len(good)-1], "long varint": long, "field twice": twice, "other suite": suite2,
		"fields swapped": swapped, "endless varint": append([]byte{0x08}, bytes.Repeat([]byte{0xff}, 20)...),
		"bincode cut": binc[:20], "bincode suite 258": binc3, "bincode trailing": append(bytes.Clone(binc), 0),
		"bincode huge length": append(bytes.Clone(binc[:4]), bytes.Repeat([]byte{0xff}, 40)...),
		"epoch zero":          protoByHand(1, "ns", 5, 0, make([]byte, 32)),
		"short digest":        protoByHand(1, "ns", 5, 6, make([]byte, 31)),
	} {
		if got, err := parseMessage("m", data); err == nil || got != nil {
			t.Errorf("%s: took %x as %+v", name, data, got)
		}
	}
}
