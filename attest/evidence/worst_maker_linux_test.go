package evidence_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// maker writes a transcript that the rules take, record by record.
type maker struct {
	fleet   *testfleet.Fleet
	account *ceremony.Account
	records []*ceremony.Record // the fleet's own
	out     bytes.Buffer
	at      time.Time
}

func newMaker(t testing.TB, f *testfleet.Fleet) *maker {
	t.Helper()
	tr := must(ceremony.ParseTranscript(ceremony.TranscriptFile, f.Transcript(), f.Plan.Digest()))
	return &maker{fleet: f, account: ceremony.NewAccount(f.Plan), records: tr.Records, at: tr.Records[0].Time}
}

func (m *maker) put(kind ceremony.Kind, content any) *ceremony.Record {
	a := m.account
	salt := sha256.Sum256(fmt.Append(nil, a.N))
	r := &ceremony.Record{N: a.N + 1, Time: m.at, Kind: kind, Prev: a.Head, Salt: salt[:], Content: content}
	r.Body = string(strict.EncodeLine(content))
	r.Commit = sha256.Sum256(append(bytes.Clone(r.Salt), r.Body...))
	must(0, a.Apply(r))
	m.out.Write(r.Line())
	return r
}

// until copies the fleet's records as they are up to the first that is.
func (m *maker) until(kind ceremony.Kind) {
	for i, r := range m.records {
		if r.Kind == kind {
			m.records = m.records[i:]
			return
		}
		must(0, m.account.Apply(r))
		m.out.Write(r.Line())
		m.at = r.Time
	}
	panic("no record of that kind")
}

// with are the fleet's files with the transcript made so far.
func (m *maker) files() evidence.Files {
	return with(m.fleet.Files, ceremony.TranscriptFile, bytes.Clone(m.out.Bytes()))
}

// exceptions puts n of them, each three times with so much text.
func (m *maker) exceptions(n, text int) {
	long := strings.Repeat("<", text)
	for i := range n {
		m.put(ceremony.KindException, &ceremony.Exception{Number: i + 1, Expected: long, Happened: long, Decided: long})
	}
}

// keys begins n keys, each with everything that is tried on one, and gives each
// up at its last record.
func (m *maker) keys(n int) {
	m.until(ceremony.KindIntent)
	first := map[ceremony.Kind]any{}
	for _, r := range m.records {
		if first[r.Kind] == nil {
			first[r.Kind] = r.Content
		}
	}
	intent := *first[ceremony.KindIntent].(*ceremony.Intent)
	outcome := *first[ceremony.KindOutcome].(*ceremony.Outcome)
	attributes := string(strict.EncodeLine(first[ceremony.KindAttributes]))
	attack := *first[ceremony.KindNegativeTest].(*ceremony.NegativeTest)
	found := *first[ceremony.KindFound].(*ceremony.Found)
	old := hex.EncodeToString(intent.ID)
	for i := range n {
		id := sha256.Sum256(fmt.Append(nil, "key", i))
		one := intent
		one.ID = id[:16]
		number := m.put(ceremony.KindIntent, &one).N
		made, tried, again := outcome, attack, found
		made.Intent, tried.Intent, again.Intent = number, number, number
		key := testfleet.SoftSigner(intent.Algorithm, fmt.Sprint("a key given up ", i)) // each is a new one
		made.PublicKey, again.PublicKey = key.Public.SPKI(), sha256.Sum256(key.Public.SPKI())
		m.put(ceremony.KindOutcome, &made)
		read := &ceremony.Attributes{}
		must(0, strict.DecodeJSON("", []byte(strings.ReplaceAll(attributes, old, hex.EncodeToString(one.ID))), 1<<20, read))
		read.Intent = number
		m.put(ceremony.KindAttributes, read)
		m.put(ceremony.KindNegativeTest, &tried)
		text := m.account.PossessionText(m.account.OpenIntent())
		m.put(ceremony.KindPossession, &ceremony.Possession{Intent: number, Signature: must(key.Sign(text))})
		again.Objects = []ceremony.Object{{Class: "private", ID: one.ID}, {Class: "public", ID: one.ID}}
		m.put(ceremony.KindFound, &again)
		if m.account.Fault != "" {
			panic(m.account.Fault)
		}
		m.put(ceremony.KindOutcome, &ceremony.Outcome{Intent: number, Result: ceremony.Destroyed, Reason: "again"})
	}
}

// stranger signs as nobody's officer, with a key on P-384: none takes longer.
type stranger struct {
	priv *ecdsa.PrivateKey
	key  *sshsig.Key
}

func newStranger() *stranger {
	priv := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	return &stranger{priv, must(sshsig.ParseBlob(must(ssh.NewPublicKey(priv.Public())).Marshal()))}
}

func (s *stranger) Sign(namespace string, message []byte) (*sshsig.Signature, error) {
	signer, err := ssh.NewSignerFromKey(s.priv)
	if err != nil {
		return nil, err
	}
	return sshsig.SignWith(s.key, namespace, message, func(signed []byte) ([]byte, error) {
		sig, err := signer.Sign(rand.Reader, signed)
		if err != nil {
			return nil, err
		}
		return ssh.Marshal(*sig), nil
	})
}

type signer interface {
	Sign(namespace string, message []byte) (*sshsig.Signature, error)
}

// approve adds n approvals of one act by strangers.
func approve(files evidence.Files, want ceremony.Approval, n int, by func(i int) signer) {
	want.Role = ceremony.Officer
	for i := range n {
		path := fmt.Sprintf("%s/%s-%d-stranger-%d", ceremony.ApprovalsDir, want.Act, want.Head.N, i)
		files[path] = want.Text()
		files[path+".sig"] = must(by(i).Sign(want.Namespace(), want.Text())).Armor()
	}
}
