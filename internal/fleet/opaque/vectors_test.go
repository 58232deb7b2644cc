package opaque

import (
	"bytes"
	"crypto/ecdh"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/oprf"
)

// hexes are named byte strings of a vector.
type hexes map[string]string

func (h hexes) bytes(t *testing.T, name string) []byte {
	t.Helper()
	b, err := hex.DecodeString(h[name])
	if err != nil || len(b) == 0 {
		t.Fatalf("the vector's %s is %q", name, h[name])
	}
	return b
}

// optional is nil where the vector doesn't have it: an identity that isn't given.
func (h hexes) optional(t *testing.T, name string) []byte {
	t.Helper()
	if h[name] == "" {
		return nil
	}
	return h.bytes(t, name)
}

type vector struct {
	Group, OPRF, Context  string
	Fake                  bool
	In, Intermediate, Out hexes
}

func read(t *testing.T, name string, v any) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// curve25519 is the key exchange of 6.4.1.3. No fleet has it; vectors do.
type curve25519 struct{}

func (curve25519) size() int { return 32 }
func (x curve25519) derive(seed []byte) ([]byte, []byte, error) {
	public, err := x.public(seed)
	return seed, public, err
}
func (curve25519) public(private []byte) ([]byte, error) {
	k, err := ecdh.X25519().NewPrivateKey(private)
	if err != nil {
		return nil, err
	}
	return k.PublicKey().Bytes(), nil
}
func (curve25519) shared(private, public []byte) ([]byte, error) {
	k, err := ecdh.X25519().NewPrivateKey(private)
	if err != nil {
		return nil, err
	}
	p, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	return k.ECDH(p)
}
func (curve25519) admit(what string, public []byte) error {
	if len(public) != 32 {
		return errors.New(what)
	}
	return nil
}

var suites = map[string]*suite{
	"ristretto255":              ristretto,
	"curve25519":                {oprf.SuiteRistretto255, sha512.New, curve25519{}},
	"P256_XMD:SHA-256_SSWU_RO_": {oprf.SuiteP256, sha256.New, groupExchange{oprf.SuiteP256}},
}

// drawn is randomness that gives what a vector drew, in the order of the draws, and no more.
func drawn(parts ...[]byte) *bytes.Reader { return bytes.NewReader(bytes.Join(parts, nil)) }

func equal(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s is %x, want %x", what, got, want)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheVectorsOfRFC9807(t *testing.T) {
	var vectors []vector
	read(t, "testdata/rfc9807.json", &vectors)
	seen := map[string]int{}
	for i, v := range vectors {
		kind := fmt.Sprintf("%s fake %t", v.Group, v.Fake)
		seen[kind]++
		t.Run(fmt.Sprintf("%d %s", i+1, kind), func(t *testing.T) {
			if v.Fake {
				v.fake(t)
			} else {
				v.real(t)
			}
		})
	}
	for name := range suites {
		if seen[name+" fake false"] != 2 || seen[name+" fake true"] != 1 {
			t.Errorf("the vectors are %v: of %s two real ones and a fake one were expected", seen, name)
		}
	}
}

func (v *vector) real(t *testing.T) {
	s, in, out := suites[v.Group], v.In, v.Out
	context, err := hex.DecodeString(v.Context)
	ok(t, err)
	key, err := s.derivedKey(in.bytes(t, "oprf_seed"), in.bytes(t, "credential_identifier"))
	ok(t, err)
	equal(t, "the OPRF key", key, v.Intermediate.bytes(t, "oprf_key"))
	server, err := newServer(s, drawn(in.bytes(t, "masking_nonce"), in.bytes(t, "server_nonce"), in.bytes(t, "server_keyshare_seed")),
		in.bytes(t, "server_private_key"), in.bytes(t, "oprf_seed"), in.optional(t, "server_identity"))
	ok(t, err)
	equal(t, "the server's public key", server.public, in.bytes(t, "server_public_key"))

	c := &Client{Random: drawn(in.bytes(t, "blind_registration"), in.bytes(t, "envelope_nonce")), Stretch: Identity,
		Identity: in.optional(t, "client_identity"), Server: in.optional(t, "server_identity"), suite: s}
	request, r, err := c.Register(in.bytes(t, "password"))
	ok(t, err)
	equal(t, "the registration request", request, out.bytes(t, "registration_request"))
	response, err := server.Respond(key, request)
	ok(t, err)
	equal(t, "the registration response", response, out.bytes(t, "registration_response"))
	record, export, err := r.Finish(response)
	ok(t, err)
	equal(t, "the record", record, out.bytes(t, "registration_upload"))
	equal(t, "the export key at registration", export, out.bytes(t, "export_key"))
	equal(t, "the record's masking key", record[s.ake.size():s.ake.size()+s.nh()], v.Intermediate.bytes(t, "masking_key"))
	ok(t, s.checkRecord(record))

	c.Random = drawn(in.bytes(t, "blind_login"), in.bytes(t, "client_nonce"), in.bytes(t, "client_keyshare_seed"))
	ke1, l, err := c.Login(in.bytes(t, "password"))
	ok(t, err)
	equal(t, "KE1", ke1, out.bytes(t, "KE1"))
	ke2, p, err := server.Answer(context, Credential{in.optional(t, "client_identity"), record, key}, ke1)
	ok(t, err)
	equal(t, "KE2", ke2, out.bytes(t, "KE2"))
	session, err := l.Finish(context, ke2)
	ok(t, err)
	equal(t, "KE3", session.KE3, out.bytes(t, "KE3"))
	equal(t, "the session key", session.Key, out.bytes(t, "session_key"))
	equal(t, "the export key at login", session.Export, out.bytes(t, "export_key"))
	got, err := p.Finish(session.KE3)
	ok(t, err)
	equal(t, "the server's session key", got, out.bytes(t, "session_key"))
}

