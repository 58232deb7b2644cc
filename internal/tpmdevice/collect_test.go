//go:build cgo && linux

package tpmdevice

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest"
	at "github.com/fleetctl/fleetctl/attest/attesttest"
	"github.com/fleetctl/fleetctl/attest/tpm"
	"github.com/fleetctl/fleetctl/internal/hsm"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testtpm"
	"github.com/fleetctl/fleetctl/internal/token"
)

const pin, soPIN = "pin-of-vendor", "12345678"

// fleet is some TPMs with a token in each, enrolled by one authority.
type fleet struct {
	*testing.T
	file      string // of the tokens' store
	module    *hsm.Module
	tpms      []*testtpm.TPM
	sources   []Source
	names     []string // attestation identities
	authority *attest.Anchors
	makers    *attest.Anchors
	requests  []*attest.Evidence
}

func newFleet(t *testing.T, n int, tokens bool) *fleet {
	t.Helper()
	dir := t.TempDir()
	maker := testtpm.NewMaker(t, dir)
	f := &fleet{T: t}
	var list []testtpm.Token
	for i := range n {
		label := "vendor-" + string(rune('1'+i))
		f.tpms = append(f.tpms, maker.Start(label))
		list = append(list, testtpm.Token{TPM: f.tpms[i], Label: label, UserPIN: pin, SOPIN: soPIN})
	}
	if tokens {
		f.open(dir, list)
	}
	f.makers = at.Pin(t, tpm.EKFormat, maker.Certified[1])
	key := at.P256(t)
	from, until := time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	authority, err := NewAuthority(rand.Reader, "Example Ltd", key, from, until)
	f.check(err)
	f.authority = at.Pin(t, tpm.Format, authority)
	above := append(encodePEM(maker.Certified[0].Raw), encodePEM(maker.Certified[1].Raw)...)
	for i, dev := range f.tpms {
		request, err := Request(context.Background(), dev.TCTI, above)
		f.check(err)
		challenge, expected, about, err := Challenge(rand.Reader, request, f.makers, time.Now(), true)
		f.check(err)
		answer, err := Answer(context.Background(), dev.TCTI, challenge)
		f.check(err)
		// The maker's certificates begin when the test runs.
		cert, _, err := Issue(rand.Reader, request, expected, answer, f.makers, true, authority, key, time.Now(), until)
		f.check(err)
		f.names, f.requests = append(f.names, about.Identity), append(f.requests, request)
		f.sources = append(f.sources, Source{TCTI: dev.TCTI, AK: cert, EK: above, Store: f.file, Label: list[i].Label})
	}
	return f
}

// open makes the tokens, and opens the module.
func (f *fleet) open(dir string, list []testtpm.Token) {
	f.Helper()
	store := testtpm.NewStore(f.T, dir, list...)
	// The module reads its environment by C's getenv, which Go's Setenv sets too.
	for _, v := range store.Env {
		name, value, _ := strings.Cut(v, "=")
		f.Setenv(name, value)
	}
	var err error
	f.module, err = hsm.Open(store.Module, hsm.Options{})
	f.check(err)
	f.Cleanup(func() { f.check(f.module.Close()) })
	f.file = store.File
}

