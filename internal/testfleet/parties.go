package testfleet

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/mlkem"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"math/big"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/crypto/ed25519"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/fleetctl/fleetctl/internal/keys"
)

func softEd25519(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("testfleet key " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// SoftSigner is a key in memory that follows from its name.
func SoftSigner(alg keys.Algorithm, name string) Signer {
	if alg.IsMLDSA() {
		seed := sha256.Sum256([]byte("testfleet key " + name))
		k, err := keys.NewMLDSA(alg, seed[:])
		if err != nil {
			panic(err)
		}
		return Signer{k.Public(), k.Sign}
	}
	switch alg {
	case keys.Ed25519:
		k := softEd25519(name)
		return signerOf(k.Public(), func(msg []byte) ([]byte, error) { return ed25519.Sign(k, msg), nil })
	case keys.P256:
		seed := sha256.Sum256([]byte("testfleet key " + name))
		k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), seed[:])
		if err != nil {
			panic(err)
		}
		return signerOf(k.Public(), func(msg []byte) ([]byte, error) { return keys.SignP256(k, msg) })
	case keys.P384:
		seed := sha512.Sum384([]byte("testfleet key " + name))
		k, err := ecdsa.ParseRawPrivateKey(elliptic.P384(), seed[:])
		if err != nil {
			panic(err)
		}
		return signerOf(k.Public(), func(msg []byte) ([]byte, error) { return signP384(k, msg) })
	}
	panic("testfleet has no soft keys of " + string(alg))
}

// softAgreer is a key in memory that agrees.
func softAgreer(alg keys.Algorithm, name string) (*keys.Public, func(*keys.Peer) ([]byte, error)) {
	if alg.IsMLKEM() {
		seed := sha512.Sum512([]byte("testfleet key " + name))
		k := must(mlkem.NewDecapsulationKey768(seed[:]))
		return must(keys.FromMLKEM(k.EncapsulationKey().Bytes())), func(p *keys.Peer) ([]byte, error) { return k.Decapsulate(p.Encode()) }
	}
	curve := ecdh.P256()
	if alg == keys.X25519 {
		curve = ecdh.X25519()
	}
	seed := sha256.Sum256([]byte("testfleet key " + name))
	k, err := curve.NewPrivateKey(seed[:])
	if err != nil {
		panic(err)
	}
	public, err := keys.FromPoint(alg, k.PublicKey().Bytes())
	if err != nil {
		panic(err)
	}
	return public, func(p *keys.Peer) ([]byte, error) {
		with, err := curve.NewPublicKey(p.Point())
		if err != nil {
			return nil, err
		}
		return k.ECDH(with)
	}
}

// signP384 signs as [keys.SignP256] does.
func signP384(k *ecdsa.PrivateKey, msg []byte) ([]byte, error) {
	der, err := k.Sign(nil, keys.Digest(keys.P384, msg), crypto.SHA384)
	if err != nil {
		return nil, err
	}
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &rs); err != nil {
		return nil, err
	}
	return keys.SignatureFromRaw(keys.P384, append(rs.R.FillBytes(make([]byte, 48)), rs.S.FillBytes(make([]byte, 48))...))
}

func signerOf(public any, sign func([]byte) ([]byte, error)) Signer {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		panic(err)
	}
	p, err := keys.ParseSPKI(der)
	if err != nil {
		panic(err)
	}
	return Signer{p, func(_ keys.Context, msg []byte) ([]byte, error) { return sign(msg) }}
}

// SoftParties are parties whose keys are in memory and follow from the name.
// The third party's ledger is in dir.
func SoftParties(name, dir string) *Parties {
	return &Parties{
		ThirdParty: SoftSigner(keys.Ed25519, name+" third party"),
		Operator:   SoftSigner(keys.P256, name+" operator"),
		Log:        newSoftLog(logOrigin, name),
		Ledger:     filepath.Join(dir, "ledger.jsonl"),
	}
}

const logOrigin = "log.example/fleet"

// decoys are entries that are in every log before the first bundle, so that
// proofs have hashes in them.
var decoys = [][]byte{[]byte("one"), []byte("two"), []byte("three"), []byte("four"), []byte("five")}

// softLog is a log in memory, by golang.org/x/mod alone.
type softLog struct {
	mu     sync.Mutex
	origin string
	vkey   string
	signer note.Signer
	size   int64
	hashes softHashes
}

type softHashes []tlog.Hash

func (h softHashes) ReadHashes(at []int64) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(at))
	for i, n := range at {
		list[i] = h[n]
	}
	return list, nil
}

// SoftLog is a log in memory with an origin and a key of its own.
func SoftLog(origin, name string) Log { return newSoftLog(origin, name) }

func newSoftLog(origin, name string) *softLog {
	key := softEd25519(name + " log")
	vkey, err := note.NewEd25519VerifierKey(origin, key.Public().(ed25519.PublicKey))
	if err != nil {
		panic(err)
	}
	hash := strings.Split(vkey, "+")[1]
	s, err := note.NewSigner(fmt.Sprintf("PRIVATE+KEY+%s+%s+%s", origin, hash,
		base64.StdEncoding.EncodeToString(append([]byte{1}, key.Seed()...))))
	if err != nil {
		panic(err)
	}
	l := &softLog{origin: origin, vkey: vkey, signer: s}
	for _, d := range decoys {
		l.add(d)
	}
	return l
}

func (l *softLog) VKey() string { return l.vkey }

func (l *softLog) add(leaf []byte) {
	stored, err := tlog.StoredHashes(l.size, leaf, l.hashes)
	if err != nil {
		panic(err)
	}
	l.hashes, l.size = append(l.hashes, stored...), l.size+1
}

func (l *softLog) Append(leaf []byte) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(leaf)
	return l.prove(l.size-1, l.size)
}

func (l *softLog) checkpoint(size int64, more ...note.Signer) ([]byte, error) {
	root, err := tlog.TreeHash(size, l.hashes)
	if err != nil {
		return nil, err
	}
	return note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", l.origin, size, root)}, append([]note.Signer{l.signer}, more...)...)
}

func (l *softLog) prove(index, size int64, more ...note.Signer) ([]byte, error) {
	path, err := tlog.ProveRecord(size, index, l.hashes)
	if err != nil {
		return nil, err
	}
	signed, err := l.checkpoint(size, more...)
	if err != nil {
		return nil, err
	}
	return withPath(fmt.Sprintf("c2sp.org/tlog-proof@v1\nindex %d\n", index), path, signed), nil
}

// withPath writes hashes between what a proof or a request begins with and the
// checkpoint that it ends with.
func withPath(begins string, path []tlog.Hash, checkpoint []byte) []byte {
	b := []byte(begins)
	for _, h := range path {
		b = fmt.Appendf(b, "%s\n", h)
	}
	return fmt.Appendf(b, "\n%s", checkpoint)
}