func (v *vector) fake(t *testing.T) {
	s, in := suites[v.Group], v.In
	context, err := hex.DecodeString(v.Context)
	ok(t, err)
	key, err := s.derivedKey(in.bytes(t, "oprf_seed"), in.bytes(t, "credential_identifier"))
	ok(t, err)
	server, err := newServer(s, drawn(in.bytes(t, "masking_nonce"), in.bytes(t, "server_nonce"), in.bytes(t, "server_keyshare_seed")),
		in.bytes(t, "server_private_key"), in.bytes(t, "oprf_seed"), in.bytes(t, "server_identity"))
	ok(t, err)
	record := append(append(in.bytes(t, "client_public_key"), in.bytes(t, "masking_key")...), make([]byte, s.envelope())...)
	ke2, _, err := server.Answer(context, Credential{in.bytes(t, "client_identity"), record, key}, in.bytes(t, "KE1"))
	ok(t, err)
	equal(t, "KE2", ke2, v.Out.bytes(t, "KE2"))
}

func TestTheVectorsOfRFC9497(t *testing.T) {
	var vectors []struct {
		Suite, Seed, Info, Key string
		Vectors                []hexes
	}
	read(t, "testdata/rfc9497.json", &vectors)
	if len(vectors) != 2 {
		t.Fatalf("%d suites have vectors, two were expected", len(vectors))
	}
	for _, v := range vectors {
		o, err := oprf.GetSuite(v.Suite)
		ok(t, err)
		s := &suite{o, sha512.New, groupExchange{o}}
		h := hexes{"seed": v.Seed, "info": v.Info, "key": v.Key}
		k, err := oprf.DeriveKey(o, oprf.BaseMode, h.bytes(t, "seed"), h.bytes(t, "info"))
		ok(t, err)
		key, err := k.MarshalBinary()
		ok(t, err)
		equal(t, v.Suite+": the key", key, h.bytes(t, "key"))
		if len(v.Vectors) != 2 {
			t.Errorf("%s has %d vectors, two were expected", v.Suite, len(v.Vectors))
		}
		for _, x := range v.Vectors {
			blind, err := s.scalar(drawn(x.bytes(t, "blind")))
			ok(t, err)
			state, request, err := oprf.NewClient(o).DeterministicBlind([][]byte{x.bytes(t, "input")}, []group.Scalar{blind})
			ok(t, err)
			blinded, err := request.Elements[0].MarshalBinaryCompress()
			ok(t, err)
			equal(t, v.Suite+": the blinded element", blinded, x.bytes(t, "blindedelement"))
			evaluated, err := s.evaluate(key, blinded)
			ok(t, err)
			equal(t, v.Suite+": the evaluated element", evaluated, x.bytes(t, "evaluationelement"))
			e, err := s.decode("the evaluated element", evaluated)
			ok(t, err)
			got, err := oprf.NewClient(o).Finalize(state, &oprf.Evaluation{Elements: []oprf.Evaluated{e}})
			ok(t, err)
			equal(t, v.Suite+": the output", got[0], x.bytes(t, "output"))
		}
	}
}

func TestWhatEncodesNoElementByRFC9496IsRefused(t *testing.T) {
	var invalid []string
	read(t, "testdata/rfc9496.json", &invalid)
	if len(invalid) != 29 {
		t.Fatalf("%d invalid encodings, 29 were expected", len(invalid))
	}
	for _, text := range invalid {
		if _, err := ristretto.decode("x", hexes{"x": text}.bytes(t, "x")); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}
