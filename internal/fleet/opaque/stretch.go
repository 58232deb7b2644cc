package opaque

import "golang.org/x/crypto/argon2"

// Stretch makes each try of a password cost the one who tries: from the OPRF's output,
// on the device alone.
type Stretch func(output []byte) []byte

// Argon2id stretches as RFC 9807, section 7, recommends: 2 GiB of memory, one pass, four
// lanes. A password wants it.
func Argon2id(output []byte) []byte {
	return argon2.IDKey(output, make([]byte, 16), 1, 1<<21, 4, uint32(len(output)))
}

// Argon2idSmall is for devices without 2 GiB to spare: RFC 9106's second recommended
// option, 64 MiB and three passes.
func Argon2idSmall(output []byte) []byte {
	return argon2.IDKey(output, make([]byte, 16), 3, 1<<16, 4, uint32(len(output)))
}

// Identity doesn't stretch. It is for secrets with as much randomness as a key has, such
// as a recovery code, and for measuring all else; never for a password.
func Identity(output []byte) []byte { return append([]byte(nil), output...) }
