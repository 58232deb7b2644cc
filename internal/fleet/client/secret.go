package client

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"unicode/utf8"
)

// Secret is what a person has to recover a key with: a recovery code or a password.
type Secret struct{ kind, text string }

// codeDigits is the length of a recovery code, of which the last two check the others.
const codeDigits = 64

// NewCode draws a recovery code: 64 digits in groups of four, 62 of them random (206
// bits). The last two are a checksum, so that a slip of the pen uses no guess.
func NewCode(random io.Reader) (string, error) {
	n, err := rand.Int(random, new(big.Int).Exp(big.NewInt(10), big.NewInt(codeDigits-2), nil))
	if err != nil {
		return "", fmt.Errorf("no randomness: %w", err)
	}
	digits := fmt.Sprintf("%0*d", codeDigits-2, n)
	digits += fmt.Sprintf("%02d", checksum(digits))
	var groups []string
	for ; digits != ""; digits = digits[4:] {
		groups = append(groups, digits[:4])
	}
	return strings.Join(groups, " "), nil
}

// checksum is that of ISO 7064, MOD 97-10: it finds each wrong digit and each two that
// were swapped.
func checksum(digits string) int {
	n := 0
	for _, c := range digits {
		n = (n*10 + int(c-'0')) % 97
	}
	return (98 - n*100%97) % 97
}

// ParseCode reads a recovery code as a person types it: 64 digits, with spaces, line
// ends and hyphens wherever they like.
func ParseCode(text string) (Secret, error) {
	if len(text) > 1024 {
		return Secret{}, errors.New("the recovery code has more than 1024 characters; it is 64 digits")
	}
	digits := strings.Map(func(c rune) rune {
		if strings.ContainsRune(" -\t\r\n", c) {
			return -1
		}
		return c
	}, text)
	if strings.Trim(digits, "0123456789") != "" {
		return Secret{}, errors.New("the recovery code has characters besides its 64 digits, spaces and hyphens: read it again; no guess was used")
	}
	if len(digits) != codeDigits {
		return Secret{}, fmt.Errorf("the recovery code has %d digits instead of %d: read it again; no guess was used", len(digits), codeDigits)
	}
	if checksum(digits[:codeDigits-2]) != int(digits[62]-'0')*10+int(digits[63]-'0') {
		return Secret{}, errors.New("a digit of the recovery code is wrong, or two are swapped: read it again; no guess was used")
	}
	return Secret{"code", digits}, nil
}

// Password is a password as it was typed: nothing is trimmed or folded. Eight characters
// are the least; the count of guesses protects a short one from whoever asks the nodes,
// and nothing but the stretching does from whoever has their memory.
func Password(text string) (Secret, error) {
	switch n := utf8.RuneCountInString(text); {
	case !utf8.ValidString(text):
		return Secret{}, errors.New("the password isn't UTF-8")
	case n < 8 || n > 256:
		return Secret{}, fmt.Errorf("the password has %d characters; it has 8 to 256", n)
	}
	return Secret{"password", text}, nil
}

// input is what goes into the OPRF: with it, for whom and where (RFC 9807, 9.1), so that
// the same password gives nothing in common elsewhere.
func (s Secret) input(account string, fleet []byte) ([]byte, error) {
	if s.kind == "" {
		return nil, errors.New("no recovery code or password was given")
	}
	var b []byte
	for _, part := range []string{"fleetctl-drill/1", s.kind, account, string(fleet), s.text} {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(part))), part...)
	}
	return b, nil
}
