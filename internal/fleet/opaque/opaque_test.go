package opaque

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/await"
)

const password = "correct horse battery staple"

var account, fleet, context = []byte("drill.a"), []byte("fleet"), []byte("channel")

func newClient() *Client {
	return &Client{Random: rand.Reader, Stretch: Identity, Identity: account, Server: fleet}
}

func newNode(t testing.TB) *Server {
	t.Helper()
	private, err := NewServerKey(rand.Reader)
	must(t, err)
	s, err := NewServer(rand.Reader, private, make([]byte, SeedSize), fleet)
	must(t, err)
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// registered registers the account, and gives what the server keeps and the device's
// export key.
func registered(t testing.TB, s *Server) (Credential, []byte) {
	t.Helper()
	key, err := s.NewOPRFKey()
	must(t, err)
	request, r, err := newClient().Register([]byte(password))
	must(t, err)
	response, err := s.Respond(key, request)
	must(t, err)
	record, export, err := r.Finish(response)
	must(t, err)
	for what, sizes := range map[string][2]int{"request": {len(request), RequestSize}, "response": {len(response), ResponseSize}, "record": {len(record), RecordSize}, "key": {len(key), OPRFKeySize}, "export key": {len(export), ExportKeySize}} {
		if sizes[0] != sizes[1] {
			t.Errorf("the %s has %d bytes, and its constant says %d", what, sizes[0], sizes[1])
		}
	}
	return Credential{account, record, key}, export
}

func login(t testing.TB, s *Server, c Credential, given string, at func(c *Client)) (*Session, *Pending, error) {
	t.Helper()
	client := newClient()
	if at != nil {
		at(client)
	}
	ke1, l, err := client.Login([]byte(given))
	must(t, err)
	must(t, CheckKE1(ke1))
	ke2, p, err := s.Answer(context, c, ke1)
	must(t, err)
	if len(ke1) != KE1Size || len(ke2) != KE2Size {
		t.Errorf("KE1 and KE2 have %d and %d bytes, and their constants say %d and %d", len(ke1), len(ke2), KE1Size, KE2Size)
	}
	session, err := l.Finish(context, ke2)
	return session, p, err
}

func TestTheRightPasswordGivesBothTheSameKey(t *testing.T) {
	s := newNode(t)
	c, export := registered(t, s)
	session, p, err := login(t, s, c, password, nil)
	must(t, err)
	if len(session.KE3) != KE3Size {
		t.Errorf("KE3 has %d bytes, and its constant says %d", len(session.KE3), KE3Size)
	}
	key, err := p.Finish(session.KE3)
	must(t, err)
	if !bytes.Equal(key, session.Key) || !bytes.Equal(export, session.Export) {
		t.Error("the two sides end with different keys")
	}
	if _, err := p.Finish(session.KE3); !errors.Is(err, errClient) {
		t.Errorf("KE3 is taken a second time: %v", err)
	}
	if _, err := p.Finish(nil); !errors.Is(err, errClient) {
		t.Errorf("nothing is taken for KE3 the second time: %v", err)
	}
}

func TestALoginThatDiffersFromTheRegistrationFails(t *testing.T) {
	s := newNode(t)
	c, _ := registered(t, s)
	other, err := s.NewOPRFKey()
	must(t, err)
	for _, x := range []struct {
		what  string
		given string
		c     Credential
		s     *Server
		at    func(*Client)
		want  error
	}{
		{"another password", "wrong", c, s, nil, ErrWrong},
		{"another account's OPRF key", password, Credential{account, c.Record, other}, s, nil, ErrWrong},
		{"another stretching", password, c, s, func(c *Client) { c.Stretch = func(b []byte) []byte { return b[:32] } }, ErrWrong},
		{"another account's name", password, c, s, func(c *Client) { c.Identity = []byte("drill.b") }, ErrWrong},
		{"another fleet's name", password, c, s, func(c *Client) { c.Server = []byte("other") }, ErrWrong},
		{"another server's key", password, c, newNode(t), nil, ErrWrong},
	} {
		if session, _, err := login(t, x.s, x.c, x.given, x.at); !errors.Is(err, x.want) || session != nil {
			t.Errorf("%s: %v, want %v", x.what, err, x.want)
		}
	}
}

func TestALoginIsBoundToItsChannel(t *testing.T) {
	s := newNode(t)
	c, _ := registered(t, s)
	ke1, l, err := newClient().Login([]byte(password))
	must(t, err)
	ke2, _, err := s.Answer([]byte("another channel"), c, ke1)
	must(t, err)
	if session, err := l.Finish(context, ke2); !errors.Is(err, ErrServer) || session != nil {
		t.Errorf("a login over two channels ends with %v", err)
	}
}

// TestALoginThatIsAnsweredTwiceStretchesOnce: by two nodes with the same key, and not by
// one with another.
func TestALoginThatIsAnsweredTwiceStretchesOnce(t *testing.T) {
	s := newNode(t)
	c, export := registered(t, s)
	times := 0
	client := newClient()
	client.Stretch = func(output []byte) []byte { times++; return Identity(output) }
	ke1, l, err := client.Login([]byte(password))
	must(t, err)
	for _, context := range []string{"one channel", "another"} {
		ke2, p, err := s.Answer([]byte(context), c, ke1)
		must(t, err)
		session, err := l.Finish([]byte(context), ke2)
		must(t, err)
		if key, err := p.Finish(session.KE3); err != nil || !bytes.Equal(key, session.Key) || !bytes.Equal(export, session.Export) || times != 1 {
			t.Errorf("%s: stretched %d times: %v", context, times, err)
		}
	}
	other, err := s.NewOPRFKey()
	must(t, err)
	ke2, _, err := s.Answer(context, Credential{account, c.Record, other}, ke1)
	must(t, err)
	if _, err := l.Finish(context, ke2); !errors.Is(err, ErrWrong) || times != 2 {
		t.Errorf("another OPRF key: stretched %d times: %v", times, err)
	}
}

// TestEachByteOfALoginCounts: no byte of KE1, KE2 or KE3 can be changed on the way.
func TestEachByteOfALoginCounts(t *testing.T) {
	s := newNode(t)
	c, _ := registered(t, s)
	ke1, l, err := newClient().Login([]byte(password))
	must(t, err)
	ke2, p, err := s.Answer(context, c, ke1)
	must(t, err)
	for i := range ke2 {
		changed := bytes.Clone(ke2)
		changed[i] ^= 1
		if _, err := l.Finish(context, changed); err == nil {
			t.Errorf("byte %d of KE2 doesn't count", i)
		}
	}
	for i := range ke1 {
		changed := bytes.Clone(ke1)
		changed[i] ^= 1
		ke2, _, err := s.Answer(context, c, changed)
		if err != nil {
			continue // no longer a point
		}
		if _, err := l.Finish(context, ke2); err == nil {
			t.Errorf("byte %d of KE1 doesn't count", i)
		}
	}
	session, err := l.Finish(context, ke2)
	must(t, err)
	session.KE3[len(session.KE3)-1] ^= 1
	if _, err := p.Finish(session.KE3); !errors.Is(err, errClient) {
		t.Errorf("a changed KE3: %v", err)
	}
}

func TestAnUnknownAccountIsAnsweredLikeAnyOther(t *testing.T) {
	s := newNode(t)
	record, key, err := s.Unknown(account)
	must(t, err)
	must(t, CheckRecord(record))
	again, sameKey, err := s.Unknown(account)
	must(t, err)
	if !bytes.Equal(record, again) || !bytes.Equal(key, sameKey) {
		t.Error("the same account is faked in two ways")
	}
	other, otherKey, err := s.Unknown([]byte("drill.b"))
	must(t, err)
	if bytes.Equal(record, other) || bytes.Equal(key, otherKey) {
		t.Error("two accounts are faked in the same way")
	}
	if _, _, err := login(t, s, Credential{account, record, key}, password, nil); !errors.Is(err, ErrWrong) {
		t.Errorf("a device sees %v, want what a wrong password gives", err)
	}
}

func TestWhatIsNoPointOrNoScalarIsRefused(t *testing.T) {
	s := newNode(t)
	c, _ := registered(t, s)
	ke1, l, err := newClient().Login([]byte(password))
	must(t, err)
	ke2, _, err := s.Answer(context, c, ke1)
	must(t, err)
	_, r, err := newClient().Register([]byte(password))
	must(t, err)
	zero, big := make([]byte, 32), bytes.Repeat([]byte{0xff}, 32)
	order, err := hex.DecodeString("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
	must(t, err)
	with := func(b []byte, at int, part []byte) []byte {
		b = bytes.Clone(b)
		copy(b[at:], part)
		return b
	}
	for what, bad := range map[string][]byte{"identity": zero, "no canonical encoding": big} {
		for name, err := range map[string]error{
			"request":           second(s.Respond(c.OPRFKey, bad)),
			"response":          third(r.Finish(with(make([]byte, 64), 0, append(bytes.Clone(bad), ke1[:32]...)))),
			"server's key":      third(r.Finish(append(bytes.Clone(ke1[:32]), bad...))),
			"KE1's element":     CheckKE1(with(ke1, 0, bad)),
			"KE1's share":       CheckKE1(with(ke1, 64, bad)),
			"the record's key":  CheckRecord(with(c.Record, 0, bad)),
			"KE2's element":     second(l.Finish(context, with(ke2, 0, bad))),
			"KE2's share":       second(l.Finish(context, with(ke2, 32+32+128+32, bad))),
			"Answer to KE1":     third(s.Answer(context, c, with(ke1, 0, bad))),
			"Answer's record":   third(s.Answer(context, Credential{account, with(c.Record, 0, bad), c.OPRFKey}, ke1)),
			"Answer's OPRF key": third(s.Answer(context, Credential{account, c.Record, bad}, ke1)),
		} {
			if err == nil {
				t.Errorf("%s: %s is taken", name, what)
			}
		}
	}
	for what, bad := range map[string][]byte{"zero": zero, "the order": order, "short": zero[:31], "nothing": nil, "long": append(bytes.Clone(ke1[:32]), 1)} {
		if _, err := NewServer(rand.Reader, bad, make([]byte, SeedSize), fleet); err == nil {
			t.Errorf("a server's key that is %s is taken", what)
		}
		if _, err := s.Respond(bad, ke1[:32]); err == nil {
			t.Errorf("an OPRF key that is %s is taken", what)
		}
	}
}

// TestAScalarIsNeverZero: a source of randomness that gives zeros is found out, and one
// zero among others is drawn again.
func TestAScalarIsNeverZero(t *testing.T) {
	if _, err := ristretto.scalar(bytes.NewReader(make([]byte, 32*256))); err == nil || !strings.Contains(err.Error(), "is broken") {
		t.Errorf("zeros alone: %v", err)
	}
	k, err := ristretto.scalar(bytes.NewReader(append([]byte{32: 1}, make([]byte, 31)...)))
	must(t, err)
	if k.IsZero() {
		t.Error("zero is drawn")
	}
}

func second[A any](_ A, err error) error        { return err }
func third[A, B any](_ A, _ B, err error) error { return err }

func TestWhatHasAnotherLengthIsRefused(t *testing.T) {
	s := newNode(t)
	c, _ := registered(t, s)
	ke1, l, err := newClient().Login([]byte(password))
	must(t, err)
	ke2, p, err := s.Answer(context, c, ke1)
	must(t, err)
	session, err := l.Finish(context, ke2)
	must(t, err)
	_, r, err := newClient().Register([]byte(password))
	must(t, err)
	long := func(b []byte) []byte { return append(bytes.Clone(b), 0) }
	for what, err := range map[string]error{
		"short KE1":            CheckKE1(ke1[:KE1Size-1]),
		"long KE1":             CheckKE1(long(ke1)),
		"short KE2":            second(l.Finish(context, ke2[:KE2Size-1])),
		"long KE2":             second(l.Finish(context, long(ke2))),
		"empty KE2":            second(l.Finish(context, nil)),
		"long record":          CheckRecord(long(c.Record)),
		"short record":         CheckRecord(c.Record[:RecordSize-1]),
		"short response":       third(r.Finish(make([]byte, ResponseSize-1))),
		"long request":         second(s.Respond(c.OPRFKey, long(ke1[:32]))),
		"short KE3":            second((&Pending{p.expected, p.session}).Finish(session.KE3[:KE3Size-1])),
		"empty KE3":            second((&Pending{p.expected, p.session}).Finish(nil)),
		"empty password":       third(newClient().Login(nil)),
		"password of 64 KiB":   third(newClient().Register(make([]byte, 1<<16))),
		"a server's context":   third(s.Answer(make([]byte, 1<<16), c, ke1)),
		"context of 64 KiB":    second(l.Finish(make([]byte, 1<<16), ke2)),
		"no stretching":        third((&Client{Random: rand.Reader}).Login([]byte(password))),
		"no randomness":        third((&Client{Stretch: Identity}).Login([]byte(password))),
		"short seed":           second(NewServer(rand.Reader, c.OPRFKey, make([]byte, 63), fleet)),
		"identity of 64 KiB":   second(NewServer(rand.Reader, c.OPRFKey, make([]byte, 64), make([]byte, 1<<16))),
		"a server's no random": second(NewServer(nil, c.OPRFKey, make([]byte, 64), fleet)),
		"no more randomness":   third((&Client{Random: strings.NewReader("short"), Stretch: Identity}).Login([]byte(password))),
	} {
		if err == nil {
			t.Errorf("%s is taken", what)
		}
	}
}

// TestArgon2idHasTheParametersOfTheRFCs: the values are argon2-cffi's, which is the
// reference implementation in C.
func TestArgon2idHasTheParametersOfTheRFCs(t *testing.T) {
	output := make([]byte, 64)
	for i := range output {
		output[i] = byte(i)
	}
	for _, c := range []struct {
		name    string
		stretch Stretch
		want    string
		long    bool
	}{
		{"RFC 9106's second", Argon2idSmall, "763c05e205e6d06f9d49921578c5fc314590d8016bd8ccc98049f3da265fad5d4a27e85aaac6ac1de7cf2aeda7b8c767de0ff4e5db3ff8421d9bb3e8effb279b", false},
		{"RFC 9807's", Argon2id, "74e4ad163be73d52d75e4beb084868cf1d12170129437d3a61ffdbb689c0640b2587b22466dcd9d04b2de2549dc9ceedd93a19cb7f9a82cb078ffe4767c934bf", true},
	} {
		if c.long && (testing.Short() || await.RaceDetector) {
			continue // 2 GiB
		}
		if got := hex.EncodeToString(c.stretch(output)); got != c.want {
			t.Errorf("%s: %s", c.name, got)
		}
	}
	if got := Identity(output); !bytes.Equal(got, output) || &got[0] == &output[0] {
		t.Error("Identity changes its input or gives it out")
	}
}