func (f *fleet) check(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// key makes a key in a token, and says what would be asked of it.
func (f *fleet) key(i int, sign bool) (*hsm.Token, Question) { return f.made(i, sign, !sign) }

func (f *fleet) made(i int, sign, decrypt bool) (*hsm.Token, Question) {
	f.Helper()
	t, err := f.module.Token(hsm.Selector{Label: f.sources[i].Label})
	f.check(err)
	f.Cleanup(func() { t.Close() })
	if err := t.Login([]byte(pin)); !errors.Is(err, hsm.ErrAlreadyLoggedIn) {
		f.check(err)
	}
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	made, err := t.Generate(token.KeySpec{Algorithm: "ecdsa-p256", ID: id, Label: "key", Attributes: []token.Setting{
		{Name: token.Token, Value: true}, {Name: token.Private, Value: true}, {Name: token.Sensitive, Value: true}, {Name: token.Extractable, Value: false},
		{Name: token.Sign, Value: sign}, {Name: token.Decrypt, Value: decrypt},
	}})
	f.check(err)
	nonce := attest.Nonce([32]byte{1}, sha256.Sum256(made.SPKI), f.names[i])
	return t, Question{ID: id, SPKI: made.SPKI, Identity: f.names[i], Nonce: nonce}
}

func (f *fleet) judge(e *attest.Evidence, q Question, change func(*attest.Demand)) (*attest.Claims, []attest.Problem) {
	f.Helper()
	pinned, err := attest.NewAnchors(append(f.authority.All(), f.makers.All()...)...)
	f.check(err)
	claims, err := attest.Check(tpm.Verifier{}, attest.Input{Evidence: e, Anchors: pinned, At: time.Now(), Nonce: q.Nonce[:]})
	f.check(err)
	demand := at.Kept(attest.Fresh, q.SPKI, q.Identity)
	demand.Understood, demand.Models, demand.Vendors = true, []string{"swtpm"}, []string{"id:00001014"}
	change(&demand)
	return claims, attest.Judge(claims, demand)
}

func TestEachOfSeveralTPMsInOneProcessAttestsItsOwnKeyFreshly(t *testing.T) {
	f := newFleet(t, 2, true)
	ctx := context.Background()
	for i := range f.tpms {
		tok, q := f.key(i, true)
		secret := []byte(pin)
		e, err := Collect(ctx, f.sources[i], tok, secret, q)
		f.check(err)
		if string(secret) != pin {
			t.Error("the PIN was the caller's, and was changed")
		}
		claims, problems := f.judge(e, q, func(d *attest.Demand) { d.SignOnly = true })
		if len(problems) > 0 {
			t.Errorf("TPM %d: %v", i, problems)
		}
		if claims.Platform.Identity != f.names[i] || claims.Level != attest.Fresh || claims.Platform.Firmware == "" {
			t.Errorf("TPM %d: %+v", i, claims.Platform)
		}
		if bytes.Contains(e.Encode(), []byte(pin)) || strings.Contains(string(e.Encode()), hex.EncodeToString([]byte(pin))) {
			t.Error("the PIN is in the evidence")
		}
		// The module goes on signing: nothing was left in the TPM, and nothing taken.
		if _, err := tok.Sign("ecdsa-p256", q.ID, keys.ForTest, []byte("a message")); err != nil {
			t.Errorf("TPM %d signs no more: %v", i, err)
		}
	}
	if f.names[0] == f.names[1] {
		t.Fatal("two TPMs have one identity")
	}
	f.refusals()
	f.agreement()
}

// refusals are of another TPM, key, token, store, PIN or certificate.
func (f *fleet) refusals() {
	t, ctx := f.T, context.Background()
	tok, q := f.key(0, true)
	refused := func(name, want string, s Source, tok Token, pin string, q Question) {
		t.Helper()
		_, err := Collect(ctx, s, tok, []byte(pin), q)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
		if err != nil && strings.Contains(err.Error(), pin) {
			t.Errorf("%s: the PIN is in the error", name)
		}
	}
	with := func(change func(*Source)) Source {
		s := f.sources[0]
		change(&s)
		return s
	}
	refused("another TPM", "certificate is of another TPM's key", with(func(s *Source) { s.TCTI = f.tpms[1].TCTI }), tok, pin, q)
	refused("another TPM's certificate", "certificate is of another TPM's key", with(func(s *Source) { s.AK = f.sources[1].AK }), tok, pin, q)
	refused("another TPM, whose certificate fits", "and "+f.names[0]+" is wanted", f.sources[1], tok, pin, q)
	other := q
	other.Identity = f.names[1]
	refused("the key of one TPM at another", "is not of this token", f.sources[1], tok, pin, other)
	elsewhere := f.sources[1]
	elsewhere.Label = f.sources[0].Label
	refused("the key and what its PIN opens at another TPM", "this TPM did not make the key", elsewhere, tok, pin, other)
	refused("another token's PIN", "the PIN doesn't open it", f.sources[0], tok, "another-pin", q)
	refused("another key than the ceremony's", "under this CKA_ID is another", f.sources[0], tok, pin, func() Question { q := q; q.SPKI = at.SPKI(t, at.P256(t).Public()); return q }())
	refused("no such token in the store", "has no such token", with(func(s *Source) { s.Label = "vendor-9" }), tok, pin, q)
	refused("no store", "can't be looked up", with(func(s *Source) { s.Store = "/nonexistent" }), tok, pin, q)
}

// agreement: a key that agrees has the TPM's decrypt bit, and a demand for one that
// signs alone refuses it.
func (f *fleet) agreement() {
	t, ctx := f.T, context.Background()
	agrees, q := f.key(0, false)
	e, err := Collect(ctx, f.sources[0], agrees, []byte(pin), q)
	f.check(err)
	if _, problems := f.judge(e, q, func(d *attest.Demand) { d.Derive = true }); len(problems) > 0 {
		t.Errorf("a key that agrees: %v", problems)
	}
	if _, problems := f.judge(e, q, func(d *attest.Demand) { d.Sign = true }); len(problems) != 1 || problems[0].Name != "purpose sign" {
		t.Errorf("a key that agrees, where one that signs is wanted: %v", problems)
	}
	secret := []byte(pin)
	tok := WithAgreement(ctx, agrees, f.sources[0])
	if err := tok.Login(secret); !errors.Is(err, hsm.ErrAlreadyLoggedIn) {
		f.check(err)
	}
	tok.pin = secret // logged in already
	s, err := keys.DrawScalar(keys.ECDHP256, rand.Reader)
	f.check(err)
	drawn, err := s.Peer(nil)
	f.check(err)
	peer := drawn.Encode()
	public, err := keys.ParseAs(keys.ECDHP256, q.SPKI)
	f.check(err)
	want, err := s.Secret(public)
	f.check(err)
	if z, err := tok.Agree("ecdh-p256", q.ID, peer); err != nil || !bytes.Equal(z, want) {
		t.Errorf("the TPM agrees on %x, %v; we on %x", z, err, want)
	}
	for alg, peer := range map[string][]byte{"ecdh-p256": peer[:20], "x25519": peer[1:], "ecdsa-p256": peer} {
		if z, err := tok.Agree(alg, q.ID, peer); err == nil || z != nil {
			t.Errorf("%s: %x", alg, z)
		}
	}
	attempts, err := tok.Attack("ecdh-p256", q.ID)
	f.check(err)
	asked := []token.Attempt{{Name: token.TrySign, Call: token.CallTPMSign, Code: token.TPMKey}, {Name: token.TryAgreeInvalid, Call: token.CallTPMAgree, Code: token.TPMPoint}}
	if len(attempts) != 10 || !slices.Equal(attempts[6:8], asked) {
		t.Errorf("%+v", attempts)
	}
	relaxed, err := tok.AttackRelaxed("ecdh-p256", q.ID, []string{token.TryRelaxExtractable, token.TryRelaxSensitive})
	f.check(err)
	if len(relaxed.Attempts) != 8 || !slices.Equal(relaxed.Attempts[6:], asked) {
		t.Errorf("%+v", relaxed.Attempts)
	}
	// A key that signs too is found out by the TPM.
	both, id := f.made(0, true, true)
	tok.Token = both
	if attempts, err = tok.Attack("ecdh-p256", id.ID); err != nil || attempts[6].Code != token.TPMSuccess && attempts[6].Code != "CKR_OK" {
		t.Errorf("%+v %v", attempts, err)
	}
	tok.pin = []byte("another-pin")
	if _, err := tok.Agree("ecdh-p256", q.ID, peer); err == nil || strings.Contains(err.Error(), "another-pin") {
		t.Errorf("by another PIN: %v", err)
	}
}

func TestATPMIsEnrolledOnlyByItsOwnAnswer(t *testing.T) {
	f := newFleet(t, 2, false)
	key := at.P256(t)
	until := time.Now().Add(time.Hour)
	authority, err := NewAuthority(rand.Reader, "Example Ltd", key, time.Now().Add(-time.Hour), until)
	f.check(err)
	challenge, expected, _, err := Challenge(rand.Reader, f.requests[0], f.makers, time.Now(), true)
	f.check(err)
	if _, err := Answer(context.Background(), f.tpms[1].TCTI, challenge); err == nil || !strings.Contains(err.Error(), "can't open the challenge") {
		t.Errorf("another TPM opened it: %v", err)
	}
	answer, err := Answer(context.Background(), f.tpms[0].TCTI, challenge)
	f.check(err)
	issue := func(request, expected, answer *attest.Evidence) error {
		_, _, err := Issue(rand.Reader, request, expected, answer, f.makers, true, authority, key, time.Now(), until)
		return err
	}
	f.check(issue(f.requests[0], expected, answer))
	guess := enrolment(answerFormat, make([]byte, 32))
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"a guess":                        {issue(f.requests[0], expected, guess), "the answer is wrong"},
		"another request":                {issue(f.requests[1], expected, answer), "made for another request"},
		"another file for the answer":    {issue(f.requests[0], expected, expected), "this is a tpm2-enrolment-expected"},
		"an answer with a part too many": {issue(f.requests[0], expected, &attest.Evidence{Format: answerFormat, Parts: append(answer.Parts, attest.Part{Name: "more", Data: []byte{1}})}), "parts that are none of it"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, c.err, c.want)
		}
	}
	// The attestation key of one TPM with the endorsement key of another.
	mixed := enrolment(requestFormat, f.requests[0].Parts[0].Data, f.requests[1].Parts[1].Data)
	challenge, _, _, err = Challenge(rand.Reader, mixed, f.makers, time.Now(), true)
	f.check(err)
	for i := range f.tpms {
		if _, err := Answer(context.Background(), f.tpms[i].TCTI, challenge); err == nil {
			t.Errorf("TPM %d opened a challenge for a key that isn't in it", i)
		}
	}
	// A maker that is pinned by nobody, and one that nobody confirmed.
	stranger := at.Pin(t, tpm.EKFormat, authority)
	if _, _, _, err := Challenge(rand.Reader, f.requests[0], stranger, time.Now(), true); err == nil || !strings.Contains(err.Error(), "nothing says that this is a TPM") {
		t.Errorf("a maker that isn't pinned: %v", err)
	}
	if _, _, _, err := Challenge(rand.Reader, f.requests[0], f.makers, time.Now(), false); err == nil || !strings.Contains(err.Error(), "nobody confirmed") {
		t.Errorf("a maker that nobody confirmed: %v", err)
	}
}

