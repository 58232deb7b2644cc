//go:build unix

package witness_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/monitor"
	"github.com/fleetctl/fleetctl/auditlog/rekor"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testrekor"
	"github.com/fleetctl/fleetctl/internal/testwitness"
)

// TestRekorIsCosignedByARealWitness: rekor-tiles has its checkpoints cosigned
// by torchwood's witness; the entry is verified when both are gone.
func TestRekorIsCosignedByARealWitness(t *testing.T) {
	testwitness.Need(t)
	const origin = "rekor-local"
	public, private, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	der, err := x509.MarshalPKIXPublicKey(public)
	check(t, err)
	log, err := auditlog.NewRekorLog(auditlog.RekorV2, origin, string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	check(t, err)
	lite := testwitness.Litewitness(t, origin, log.VKey(), "witness.example/lite")
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	check(t, err)
	server, stop := testrekor.Witnessed(t, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), lite+"quorum lite\n")
	witnesses := func(lines string) *auditlog.Policy {
		p, err := auditlog.ParsePolicy("witnesses", []byte(lines))
		check(t, err)
		return p
	}
	pinned := witnesses(lite + "quorum lite\n")

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	submitter, err := keys.ParseSPKI(testrekor.SPKI(key))
	check(t, err)
	c, err := rekor.New(log, rekor.Options{URL: server.URL})
	check(t, err)
	var bundles, files [][]byte
	for i := range 3 {
		bundle := fmt.Appendf(nil, "bundle %d", i)
		r, err := c.Append(context.Background(), bundle, auditlog.NewRekorEnvelope(bundle, testrekor.LowS(key, auditlog.RekorMessage(bundle))), submitter)
		check(t, err)
		bundles, files = append(bundles, bundle), append(files, r.Entry.Marshal())
	}
	m, err := monitor.NewRekor(server.URL, nil, log, pinned, 0, func() monitor.Judge { return nobody{} }, monitor.Options{State: t.TempDir(), First: true, Unwitnessed: true})
	check(t, err)
	if seen, alarms, err := m.Pass(context.Background()); err != nil || len(alarms) > 0 || seen.Entries != 3 || !seen.Quorum {
		t.Errorf("a monitor sees %+v, %v, %v", seen, alarms, err)
	}
	stop()

	refused := 0
	for i, file := range files {
		verify := func(file []byte, p *auditlog.Policy) (*auditlog.RekorInclusion, error) {
			e, err := auditlog.ParseRekorEntry("entry", file)
			if err != nil {
				return nil, err
			}
			return log.Verify(bundles[i], e, []*keys.Public{submitter}, p)
		}
		in, err := verify(file, pinned)
		if err != nil || !in.Quorum || len(in.Witnesses) != 1 || time.Since(in.QuorumTime).Abs() > 5*time.Minute {
			t.Fatalf("entry %d: %+v, %v", i, in, err)
		}
		// Of a witness that nobody pins it is nothing, and no error.
		if in, err := verify(file, witnesses("witness w "+strangersVKey(t)+"\nquorum w\n")); err != nil || in.Quorum || len(in.Missing) != 1 {
			t.Errorf("entry %d, another witness pinned: %+v, %v", i, in, err)
		}
		e, err := auditlog.ParseRekorEntry("entry", file)
		check(t, err)
		if len(e.Checkpoint.Signatures) != 2 {
			t.Fatalf("entry %d: %d signature lines", i, len(e.Checkpoint.Signatures))
		}
		// Every bit of either signature, the witness's time among them.
		for s := range e.Checkpoint.Signatures {
			raw := e.Checkpoint.Signatures[s].Raw
			for bit := range 8 * len(raw) {
				raw[bit/8] ^= 1 << (bit % 8)
				changed := e.Marshal()
				raw[bit/8] ^= 1 << (bit % 8)
				if in, err := verify(changed, pinned); err == nil {
					t.Fatalf("entry %d: verified with bit %d of signature %d changed: %+v", i, bit, s, in)
				}
				refused++
			}
		}
		if !bytes.Equal(e.Marshal(), file) {
			t.Fatal("the entry was not put back")
		}
	}
	t.Logf("3 entries cosigned and verified offline, %d changed signatures refused", refused)
}

// nobody judges nothing.
type nobody struct{}

func (nobody) Read(uint64, []byte) any            { return nil }
func (nobody) Take(uint64, any) []monitor.Finding { return nil }
func (nobody) Overdue() []monitor.Finding         { return nil }
func (nobody) State() string                      { return "" }
func (nobody) Restore(string) error               { return nil }

func strangersVKey(t *testing.T) string {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	v, err := auditlog.NewVerifier("witness.example/stranger", auditlog.Ed25519Cosignature, public)
	check(t, err)
	return v.String()
}
