// Package testrekor is a Rekor log in memory, for tests that must have its
// private key: of entries that no honest log would make. It shares no code
// with package auditlog, so that what one writes the other has to read.
//
// That real servers write the same is shown elsewhere, against real servers.
package testrekor

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"time"

	"golang.org/x/crypto/ed25519"
	"golang.org/x/mod/sumdb/tlog"
)

// Entry is an entry's file, field by field, to be changed at will.
type Entry struct {
	Format     string    `json:"format"`
	Version    int       `json:"rekor"`
	Envelope   []byte    `json:"envelope"`
	Body       []byte    `json:"body"`
	LogID      string    `json:"log_id"`
	Index      int64     `json:"index"`
	Integrated string    `json:"integrated_time,omitempty"`
	Inclusion  Inclusion `json:"inclusion"`
	Checkpoint string    `json:"checkpoint"`
	SET        []byte    `json:"signed_entry_timestamp,omitempty"`
}

// Inclusion is the path from the body to the checkpoint's root.
type Inclusion struct {
	Index  int64    `json:"index"`
	Hashes [][]byte `json:"hashes"`
}

// File is the entry as it lies beside a bundle.
func (e Entry) File() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	must(0, enc.Encode(e))
	return b.Bytes()
}

// Log is a log of either version.
type Log struct {
	Version int
	Host    string
	Tree    int64 // version 1: the number behind the host in its origin
	Now     time.Time

	ec     *ecdsa.PrivateKey
	ed     ed25519.PrivateKey
	hashes hashes
	leaves [][]byte
	size   int64
}

type hashes []tlog.Hash

func (h hashes) ReadHashes(at []int64) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(at))
	for i, n := range at {
		list[i] = h[n]
	}
	return list, nil
}

// New is a log whose key follows from its name, with three entries in it:
// ECDSA P-256 in version 1, Ed25519 in version 2.
func New(version int, host string) *Log {
	l := &Log{Version: version, Host: host, Tree: 1193050959916656506, Now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	seed := sha256.Sum256([]byte("testrekor " + host))
	if version == 1 {
		l.ec = must(ecdsa.ParseRawPrivateKey(elliptic.P256(), seed[:]))
	} else {
		l.ed = ed25519.NewKeyFromSeed(seed[:])
	}
	for i := range 3 {
		l.Add(fmt.Appendf(nil, "someone else's entry %d", i))
	}
	return l
}

// Submitter is a submitter's key that follows from its name.
func Submitter(name string) *ecdsa.PrivateKey {
	seed := sha256.Sum256([]byte("testrekor submitter " + name))
	return must(ecdsa.ParseRawPrivateKey(elliptic.P256(), seed[:]))
}

// SPKI is a submitter's public key.
func SPKI(k *ecdsa.PrivateKey) []byte { return must(x509.MarshalPKIXPublicKey(k.Public())) }

// SPKI is the log's public key.
func (l *Log) SPKI() []byte {
	if l.ec != nil {
		return must(x509.MarshalPKIXPublicKey(l.ec.Public()))
	}
	return must(x509.MarshalPKIXPublicKey(l.ed.Public()))
}

// PEM is the log's public key.
func (l *Log) PEM() string { return pemOf(l.SPKI()) }

func pemOf(spki []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}))
}

// Origin is the first line of its checkpoints.
func (l *Log) Origin() string {
	if l.Version == 1 {
		return fmt.Sprintf("%s - %d", l.Host, l.Tree)
	}
	return l.Host
}

// id is the log's, in full; its first four bytes name the key in notes.
func (l *Log) id() []byte {
	sum := sha256.Sum256(l.SPKI())
	if l.ed != nil {
		sum = sha256.Sum256(append([]byte(l.Host+"\n\x01"), l.ed.Public().(ed25519.PublicKey)...))
	}
	return sum[:]
}

// Add puts any leaf into the tree and gives its index.
func (l *Log) Add(leaf []byte) int64 {
	l.hashes = append(l.hashes, must(tlog.StoredHashes(l.size, leaf, l.hashes))...)
	l.leaves = append(l.leaves, leaf)
	l.size++
	return l.size - 1
}

// Envelope is a bundle's, signed by a submitter.
func Envelope(bundle []byte, submitter *ecdsa.PrivateKey) []byte {
	const typ = "application/vnd.fleetctl.bundle.v1+json"
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `{"payloadType":"%s","payload":"%s","signatures":[{"sig":"%s"}]}`, typ, b64(bundle), b64(LowS(submitter, pae(bundle))))
}

