package cli

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony/state"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/qr"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

const (
	// digestDigits are those of a SHA-256, and leastDigits how many of them name one
	// among files: fewer could be made to fit.
	digestDigits = 2 * sha256.Size
	leastDigits  = 16
	// maxFolder is how many files of a folder are looked through for a digest.
	maxFolder = 4096
)

// Digest is a SHA-256 and what it is of.
type Digest struct {
	What string
	Sum  [32]byte
}

// NamedDigest finds the digest that is meant: of a file, in the QR code of a picture, or
// the one that begins with the hex digits that are typed, among the files and folders
// that are named after them, or in the folder where one is. asFile takes a picture as
// the file that it is. Nothing is guessed.
func NamedDigest(args []string, asFile bool) (*Digest, error) {
	whole := strings.Join(args, " ")
	if _, err := os.Stat(whole); err == nil {
		return digestOfFile(whole, asFile)
	}
	digits, n := "", 0
	for _, a := range args {
		typed := strings.ToLower(strings.Join(strings.Fields(a), ""))
		if _, err := os.Stat(a); err == nil || typed == "" || strings.Trim(typed, "0123456789abcdef") != "" {
			break
		}
		digits += typed
		n++
	}
	among := args[n:]
	for _, a := range among {
		if _, err := os.Stat(a); err != nil || n == 0 {
			return nil, Usagef("name one file or picture, or type a digest and then the files or folders among which it is", "%q is neither a file nor a digest in hex", strict.Clip(whole))
		}
	}
	switch {
	case len(digits) == digestDigits && len(among) == 0:
		sum, err := hex.DecodeString(digits)
		return &Digest{digits, [32]byte(sum)}, err
	case len(digits) > digestDigits:
		return nil, Usagef("", "%q has %d digits; a SHA-256 has %d", strict.Clip(digits), len(digits), digestDigits)
	case len(digits) < leastDigits:
		return nil, Usagef(fmt.Sprintf("type at least its first %d, or all %d", leastDigits, digestDigits), "%q is too short to say which digest it begins: it has %s", digits, words.Count(int64(len(digits)), "digit", "digits"))
	}
	if len(among) == 0 {
		among = []string{"."}
	}
	return beginning(digits, among)
}

// beginning is the one digest among files that begins with these digits.
func beginning(digits string, among []string) (*Digest, error) {
	found := map[[32]byte]string{}
	looked := 0
	for _, root := range among {
		files := []string{root}
		if info, err := os.Stat(root); err != nil {
			return nil, Usage(Missing(err))
		} else if info.IsDir() {
			entries, err := os.ReadDir(root)
			if err != nil {
				return nil, err
			}
			files = nil
			for _, e := range entries {
				if e.Type().IsRegular() {
					files = append(files, filepath.Join(root, e.Name()))
				}
			}
		}
		for _, file := range files {
			if looked++; looked > maxFolder {
				return nil, Usagef("name the file", "there are more than %d files among which the digest could be", maxFolder)
			}
			// One that is too large or can't be read could be the one that is meant.
			data, err := readAny(file, evidence.MaxPackage)
			if err != nil {
				return nil, Usage(Missing(err))
			}
			if IsPrivate(data) {
				continue // nobody reads a digest of that
			}
			if sum := sha256.Sum256(data); strings.HasPrefix(hex.EncodeToString(sum[:]), digits) {
				found[sum] = file
			}
		}
	}
	where := strings.Join(among, ", ")
	switch len(found) {
	case 1:
		for sum, file := range found {
			return &Digest{file, sum}, nil
		}
	case 0:
		return nil, Usagef(fmt.Sprintf("type all %d digits, or name the file, or the folder that has it", digestDigits), "no file among %s (%d looked at) has a SHA-256 that begins with %s", where, looked, digits)
	}
	return nil, Usagef("type more of it", "%s is ambiguous: %d different files among %s have a SHA-256 that begins so", digits, len(found), where)
}

func digestOfFile(file string, asFile bool) (*Digest, error) {
	data, err := ReadFile(file)
	if err != nil {
		return nil, err
	}
	if k := publicIn(data); k != nil && !asFile {
		return &Digest{"the key in " + file, k.Fingerprint()}, nil
	}
	if asFile || !IsPicture(data) {
		return &Digest{file, sha256.Sum256(data)}, nil
	}
	text, err := qr.Read(file, data)
	if err != nil {
		return nil, Wrong(strict.Errorf(file, "is a picture in which no QR code can be read").
			WithHint("take it again: the whole code, with its white margin, sharp;\nfor the digest of the picture itself: --file"))
	}
	return digestInCode(file, text)
}

// publicIn is the public key that is all that a file has: a SubjectPublicKeyInfo in
// base64 or PEM, or an Ed25519 key of OpenSSH's. Its words have to be the same however the
// file is written: with another line's end, on another machine.
func publicIn(data []byte) *keys.Public {
	text := strings.TrimSpace(string(data[:min(len(data), maxHead)]))
	if len(data) > maxHead {
		return nil
	}
	if k, err := sshsig.ParsePublicKey(text); err == nil {
		raw, _ := k.Ed25519()
		public, _ := keys.FromEd25519(raw)
		return public // nil if it is no Ed25519 key
	}
	der, err := base64.StdEncoding.DecodeString(text)
	if block, rest := pem.Decode([]byte(text)); block != nil && block.Type == "PUBLIC KEY" && len(bytes.TrimSpace(rest)) == 0 {
		der, err = block.Bytes, nil
	}
	if err != nil {
		return nil
	}
	public, _ := keys.ParseSPKI(der)
	return public
}

// digestInCode is the digest that a code of ours carries.
func digestInCode(file, text string) (*Digest, error) {
	if s, err := state.Parse(text); err == nil {
		if s.Subject != [32]byte{} {
			return &Digest{fmt.Sprintf("what is read aloud after record %d, as %s shows it", s.Record, file), s.Subject}, nil
		}
		return &Digest{fmt.Sprintf("the head at record %d, as %s shows it", s.Record, file), s.Head}, nil
	}
	if sum, err := qr.FileOf(text); err == nil {
		return &Digest{"the file that the frame in " + file + " is of", sum}, nil
	}
	if sum, err := strict.ParseHash(strings.ToLower(text)); err == nil {
		return &Digest{"the digest in " + file, sum}, nil
	}
	return nil, Wrong(strict.Errorf(file, "has a QR code with no digest in it: %q", strict.Clip(text)))
}

// IsPicture says whether data begins as a picture does that can have a QR code in it.
func IsPicture(data []byte) bool {
	return bytes.HasPrefix(data, []byte("\x89PNG")) || bytes.HasPrefix(data, []byte("\xff\xd8"))
}
