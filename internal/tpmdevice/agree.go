//go:build cgo && unix

package tpmdevice

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/fleetctl/fleetctl/internal/hsm"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/token"
)

// Agreeing is a token of tpm2-pkcs11 whose keys agree on secrets by the TPM itself:
// the module has no ECDH. All else goes through the module.
type Agreeing struct {
	*hsm.Token
	ctx    context.Context // of the run that opened it
	source Source
	pin    []byte // the caller's, who clears it: it opens what the module keeps
}

// WithAgreement has a token's keys agree by the TPM of a source.
func WithAgreement(ctx context.Context, t *hsm.Token, s Source) *Agreeing {
	return &Agreeing{Token: t, ctx: ctx, source: s}
}

// Login is the token's.
func (a *Agreeing) Login(pin []byte) error { return a.keep(pin, a.Token.Login(pin)) }

// LoginFinal is the token's.
func (a *Agreeing) LoginFinal(pin []byte) error { return a.keep(pin, a.Token.LoginFinal(pin)) }

func (a *Agreeing) keep(pin []byte, err error) error {
	if err == nil {
		a.pin = pin
	}
	return err
}

// Agree has a key agree with a peer, in the encoding of [keys.Peer]. The caller
// clears the secret.
func (a *Agreeing) Agree(alg string, id, peer []byte) ([]byte, error) {
	if keys.Algorithm(alg) != keys.ECDHP256 {
		return nil, fmt.Errorf("a TPM has no keys of kind %s that agree", alg)
	}
	p, err := keys.ParsePeer(keys.ECDHP256, peer)
	if err != nil {
		return nil, fmt.Errorf("the peer %w", err)
	}
	return a.multiply(id, p.Point())
}

func (a *Agreeing) multiply(id, point []byte) (secret []byte, err error) {
	err = a.with(id, func(d transport.TPM, key *loadedKey) error {
		secret, err = zgen(d, key, point)
		return err
	})
	return secret, err
}

// with loads a key for as long as do takes.
func (a *Agreeing) with(id []byte, do func(transport.TPM, *loadedKey) error) (err error) {
	d, err := open(a.ctx, a.source.TCTI)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	return withKey(d, a.source, a.Token, id, a.pin, func(key *loadedKey) error { return do(d, key) })
}

// zgen multiplies a point, uncompressed, by a key, and gives the x of the product.
func zgen(d transport.TPM, key *loadedKey, point []byte) ([]byte, error) {
	half := len(point) / 2
	r, err := tpm2.ECDHZGen{KeyHandle: key.as(proof(key.parent, key.auth, true)), InPoint: tpm2.New2B(tpm2.TPMSECCPoint{
		X: tpm2.TPM2BECCParameter{Buffer: point[1 : 1+half]}, Y: tpm2.TPM2BECCParameter{Buffer: point[1+half:]},
	})}.Execute(d)
	if err != nil {
		return nil, fmt.Errorf("the TPM doesn't agree with this key: %w", err)
	}
	out, err := r.OutPoint.Contents()
	if err != nil {
		return nil, err
	}
	x := out.X.Buffer
	if len(x) > half {
		return nil, fmt.Errorf("the TPM gave a secret of %d bytes, of this curve it has %d", len(x), half)
	}
	return append(make([]byte, half-len(x)), x...), nil
}

// Attack is the module's. Of a key that agrees the TPM itself is asked for a
// signature and to agree with a point that is none, before anything is changed:
// the module says only that something failed.
func (a *Agreeing) Attack(alg string, id []byte) ([]token.Attempt, error) {
	own, err := a.misuse(alg, id)
	if err != nil {
		return nil, err
	}
	list, err := a.Token.Attack(alg, id)
	return inPlace(list, own), err
}

// AttackRelaxed is the module's, with the TPM asked as [Agreeing.Attack] does while
// the key is weaker.
func (a *Agreeing) AttackRelaxed(alg string, id []byte, names []string) (token.Relaxed, error) {
	own, err := a.misuse(alg, id)
	if err != nil {
		return token.Relaxed{Names: names}, err
	}
	r, err := a.Token.AttackRelaxed(alg, id, names)
	r.Attempts = inPlace(r.Attempts, own)
	return r, err
}

// inPlace puts the TPM's own answers where the module's are, but for what succeeded
// through the module.
func inPlace(list, own []token.Attempt) []token.Attempt {
	for i, t := range list {
		j := slices.IndexFunc(own, func(o token.Attempt) bool { return o.Name == t.Name })
		if j >= 0 && t.Code != token.CodeName(0) {
			list[i] = own[j]
		}
	}
	return list
}

// misuse tries what a key that agrees must not do.
func (a *Agreeing) misuse(alg string, id []byte) (list []token.Attempt, err error) {
	if keys.Algorithm(alg).Use() != keys.Agree {
		return nil, nil
	}
	err = a.with(id, func(d transport.TPM, key *loadedKey) error {
		_, signs := tpm2.Sign{
			KeyHandle: key.as(proof(key.parent, key.auth, false)), Digest: tpm2.TPM2BDigest{Buffer: make([]byte, 32)},
			InScheme:   tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgECDSA, Details: tpm2.NewTPMUSigScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSchemeHash{HashAlg: tpm2.TPMAlgSHA256})},
			Validation: tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck, Hierarchy: tpm2.TPMRHNull},
		}.Execute(d)
		secret, agrees := zgen(d, key, append([]byte{4}, bytes.Repeat([]byte{1}, 64)...)) // not on the curve
		clear(secret)
		for _, t := range []struct {
			name, call string
			err        error
		}{{token.TrySign, token.CallTPMSign, signs}, {token.TryAgreeInvalid, token.CallTPMAgree, agrees}} {
			code, err := decided(t.err)
			if err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
			list = append(list, token.Attempt{Name: t.name, Call: t.call, Code: code})
		}
		return nil
	})
	return list, err
}

// decisive are the answers that say something of a key.
var decisive = map[string]error{token.TPMKey: tpm2.TPMRCKey, token.TPMAttributes: tpm2.TPMRCAttributes, token.TPMPoint: tpm2.TPMRCECCPoint}

// decided is the name of what a TPM answered, where that says something of the key.
func decided(err error) (string, error) {
	if err == nil {
		return token.TPMSuccess, nil
	}
	for name, code := range decisive {
		if errors.Is(err, code) {
			return name, nil
		}
	}
	return "", err
}