func pae(bundle []byte) []byte {
	const typ = "application/vnd.fleetctl.bundle.v1+json"
	return []byte(fmt.Sprint("DSSEv1 ", len(typ), " ", typ, " ", len(bundle), " ") + string(bundle))
}

// Body is what the log stores for an envelope.
func (l *Log) Body(envelope []byte, submitter *ecdsa.PrivateKey) []byte {
	var env struct {
		Payload    []byte
		Signatures []struct{ Sig []byte }
	}
	must(0, json.Unmarshal(envelope, &env))
	spki := SPKI(submitter)
	type m = map[string]any // encoding/json sorts a map's members, as RFC 8785 does
	if l.Version == 1 {
		hash := func(b []byte) m {
			sum := sha256.Sum256(b)
			return m{"algorithm": "sha256", "value": hex.EncodeToString(sum[:])}
		}
		return must(json.Marshal(m{"apiVersion": "0.0.1", "kind": "dsse", "spec": m{"envelopeHash": hash(envelope), "payloadHash": hash(env.Payload),
			"signatures": []m{{"signature": env.Signatures[0].Sig, "verifier": []byte(pemOf(spki))}}}}))
	}
	sum := sha256.Sum256(pae(env.Payload))
	return must(json.Marshal(m{"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": m{"hashedRekordV002": m{
		"data":      m{"algorithm": "SHA2_256", "digest": sum[:]},
		"signature": m{"content": env.Signatures[0].Sig, "verifier": m{"keyDetails": "PKIX_ECDSA_P256_SHA_256", "publicKey": m{"rawBytes": spki}}},
	}}}))
}

// Append logs a bundle.
func (l *Log) Append(bundle []byte, submitter *ecdsa.PrivateKey) Entry {
	envelope := Envelope(bundle, submitter)
	body := l.Body(envelope, submitter)
	return l.Entry(envelope, body, l.Add(body))
}

// Entry proves what is at an index, in the tree as it is.
func (l *Log) Entry(envelope, body []byte, index int64) Entry {
	e := Entry{Format: "fleetctl rekor-entry v1", Version: l.Version, Envelope: envelope, Body: body, LogID: hex.EncodeToString(l.id()), Index: index,
		Inclusion: Inclusion{Index: index, Hashes: [][]byte{}}, Checkpoint: l.Checkpoint()}
	for _, h := range must(tlog.ProveRecord(l.size, index, l.hashes)) {
		e.Inclusion.Hashes = append(e.Inclusion.Hashes, h[:])
	}
	if l.Version == 1 {
		e.Integrated = l.Now.Format(time.RFC3339)
		e.SET = l.SET(e)
	}
	return e
}

// SET is the log's promise for an entry.
func (l *Log) SET(e Entry) []byte {
	at := must(time.Parse(time.RFC3339, e.Integrated))
	text := must(json.Marshal(map[string]any{"body": e.Body, "integratedTime": at.Unix(), "logID": e.LogID, "logIndex": e.Index}))
	return l.sign(text)
}

// Checkpoint is the tree's head, signed.
func (l *Log) Checkpoint(more ...string) string {
	root := must(tlog.TreeHash(l.size, l.hashes))
	return l.Sign(fmt.Sprintf("%s\n%d\n%s\n%s", l.Origin(), l.size, root, strings.Join(more, "")))
}

// Sign makes a signed note of a text.
func (l *Log) Sign(text string) string {
	hash := binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(l.id()))
	return fmt.Sprintf("%s\n— %s %s\n", text, l.Host, base64.StdEncoding.EncodeToString(append(hash, l.sign([]byte(text))...)))
}

func (l *Log) sign(text []byte) []byte {
	if l.ed != nil {
		return ed25519.Sign(l.ed, text)
	}
	return LowS(l.ec, text)
}

// LowS signs deterministically (RFC 6979), with the lower of the two S.
func LowS(k *ecdsa.PrivateKey, text []byte) []byte {
	sum := sha256.Sum256(text)
	var rs struct{ R, S *big.Int }
	must(asn1.Unmarshal(must(k.Sign(nil, sum[:], crypto.SHA256)), &rs))
	if n := k.Params().N; new(big.Int).Lsh(rs.S, 1).Cmp(n) > 0 {
		rs.S.Sub(n, rs.S)
	}
	return must(asn1.Marshal(rs))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
