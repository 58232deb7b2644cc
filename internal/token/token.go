// Package token is the vocabulary of a PKCS#11 token: what the ceremony asks
// one for and what it answers, in plain data. It lets the engine speak of
// tokens without knowing the library, and the library serve the engine
// without knowing the ceremony.
package token

import "errors"

// ErrNotTried says that a PIN was not sent to its token, which would not have taken
// it: no try was used up, and the token has refused nothing.
var ErrNotTried = errors.New("it was not tried")

// Info is what a token says of itself (PKCS#11 2.40, CK_TOKEN_INFO). Nothing
// of it is authenticated.
type Info struct {
	Module       string // path of the PKCS#11 library
	Slot         uint   // not stable across restarts: for messages only
	Label        string
	Manufacturer string
	Model        string
	Serial       string
	Hardware     string // "major.minor"
	Firmware     string // "major.minor"

	Initialized   bool
	LoginRequired bool
	ProtectedPIN  bool // the PIN is typed at the device, CKF_PROTECTED_AUTHENTICATION_PATH
	PINLow        bool // a wrong PIN was tried since the last right one
	PINFinalTry   bool // the next wrong PIN locks the token
	PINLocked     bool
}

// Key algorithms are named as in internal/keys: ed25519, ecdsa-p256,
// ecdsa-p384, x25519, rsa-3072, ecdh-p256, ml-dsa-44, ml-kem-768.

// Attribute names are those of PKCS#11 without their CKA_ prefix.
const (
	Sensitive        = "SENSITIVE"
	Extractable      = "EXTRACTABLE"
	NeverExtractable = "NEVER_EXTRACTABLE"
	AlwaysSensitive  = "ALWAYS_SENSITIVE"
	Local            = "LOCAL"
	Private          = "PRIVATE"
	Token            = "TOKEN"
	Modifiable       = "MODIFIABLE"
	Copyable         = "COPYABLE"
	Destroyable      = "DESTROYABLE"
	Sign             = "SIGN"
	SignRecover      = "SIGN_RECOVER"
	Decrypt          = "DECRYPT"
	Unwrap           = "UNWRAP"
	Derive           = "DERIVE"
	Decapsulate      = "DECAPSULATE" // of a key that agrees by ML-KEM (PKCS#11 3.2)
)

// KeySpec is a key pair to be generated.
type KeySpec struct {
	Algorithm string
	ID        []byte // CKA_ID, fixed before generation and for good
	Label     string
	// Attributes of the private key, each given explicitly. Only names in
	// Optional may be left out when the token doesn't know them.
	Attributes []Setting
	Optional   []string
}

// Setting is a boolean attribute asked for, as an intent records it.
type Setting struct {
	Name  string `strict:"name,token"`
	Value bool   `strict:"value"`
}

// Generated is the answer to a KeySpec.
type Generated struct {
	SPKI      []byte   // DER SubjectPublicKeyInfo, admitted by internal/keys
	Mechanism string   // such as CKM_EC_EDWARDS_KEY_PAIR_GEN
	Dropped   []string // optional attributes that the token didn't know
}

// Reading is one attribute read back, or the return code that came instead.
type Reading struct {
	Name  string
	Value string // "true", "false", or lowercase hex
	Code  string // such as CKR_ATTRIBUTE_TYPE_INVALID; empty where Value was read
}

// Object is one object found on a token.
type Object struct {
	Class string // private, public, secret, certificate, data, other
	ID    []byte
	Label string
}

// Attempt is one try to take a private key out of its token.
type Attempt struct {
	Name string // what was tried: export, wrap-aes-kw, copy-extractable, …
	Call string // the PKCS#11 function that decided, such as C_WrapKey
	Code string // its return code by name; CKR_OK means that the key got out
	// Unstaged says why the attempt couldn't be made, such as a token that
	// has no key to wrap with. Code is the one that prevented it.
	Unstaged bool
}

// Relaxed is what became of a key that its token let be weakened after it was
// generated: it was read and attacked in that state, set back, and read again.
type Relaxed struct {
	Names    []string  // the attempts that succeeded, such as TryRelaxExtractable
	While    []Reading // of the private half, with what they set
	Attempts []Attempt // those to export, to wrap and to copy, made again
	Restored []Attempt // setting back what each of Names had set
	After    []Reading // of the private half, set back
}