func TestWaysToATPM(t *testing.T) {
	for s, want := range map[string]address{
		"device:/dev/tpmrm0":              {deviceFile, "/dev/tpmrm0"},
		"swtpm:path=/run/tpm":             {"unix", "/run/tpm"},
		"swtpm:host=127.0.0.1,port=2321":  {"tcp", "127.0.0.1:2321"},
		"swtpm:port=2321,host=::1":        {"tcp", "[::1]:2321"},
		"device:tpmrm0":                   {},
		"device:":                         {},
		"":                                {},
		"tabrmd:bus_type=session":         {},
		"swtpm:":                          {},
		"swtpm:host=127.0.0.1":            {},
		"swtpm:host=127.0.0.1,port=0":     {},
		"swtpm:host=127.0.0.1,port=65536": {},
		"swtpm:path=run":                  {},
		"swtpm:path=/a,path=/b":           {},
		"swtpm:path=/a,port=1":            {},
	} {
		if got, err := parseTCTI(s); got != want || (err == nil) != (want != address{}) {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
}

func TestAKeysParentIsReadAsBothProgramsWriteIt(t *testing.T) {
	for config, want := range map[string]string{
		"---\n!!map {\n  ? !!str \"esys-tr\"\n  : !!str \"810000010022000b\",\n}": "81000001",
		"esys-tr: 810000020022000b\ntransient: false\n":                           "81000002",
		"template-name: tpm2-tools-default\ntransient: true\n":                    "",
		"esys-tr: xyz\n": "",
	} {
		got := ""
		if m := esysTR.FindStringSubmatch(config); m != nil {
			got = m[1]
		}
		if got != want {
			t.Errorf("%q: %q, want %q", config, got, want)
		}
	}
}

func TestWhatTheModuleEncryptsIsOpenedOnlyInItsOwnForm(t *testing.T) {
	key := make([]byte, 32)
	for _, s := range []string{"", "00", "00:00", "zz:00:00", "000000000000000000000000:00:00", "000000000000000000000000:" + strings.Repeat("0", 32) + ":00", "00:00:00:00"} {
		if got, err := decrypt(key, []byte(s)); err == nil {
			t.Errorf("%q: %x", s, got)
		}
	}
	if _, err := decrypt(key[:5], []byte("00:00:00")); err == nil {
		t.Error("a key of five bytes")
	}
	if got := string(sealAuth([]byte("1234"), []byte("salt"))); got != hex.EncodeToString(func() []byte { s := sha256.Sum256([]byte("1234salt")); return s[:16] }()) {
		t.Error(got)
	}
}
