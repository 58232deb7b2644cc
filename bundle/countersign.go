package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
)

// Forms of a countersignature: what it signs. A verifier pins which form counts; a
// bundle can't choose.
const (
	// FormBound signs CountersignText, which names the epoch, the digest and
	// every third party's signature.
	FormBound = "bound"
	// FormSignature signs the 64 raw bytes of the only third party's signature,
	// as Meta publicly describes its own countersignature.
	FormSignature = "signature"
)

// Countersignature is the operator's signature.
type Countersignature struct {
	Key       *PublicKey
	Form      string
	Signature []byte // as PublicKey.Verify takes it
}

// Signed is a statement with the key that is said to have signed it.
type Signed struct {
	Key       [32]byte // raw Ed25519 key, admitted
	Statement *Statement
	Addition  *Addition // nil where the party added no post-quantum signature
}

// CountersignText is what a countersignature of form bound signs: lines that each
// end with LF, with one "signer" line for each statement, and behind it an "addition"
// line where it has one. The lines are in the bundle's order, whatever the order of
// statements.
func CountersignText(set *KeySet, statements []Signed) []byte {
	return countersignText(set.about(), statements)
}

func countersignText(a about, statements []Signed) []byte {
	b := make([]byte, 0, 160+len(a.namespace)+144*len(statements))
	b = append(append(b, "fleetctl countersignature v1\n"...), a.mode...)
	b = append(append(append(b, '\n'), a.namespace...), '\n')
	b = append(strconv.AppendUint(b, a.epoch, 10), '\n')
	b = append(hex.AppendEncode(b, a.digest[:]), '\n')
	for _, s := range sorted(statements) {
		b = base64.StdEncoding.AppendEncode(append(b, "signer "...), s.Key[:])
		b = append(base64.StdEncoding.AppendEncode(append(b, ' '), s.Statement.Signature[:]), '\n')
		if a := s.Addition; a != nil {
			key, sig := sha256.Sum256(a.Key.SPKI()), sha256.Sum256(a.Signature)
			b = hex.AppendEncode(append(b, "addition "...), key[:])
			b = append(hex.AppendEncode(append(b, ' '), sig[:]), '\n')
		}
	}
	return b
}

// CountersignMessage is what a countersignature of the given form signs: officers
// release it, and the operator's HSM signs it.
func CountersignMessage(form string, set *KeySet, statements []Signed) ([]byte, error) {
	return countersignMessage(form, set.about(), statements)
}

// CountersignNotice is CountersignMessage for a retirement or a void.
func CountersignNotice(form string, n *Notice, statements []Signed) ([]byte, error) {
	return countersignMessage(form, n.about(), statements)
}

func countersignMessage(form string, a about, statements []Signed) ([]byte, error) {
	switch {
	case len(statements) == 0:
		return nil, fmt.Errorf("there is no statement to countersign")
	case form == FormBound:
		return countersignText(a, statements), nil
	case form != FormSignature:
		return nil, fmt.Errorf("the countersignature's form is %q; %s and %s are allowed", form, FormBound, FormSignature)
	case len(statements) != 1:
		return nil, fmt.Errorf("a countersignature of form %s is over exactly one statement; there are %d", FormSignature, len(statements))
	}
	return bytes.Clone(statements[0].Statement.Signature[:]), nil
}

// sorted gives the statements in the bundle's order, that of their raw keys.
func sorted(statements []Signed) []Signed {
	byKey := func(a, b Signed) int { return bytes.Compare(a.Key[:], b.Key[:]) }
	if slices.IsSortedFunc(statements, byKey) {
		return statements
	}
	return slices.SortedStableFunc(slices.Values(statements), byKey)
}
