package testfleet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"

	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/token"
)

// Coded is a token's refusal with its return code.
type Coded string

func (c Coded) Error() string { return "the token answered " + string(c) }

// Token is a token in memory. Left alone it does what a good one does; its
// hooks make it do what no software token can be brought to.
type Token struct {
	About   token.Info
	Calls   []string // every method called, in order
	Foreign []token.Object

	// Before runs before every method; its error is the method's, and then
	// nothing is done.
	Before func(call string) error
	// After runs once a method has done its work; its error is the method's.
	After func(call string) error
	// The answers, changed.
	OnAttack     func([]token.Attempt) []token.Attempt
	OnAttributes func(private []token.Reading) []token.Reading
	OnSign       func(signature []byte) []byte
	OnAgree      func(secret []byte) []byte
	OnGenerate   func(token.Generated) token.Generated
	// OnRelaxed changes what comes of a key that was made weaker; where it is
	// set, the token lets that be done.
	OnRelaxed func(*token.Relaxed)
	// OnDestroyPair changes what the token says of a destruction; where it returns true,
	// the token keeps the key.
	OnDestroyPair func(*token.Destroyed) bool
	OnProbe       func(spki []byte, objects []token.Object) ([]byte, []token.Object)

	name  string
	in    bool
	order []string
	keys  map[string]*softKey

	kept      map[string]*softKey
	keptOrder []string
}

type softKey struct {
	spec   token.KeySpec
	signer Signer                           // of a key that agrees, its public half alone
	agreed func(*keys.Peer) ([]byte, error) // of a key that agrees
}

// newToken is an empty token whose serial and keys follow from its name.
func newToken(name string) *Token {
	sum := sha256.Sum256([]byte(name))
	return &Token{
		name: name, keys: map[string]*softKey{},
		About: token.Info{
			Label: name, Manufacturer: "testfleet", Model: "memory", Serial: fmt.Sprintf("%x", sum[:8]),
			Hardware: "1.0", Firmware: "1.0", Initialized: true, LoginRequired: true,
		},
	}
}

// Key is the private key under an id; nil where there is none.
func (t *Token) Key(id []byte) *Signer {
	if k := t.keys[string(id)]; k != nil {
		return &k.signer
	}
	return nil
}

// Rekey puts another key under the id of each: the token was swapped, or somebody made new
// keys.
func (t *Token) Rekey(name string) {
	for _, k := range t.keys {
		k.signer = SoftSigner(k.signer.Public.Algorithm(), name)
	}
}

// Remember keeps a copy of every key, which Recall puts back.
func (t *Token) Remember() { t.kept, t.keptOrder = maps.Clone(t.keys), slices.Clone(t.order) }

// Recall puts back what Remember kept.
func (t *Token) Recall() { t.keys, t.order, t.in = t.kept, t.keptOrder, true }

// Empty takes all keys away.
func (t *Token) Empty() { t.keys, t.order = map[string]*softKey{}, nil }

// Keys is the number of keys on the token.
func (t *Token) Keys() int { return len(t.keys) }

func (t *Token) call(name string, work func() error) error {
	t.Calls = append(t.Calls, name)
	if t.Before != nil {
		if err := t.Before(name); err != nil {
			return err
		}
	}
	if work != nil {
		if err := work(); err != nil {
			return err
		}
	}
	if t.After != nil {
		return t.After(name)
	}
	return nil
}

// Info: see ceremony.Token, as for all that follow.
func (t *Token) Info() (token.Info, error) { return t.About, t.call("Info", nil) }

// Login takes any PIN.
func (t *Token) Login([]byte) error {
	return t.call("Login", func() error { t.in = true; return nil })
}

// LoginFinal is Login: no token here counts tries.
func (t *Token) LoginFinal(pin []byte) error { return t.Login(pin) }

// Objects are the halves of its keys, and what is foreign.
func (t *Token) Objects() (list []token.Object, err error) {
	err = t.call("Objects", func() error {
		if !t.in {
			return Coded("CKR_USER_NOT_LOGGED_IN")
		}
		list = t.objects()
		return nil
	})
	return list, err
}

