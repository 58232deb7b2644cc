package byhand

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/words"
)

// span is a place in a file, counted in bytes from 0, and how it is written there.
type span struct {
	File           string
	Offset, Length int
	As             string // "", "base64" or "hex"
}

func (s span) String() string {
	as := ""
	if s.As != "" {
		as = " of " + s.As
	}
	return fmt.Sprintf("%s, offset %d, %s%s", s.File, s.Offset, words.Count(int64(s.Length), "byte", "bytes"), as)
}

// cut is the command that writes what stands there to a file.
func (s span) cut(to string) string {
	decode := map[string]string{"": "", "base64": " | base64 -d", "hex": " | xxd -r -p"}[s.As]
	return fmt.Sprintf("head -c %d %s | tail -c %d%s > %s", s.Offset+s.Length, s.File, s.Length, decode, to)
}

// find is the place of a text in a file, at or after an offset; false where it isn't.
func (x *explainer) find(file string, data []byte, from int, text, as string) (span, bool) {
	i := bytes.Index(data[min(from, len(data)):], []byte(text))
	return span{File: file, Offset: from + i, Length: len(text), As: as}, i >= 0
}

// hexed is the command that writes bytes to a file.
func hexed(data []byte, to string) string {
	return fmt.Sprintf("printf %%s %x | xxd -r -p > %s", data, to)
}

