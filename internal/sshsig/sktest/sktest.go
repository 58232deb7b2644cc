// Package sktest is for tests: software that signs as a FIDO2 device does.
// There is no device, nobody touches anything, and its keys are worth nothing.
// It is here because no device can be had where tests run, and officers have
// little else.
package sktest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/binary"
	"math/big"

	"golang.org/x/crypto/ed25519"
	"golang.org/x/crypto/ssh"

	"github.com/fleetctl/fleetctl/internal/sshsig"
)

// The key types that OpenSSH has for devices.
const (
	Ed25519 = "sk-ssh-ed25519@openssh.com"
	P256    = "sk-ecdsa-sha2-nistp256@openssh.com"
)

// Touched is the flag of user presence.
const Touched = 1

// Device is the stand-in for a device with one key. Flags and Counter go into
// the next signature; the counter then rises.
type Device struct {
	Flags   byte
	Counter uint32

	typ, app string
	private  crypto.Signer
	blob     []byte
}

// New makes a stand-in whose Touched flag is set.
func New(typ, app string) (*Device, error) {
	d := &Device{Flags: Touched, Counter: 1, typ: typ, app: app}
	if typ == P256 {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		point, err := k.PublicKey.Bytes()
		if err != nil {
			return nil, err
		}
		d.private = k
		d.blob = ssh.Marshal(struct{ Type, Curve, Point, App string }{typ, "nistp256", string(point), app})
		return d, nil
	}
	pub, k, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	d.private = k
	d.blob = ssh.Marshal(struct{ Type, Point, App string }{typ, string(pub), app})
	return d, nil
}

// Blob is the public key's wire encoding, which package sshsig may refuse.
func (d *Device) Blob() []byte { return d.blob }

// Key is the public key; nil if package sshsig refuses it.
func (d *Device) Key() *sshsig.Key {
	k, _ := sshsig.ParseBlob(d.blob)
	return k
}

// Sign makes a signature; unless Touched is among Flags it's refused.
func (d *Device) Sign(namespace string, message []byte) (*sshsig.Signature, error) {
	return sshsig.SignWith(d.Key(), namespace, message, d.SignBytes)
}

// SignBytes gives what a device and ssh-sk-helper make of bytes, whatever
// Flags says: type, signature, flags and counter.
func (d *Device) SignBytes(signed []byte) ([]byte, error) {
	app, msg := sha256.Sum256([]byte(d.app)), sha256.Sum256(signed)
	data := binary.BigEndian.AppendUint32(append(app[:], d.Flags), d.Counter)
	data = append(data, msg[:]...)
	opts := crypto.Hash(0)
	if d.typ == P256 {
		sum := sha256.Sum256(data)
		data, opts = sum[:], crypto.SHA256
	}
	sig, err := d.private.Sign(rand.Reader, data, opts)
	if err != nil {
		return nil, err
	}
	if d.typ == P256 {
		var rs struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(sig, &rs); err != nil {
			return nil, err
		}
		sig = ssh.Marshal(rs)
	}
	blob := ssh.Marshal(struct {
		Type    string
		Sig     []byte
		Flags   byte
		Counter uint32
	}{d.typ, sig, d.Flags, d.Counter})
	d.Counter++
	return blob, nil
}

var _ sshsig.Signer = (*Device)(nil)