func (t *Token) objects() []token.Object {
	var list []token.Object
	for _, id := range t.order {
		list = append(list, token.Object{Class: "private", ID: []byte(id)}, token.Object{Class: "public", ID: []byte(id)})
	}
	return append(list, t.Foreign...)
}

// Generate makes a key pair.
func (t *Token) Generate(s token.KeySpec) (g token.Generated, err error) {
	err = t.call("Generate", func() error {
		if !t.in {
			return Coded("CKR_USER_NOT_LOGGED_IN")
		}
		k := &softKey{spec: s}
		if alg, name := keys.Algorithm(s.Algorithm), fmt.Sprintf("%s %x", t.name, s.ID); alg.Use() == keys.Agree {
			k.signer.Public, k.agreed = softAgreer(alg, name)
		} else {
			k.signer = SoftSigner(alg, name)
		}
		t.keys[string(s.ID)] = k
		t.order = append(t.order, string(s.ID))
		g = token.Generated{SPKI: k.signer.Public.SPKI(), Mechanism: "CKM_EC_EDWARDS_KEY_PAIR_GEN"}
		if t.OnGenerate != nil {
			g = t.OnGenerate(g)
		}
		return nil
	})
	return g, err
}

func (t *Token) find(id []byte) (*softKey, error) {
	if k := t.keys[string(id)]; k != nil {
		return k, nil
	}
	return nil, Coded("CKR_KEY_HANDLE_INVALID")
}

func (k *softKey) private(id []byte) []token.Reading {
	list := []token.Reading{{Name: "CLASS", Value: "0000000000000003"}, {Name: "ID", Value: fmt.Sprintf("%x", id)}}
	for _, s := range k.spec.Attributes {
		list = append(list, token.Reading{Name: s.Name, Value: fmt.Sprint(s.Value)})
	}
	for _, n := range []string{token.NeverExtractable, token.AlwaysSensitive, token.Local} {
		list = append(list, token.Reading{Name: n, Value: "true"})
	}
	if set := parameterSets[keys.Algorithm(k.spec.Algorithm)]; set != "" {
		list = append(list, token.Reading{Name: "PARAMETER_SET", Value: set})
	}
	return list
}

// parameterSets are the CKP_ values of ML-DSA's and ML-KEM's.
var parameterSets = map[keys.Algorithm]string{keys.MLDSA44: "0000000000000001", keys.MLDSA65: "0000000000000002", keys.MLDSA87: "0000000000000003", keys.MLKEM768: "0000000000000002"}

func (k *softKey) public(id []byte) []token.Reading {
	list := []token.Reading{{Name: "CLASS", Value: "0000000000000002"}, {Name: "ID", Value: fmt.Sprintf("%x", id)}}
	if set := parameterSets[keys.Algorithm(k.spec.Algorithm)]; set != "" {
		list = append(list, token.Reading{Name: "PARAMETER_SET", Value: set}, token.Reading{Name: "VALUE", Value: fmt.Sprintf("%x", k.signer.Public.SPKI()[22:])})
	}
	return list
}

// Attributes are those asked for at generation, and the usual read-only ones.
func (t *Token) Attributes(id []byte) (private, public []token.Reading, err error) {
	err = t.call("Attributes", func() error {
		k, err := t.find(id)
		if err != nil {
			return err
		}
		private, public = k.private(id), k.public(id)
		if t.OnAttributes != nil {
			private = t.OnAttributes(private)
		}
		return nil
	})
	return private, public, err
}

// Attack is refused throughout.
func (t *Token) Attack(_ string, id []byte) (list []token.Attempt, err error) {
	err = t.call("Attack", func() error {
		if _, err := t.find(id); err != nil {
			return err
		}
		list = append(t.takeOut("C_GenerateKey", id), []token.Attempt{
			{Name: token.TryRelaxExtractable, Call: "C_SetAttributeValue", Code: "CKR_ACTION_PROHIBITED"},
			{Name: token.TryRelaxSensitive, Call: "C_SetAttributeValue", Code: "CKR_ACTION_PROHIBITED"},
		}...)
		if t.OnRelaxed != nil {
			list[len(list)-2].Code, list[len(list)-1].Code = "CKR_OK", "CKR_OK"
		}
		if t.OnAttack != nil {
			list = t.OnAttack(list)
		}
		return nil
	})
	return list, err
}

