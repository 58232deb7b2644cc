package tpm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"

	_ "crypto/sha1" // old TPMs sign over it: attest.QuirkSHA1
)

const (
	magicTPM    = 0xff544347 // TPM_GENERATED_VALUE: a restricted key signs data that begins with it only if the TPM made that data
	typeCertify = 0x8017     // TPM_ST_ATTEST_CERTIFY
	endorsement = 0x4000000b // TPM_RH_ENDORSEMENT
)

// certify is the TPMS_ATTEST that TPM2_Certify returns.
type certify struct {
	signer           []byte // the signing key's qualified name
	nonce            []byte
	clock            uint64
	resets, restarts uint32
	safe             bool
	firmware         uint64
	name, qualified  []byte // the certified key's
}

func parseCertify(data []byte) (*certify, error) {
	w := &wire{rest: data}
	if m := w.u32(); m != magicTPM {
		w.fail("it begins with %#08x and not as what a TPM makes", m)
	}
	if t := w.u16(); t != typeCertify {
		w.fail("a structure of the type %#04x, not of TPM2_Certify", t)
	}
	c := &certify{}
	c.signer = w.qualifiedName("the signer's name")
	c.nonce = w.buffer("extraData", 64)
	c.clock, c.resets, c.restarts = w.u64(), w.u32(), w.u32()
	switch safe := w.u8(); safe {
	case 0, 1:
		c.safe = safe == 1
	default:
		w.fail("a clock that is safe %d", safe)
	}
	c.firmware = w.u64()
	c.name, c.qualified = w.qualifiedName("the key's name"), w.qualifiedName("the key's qualified name")
	if err := w.done("attest"); err != nil {
		return nil, err
	}
	return c, nil
}

// qualifiedName reads a TPM2B_NAME that consists of an algorithm and a digest, not of a
// handle.
func (w *wire) qualifiedName(what string) []byte {
	b := w.buffer(what, 66)
	if w.err != nil {
		return nil
	}
	if len(b) < 2 || hashes(binary.BigEndian.Uint16(b)) == 0 || len(b) != 2+hashes(binary.BigEndian.Uint16(b)).Size() {
		w.fail("%s is no algorithm and digest", what)
	}
	return b
}

// primaryOf is the qualified name of a hierarchy's primary key.
func primaryOf(hierarchy uint32, name []byte) []byte {
	alg := binary.BigEndian.Uint16(name)
	h := hashes(alg).New()
	h.Write(binary.BigEndian.AppendUint32(nil, hierarchy))
	h.Write(name)
	return h.Sum(binary.BigEndian.AppendUint16(nil, alg))
}

// verifySignature checks a TPMT_SIGNATURE over attest. The key determines the algorithm.
// weak says that the signature is over SHA-1.
func verifySignature(key crypto.PublicKey, attest, sig []byte) (weak bool, err error) {
	w := &wire{rest: sig}
	alg, id := w.u16(), w.u16()
	h := hashes(id)
	if h == 0 {
		w.fail("the hash %#04x is not taken", id)
	}
	if w.err != nil {
		return false, w.done("signature")
	}
	sum := h.New()
	sum.Write(attest)
	digest := sum.Sum(nil)
	ok := false
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if alg != algECDSA {
			w.fail("the scheme %#04x, with a key on a curve", alg)
		}
		r, s := w.buffer("r", 66), w.buffer("s", 66)
		ok = w.err == nil && ecdsa.Verify(key, digest, new(big.Int).SetBytes(r), new(big.Int).SetBytes(s))
	case *rsa.PublicKey:
		b := w.buffer("a signature", 1024)
		switch alg {
		case algRSASSA:
			ok = rsa.VerifyPKCS1v15(key, h, digest, b) == nil
		case algRSAPSS:
			ok = rsa.VerifyPSS(key, h, digest, b, nil) == nil
		default:
			w.fail("the scheme %#04x, with an RSA key", alg)
		}
	default:
		return false, fmt.Errorf("the attestation key is of a kind that no TPM has (%T)", key)
	}
	if err := w.done("signature"); err != nil {
		return false, err
	}
	if !ok {
		return false, errors.New("signature: it does not verify with the attestation key")
	}
	return h == crypto.SHA1, nil
}
