package device

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/keys"
)

// Test keys follow from a name, and every signature is deterministic, so that a
// vector made twice is the same.

const (
	namespace = "example.backup.fleet_keys.v1"
	created   = 1795255200000 // 2026-11-21T10:00:00Z in milliseconds
)

var now = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func seed(name string) []byte {
	h := sha256.Sum256([]byte("fleetctl test key " + name))
	return h[:]
}

func edKey(name string) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(seed(name)) }

func edRaw(name string) [32]byte { return [32]byte(edKey(name).Public().(ed25519.PublicKey)) }

func edSPKI(name string) []byte { return must(x509.MarshalPKIXPublicKey(edKey(name).Public())) }

func p256(name string) *ecdsa.PrivateKey {
	return must(ecdsa.ParseRawPrivateKey(elliptic.P256(), seed(name)))
}

func operatorKey() *keys.Public {
	return must(keys.ParseSPKI(must(x509.MarshalPKIXPublicKey(p256("operator").Public()))))
}

var aRecord = &bundle.Head{Hash: [32]byte(seed("countersignature")), N: 77}

// made is what a bundle is made of; its zero value is the first epoch.
type made struct {
	fleet, namespace, mode string
	epoch                  uint64
	after                  *bundle.Bundle // the epoch before
	keys                   string         // begins the names of its keys, where they are others
	backup                 bool           // its HSMs have a second role
	postQuantum            []string       // HSMs whose second role is of ML-DSA keys; those of the others are Ed25519 keys
	notice                 string         // the format of one
	signers                []string       // third parties; tp-1 and tp-2
	by                     string         // the countersigner's key; operator
	spoil                  bool           // the first signature
}

func (m made) bundle() *bundle.Bundle {
	m.fleet, m.namespace, m.mode = or(m.fleet, "backup-2026a"), or(m.namespace, namespace), or(m.mode, bundle.Production)
	if m.epoch == 0 {
		m.epoch = 1
	}
	if m.signers == nil {
		m.signers = []string{"tp-1", "tp-2"}
	}
	var previous []byte
	if m.after != nil {
		a := m.after.About()
		m.epoch, previous = a.Epoch+1, a.Digest[:]
	}
	artifact, counter := m.artifact(previous)
	digest := sha256.Sum256(artifact)
	var st []bundle.Signed
	for i, name := range m.signers {
		s := must(bundle.NewStatement(1, m.namespace, created+1800000, m.epoch, digest))
		key, msg := edRaw(name), s.Message()
		if m.spoil && i == 0 {
			msg = append(msg, 0) // signed, but other bytes
		}
		s = must(bundle.ParseStatement("", s.Encode([64]byte(ed25519.Sign(edKey(name), msg)))))
		st = append(st, bundle.Signed{Key: key, Statement: s})
	}
	by := or(m.by, "operator")
	key := must(keys.ParseSPKI(must(x509.MarshalPKIXPublicKey(p256(by).Public()))))
	c := bundle.Countersignature{Key: key, Form: bundle.FormBound, Signature: must(keys.SignP256(p256(by), counter(st)))}
	record := aRecord
	if m.notice != "" {
		record = nil
	}
	return must(bundle.Assemble(artifact, st, []bundle.Countersignature{c}, record))
}

