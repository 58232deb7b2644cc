//go:build cgo && unix

package hsm

import (
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/fleetctl/fleetctl/internal/keys"
)

// Each benchmark has the bare calls beside it: what is left when nothing is
// looked up, checked or read back.

func BenchmarkSign(b *testing.B) {
	tok := fresh(b, soft(b, Options{}))
	msg := make([]byte, 300)
	for _, alg := range []keys.Algorithm{keys.Ed25519, keys.P256, keys.P384} {
		id := newID(b)
		generate(b, tok, spec(string(alg), id))
		b.Run(string(alg), func(b *testing.B) {
			for b.Loop() {
				_, err := tok.Sign(string(alg), id, keys.ForTest, msg)
				check(b, err)
			}
		})
		h, err := tok.half(privateHalf, id)
		check(b, err)
		data := msg
		if alg != keys.Ed25519 {
			data = keys.Digest(alg, msg)
		}
		b.Run(string(alg)+"/bare", func(b *testing.B) {
			for b.Loop() {
				check(b, tok.lib.ctx.SignInit(tok.session, mechanism(algorithms[alg].sign), h))
				_, err := tok.lib.ctx.Sign(tok.session, data)
				check(b, err)
			}
		})
	}
}

func BenchmarkGenerate(b *testing.B) {
	tok := fresh(b, soft(b, Options{}))
	for _, alg := range []keys.Algorithm{keys.Ed25519, keys.P256} {
		b.Run(string(alg), func(b *testing.B) {
			for b.Loop() {
				id := newID(b)
				generate(b, tok, spec(string(alg), id))
				check(b, tok.Destroy(id))
			}
		})
		way := algorithms[alg].ways[0]
		b.Run(string(alg)+"/bare", func(b *testing.B) {
			for b.Loop() {
				s := spec(string(alg), newID(b))
				public, private, err := tok.lib.ctx.GenerateKeyPair(tok.session, mechanism(way.mechanism), publicTemplate(alg, way, s), privateTemplate(way, s, nil))
				check(b, err)
				for _, h := range []pkcs11.ObjectHandle{public, private} {
					check(b, tok.lib.ctx.DestroyObject(tok.session, h))
				}
			}
		})
	}
}

func BenchmarkAttack(b *testing.B) {
	tok := fresh(b, soft(b, Options{}))
	id := newID(b)
	generate(b, tok, spec("ed25519", id))
	for b.Loop() {
		_, err := tok.Attack("ecdsa-p256", id)
		check(b, err)
	}
}