// takeOut are the attempts that leave the key as it is. cbc is the call by which
// the token says that it lacks one of the mechanisms.
func (t *Token) takeOut(cbc string, id []byte) []token.Attempt {
	list := []token.Attempt{
		{Name: token.TryExport, Call: "C_GetAttributeValue", Code: "CKR_ATTRIBUTE_SENSITIVE"},
		{Name: token.TryWrapKW, Call: "C_WrapKey", Code: "CKR_KEY_UNEXTRACTABLE"},
		{Name: token.TryWrapKWP, Call: "C_WrapKey", Code: "CKR_KEY_UNEXTRACTABLE"},
		{Name: token.TryWrapCBC, Call: cbc, Code: "CKR_MECHANISM_INVALID", Unstaged: true},
		{Name: token.TryCopyExtractable, Call: "C_CopyObject", Code: "CKR_ACTION_PROHIBITED"},
		{Name: token.TryCopyInsensitive, Call: "C_CopyObject", Code: "CKR_ACTION_PROHIBITED"},
	}
	switch k := t.keys[string(id)]; {
	case k.agreed != nil && slices.Contains(k.spec.Attributes, token.Setting{Name: token.Decrypt, Value: true}):
		list = append(list, token.Attempt{Name: token.TrySign, Call: token.CallTPMSign, Code: token.TPMKey},
			token.Attempt{Name: token.TryAgreeInvalid, Call: token.CallTPMAgree, Code: token.TPMPoint})
	case k.agreed != nil && k.signer.Public.Algorithm().IsMLKEM():
		list = append(list, token.Attempt{Name: token.TrySign, Call: "C_SignInit", Code: "CKR_KEY_TYPE_INCONSISTENT"},
			token.Attempt{Name: token.TryDecapsulateInvalid, Call: "C_DecapsulateKey", Code: "CKR_ENCRYPTED_DATA_LEN_RANGE"})
	case k.agreed != nil:
		list = append(list, token.Attempt{Name: token.TrySign, Call: "C_SignInit", Code: "CKR_KEY_FUNCTION_NOT_PERMITTED"},
			token.Attempt{Name: token.TryAgreeInvalid, Call: "C_DeriveKey", Code: "CKR_MECHANISM_PARAM_INVALID"})
	}
	return list
}

// AttackRelaxed is refused throughout, and the key set back.
func (t *Token) AttackRelaxed(_ string, id []byte, names []string) (r token.Relaxed, err error) {
	err = t.call("AttackRelaxed", func() error {
		k, err := t.find(id)
		if err != nil {
			return err
		}
		r = token.Relaxed{Names: names, While: k.private(id), Attempts: t.takeOut("C_WrapKey", id), After: k.private(id)}
		for i, x := range r.While {
			if x.Name == token.Extractable || x.Name == token.Sensitive {
				r.While[i].Value = fmt.Sprint(x.Value != "true")
			}
		}
		for _, name := range names {
			r.Restored = append(r.Restored, token.Attempt{Name: name, Call: "C_SetAttributeValue", Code: "CKR_OK"})
		}
		t.OnRelaxed(&r)
		return nil
	})
	return r, err
}

// Sign signs as keys.Public verifies.
func (t *Token) Sign(_ string, id []byte, as keys.Context, message []byte) (sig []byte, err error) {
	err = t.call("Sign", func() error {
		k, err := t.find(id)
		if err != nil {
			return err
		}
		if sig, err = k.signer.SignAs(as, message); err == nil && t.OnSign != nil {
			sig = t.OnSign(sig)
		}
		return err
	})
	return sig, err
}

// Agree agrees with a peer.
func (t *Token) Agree(algorithm string, id, peer []byte) (secret []byte, err error) {
	err = t.call("Agree", func() error {
		k, err := t.find(id)
		if err != nil {
			return err
		}
		p, err := keys.ParsePeer(keys.Algorithm(algorithm), peer)
		if err != nil || k.agreed == nil {
			return Coded("CKR_KEY_FUNCTION_NOT_PERMITTED")
		}
		if secret, err = k.agreed(p); err == nil && t.OnAgree != nil {
			secret = t.OnAgree(secret)
		}
		return err
	})
	return secret, err
}

