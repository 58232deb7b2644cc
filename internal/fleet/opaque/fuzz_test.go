package opaque

import (
	"bytes"
	"testing"
)

// FuzzMessages gives each side what its peer made up: it refuses, or what it took is of
// the one encoding. A login with it never succeeds.
func FuzzMessages(f *testing.F) {
	s := newNode(f)
	c, _ := registered(f, s)
	request, _, err := newClient().Register([]byte(password))
	must(f, err)
	response, err := s.Respond(c.OPRFKey, request)
	must(f, err)
	ke1, l, err := newClient().Login([]byte(password))
	must(f, err)
	ke2, p, err := s.Answer(context, c, ke1)
	must(f, err)
	session, err := l.Finish(context, ke2)
	must(f, err)
	for _, seed := range [][]byte{request, response, ke1, ke2, session.KE3, c.Record, c.OPRFKey, nil, make([]byte, KE1Size)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if evaluated, err := s.Respond(c.OPRFKey, data); err == nil && (len(data) != RequestSize || len(evaluated) != ResponseSize) {
			t.Errorf("a request of %d bytes is answered with %d", len(data), len(evaluated))
		}
		if _, r, err := newClient().Register([]byte(password)); err != nil {
			t.Fatal(err)
		} else if record, _, err := r.Finish(data); err == nil && CheckRecord(record) != nil {
			t.Error("a record that was made is refused")
		}
		taken := CheckKE1(data) == nil
		if _, _, err := s.Answer(context, c, data); (err == nil) != taken {
			t.Errorf("CheckKE1 says %t, Answer says %v", taken, err)
		}
		taken = CheckRecord(data) == nil
		if _, _, err := s.Answer(context, Credential{account, data, c.OPRFKey}, ke1); (err == nil) != taken {
			t.Errorf("CheckRecord says %t, Answer says %v", taken, err)
		}
		if _, err := l.Finish(context, data); err == nil && !bytes.Equal(data, ke2) {
			t.Error("KE2 that no server made ends a login")
		}
		again := Pending{p.expected, p.session}
		if _, err := again.Finish(data); err == nil && !bytes.Equal(data, session.KE3) {
			t.Error("KE3 that no device made ends a login")
		}
	})
}
