//go:build linux

package tpm_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/fleetctl/fleetctl/attest"
	at "github.com/fleetctl/fleetctl/attest/attesttest"
	"github.com/fleetctl/fleetctl/attest/tpm"
	"github.com/fleetctl/fleetctl/attest/tpm/tpmtest"
	"github.com/fleetctl/fleetctl/internal/testtpm"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// live is a TPM in software, with an endorsement key that its maker certified.
type live struct {
	t        *testing.T
	tpm      transport.TPM
	ek       *x509.Certificate
	makers   []*x509.Certificate // above it, the root last
	ak       *tpm2.CreatePrimaryResponse
	identity string
}

// startTPM starts swtpm with certificates of a maker of this test's own.
func startTPM(t *testing.T, name string) *live {
	t.Helper()
	maker := testtpm.NewMaker(t, t.TempDir())
	conn := must(net.Dial("tcp", maker.Start(name).Address))
	t.Cleanup(func() { conn.Close() })
	l := &live{t: t, tpm: transport.FromReadWriter(conn), makers: maker.Certified}
	l.readEK()
	return l
}

// readEK reads the endorsement key's certificate from the TPM.
func (l *live) readEK() {
	index := tpm2.TPMHandle(0x01c00002)
	public := must(tpm2.NVReadPublic{NVIndex: index}.Execute(l.tpm))
	var der []byte
	for size := must(public.NVPublic.Contents()).DataSize; len(der) < int(size); {
		r := must(tpm2.NVRead{
			AuthHandle: tpm2.AuthHandle{Handle: index, Name: public.NVName, Auth: tpm2.PasswordAuth(nil)},
			NVIndex:    tpm2.NamedHandle{Handle: index, Name: public.NVName}, Size: min(size-uint16(len(der)), 512), Offset: uint16(len(der)),
		}.Execute(l.tpm))
		der = append(der, r.Data.Buffer...)
	}
	l.ek = must(x509.ParseCertificate(der))
	id := sha256.Sum256(l.ek.RawSubjectPublicKeyInfo)
	l.identity = hex.EncodeToString(id[:])
}

// primary makes a key in a hierarchy.
func (l *live) primary(hierarchy tpm2.TPMHandle, attrs tpm2.TPMAObject, scheme tpm2.TPMTECCScheme) *tpm2.CreatePrimaryResponse {
	return must(tpm2.CreatePrimary{PrimaryHandle: hierarchy, InPublic: tpm2.New2B(tpm2.TPMTPublic{
		Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA256, ObjectAttributes: attrs,
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{CurveID: tpm2.TPMECCNistP256, Scheme: scheme}),
	})}.Execute(l.tpm))
}

var ecdsaSHA256 = tpm2.TPMTECCScheme{Scheme: tpm2.TPMAlgECDSA, Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256})}

// enrol makes the AK, has the TPM show that it and the endorsement key are in one
// TPM, and then certifies it, as an authority does.
func (l *live) enrol(authority *at.Cert) *at.Cert {
	l.ak = l.primary(tpm2.TPMRHEndorsement, tpmtest.AKAttrs, ecdsaSHA256)
	handle := tpm2.TPMHandle(0x81010001)
	public := must(tpm2.ReadPublic{ObjectHandle: handle}.Execute(l.tpm))
	area := must(public.OutPublic.Contents())
	if n := must(area.Unique.RSA()); !bytes.Equal(n.Buffer, l.ek.PublicKey.(*rsa.PublicKey).N.Bytes()) {
		l.t.Fatal("the certificate is of another endorsement key")
	}
	secret := []byte("what only this TPM can read")
	object, encrypted, err := tpm2.CreateCredential(rand.Reader, must(tpm2.ImportEncapsulationKey(area)), l.ak.Name.Buffer, secret)
	must(0, err)
	answer := must(tpm2.ActivateCredential{
		ActivateHandle: tpm2.AuthHandle{Handle: l.ak.ObjectHandle, Name: l.ak.Name, Auth: tpm2.PasswordAuth(nil)},
		KeyHandle: tpm2.AuthHandle{Handle: handle, Name: public.Name, Auth: tpm2.Policy(tpm2.TPMAlgSHA256, 16, tpm2.PolicyCallback(func(t transport.TPM, session tpm2.TPMISHPolicy, nonce tpm2.TPM2BNonce) error {
			_, err := tpm2.PolicySecret{AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: tpm2.PasswordAuth(nil)}, PolicySession: session, NonceTPM: nonce}.Execute(t)
			return err
		}))},
		CredentialBlob: tpm2.TPM2BIDObject{Buffer: object}, Secret: tpm2.TPM2BEncryptedSecret{Buffer: encrypted},
	}.Execute(l.tpm))
	if !bytes.Equal(answer.CertInfo.Buffer, secret) {
		l.t.Fatal("the TPM didn't show that the attestation key is in it")
	}
	return at.Issue(l.t, "", authority, keyOnly{l.point(l.ak)}, at.Leaf, func(c *x509.Certificate) {
		c.Subject = pkix.Name{CommonName: "AK", SerialNumber: l.identity}
		c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{2, 23, 133, 8, 3}}
		// The maker's certificates begin when the test runs: this is judged then too.
		c.NotBefore, c.NotAfter = l.ek.NotBefore.AddDate(0, 0, -1), l.ek.NotBefore.AddDate(0, 0, 1)
	})
}

