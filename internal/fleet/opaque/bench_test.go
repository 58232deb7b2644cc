package opaque

import "testing"

// BenchmarkLogin is what a login costs both sides together and the server alone, without
// stretching.
func BenchmarkLogin(b *testing.B) {
	s := newNode(b)
	c, _ := registered(b, s)
	b.Run("both", func(b *testing.B) {
		for b.Loop() {
			session, p, err := login(b, s, c, password, nil)
			must(b, err)
			if _, err := p.Finish(session.KE3); err != nil {
				b.Fatal(err)
			}
		}
	})
	ke1, _, err := newClient().Login([]byte(password))
	must(b, err)
	b.Run("server", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := s.Answer(context, c, ke1); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("unknown", func(b *testing.B) {
		for b.Loop() {
			if _, _, err := s.Unknown(account); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkStretch is what it costs a device besides.
func BenchmarkStretch(b *testing.B) {
	output := make([]byte, 64)
	for name, stretch := range map[string]Stretch{"Argon2id": Argon2id, "Argon2idSmall": Argon2idSmall} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				stretch(output)
			}
		})
	}
}