// artifact makes a key set or a notice, and what countersigns it.
func (m made) artifact(previous []byte) ([]byte, func([]bundle.Signed) []byte) {
	if m.notice != "" {
		n := &bundle.Notice{Format: m.notice, Mode: m.mode, Fleet: m.fleet, Namespace: m.namespace, Epoch: m.epoch, Previous: [32]byte(previous), Created: time.UnixMilli(created).UTC(), Reason: "the fleet is replaced"}
		if m.notice == bundle.RetirementFormat {
			n.Effective = new(now.Add(24 * time.Hour))
		}
		n = must(bundle.ParseNotice("notice", n.Encode()))
		return n.Raw(), func(st []bundle.Signed) []byte { return must(bundle.CountersignNotice(bundle.FormBound, n, st)) }
	}
	set := &bundle.KeySet{
		Mode: m.mode, Fleet: m.fleet, Namespace: m.namespace, Epoch: m.epoch, Previous: previous, Created: time.UnixMilli(created).UTC(), Majority: 2,
		Ceremony: bundle.CeremonyRef{ID: fmt.Sprintf("%s-%d", m.fleet, m.epoch), Plan: [32]byte(seed("plan")), Transcript: [32]byte(seed("transcript"))},
	}
	for _, hsm := range []string{"hsm-1", "hsm-2", "hsm-3"} {
		set.Keys = append(set.Keys, bundle.FleetKey{HSM: hsm, Role: "session", Algorithm: keys.Ed25519, SPKI: edSPKI(fmt.Sprintf("%s%s/%d/%s", m.keys, m.fleet, m.epoch, hsm))})
		if m.backup {
			set.Keys = append(set.Keys, bundle.FleetKey{HSM: hsm, Role: "backup", Algorithm: keys.Ed25519, SPKI: edSPKI("backup/" + hsm)})
		}
		switch {
		case slices.Contains(m.postQuantum, hsm):
			k := must(keys.NewMLDSA(keys.MLDSA44, seed("session-pq/"+hsm)))
			set.Keys = append(set.Keys, bundle.FleetKey{HSM: hsm, Role: "session-pq", Algorithm: keys.MLDSA44, SPKI: k.Public().SPKI()})
		case len(m.postQuantum) > 0:
			set.Keys = append(set.Keys, bundle.FleetKey{HSM: hsm, Role: "session-pq", Algorithm: keys.Ed25519, SPKI: edSPKI("session-pq/" + hsm)})
		}
	}
	set = must(bundle.ParseKeySet("fleet-keys.json", set.Encode()))
	return set.Raw(), func(st []bundle.Signed) []byte { return must(bundle.CountersignMessage(bundle.FormBound, set, st)) }
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// noteKey signs checkpoints as a log (type 1) or as a witness (type 4).
type noteKey struct {
	name string
	typ  byte
}

var (
	logKey   = noteKey{"log.example/fleet", 1}
	witness1 = noteKey{"w1.example", 4}
	witness2 = noteKey{"w2.example", 4}
	otherLog = noteKey{"log.elsewhere/fleet", 1}
)

func (k noteKey) hash() []byte {
	pub := edRaw(k.name)
	h := sha256.Sum256([]byte(k.name + "\n" + string(k.typ) + string(pub[:])))
	return h[:4]
}

func (k noteKey) vkey() string {
	pub := edRaw(k.name)
	return fmt.Sprintf("%s+%x+%s", k.name, k.hash(), b64(append([]byte{k.typ}, pub[:]...)))
}

func (k noteKey) line(text string, at time.Time) string {
	raw := k.hash()
	if k.typ == 4 {
		raw = binary.BigEndian.AppendUint64(raw, uint64(at.Unix()))
		text = fmt.Sprintf("cosignature/v1\ntime %d\n%s", at.Unix(), text)
	}
	return "— " + k.name + " " + b64(append(raw, ed25519.Sign(edKey(k.name), []byte(text))...)) + "\n"
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// proof is that leaf is entry 1 of 2 of a log, cosigned at the given times; a zero
// time is no cosignature (RFC 6962, section 2.1).
func proof(log noteKey, leaf []byte, at1, at2 time.Time) []byte {
	first := sha256.Sum256([]byte("\x00another entry"))
	second := sha256.Sum256(append([]byte{0}, leaf...))
	root := sha256.Sum256(append(append([]byte{1}, first[:]...), second[:]...))
	text := log.name + "\n2\n" + b64(root[:]) + "\n"
	p := "c2sp.org/tlog-proof@v1\nindex 1\n" + b64(first[:]) + "\n\n" + text + "\n" + log.line(text, time.Time{})
	if !at1.IsZero() {
		p += witness1.line(text, at1)
	}
	if !at2.IsZero() {
		p += witness2.line(text, at2)
	}
	return []byte(p)
}

func fresh(b *bundle.Bundle) []byte { return proof(logKey, b.Raw(), now, now) }

const logPolicyOf = "log %s\nwitness one %s\nwitness two %s\ngroup both all one two\nquorum both\n"

func logPolicy() *auditlog.Policy {
	return must(auditlog.ParsePolicy("log.policy", fmt.Appendf(nil, logPolicyOf, logKey.vkey(), witness1.vkey(), witness2.vkey())))
}

func trust() *bundle.Trust {
	return &bundle.Trust{
		Mode: bundle.Production, Namespace: namespace, Needed: 2,
		ThirdParties: []bundle.ThirdParty{{Name: "tp-1", Key: edRaw("tp-1")}, {Name: "tp-2", Key: edRaw("tp-2")}},
		Operators:    []bundle.Operator{{Name: "operator", Key: operatorKey(), Form: bundle.FormBound}},
	}
}

func policy(pins Pins) *Policy { return must(NewPolicy(trust(), logPolicy(), 24*time.Hour, pins, nil)) }

func wantError(t testing.TB, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("error is %v; it should mention %q", err, text)
	}
}
