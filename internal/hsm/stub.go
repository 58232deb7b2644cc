//go:build !cgo || !unix

package hsm

import (
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/token"
)

// LeftOut says whether this program was built without PKCS#11.
const LeftOut = true

// Module is a PKCS#11 library that is loaded and initialised.
type Module struct{}

// Open fails: see [ErrLeftOut].
func Open(string, Options) (*Module, error) { return nil, ErrLeftOut }

// Close does nothing here.
func (*Module) Close() error { return nil }

// Digest is zero here.
func (*Module) Digest() [32]byte { return [32]byte{} }

// Description is empty here.
func (*Module) Description() string { return "" }

// Tokens fails: see [ErrLeftOut].
func (*Module) Tokens() ([]token.Info, error) { return nil, ErrLeftOut }

// Token fails: see [ErrLeftOut].
func (*Module) Token(Selector) (*Token, error) { return nil, ErrLeftOut }

// IsTPM2: see [Module].
func (*Module) IsTPM2() bool { return false }

// Lacks fails: see [ErrLeftOut].
func (*Module) Lacks(Selector, keys.Algorithm) ([]string, error) { return nil, ErrLeftOut }

// InitToken fails: see [ErrLeftOut].
func (*Module) InitToken(Init) (token.Info, error) { return token.Info{}, ErrLeftOut }

// Token is one session with one token. None can be had here, and so each of
// its methods fails: see [ErrLeftOut].
type Token struct{}

// Info: see [Token].
func (*Token) Info() (token.Info, error) { return token.Info{}, ErrLeftOut }

// Login: see [Token].
func (*Token) Login([]byte) error { return ErrLeftOut }

// LoginFinal: see [Token].
func (*Token) LoginFinal([]byte) error { return ErrLeftOut }

// Logout: see [Token].
func (*Token) Logout() error { return ErrLeftOut }

// Close does nothing here.
func (*Token) Close() error { return nil }

// Mechanisms: see [Token].
func (*Token) Mechanisms() ([]token.Mechanism, error) { return nil, ErrLeftOut }

// DestroyUnnamed: see [Token].
func (*Token) DestroyUnnamed() (int, error) { return 0, ErrLeftOut }

// Objects: see [Token].
func (*Token) Objects() ([]token.Object, error) { return nil, ErrLeftOut }

// PublicObjects: see [Token].
func (*Token) PublicObjects() ([]token.Object, error) { return nil, ErrLeftOut }

// Generate: see [Token].
func (*Token) Generate(token.KeySpec) (token.Generated, error) {
	return token.Generated{}, ErrLeftOut
}

// PublicKey: see [Token].
func (*Token) PublicKey(string, []byte) ([]byte, error) { return nil, ErrLeftOut }

// Attributes: see [Token].
func (*Token) Attributes([]byte) (private, public []token.Reading, err error) {
	return nil, nil, ErrLeftOut
}

// VendorAttributes: see [Token].
func (*Token) VendorAttributes([]byte, ...uint) ([][]byte, error) { return nil, ErrLeftOut }

// SealedTPM fails: see [ErrLeftOut].
func SealedTPM(string, string) (SealedKey, error) { return SealedKey{}, ErrLeftOut }

// Attack: see [Token].
func (*Token) Attack(string, []byte) ([]token.Attempt, error) { return nil, ErrLeftOut }

// AttackRelaxed: see [Token].
func (*Token) AttackRelaxed(string, []byte, []string) (token.Relaxed, error) {
	return token.Relaxed{}, ErrLeftOut
}

// Agree: see [Token].
func (*Token) Agree(string, []byte, []byte) ([]byte, error) { return nil, ErrLeftOut }

// Sign: see [Token].
func (*Token) Sign(string, []byte, keys.Context, []byte) ([]byte, error) { return nil, ErrLeftOut }

// Destroy: see [Token].
func (*Token) Destroy([]byte) error { return ErrLeftOut }

// DestroyPair: see [Token].
func (*Token) DestroyPair(string, []byte, []byte) (token.Destroyed, error) {
	return token.Destroyed{}, ErrLeftOut
}

// Random: see [Token].
func (*Token) Random(int) ([]byte, error) { return nil, ErrLeftOut }

// Data: see [Token].
func (*Token) Data(string) (*Data, error) { return nil, ErrLeftOut }

// CreateData: see [Token].
func (*Token) CreateData(string, []byte) (*Data, error) { return nil, ErrLeftOut }

// Data is a data object on a token. None can be had here.
type Data struct{}

// Read fails: see [ErrLeftOut].
func (*Data) Read() ([]byte, error) { return nil, ErrLeftOut }

// Write fails: see [ErrLeftOut].
func (*Data) Write([]byte) error { return ErrLeftOut }

// Destroy fails: see [ErrLeftOut].
func (*Data) Destroy() error { return ErrLeftOut }
