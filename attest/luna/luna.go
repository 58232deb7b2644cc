// Package luna reads the public key confirmations (PKC) of Thales' Luna HSMs:
// certificates, from that of the key up to the manufacturer's root, in a PKCS#7
// message.
//
// According to Thales, an HSM makes a confirmation only for a key that it generated
// and that can't be exported; no field of the confirmation says so. The format has
// no field for a nonce.
package luna

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/devicecert"
)

// Format is the name of evidence that this package reads.
const Format = "luna-pkc"

// PartConfirmation is the only part of the evidence.
const PartConfirmation = "confirmation"

// QuirkUnsignedInteger is a fault of the signature on the key's certificate: a
// number whose first bit is set lacks the zero byte in front of it, so by the rules
// of DER it is negative. Luna HSMs write such signatures with P-384 keys.
const QuirkUnsignedInteger = "ecdsa-integer-without-its-zero"

// Chrysalis' extensions, below arc, and purposes, below purposes.
const (
	extSerial   = 1
	extFirmware = 3

	extKeyUsage = "2.5.29.37" // extended key usage: checked by position
)

var (
	arc      = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 12383, 2}
	purposes = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 12383, 1}
)

// Purposes of certificates: the last number of their object identifiers, which lie
// below purposes.
const (
	purposeRoot     = 1
	purposeMaker    = 7
	purposeOrigin   = 8
	purposeDevice   = 12
	purposeKey      = 13
	purposeMakerEC  = 14
	purposeOriginEC = 15
)

// chains are the two possible chains, as lists of their certificates' purposes.
var chains = [][]int{
	{purposeKey, purposeDevice, purposeOrigin, purposeMaker, purposeRoot},
	{purposeKey, purposeOriginEC, purposeMakerEC},
}

// Verifier is the format's attest.Verifier.
type Verifier struct{}

// Format is the format's name.
func (Verifier) Format() string { return Format }

// Parts gives the confirmation.
func (Verifier) Parts() []attest.PartRule {
	return []attest.PartRule{
		{Name: PartConfirmation, Max: 32 << 10, What: "the public key confirmation, as cmu getpkc writes it (PKCS#7 in DER)"},
	}
}

// Verify checks the chain, each certificate's purpose, and that all certificates
// belong to the same HSM.
func (Verifier) Verify(in attest.Input) (*attest.Claims, error) {
	bag, err := parseBag(in.Evidence.Part(PartConfirmation))
	if err != nil {
		return nil, err
	}
	certs, err := attest.ParseCertificates(bag)
	if err != nil {
		return nil, err
	}
	if err := checkPurposes(certs); err != nil {
		return nil, err
	}
	path, err := attest.Chain{Format: Format, Certs: certs, Quirks: []string{attest.QuirkNoBasicConstraints, QuirkUnsignedInteger},
		Signature: func(child, parent *x509.Certificate) (string, error) {
			if child != certs[0] {
				return "", nil // only the HSM itself writes such signatures
			}
			return unsignedInteger(child, parent), nil
		}}.Verify(in.Anchors, in.At)
	if err != nil {
		return nil, err
	}
	c, err := read(certs)
	if err != nil {
		return nil, err
	}
	path.Into(c)
	return c, nil
}

// checkPurposes checks that the chain is one of the two possible ones. Each
// certificate has one purpose, and none may stand in the place of another.
func checkPurposes(certs []*x509.Certificate) error {
	var have []int
	for i, c := range certs {
		if len(c.ExtKeyUsage) > 0 || len(c.UnknownExtKeyUsage) != 1 || len(c.UnknownExtKeyUsage[0]) != len(purposes)+1 || !slices.Equal(c.UnknownExtKeyUsage[0][:len(purposes)], purposes) {
			return fmt.Errorf("certificate %d has not exactly one purpose, of those of Luna HSMs (below %v)", i, purposes)
		}
		have = append(have, c.UnknownExtKeyUsage[0][len(purposes)])
	}
	if !slices.ContainsFunc(chains, func(want []int) bool { return slices.Equal(have, want) }) {
		return fmt.Errorf("the certificates' purposes are %v; the chains that Luna HSMs have are of %v", have, chains)
	}
	return nil
}