// Mechanism is one mechanism a token offers.
type Mechanism struct {
	Name     string // CKM_…, or hex where it has no name here
	MinKey   uint
	MaxKey   uint
	Generate bool // CKF_GENERATE_KEY_PAIR or CKF_GENERATE
	Sign     bool
	Derive   bool
	Wrap     bool
}

// The attempts to take a key out, in the order they are made.
const (
	TryExport           = "export"
	TryWrapKW           = "wrap-aes-kw"
	TryWrapKWP          = "wrap-aes-kwp"
	TryWrapCBC          = "wrap-aes-cbc-pad"
	TryCopyExtractable  = "copy-extractable"
	TryCopyInsensitive  = "copy-insensitive"
	TrySign             = "sign"                // of a key that agrees
	TryAgreeInvalid     = "agree-invalid-point" // of a key that agrees by ECDH
	TryRelaxExtractable = "relax-extractable"
	TryRelaxSensitive   = "relax-sensitive"

	// TryDecapsulateInvalid is of a key that agrees by ML-KEM, in place of TryAgreeInvalid:
	// with a ciphertext that is too short.
	TryDecapsulateInvalid = "decapsulate-invalid-ciphertext"
)

// The attempts of a destruction.
const (
	TryDestroy = "destroy-"       // and the half
	TryUse     = "use-old-handle" // of the private half, once it is destroyed
)

// The searches for a key that was destroyed.
const (
	ByID        = "cka-id"
	ByClass     = "class" // every key of both classes, each CKA_ID and public key read
	ByPublicKey = "public-key"
)

// Destroyed is what came of the destruction of a key pair.
type Destroyed struct {
	Held     []string // the halves that were there right before
	Attempts []Attempt
	Found    []int // by each of the searches, in their order
}

// The PKCS#11 functions that decide attempts.
const (
	CallGet      = "C_GetAttributeValue"
	CallWrap     = "C_WrapKey"
	CallGenerate = "C_GenerateKey" // of a key to wrap with
	CallCopy     = "C_CopyObject"
	CallSet      = "C_SetAttributeValue"
	CallSignInit = "C_SignInit"
	CallSign     = "C_Sign"
	CallDestroy  = "C_DestroyObject"
	CallDerive   = "C_DeriveKey"
	// Of a key that agrees by ML-KEM.
	CallDecapsulate = "C_DecapsulateKey"
	// Of a key that agrees by the TPM itself, which is asked without its module.
	CallTPMSign  = "TPM2_Sign"
	CallTPMAgree = "TPM2_ECDH_ZGen"
)

// The answers of a TPM that decide an attempt (TPM 2.0 Library, part 2, 6.6).
const (
	TPMSuccess    = "TPM_RC_SUCCESS"
	TPMKey        = "TPM_RC_KEY"
	TPMAttributes = "TPM_RC_ATTRIBUTES"
	TPMPoint      = "TPM_RC_ECC_POINT"
)

// TPMCodes are all of them. Any other shows nothing of the key.
var TPMCodes = []string{TPMSuccess, TPMKey, TPMAttributes, TPMPoint}

// UnstagedWrap are the return codes to an attempt to wrap that say something
// about the means to wrap and nothing about the key. Only wrapping needs such
// means: a token that has no function to copy or to change a key refuses to.
var UnstagedWrap = []string{
	"CKR_FUNCTION_NOT_SUPPORTED", "CKR_MECHANISM_INVALID", "CKR_MECHANISM_PARAM_INVALID",
	"CKR_WRAPPING_KEY_HANDLE_INVALID", "CKR_WRAPPING_KEY_SIZE_RANGE", "CKR_WRAPPING_KEY_TYPE_INCONSISTENT",
}

// UnstagedGenerate are the return codes, to an attempt to make a key to wrap with,
// that say that the token makes no such keys. Any other code, such as that of a
// failing device, shows nothing.
var UnstagedGenerate = []string{
	"CKR_MECHANISM_INVALID", "CKR_FUNCTION_NOT_SUPPORTED", "CKR_ATTRIBUTE_TYPE_INVALID", "CKR_TEMPLATE_INCONSISTENT",
	"CKR_ATTRIBUTE_VALUE_INVALID", "CKR_KEY_SIZE_RANGE", "CKR_SESSION_READ_ONLY", "CKR_KEY_FUNCTION_NOT_PERMITTED",
}