// Destroy takes a key away.
func (t *Token) Destroy(id []byte) error {
	return t.call("Destroy", func() error {
		if _, err := t.find(id); err != nil {
			return err
		}
		delete(t.keys, string(id))
		t.order = slices.DeleteFunc(t.order, func(x string) bool { return x == string(id) })
		return nil
	})
}

// PublicKey is the public key under an id.
func (t *Token) PublicKey(_ string, id []byte) (spki []byte, err error) {
	err = t.call("PublicKey", func() error {
		k, err := t.find(id)
		if err == nil {
			spki = k.signer.Public.SPKI()
		}
		return err
	})
	return spki, err
}

// DestroyPair takes a key away, and finds nothing of it; unless the token keeps it.
func (t *Token) DestroyPair(_ string, id, spki []byte) (d token.Destroyed, err error) {
	d.Found = []int{0, 0, 0}
	err = t.call("DestroyPair", func() error {
		k := t.keys[string(id)]
		if k == nil {
			return nil // an earlier call took it
		}
		if !bytes.Equal(k.signer.Public.SPKI(), spki) {
			return Coded("CKR_ARGUMENTS_BAD")
		}
		d = token.Destroyed{Held: []string{"private", "public"}, Attempts: []token.Attempt{
			{Name: token.TryDestroy + "private", Call: token.CallDestroy, Code: "CKR_OK"},
			{Name: token.TryDestroy + "public", Call: token.CallDestroy, Code: "CKR_OK"},
			{Name: token.TryUse, Call: token.CallSignInit, Code: "CKR_KEY_HANDLE_INVALID"},
		}, Found: []int{0, 0, 0}}
		if t.OnDestroyPair != nil && t.OnDestroyPair(&d) {
			return nil
		}
		delete(t.keys, string(id))
		t.order = slices.DeleteFunc(t.order, func(x string) bool { return x == string(id) })
		return nil
	})
	return d, err
}

// DestroyUnnamed finds none: no key here is without an id.
func (t *Token) DestroyUnnamed() (int, error) { return 0, t.call("DestroyUnnamed", nil) }

// Close ends nothing: the token stays to be looked at.
func (t *Token) Close() error { return t.call("Close", nil) }

// Bench is where tokens in memory stand.
type Bench struct {
	Tokens []*Token
	// OnPIN is asked before a PIN is given.
	OnPIN func(hsm string) error
}

// Open finds the token.
func (b *Bench) Open(_ context.Context, site *engine.SiteHSM, serial string) (engine.Token, engine.Module, error) {
	for _, t := range b.Tokens {
		if t.About.Label == site.Token {
			if err := t.call("Open", nil); err != nil {
				return nil, engine.Module{}, err
			}
			return t, engine.Module{Library: "testfleet, in memory", Digest: sha256.Sum256([]byte("library"))}, nil
		}
	}
	return nil, engine.Module{}, fmt.Errorf("no token with serial %s", serial)
}

// PIN gives one that no token here looks at.
func (b *Bench) PIN(_ context.Context, site *engine.SiteHSM, _ token.Info, failed error) (engine.PIN, error) {
	if b.OnPIN != nil {
		if err := b.OnPIN(site.Name); err != nil {
			return engine.PIN{}, err
		}
	}
	return engine.PIN{Secret: []byte("canary-pin"), Method: "file"}, failed
}

// Probe looks at the token in this very process: there is no other that could
// see into this one's memory.
func (b *Bench) Probe(_ context.Context, site *engine.SiteHSM, _, algorithm string, id, _ []byte) (spki []byte, objects []token.Object, err error) {
	for _, t := range b.Tokens {
		if t.About.Label != site.Token {
			continue
		}
		err = t.call("Probe", func() error {
			objects = t.objects()
			if algorithm != "" {
				k, err := t.find(id)
				if err != nil {
					return err
				}
				spki = k.signer.Public.SPKI()
			}
			if t.OnProbe != nil {
				spki, objects = t.OnProbe(spki, objects)
			}
			return nil
		})
	}
	return spki, objects, err
}

// Code is the return code in an error.
func (b *Bench) Code(err error) string {
	for err != nil {
		if c, ok := err.(Coded); ok {
			return string(c)
		}
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return ""
		}
		err = u.Unwrap()
	}
	return ""
}