// printf is the command that prints a text.
func printf(text string) string {
	quoted := strings.NewReplacer(`\`, `\\`, `%`, `%%`, `'`, `'\''`, "\n", `\n`).Replace(text)
	return "printf '" + quoted + "'"
}

// signature is a signature by a key that isn't a person's.
type signature struct {
	title  string
	key    *keys.Public
	keyID  [][2]string // what else the key is known by
	text   []byte      // what is signed
	origin string      // where that is from
	write  string      // the command that writes it to ../text
	at     span
	before []string // commands that make at's file
	after  string   // the command between, where the signature is only a part of what stands there
	either bool     // of ECDSA: over SHA-256 whatever the curve, as a log signs
}

// show adds a signature with the commands that check it.
func (x *explainer) show(s signature) {
	rows := append([][2]string{{"key", fmt.Sprintf("%s, SHA-256 of its SubjectPublicKeyInfo %x", s.key.Algorithm(), s.key.Fingerprint())}}, s.keyID...)
	rows = append(rows,
		[2]string{"signed", s.origin},
		[2]string{"", fmt.Sprintf("%s, sha256 %x", words.Count(int64(len(s.text)), "byte", "bytes"), sha256.Sum256(s.text))},
		[2]string{"signature", s.at.String()})
	if s.key.Algorithm().IsMLDSA() {
		x.add(Part{Title: s.title, Rows: append(rows, [2]string{"not checked", string(s.key.Algorithm()) + ": openssl 3.0 has no ML-DSA"}), Commands: []string{s.write}})
		return
	}
	commands := []string{hexed(s.key.SPKI(), "../key.der"), s.write}
	commands = append(append(commands, s.before...), s.at.cut("../sig"))
	if s.after != "" {
		commands = append(commands, s.after)
	}
	x.add(Part{Title: s.title, Rows: rows, Commands: append(commands, verify(s.key.Algorithm(), s.either))})
}

// verify is the command that checks ../sig over ../text by ../key.der.
func verify(alg keys.Algorithm, either bool) string {
	dgst := "openssl dgst -%s -verify ../key.der -keyform DER%s -signature ../sig ../text"
	switch {
	case alg == keys.P256, alg == keys.P384 && either:
		return fmt.Sprintf(dgst, "sha256", "")
	case alg == keys.P384:
		return fmt.Sprintf(dgst, "sha384", "")
	case alg == keys.RSA3072:
		return fmt.Sprintf(dgst, "sha256", " -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 -sigopt rsa_mgf1_md:sha256")
	}
	return "openssl pkeyutl -verify -pubin -keyform DER -inkey ../key.der -rawin -in ../text -sigfile ../sig"
}

// checkpoint shows the signature lines of a proof's checkpoint that known has a key for.
func (x *explainer) checkpoint(proof string, data []byte, c *auditlog.Checkpoint, known func(auditlog.Signature) *auditlog.Verifier) {
	text := c.Text()
	head, ok := x.find(proof, data, 0, text, "")
	for _, sig := range c.Signatures {
		v := known(sig)
		if v == nil || !ok {
			continue
		}
		line, _ := x.find(proof, data, 0, sig.String(), "")
		encoded := base64.StdEncoding.EncodeToString(append(binary.BigEndian.AppendUint32(nil, sig.KeyHash), sig.Raw...))
		at := span{proof, line.Offset + line.Length - len(encoded), len(encoded), "base64"}
		raw, err := base64.StdEncoding.DecodeString(v.String()[len(v.Name())+10:]) // name+hash+base64
		if err != nil {
			continue
		}
		s := signature{title: "signature of the log " + v.Name(), text: []byte(text), origin: head.String(), write: head.cut("../text"), at: at, either: true,
			keyID: [][2]string{{"key hash", fmt.Sprintf("%08x, of %s", v.KeyHash(), v)}},
			after: "tail -c +5 ../sig > ../raw && mv ../raw ../sig   # without the key hash"}
		switch v.Type() {
		case auditlog.Ed25519:
			s.key, err = keys.FromEd25519(raw[1:])
		case auditlog.ECDSA:
			s.key, err = keys.ParseSPKI(raw[1:])
		case auditlog.Ed25519Cosignature:
			s.title = "cosignature of the witness " + v.Name()
			stamp := binary.BigEndian.Uint64(sig.Raw)
			prefix := fmt.Sprintf("cosignature/v1\ntime %d\n", stamp)
			s.text = []byte(prefix + text)
			s.origin = fmt.Sprintf("%q and %s", prefix, head)
			s.write = head.cut("../head") + " && { " + printf(prefix) + "; cat ../head; } > ../text"
			s.after = "tail -c +13 ../sig > ../raw && mv ../raw ../sig   # without key hash and time"
			s.key, err = keys.FromEd25519(raw[1:])
		default:
			x.add(Part{Title: "signature of " + v.Name(), Rows: [][2]string{{"not checked", "ML-DSA-44: openssl 3.0 has it not"}, {"signature", at.String()}}})
			continue
		}
		if err == nil {
			x.show(s)
		}
	}
}

// step is a hash on the way from a leaf to the root.
type step struct{ Left, Right, Hash [32]byte }

// path is the way from an entry to the root (RFC 6962, 2.1.1); its first step is the leaf.
func path(leaf []byte, p *auditlog.Proof) []step {
	steps := []step{{Hash: sha256.Sum256(append([]byte{0}, leaf...))}}
	f, s := p.Index, p.Checkpoint.Size-1
	for _, h := range p.Hashes {
		n := step{Left: steps[len(steps)-1].Hash, Right: h}
		if f%2 == 1 || f == s {
			n.Left, n.Right = n.Right, n.Left
			for f%2 == 0 && f > 0 {
				f, s = f/2, s/2
			}
		}
		n.Hash = sha256.Sum256(append(append([]byte{1}, n.Left[:]...), n.Right[:]...))
		steps = append(steps, n)
		f, s = f/2, s/2
	}
	return steps
}

// statements shows the third parties' statements.
func (x *explainer) statements() {
	data := x.b.Raw()
	for _, s := range x.b.Statements {
		key, err := keys.FromEd25519(s.Key[:])
		if err != nil {
			continue
		}
		raw := s.Statement.Raw()
		outer, ok := x.find("bundle.json", data, 0, base64.StdEncoding.EncodeToString(raw), "base64")
		inner, ok2 := x.find("../statement.json", raw, 0, hex.EncodeToString(s.Statement.Signature[:]), "hex")
		if !ok || !ok2 {
			continue
		}
		name := "a third party that the policy does not pin: it counts for nothing"
		for _, p := range x.policy.Trust(x.b.About().Namespace).ThirdParties {
			if p.Key == s.Key {
				name = p.Name
			}
		}
		message := s.Statement.Message()
		x.show(signature{title: "statement of " + name, key: key, text: message, at: inner, write: hexed(message, "../text"), before: []string{outer.cut("../statement.json")},
			keyID: [][2]string{{"", "base64 of the 32 bytes, as a policy pins it: " + base64.StdEncoding.EncodeToString(s.Key[:])},
				{"says", fmt.Sprintf("ciphersuite %d, %s, epoch %d, %d ms, digest %x", s.Statement.Ciphersuite, s.Statement.Namespace, s.Statement.Epoch, s.Statement.Timestamp, s.Statement.Digest)},
				{"statement", outer.String() + ", below ../statement.json"}},
			origin: "made again from these five fields (SPEC 12)"})
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(x.b.Artifact()))
	at, ok := x.find("bundle.json", data, 0, base64.StdEncoding.EncodeToString(x.b.Artifact()), "base64")
	if ok {
		x.add(Part{Title: "the artifact that they signed", Rows: [][2]string{{"artifact", at.String()}, {"sha256", sum}},
			Commands: []string{at.cut("../artifact"), check(sum, "../artifact")}})
	}
}

// countersignatures shows the operator's.
func (x *explainer) countersignatures() {
	for _, c := range x.b.Countersignatures {
		message, err := x.countersigned(c.Form)
		at, ok := x.find("bundle.json", x.b.Raw(), 0, base64.StdEncoding.EncodeToString(c.Signature), "base64")
		if err != nil || !ok {
			continue
		}
		name := "an operator whom the policy does not pin: it counts for nothing"
		for _, o := range x.policy.Trust(x.b.About().Namespace).Operators {
			if bytes.Equal(o.Key.SPKI(), c.Key.SPKI()) {
				name = o.Name
			}
		}
		x.show(signature{title: "countersignature of " + name, key: c.Key, text: message, at: at, write: hexed(message, "../text"),
			origin: fmt.Sprintf("the text of form %s, made again from artifact and statements (SPEC 14)", c.Form)})
	}
	x.statements()
}
