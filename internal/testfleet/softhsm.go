//go:build cgo && unix

package testfleet

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/fleetctl/fleetctl/auditlog/tiled"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/hsm"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/token"
)

var modules = []string{
	"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
	"/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so", "/opt/homebrew/lib/softhsm/libsofthsm2.so",
}

// soft is SoftHSM in this process: it reads its configuration once, when it
// is initialised, so there is one directory of tokens.
var soft struct {
	once   sync.Once
	mu     sync.Mutex // SoftHSM numbers slots anew when tokens are made
	dir    string
	path   string
	module *hsm.Module
	err    error
	fleets int
	close  []func()
}

// Main runs a package's tests and takes SoftHSM's directory away afterwards:
//
//	func TestMain(m *testing.M) { os.Exit(testfleet.Main(m)) }
func Main(m *testing.M) int {
	defer func() {
		for _, f := range soft.close {
			f()
		}
		if soft.dir != "" {
			_ = os.RemoveAll(soft.dir)
		}
	}()
	return m.Run()
}

func start() {
	for _, p := range modules {
		if _, err := os.Stat(p); err == nil {
			soft.path = p
			break
		}
	}
	if soft.path == "" {
		return
	}
	if soft.dir, soft.err = os.MkdirTemp(memoryDisk(), "testfleet-"); soft.err != nil {
		return
	}
	conf := filepath.Join(soft.dir, "softhsm2.conf")
	text := fmt.Sprintf("directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n", soft.dir)
	for _, f := range []func() error{
		func() error { return os.Mkdir(filepath.Join(soft.dir, "tokens"), 0o700) },
		func() error { return os.WriteFile(conf, []byte(text), 0o600) },
		func() error { return os.Setenv("SOFTHSM2_CONF", conf) },
		func() (err error) { soft.module, err = hsm.Open(soft.path, hsm.Options{}); return err },
	} {
		if soft.err = f(); soft.err != nil {
			return
		}
	}
	soft.close = append(soft.close, func() { _ = soft.module.Close() })
}

// SoftHSM runs a rehearsal on SoftHSM's tokens and the embedded log. It skips
// where SoftHSM is not installed, and fails there with CI=true.
//
// The look "from a new process" is a second session of this process here; that
// a really new one finds the key is for the command's own tests.
func SoftHSM(t testing.TB, o Options) *Fleet {
	t.Helper()
	soft.once.Do(start)
	if soft.err != nil {
		t.Fatal(soft.err)
	}
	if soft.path == "" {
		absent(t, "SoftHSM is not installed")
	}
	o = o.withDefaults()
	soft.mu.Lock()
	defer soft.mu.Unlock()
	soft.fleets++
	prefix := fmt.Sprintf("f%d-", soft.fleets)
	// Without its second reading: the fleet's time goes on by looks, and is no
	// clock that could have been set.
	f := &Fleet{Dir: filepath.Join(TempDir(t), "ceremony"), Parties: o.Parties, clock: &clock{time.Now().Round(0)}, o: o}
	b := &softBench{pins: map[string][]byte{}}
	f.Bench = b
	var hsms []ceremony.PlanHSM
	var sites []engine.SiteHSM
	for i := range o.HSMs {
		info, err := b.token(fmt.Sprintf("%s%d", prefix, i+1))
		f.must(t, err)
		hsms = append(hsms, ceremony.PlanHSM{Name: fmt.Sprintf("hsm-%d", i+1), Site: "lab", Serial: info.Serial})
		sites = append(sites, engine.SiteHSM{Name: hsms[i].Name, Module: soft.path, Token: info.Label, PIN: "file:/nowhere/pin"})
	}
	if f.Parties == nil {
		var err error
		f.Parties, err = b.parties(t, prefix)
		f.must(t, err)
	}
	f.must(t, f.prepare(o, hsms, sites))
	f.must(t, f.live(o, rand.Reader))
	return f
}

type softBench struct{ pins map[string][]byte }

