package sshsig_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"math/big"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/fleetctl/fleetctl/internal/sshsig/sktest"
)

// vector is one signature and what becomes of it under plan and message.
type vector struct{ name, expect, by, armored string }

const (
	doesNotVerify = "the signature does not verify"
	standIn       = "a software stand-in for a FIDO2 device; no device signed this"
	builtHere     = "cases_test.go"
)

// cases makes one vector for each fault, well signed but for that fault, and
// sound ones beside them.
func cases(t testing.TB) (list []vector) {
	add := func(name, expect, by string, armored []byte) {
		list = append(list, vector{name, expect, by, string(armored)})
	}
	ed, p256 := softEd25519(t), softECDSA(t, elliptic.P256(), ssh.KeyAlgoECDSA256)
	good := ed.seal(t, nil)
	change := func(name, expect string, f func(*envelope)) { add(name, expect, builtHere, ed.seal(t, f).armor()) }
	inner := func(name, expect string, k *soft, sig []byte) {
		e := k.seal(t, nil)
		e.Sig = sig
		add(name, expect, builtHere, e.armor())
	}

	for name, args := range keygenTypes {
		private := keygen(t, t.TempDir(), "key", args...)
		add(name, "ok", "ssh-keygen -Y sign", keygenSign(t, private, plan, message))
		add(name+"-sha256", "ok", "ssh-keygen -Y sign -O hashalg=sha256", keygenSign(t, private, plan, message, "-O", "hashalg=sha256"))
		add(name+"-other-namespace", `the signature is for "fleetctl-plan-rehearsal", not for "fleetctl-plan"; sign again with ssh-keygen -Y sign -n fleetctl-plan`,
			"ssh-keygen -Y sign", keygenSign(t, private, plan+"-rehearsal", message))
		add(name+"-other-message", doesNotVerify, "ssh-keygen -Y sign", keygenSign(t, private, plan, []byte("another plan\n")))
	}
	add("rsa", "its key is of type ssh-rsa; allowed are ssh-ed25519, ecdsa-sha2-nistp256, ecdsa-sha2-nistp384, ssh-mldsa44-ed25519@openssh.com and the FIDO2 types sk-ssh-ed25519, sk-ecdsa",
		"ssh-keygen -Y sign", keygenSign(t, keygen(t, t.TempDir(), "key", "-t", "rsa", "-b", "2048"), plan, message))
	add("ecdsa-521", "its key is of type ecdsa-sha2-nistp521; allowed are ssh-ed25519, ecdsa-sha2-nistp256, ecdsa-sha2-nistp384, ssh-mldsa44-ed25519@openssh.com and the FIDO2 types sk-ssh-ed25519, sk-ecdsa",
		"ssh-keygen -Y sign", keygenSign(t, keygen(t, t.TempDir(), "key", "-t", "ecdsa", "-b", "521"), plan, message))
	const byOpenSSH = "the ssh-keygen of OpenSSH's source (testdata/openssh)"
	for name, want := range map[string]string{
		"one": "ok", "one-sha256": "ok", "two": "ok", "one-other-message": pqHalf,
		"one-other-namespace": `the signature is for "fleetctl-plan-rehearsal", not for "fleetctl-plan"; sign again with ssh-keygen -Y sign -n fleetctl-plan`,
	} {
		add("mldsa44-ed25519-"+name, want, byOpenSSH, openssh(t, name+".sig"))
	}
	sig := func(change func(sig []byte)) []byte {
		e := opened(t, "one.sig")
		change(e.Sig)
		return e.armor()
	}
	add("mldsa44-ed25519-half", pqHalf, builtHere, sig(func(s []byte) { s[100] ^= 1 }))
	add("mldsa44-ed25519-other-half", edHalf, builtHere, sig(func(s []byte) { s[len(s)-40] ^= 1 }))
	for name, typ := range map[string]string{"sk-ed25519": sktest.Ed25519, "sk-ecdsa": sktest.P256} {
		d := device(t, typ, "ssh:")
		k := &soft{d.Blob(), d.SignBytes}
		add(name, "ok", standIn, k.seal(t, nil).armor())
		e := k.seal(t, nil)
		e.Sig = append(e.Sig, 0)
		add(name+"-trailing", "its inner signature has 1 bytes too many", standIn, e.armor())
		d.Flags = 4
		add(name+"-verified-not-touched", untouched, standIn, k.seal(t, nil).armor())
		d.Flags = 0
		add(name+"-untouched", untouched, standIn, k.seal(t, nil).armor())
		web := device(t, typ, "example.org")
		add(name+"-of-a-web-site", `its key is a FIDO2 key of application "example.org"; those made for SSH start with ssh:`, standIn,
			(&soft{web.Blob(), web.SignBytes}).seal(t, nil).armor())
	}
	add("certificate", "its key is a certificate, by which somebody else says whose it is; give the key itself", builtHere, certified(t, ed).seal(t, nil).armor())
	add("small-order-key", "its key is an Ed25519 key of small order: anyone can sign for it", builtHere, smallOrder().seal(t, nil).armor())

	change("hash-sha1", "names a hash other than sha256 and sha512", func(e *envelope) { e.Hash = "sha1" })
	change("hash-empty", "names a hash other than sha256 and sha512", func(e *envelope) { e.Hash = "" })
	change("hash-upper-case", "names a hash other than sha256 and sha512", func(e *envelope) { e.Hash = "SHA512" })
	change("namespace-empty", "has an unfit namespace, which is empty", func(e *envelope) { e.Namespace = "" })
	change("namespace-zero-byte", "has an unfit namespace, which has the byte 0x00; printable ASCII is allowed", func(e *envelope) { e.Namespace = plan + "\x00-rehearsal" })
	change("reserved", "has a reserved field that is not empty", func(e *envelope) { e.Reserved = "x" })
	change("version-2", "is of version 2; version 1 is allowed", func(e *envelope) { e.Version = 2 })
	change("version-0", "is of version 0; version 1 is allowed", func(e *envelope) { e.Version = 0 })
	change("magic", "is no SSH signature: SSHSIG is not its start", func(e *envelope) { e.Magic = [6]byte([]byte("SSHSIH")) })
	change("trailing", "has 1 bytes too many", func(e *envelope) { e.Rest = []byte{0} })
	change("key-trailing", "its key has 1 bytes too many", func(e *envelope) { e.Key = append(bytes.Clone(e.Key), 0) })
	change("key-empty", "its key ends within its type", func(e *envelope) { e.Key = nil })
	change("other-key", doesNotVerify, func(e *envelope) { e.Key = softEd25519(t).blob })

	inner("inner-empty", "its inner signature ends within its type", ed, nil)
	inner("inner-other-type", "its inner signature is of type ecdsa-sha2-nistp256 and its key of type ssh-ed25519", ed, p256.seal(t, nil).Sig)
	inner("inner-trailing", "its inner signature has 1 bytes too many", ed, append(bytes.Clone(good.Sig), 0))
	inner("inner-65-bytes", "its inner signature has 65 bytes; an Ed25519 signature has 64", ed, typed("ssh-ed25519", append(bytes.Clone(good.Sig[19:]), 0)))
	inner("inner-63-bytes", "its inner signature has 63 bytes; an Ed25519 signature has 64", ed, typed("ssh-ed25519", good.Sig[19:82]))
	for name, c := range numbers(t, p256) {
		inner("ecdsa-"+name, c.expect, p256, typed(ssh.KeyAlgoECDSA256, c.rs))
	}

	armored, blob := string(good.armor()), ssh.Marshal(good)
	text := func(name, expect, s string) { add("armor-"+name, expect, builtHere, []byte(s)) }
	text("twice", "holds more than one signature, or text beside it", armored+armored)
	text("text-behind", "does not end with the line -----END SSH SIGNATURE-----", armored+"approved\n")
	text("text-before", "is no SSH signature: its first line is not -----BEGIN SSH SIGNATURE-----", "approved\n"+armored)
	text("no-newline", "does not end with the line -----END SSH SIGNATURE-----", armored[:len(armored)-1])
	text("newline-behind", "does not end with the line -----END SSH SIGNATURE-----", armored+"\n")
	text("windows", "has carriage returns; ssh-keygen ends lines with a newline alone", string(bytes.ReplaceAll([]byte(armored), []byte("\n"), []byte("\r\n"))))
	text("pgp", "is no SSH signature: its first line is not -----BEGIN SSH SIGNATURE-----", string(bytes.ReplaceAll([]byte(armored), []byte("SSH"), []byte("PGP"))))
	text("space", "is not canonical base64 (standard alphabet, padded)", string(bytes.Replace([]byte(armored), []byte("\nU1NI"), []byte("\n U1NI"), 1)))
	text("one-line", "does not break its lines after 70 characters as ssh-keygen does", "-----BEGIN SSH SIGNATURE-----\n"+base64Of(blob)+"\n-----END SSH SIGNATURE-----\n")
	text("empty-line", "does not break its lines after 70 characters as ssh-keygen does", string(bytes.Replace([]byte(armored), []byte("\nU1NI"), []byte("\n\nU1NI"), 1)))
	text("nothing-in-it", "is no SSH signature: SSHSIG is not its start", "-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n")
	text("empty", "is no SSH signature: its first line is not -----BEGIN SSH SIGNATURE-----", "")
	return list
}

