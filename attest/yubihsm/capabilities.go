package yubihsm

import (
	"math/bits"
	"strings"

	"github.com/fleetctl/fleetctl/attest"
)

// The bits of an object's capabilities that decide something here.
const (
	capSignPKCS      = 5
	capSignPSS       = 6
	capSignECDSA     = 7
	capSignEDDSA     = 8
	capDecryptPKCS   = 9
	capDecryptOAEP   = 10
	capDeriveECDH    = 11
	capExportWrapped = 12
	capImportWrapped = 13
	capExportable    = 16
	capWrapData      = 37
	capUnwrapData    = 38
)

// capabilityNames are Yubico's, by bit.
func capabilityNames() []string {
	return strings.Fields(`
get-opaque put-opaque put-authentication-key put-asymmetric-key generate-asymmetric-key sign-pkcs sign-pss sign-ecdsa
sign-eddsa decrypt-pkcs decrypt-oaep derive-ecdh export-wrapped import-wrapped put-wrap-key generate-wrap-key
exportable-under-wrap set-option get-option get-pseudo-random put-mac-key generate-hmac-key sign-hmac verify-hmac
get-log-entries sign-ssh-certificate get-template put-template reset-device decrypt-otp create-otp-aead randomize-otp-aead
rewrap-from-otp-aead-key rewrap-to-otp-aead-key sign-attestation-certificate put-otp-aead-key generate-otp-aead-key
wrap-data unwrap-data delete-opaque
delete-authentication-key delete-asymmetric-key delete-wrap-key delete-hmac-key delete-template delete-otp-aead-key
change-authentication-key put-symmetric-key
generate-symmetric-key delete-symmetric-key decrypt-ecb encrypt-ecb decrypt-cbc encrypt-cbc`)
}

func (k *attestedKey) may(bit int) bool { return k.Capabilities>>bit&1 == 1 }

// exportable says whether the private half can leave the device under a wrap key. A
// key that may export others counts as exportable too, because no signing key has
// that capability.
func (k *attestedKey) exportable() bool { return k.may(capExportable) || k.may(capExportWrapped) }

// neverExtractable says whether the key was never exportable. Capabilities are given
// when an object is made and can't be changed, so a key that was generated here and
// isn't exportable never was. For a key that was brought in, nobody knows.
func (k *attestedKey) neverExtractable() attest.Answer {
	switch {
	case k.exportable():
		return attest.False
	case k.Origin != originGenerated:
		return attest.NotShown
	}
	return attest.True
}

func (k *attestedKey) purpose() attest.Purpose {
	return attest.Purpose{
		Sign:    attest.Of(k.may(capSignPKCS) || k.may(capSignPSS) || k.may(capSignECDSA) || k.may(capSignEDDSA)),
		Decrypt: attest.Of(k.may(capDecryptPKCS) || k.may(capDecryptOAEP)),
		Wrap:    attest.Of(k.may(capExportWrapped) || k.may(capWrapData)),
		Unwrap:  attest.Of(k.may(capImportWrapped) || k.may(capUnwrapData)),
		Derive:  attest.Of(k.may(capDeriveECDH)),
	}
}

func (k *attestedKey) capabilities() string {
	var list []string
	names := capabilityNames()
	for n := k.Capabilities; n != 0; n &= n - 1 {
		if bit := bits.TrailingZeros64(n); bit < len(names) {
			list = append(list, names[bit])
		}
	}
	return strings.Join(list, ", ")
}