// token makes a token with a PIN of its own.
func (b *softBench) token(label string) (token.Info, error) {
	pin := fmt.Appendf(nil, "canary-%x", randomBytes(6))
	b.pins[label] = pin
	return soft.module.InitToken(hsm.Init{Label: label, SOPIN: []byte("canary-so-pin"), UserPIN: pin})
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// key makes a key on a token of its own, by the template of every ceremony.
func (b *softBench) key(label string, alg keys.Algorithm) (Signer, error) {
	if _, err := b.token(label); err != nil {
		return Signer{}, err
	}
	t, err := soft.module.Token(hsm.Selector{Label: label})
	if err != nil {
		return Signer{}, err
	}
	soft.close = append(soft.close, func() { _ = t.Close() })
	if err := t.Login(bytes.Clone(b.pins[label])); err != nil {
		return Signer{}, err
	}
	id := []byte{1}
	settings, optional := ceremony.SigningRole(alg).Template()
	g, err := t.Generate(token.KeySpec{Algorithm: string(alg), ID: id, Label: label, Attributes: settings, Optional: optional})
	if err != nil {
		return Signer{}, err
	}
	public, err := keys.ParseSPKI(g.SPKI)
	return Signer{public, func(as keys.Context, msg []byte) ([]byte, error) { return t.Sign(string(alg), id, as, msg) }}, err
}

func (b *softBench) parties(t testing.TB, prefix string) (*Parties, error) {
	dir := TempDir(t)
	p := &Parties{Ledger: filepath.Join(dir, "ledger.jsonl")}
	var err error
	if p.ThirdParty, err = b.key(prefix+"third-party", keys.Ed25519); err != nil {
		return nil, err
	}
	if p.Operator, err = b.key(prefix+"operator", keys.P256); err != nil {
		return nil, err
	}
	l, err := b.key(prefix+"log", keys.Ed25519)
	if err != nil {
		return nil, err
	}
	p.Log, err = newTiledLog(filepath.Join(dir, "log"), l)
	return p, err
}

// Open, PIN, Probe and Code are what cmd/fleetctl's bench does, but that the
// probe is another session and not another process.
func (b *softBench) Open(_ context.Context, site *engine.SiteHSM, serial string) (engine.Token, engine.Module, error) {
	t, err := soft.module.Token(hsm.Selector{Serial: serial, Label: site.Token})
	if err != nil {
		return nil, engine.Module{}, err
	}
	return t, engine.Module{Library: soft.module.Description(), Digest: soft.module.Digest()}, nil
}

func (b *softBench) PIN(_ context.Context, site *engine.SiteHSM, _ token.Info, failed error) (engine.PIN, error) {
	return engine.PIN{Secret: bytes.Clone(b.pins[site.Token]), Method: "file"}, failed
}

func (b *softBench) Probe(_ context.Context, site *engine.SiteHSM, serial, algorithm string, id, _ []byte) ([]byte, []token.Object, error) {
	t, err := soft.module.Token(hsm.Selector{Serial: serial, Label: site.Token})
	if err != nil {
		return nil, nil, err
	}
	defer t.Close()
	spki, err := t.PublicKey(algorithm, id)
	if err != nil {
		return nil, nil, err
	}
	objects, err := t.Objects()
	return spki, objects, err
}

func (b *softBench) Code(err error) string { return hsm.Code(err) }

// tiledLog is the embedded log.
type tiledLog struct {
	vkey string
	log  *tiled.Log
}

func newTiledLog(dir string, s Signer) (*tiledLog, error) {
	pub, _ := s.Public.Ed25519()
	vkey, err := tiled.VKey(logOrigin, pub)
	if err != nil {
		return nil, err
	}
	if err := tiled.Init(dir, vkey, tiled.Options{}); err != nil {
		return nil, err
	}
	var n note.Signer
	if n, err = tiled.NewSigner(logOrigin, pub, s.Sign); err != nil {
		return nil, err
	}
	l, err := tiled.Open(dir, n, tiled.Options{})
	if err != nil {
		return nil, err
	}
	_, err = l.Append(context.Background(), decoys...)
	return &tiledLog{vkey, l}, err
}

func (l *tiledLog) VKey() string { return l.vkey }

func (l *tiledLog) Append(leaf []byte) ([]byte, error) {
	at, err := l.log.Append(context.Background(), leaf)
	if err != nil {
		return nil, err
	}
	return l.log.Prove(context.Background(), at[0].Index)
}