// point is the public key of one on P-256.
func (l *live) point(r *tpm2.CreatePrimaryResponse) *ecdsa.PublicKey {
	u := must(must(r.OutPublic.Contents()).Unique.ECC())
	return must(ecdsa.ParseUncompressedPublicKey(at.P256(l.t).Curve, slices.Concat([]byte{4}, u.X.Buffer, u.Y.Buffer)))
}

// certify has the AK sign what the TPM says of a key, and packs the evidence.
func (l *live) certify(key *tpm2.CreatePrimaryResponse, cert, authority *at.Cert, nonce []byte) *attest.Evidence {
	r := must(tpm2.Certify{
		ObjectHandle:   tpm2.AuthHandle{Handle: key.ObjectHandle, Name: key.Name, Auth: tpm2.PasswordAuth(nil)},
		SignHandle:     tpm2.AuthHandle{Handle: l.ak.ObjectHandle, Name: l.ak.Name, Auth: tpm2.PasswordAuth(nil)},
		QualifyingData: tpm2.TPM2BData{Buffer: nonce}, InScheme: tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull},
	}.Execute(l.tpm))
	return &attest.Evidence{Format: tpm.Format, Parts: []attest.Part{
		{Name: tpm.PartAttest, Data: r.CertifyInfo.Bytes()}, {Name: tpm.PartSignature, Data: tpm2.Marshal(r.Signature)},
		{Name: tpm.PartPublic, Data: tpm2.Marshal(key.OutPublic)}, {Name: tpm.PartAKPublic, Data: tpm2.Marshal(l.ak.OutPublic)},
		{Name: tpm.PartAKCerts, Data: at.DER(cert.Certificate, authority.Certificate)}, {Name: tpm.PartEKCerts, Data: at.DER(append([]*x509.Certificate{l.ek}, l.makers...)...)},
	}}
}

func TestATPMsKeyIsAttestedForOurNonce(t *testing.T) {
	authority := at.Issue(t, "AK authority", nil, at.P256(t))
	first, second := startTPM(t, "hsm-1"), startTPM(t, "hsm-2")
	cert, other := first.enrol(authority), second.enrol(authority)
	anchors := at.Pin(t, tpm.Format, authority.Certificate).All()
	anchors = append(anchors, at.Pin(t, tpm.EKFormat, first.makers[1]).All()...)
	pinned := must(attest.NewAnchors(anchors...))

	key := first.primary(tpm2.TPMRHOwner, tpmtest.KeyAttrs, tpm2.TPMTECCScheme{Scheme: tpm2.TPMAlgNull})
	spki := at.SPKI(t, first.point(key))
	nonce := attest.Nonce([32]byte{1}, sha256.Sum256(spki), first.identity)
	demand := at.Kept(attest.Fresh, spki, first.identity)
	demand.SignOnly, demand.Vendors, demand.Models, demand.LeastFirmware, demand.Understood = true, []string{"id:00001014"}, []string{"swtpm"}, "1", true
	judge := func(e *attest.Evidence) []string {
		claims, err := attest.Check(tpm.Verifier{}, attest.Input{Evidence: e, Anchors: pinned, At: first.ek.NotBefore, Nonce: nonce[:]})
		if err != nil {
			return []string{err.Error()}
		}
		var list []string
		for _, p := range attest.Judge(claims, demand) {
			list = append(list, p.String())
		}
		return list
	}
	if got := judge(first.certify(key, cert, authority, nonce[:])); len(got) > 0 {
		t.Errorf("the key with our nonce: %q", got)
	}
	refused := func(name, want string, e *attest.Evidence) {
		t.Helper()
		if got := judge(e); len(got) == 0 || !strings.Contains(strings.Join(got, "; "), want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	refused("before the nonce was known", "stale: the evidence answers", first.certify(key, cert, authority, []byte("yesterday's")))
	free := tpmtest.KeyAttrs
	free.FixedTPM, free.FixedParent = false, false
	loose := first.primary(tpm2.TPMRHOwner, free, tpm2.TPMTECCScheme{Scheme: tpm2.TPMAlgNull})
	refused("a key that can be duplicated", "extractable: true, and false is demanded", first.certify(loose, cert, authority, nonce[:]))
	elsewhere := second.primary(tpm2.TPMRHOwner, tpmtest.KeyAttrs, tpm2.TPMTECCScheme{Scheme: tpm2.TPMAlgNull})
	refused("another TPM's key", "identity: the evidence is of device "+second.identity[:8], at.Without(second.certify(elsewhere, other, authority, nonce[:]), tpm.PartEKCerts))
	refused("another TPM's attestation key's certificate", "signature: it does not verify with the attestation key", at.Replaced(first.certify(key, cert, authority, nonce[:]), tpm.PartAKCerts, at.DER(other.Certificate, authority.Certificate)))
}

// keyOnly is the public half alone, for a certificate that somebody else signs.
type keyOnly struct{ pub *ecdsa.PublicKey }

func (k keyOnly) Public() crypto.PublicKey { return k.pub }

func (k keyOnly) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("the private half is in a TPM")
}
