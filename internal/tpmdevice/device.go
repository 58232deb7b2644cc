//go:build cgo && unix

package tpmdevice

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

const (
	header      = 10   // of a response: tag, size, code
	maxResponse = 4096 // what a TPM answers is never longer
	// patience is how long one command may take. The longest makes an RSA key.
	patience = 2 * time.Minute
)

// device is an open way to a TPM.
type device struct {
	rw     io.ReadWriteCloser
	packet bool // a device gives a whole response in one read, a socket doesn't
}

func open(ctx context.Context, tcti string) (*device, error) {
	a, err := parseTCTI(tcti)
	if err != nil {
		return nil, err
	}
	if a.Network == deviceFile {
		f, err := os.OpenFile(a.Path, os.O_RDWR, 0)
		if err != nil {
			return nil, fmt.Errorf("the TPM can't be reached: %w", err)
		}
		return &device{f, true}, nil
	}
	c, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, a.Network, a.Path)
	if err != nil {
		return nil, fmt.Errorf("the TPM can't be reached: %w", err)
	}
	return &device{c, false}, nil
}

func (d *device) Close() error { return d.rw.Close() }

// Send has the TPM answer one command. One that it wasn't able to start, and says
// so, it is given again.
func (d *device) Send(command []byte) ([]byte, error) {
	pause := time.Millisecond
	for end := time.Now().Add(patience); ; pause = min(2*pause, time.Second) {
		answer, err := d.once(command)
		if err != nil || len(answer) < header || time.Now().After(end) {
			return answer, err
		}
		switch tpm2.TPMRC(binary.BigEndian.Uint32(answer[6:])) {
		case tpm2.TPMRCRetry, tpm2.TPMRCYielded, tpm2.TPMRCTesting:
			time.Sleep(pause)
		default:
			return answer, nil
		}
	}
}

func (d *device) once(command []byte) ([]byte, error) {
	if c, ok := d.rw.(net.Conn); ok {
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			return nil, err
		}
	}
	if _, err := d.rw.Write(command); err != nil {
		return nil, fmt.Errorf("the TPM: %w", err)
	}
	b := make([]byte, maxResponse)
	if d.packet {
		n, err := d.rw.Read(b)
		if err != nil {
			return nil, fmt.Errorf("the TPM: %w", err)
		}
		return b[:n], nil
	}
	if _, err := io.ReadFull(d.rw, b[:header]); err != nil {
		return nil, fmt.Errorf("the TPM: %w", err)
	}
	n := binary.BigEndian.Uint32(b[2:])
	if n < header || n > maxResponse {
		return nil, fmt.Errorf("the TPM answers with %d bytes; at most %d are taken", n, maxResponse)
	}
	if _, err := io.ReadFull(d.rw, b[header:n]); err != nil {
		return nil, fmt.Errorf("the TPM: %w", err)
	}
	return b[:n], nil
}

// object is a key that is in the TPM now.
type object struct {
	handle tpm2.TPMHandle
	name   tpm2.TPM2BName
	public *tpm2.TPMTPublic
}

// as gives the object to a command, with what authorises its use.
func (o *object) as(s tpm2.Session) tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: o.handle, Name: o.name, Auth: s}
}

// proof authorises by an HMAC over the command, so that the value itself never
// goes to the TPM; what comes back may be encrypted. The session's key is salted
// by a key of the TPM's that decrypts.
func proof(salt *object, auth []byte, encrypted bool) tpm2.Session {
	options := []tpm2.AuthOption{tpm2.Auth(auth), tpm2.Salted(salt.handle, *salt.public)}
	if encrypted {
		options = append(options, tpm2.AESEncryption(128, tpm2.EncryptOut))
	}
	return tpm2.HMAC(tpm2.TPMAlgSHA256, 16, options...)
}

// persistent is a key that stays in the TPM.
func persistent(t transport.TPM, handle tpm2.TPMHandle) (*object, error) {
	r, err := tpm2.ReadPublic{ObjectHandle: handle}.Execute(t)
	if err != nil {
		return nil, fmt.Errorf("key %#x of the TPM: %w", handle, err)
	}
	public, err := r.OutPublic.Contents()
	if err != nil {
		return nil, fmt.Errorf("key %#x of the TPM: %w", handle, err)
	}
	return &object{handle, r.Name, public}, nil
}

// load brings a key into the TPM under another. Whoever loads flushes.
func load(t transport.TPM, parent *object, parentAuth, public, private []byte) (*object, error) {
	pub, err := exactly[tpm2.TPM2BPublic](public)
	if err != nil {
		return nil, err
	}
	priv, err := exactly[tpm2.TPM2BPrivate](private)
	if err != nil {
		return nil, err
	}
	area, err := pub.Contents()
	if err != nil {
		return nil, err
	}
	r, err := tpm2.Load{ParentHandle: parent.as(proof(parent, parentAuth, false)), InPrivate: *priv, InPublic: *pub}.Execute(t)
	switch {
	case errors.Is(err, tpm2.TPMRCIntegrity):
		return nil, fmt.Errorf("this TPM did not make the key, so that another TPM or another store is meant: %w", err)
	case err != nil:
		return nil, err
	}
	return &object{r.ObjectHandle, r.Name, area}, nil
}

func flush(t transport.TPM, o *object) error {
	_, err := tpm2.FlushContext{FlushHandle: o.handle}.Execute(t)
	return err
}

// exactly reads a structure that fills its bytes, which go-tpm doesn't ask for.
func exactly[T tpm2.Marshallable, P interface {
	*T
	tpm2.Unmarshallable
}](data []byte) (*T, error) {
	v, err := tpm2.Unmarshal[T, P](data)
	if err == nil && string(tpm2.Marshal(*v)) != string(data) {
		err = errors.New("bytes that are not its own")
	}
	if err != nil {
		return nil, fmt.Errorf("%T of %d bytes: %w", *new(T), len(data), err)
	}
	return v, nil
}