// read reads the key's certificate and checks that the HSM above it issued it.
func read(certs []*x509.Certificate) (*attest.Claims, error) {
	leaf := certs[0]
	f := devicecert.Read(leaf, arc)
	b, err := f.Plain(extSerial, "HSM's serial number", 4)
	if err != nil {
		return nil, err
	}
	number := binary.LittleEndian.Uint32(b)
	if number == 0 {
		return nil, errors.New("the HSM's serial number is 0, which says nothing")
	}
	object, err := devicecert.CommonName(leaf)
	if err != nil {
		return nil, err
	}
	id, err := hex.DecodeString(object)
	if err != nil || len(id) != 12 || binary.LittleEndian.Uint32(id[8:]) != number {
		return nil, fmt.Errorf("the certificate is named %q, which isn't an object of the HSM %d", object, number)
	}
	if err := checkDevice(certs[1], b, number); err != nil {
		return nil, err
	}
	serial := fmt.Sprint(number)
	c := &attest.Claims{
		Key: attest.Key{
			Identifier: object,
			SPKI:       leaf.RawSubjectPublicKeyInfo,
			// That the HSM made a confirmation says so: see the package's comment.
			Local: attest.True, Sensitive: attest.True, Extractable: attest.False, NeverExtractable: attest.True,
		},
		Platform: attest.Platform{Vendor: "thales", Model: "Luna", Serial: serial, Identity: serial},
		Details:  []attest.Detail{{Name: "cloning", Value: "not shown: within a cloning domain a Luna HSM gives keys to other Luna HSMs"}},
	}
	if leaf.KeyUsage&x509.KeyUsageDigitalSignature != 0 {
		c.Key.Purpose.Sign = attest.True
	}
	if f.Has(extFirmware) {
		v, err := f.Plain(extFirmware, "firmware version", 4)
		if err != nil {
			return nil, err
		}
		// Thales' own validator writes 54 00 07 00 as "784". Where the dots belong isn't published.
		c.Details = append(c.Details, attest.Detail{Name: "firmware", Value: fmt.Sprintf("%d%d, as Thales' validator writes it", v[2], v[0])})
	}
	for i, cert := range certs[:len(certs)-1] {
		fields := f
		if i > 0 {
			fields = devicecert.Read(cert, arc)
			if fields.Has(extSerial) {
				_, _ = fields.Raw(extSerial, "") // checkDevice reads it
			}
		}
		for _, id := range fields.Unknown() {
			if id != extKeyUsage {
				c.Unknown = append(c.Unknown, attest.Unknown{Where: fmt.Sprintf("certificate %d", i), What: "extension " + id})
			}
		}
	}
	return c, nil
}

// checkDevice checks that the certificate above the key's belongs to the HSM with that serial number.
func checkDevice(c *x509.Certificate, serial []byte, number uint32) error {
	name, err := devicecert.CommonName(c)
	if err != nil {
		return err
	}
	if c.UnknownExtKeyUsage[0][len(purposes)] == purposeOriginEC {
		if name != fmt.Sprint(number) {
			return fmt.Errorf("the key is confirmed for the HSM %d, by the HSM %q", number, name)
		}
		return nil
	}
	above, err := devicecert.Read(c, arc).Plain(extSerial, "HSM's serial number", 4)
	if err != nil {
		return fmt.Errorf("the device's certificate: %w", err)
	}
	// It is named for the model and the serial number: "Luna K7-521174".
	if !slices.Equal(above, serial) || !strings.HasSuffix(name, fmt.Sprintf("-%d", number)) {
		return fmt.Errorf("the key is confirmed for the HSM %d, by the HSM %d (%q)", number, binary.LittleEndian.Uint32(above), name)
	}
	return nil
}

// unsignedInteger verifies a signature in which only the zero byte in front of a
// number is missing. If it verifies, it names the quirk.
func unsignedInteger(child, parent *x509.Certificate) string {
	key, ok := parent.PublicKey.(*ecdsa.PublicKey)
	hash := map[x509.SignatureAlgorithm]crypto.Hash{
		x509.ECDSAWithSHA256: crypto.SHA256, x509.ECDSAWithSHA384: crypto.SHA384, x509.ECDSAWithSHA512: crypto.SHA512}[child.SignatureAlgorithm]
	if !ok || hash == 0 {
		return ""
	}
	var pair struct{ R, S asn1.RawValue }
	if rest, err := asn1.Unmarshal(child.Signature, &pair); err != nil || len(rest) > 0 {
		return ""
	}
	var numbers [2]*big.Int
	most := (key.Curve.Params().BitSize + 7) / 8
	for i, v := range []asn1.RawValue{pair.R, pair.S} {
		b := v.Bytes
		if v.Class != asn1.ClassUniversal || v.Tag != asn1.TagInteger || v.IsCompound || len(b) == 0 || len(b) > most+1 || len(b) > 1 && b[0] == 0 && b[1]&0x80 == 0 {
			return ""
		}
		numbers[i] = new(big.Int).SetBytes(b)
	}
	sig, err := asn1.Marshal(struct{ R, S *big.Int }{numbers[0], numbers[1]})
	if err != nil {
		return ""
	}
	h := hash.New()
	h.Write(child.RawTBSCertificate)
	if !ecdsa.VerifyASN1(key, h.Sum(nil), sig) {
		return ""
	}
	return QuirkUnsignedInteger
}