func typed(typ string, sig []byte) []byte {
	return ssh.Marshal(struct {
		Type string
		Sig  []byte
	}{typ, sig})
}

// certified is a key with a certificate for it in the key's place.
func certified(t testing.TB, k *soft) *soft {
	t.Helper()
	pub, err := ssh.ParsePublicKey(k.blob)
	if err != nil {
		t.Fatal(err)
	}
	_, ca, err := ed25519Pair()
	if err != nil {
		t.Fatal(err)
	}
	cert := &ssh.Certificate{Key: pub, CertType: ssh.UserCert, KeyId: "somebody", ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	return &soft{cert.Marshal(), k.sign}
}

// smallOrder is the key of which everybody knows the signatures: the identity,
// for which R = identity and S = 0 verify whatever the message.
func smallOrder() *soft {
	one := append([]byte{1}, make([]byte, 31)...)
	return &soft{typed("ssh-ed25519", one), func([]byte) ([]byte, error) {
		return typed("ssh-ed25519", append(bytes.Clone(one), make([]byte, 32)...)), nil
	}}
}

type rsCase struct {
	expect string
	rs     []byte
}

// numbers are R and S of a sound signature, written otherwise or altered.
func numbers(t testing.TB, k *soft) map[string]rsCase {
	t.Helper()
	var sig struct {
		Type string
		RS   []byte
	}
	var rs struct{ R, S *big.Int }
	n := elliptic.P256().Params().N
	if ssh.Unmarshal(k.seal(t, nil).Sig, &sig) != nil || ssh.Unmarshal(sig.RS, &rs) != nil {
		t.Fatal("x/crypto/ssh doesn't read its own signature")
	}
	raw := func(r, s []byte) []byte { return ssh.Marshal(struct{ R, S []byte }{r, s}) }
	mpint := func(i *big.Int) []byte { return ssh.Marshal(struct{ N *big.Int }{i})[4:] }
	r, s := mpint(rs.R), mpint(rs.S)
	zero, neg := []byte{}, new(big.Int).Neg(rs.S)
	const needless, negative, none = "its inner signature has a needless zero byte before its ", "its inner signature has a negative number as its ", "its inner signature has zero as its "
	return map[string]rsCase{
		"other-S":      {"ok", raw(r, mpint(new(big.Int).Sub(n, rs.S)))}, // OpenSSH's own encoding, any S
		"R-padded":     {needless + "R", raw(append([]byte{0}, r...), s)},
		"S-padded":     {needless + "S", raw(r, append([]byte{0, 0}, s...))},
		"R-zero":       {none + "R", raw(zero, s)},
		"S-zero":       {none + "S", raw(r, zero)},
		"S-zero-byte":  {needless + "S", raw(r, []byte{0})},
		"R-negative":   {negative + "R", raw([]byte{0x80}, s)},
		"S-negative":   {negative + "S", raw(r, mpint(neg))},
		"R-and-n":      {doesNotVerify, raw(mpint(new(big.Int).Add(rs.R, n)), s)},
		"S-and-n":      {doesNotVerify, raw(r, mpint(new(big.Int).Add(rs.S, n)))},
		"S-of-n":       {doesNotVerify, raw(r, mpint(n))},
		"S-huge":       {doesNotVerify, raw(r, mpint(new(big.Int).Lsh(n, 4000)))},
		"third-number": {"its inner signature has 4 bytes too many", append(raw(r, s), 0, 0, 0, 0)},
		"R-alone":      {"its inner signature ends within its S", raw(r, s)[:4+len(r)]},
		"raw":          {"its inner signature ends within its R", append(rs.R.FillBytes(make([]byte, 32)), rs.S.FillBytes(make([]byte, 32))...)},
		"DER":          {"its inner signature ends within its R", der(t)},
	}
}

func der(t testing.TB) []byte {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b, err := ecdsa.SignASN1(rand.Reader, k, make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
