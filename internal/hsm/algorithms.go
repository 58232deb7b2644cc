//go:build cgo && unix

package hsm

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/pkcs11"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/token"
)

// Constants of PKCS#11 3.0, and 3.2 where it is said, that miekg/pkcs11 lacks.
const (
	ckmMLKEMKeyPairGen        = 0xF   // 3.2
	ckmMLKEM                  = 0x17  // 3.2
	ckkMLKEM                  = 0x49  // 3.2
	ckaEncapsulate            = 0x633 // 3.2
	ckaDecapsulate            = 0x634 // 3.2
	ckmMLDSAKeyPairGen        = 0x1C  // 3.2
	ckmMLDSA                  = 0x1D  // 3.2
	ckkMLDSA                  = 0x4A  // 3.2
	ckaParameterSet           = 0x61D // 3.2
	ckaSeed                   = 0x637 // 3.2
	ckmECEdwardsKeyPairGen    = 0x1055
	ckmECMontgomeryKeyPairGen = 0x1056
	ckmEDDSA                  = 0x1057
	ckmXEDDSA                 = 0x1058
	ckmAESKeyWrapKWP          = 0x210B
	ckkECEdwards              = 0x40
	ckkECMontgomery           = 0x41
	ckoProfile                = 0x9
	ckoValidation             = 0xA // 3.2
)

// algorithm says how one kind of key is generated, recognised and used.
type algorithm struct {
	ways     []way
	curves   [][]byte // every CKA_EC_PARAMS that means this curve
	set      uint     // CKA_PARAMETER_SET of ML-DSA: 1, 2 or 3; of ML-KEM-768: 2
	sign     uint     // mechanism of a key that signs
	sigBytes int      // length of a signature from C_Sign
	derive   uint     // mechanism of a key that agrees by ECDH
	opens    uint     // mechanism of a key that agrees by taking a secret out of a ciphertext
}

// way is one form of the request to generate a key; modules differ in which they accept.
type way struct {
	mechanism, keyType uint
	params             []byte // CKA_EC_PARAMS
}

// CKA_EC_PARAMS: a named curve's OID or, since PKCS#11 3.0, its name.
var (
	oidP256       = []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}
	oidP384       = []byte{0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22}
	oidEd25519    = []byte{0x06, 0x03, 0x2b, 0x65, 0x70}
	oidX25519     = []byte{0x06, 0x03, 0x2b, 0x65, 0x6e}
	nameEd25519   = append([]byte{0x13, 12}, "edwards25519"...)
	nameX25519    = append([]byte{0x13, 10}, "curve25519"...)
	rsaExponent   = []byte{1, 0, 1}
	rsaBits       = uint(3072)
	pssParameters = pkcs11.NewPSSParams(pkcs11.CKM_SHA256, pkcs11.CKG_MGF1_SHA256, 32)
)

var algorithms = map[keys.Algorithm]algorithm{
	keys.Ed25519: {
		ways: []way{
			{ckmECEdwardsKeyPairGen, ckkECEdwards, oidEd25519},
			{ckmECEdwardsKeyPairGen, ckkECEdwards, nameEd25519},
		},
		curves: [][]byte{oidEd25519, nameEd25519},
		sign:   ckmEDDSA, sigBytes: 64,
	},
	keys.P256: {
		ways:   []way{{pkcs11.CKM_EC_KEY_PAIR_GEN, pkcs11.CKK_EC, oidP256}},
		curves: [][]byte{oidP256},
		sign:   pkcs11.CKM_ECDSA, sigBytes: 64,
	},
	keys.P384: {
		ways:   []way{{pkcs11.CKM_EC_KEY_PAIR_GEN, pkcs11.CKK_EC, oidP384}},
		curves: [][]byte{oidP384},
		sign:   pkcs11.CKM_ECDSA, sigBytes: 96,
	},
	keys.X25519: {
		ways: []way{
			{ckmECMontgomeryKeyPairGen, ckkECMontgomery, oidX25519},
			{ckmECMontgomeryKeyPairGen, ckkECMontgomery, nameX25519},
			{ckmECEdwardsKeyPairGen, ckkECEdwards, oidX25519}, // SoftHSM
		},
		curves: [][]byte{oidX25519, nameX25519},
		derive: pkcs11.CKM_ECDH1_DERIVE,
	},
	keys.ECDHP256: {
		ways:   []way{{pkcs11.CKM_EC_KEY_PAIR_GEN, pkcs11.CKK_EC, oidP256}},
		curves: [][]byte{oidP256},
		derive: pkcs11.CKM_ECDH1_DERIVE,
	},
	keys.RSA3072: {
		ways: []way{{pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, pkcs11.CKK_RSA, nil}},
		sign: pkcs11.CKM_RSA_PKCS_PSS, sigBytes: 384,
	},
	keys.MLDSA44: mldsa(1, keys.MLDSA44),
	keys.MLDSA65: mldsa(2, keys.MLDSA65),
	keys.MLDSA87: mldsa(3, keys.MLDSA87),
	keys.MLKEM768: {
		ways:  []way{{ckmMLKEMKeyPairGen, ckkMLKEM, nil}},
		set:   2,
		opens: ckmMLKEM,
	},
}

func mldsa(set uint, name keys.Algorithm) algorithm {
	return algorithm{ways: []way{{ckmMLDSAKeyPairGen, ckkMLDSA, nil}}, set: set, sign: ckmMLDSA, sigBytes: name.MaxSignature()}
}

func known(name string) (keys.Algorithm, algorithm, error) {
	a, ok := algorithms[keys.Algorithm(name)]
	if !ok {
		return "", a, fmt.Errorf("%q is no algorithm of a fleet key; there are %v", name, keys.Algorithms)
	}
	return keys.Algorithm(name), a, nil
}

// hasType says whether keys of this kind carry the CKA_KEY_TYPE.
func (a algorithm) hasType(keyType uint) bool {
	return slices.ContainsFunc(a.ways, func(w way) bool { return w.keyType == keyType })
}

func (a algorithm) hasCurve(params []byte) bool {
	return slices.ContainsFunc(a.curves, func(c []byte) bool { return bytes.Equal(c, params) })
}

// needs are the mechanisms that generate and use a key of this kind. The token must have
// one of each list.
func (a algorithm) needs() [][]uint {
	var generate []uint
	for _, w := range a.ways {
		if !slices.Contains(generate, w.mechanism) {
			generate = append(generate, w.mechanism)
		}
	}
	return [][]uint{generate, {cmp.Or(a.sign, a.derive, a.opens)}}
}

// IsTPM2 says whether the module is tpm2-pkcs11. It has no ECDH, so its keys agree by the
// TPM itself.
func (m *Module) IsTPM2() bool { return strings.Contains(m.Description(), "TPM2.0 Cryptoki") }

// Lacks names the mechanisms that a key of this kind needs and the token doesn't list, and
// the function where the module lacks it.
func (m *Module) Lacks(sel Selector, alg keys.Algorithm) ([]string, error) {
	_, a, err := known(string(alg))
	if err != nil {
		return nil, err
	}
	t, err := m.Token(sel)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	list, err := t.Mechanisms()
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, any := range a.needs() {
		if !slices.ContainsFunc(any, func(want uint) bool {
			return slices.ContainsFunc(list, func(x token.Mechanism) bool { return x.Name == mechanismName(want) })
		}) {
			missing = append(missing, mechanismName(any[0]))
		}
	}
	if a.opens != 0 && !m.lib.own.opens() {
		missing = append(missing, token.CallDecapsulate+" of PKCS#11 3.2 (by C_GetInterface)")
	}
	return missing, nil
}
