// Package imposter is who tries to pass for a node of a fleet in a drill. It has no key
// of any bundle: it says what a node once said, changed or not, and shows a key of its
// own. Devices have to refuse it.
package imposter

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/fleetctl/fleetctl/internal/fleet/session"
)

// Said is the first frame of a node, in its parts.
type Said struct {
	name          []byte // with its length
	Bundle, Proof []byte
	more          []byte
}

const mostSaid = 1 << 20

// Overhear has a node say its first frame, which it says to anybody.
func Overhear(ctx context.Context, address string) (*Said, error) {
	ctx, stop := context.WithTimeout(ctx, 20*time.Second)
	defer stop()
	d := tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{session.DrillProtocol}, InsecureSkipVerify: true}}
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if at, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(at); err != nil {
			return nil, err
		}
	}
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > mostSaid {
		return nil, fmt.Errorf("the first frame has %d bytes", n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(c, body); err != nil {
		return nil, err
	}
	return parse(body)
}

var errShort = errors.New("the first frame ends too early")

func parse(body []byte) (*Said, error) {
	if len(body) == 0 || len(body) < 1+int(body[0]) {
		return nil, errShort
	}
	s := &Said{name: body[:1+int(body[0])]}
	rest := body[len(s.name):]
	for _, part := range []*[]byte{&s.Bundle, &s.Proof} {
		if len(rest) < 4 || uint64(len(rest)-4) < uint64(binary.BigEndian.Uint32(rest)) {
			return nil, errShort
		}
		n := 4 + int(binary.BigEndian.Uint32(rest))
		*part, rest = rest[4:n:n], rest[n:]
	}
	s.more = rest
	return s, nil
}

func (s *Said) frame() []byte {
	b := append([]byte{}, s.name...)
	for _, part := range [][]byte{s.Bundle, s.Proof} {
		b = append(binary.BigEndian.AppendUint32(b, uint32(len(part))), part...)
	}
	b = append(b, s.more...)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

// Tampered is what the node said, with one byte of its bundle changed.
func (s *Said) Tampered() *Said {
	t := *s
	t.Bundle = append([]byte{}, s.Bundle...)
	at := strings.LastIndex(string(t.Bundle), `"`) - 1 // inside the last text of the file
	if at < 0 {
		at = len(t.Bundle) / 2
	}
	if t.Bundle[at] ^= 1; t.Bundle[at] < ' ' {
		t.Bundle[at] ^= 3
	}
	return &t
}

// Unwitnessed is what the node said, with nobody's signature in its proof but the log's.
func (s *Said) Unwitnessed() *Said {
	t := *s
	head, signatures, _ := strings.Cut(string(s.Proof), "\n\n— ")
	own, _, _ := strings.Cut(signatures, "\n")
	t.Proof = []byte(head + "\n\n— " + own + "\n")
	return &t
}

// Server passes for a node.
type Server struct {
	l    net.Listener
	busy sync.WaitGroup

	mu    sync.Mutex
	heard int // bytes that devices sent it, beside those of TLS
}

// Serve says this to whoever connects.
func Serve(s *Said) (*Server, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{session.DrillProtocol},
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, SessionTicketsDisabled: true,
	})
	if err != nil {
		return nil, err
	}
	i := &Server{l: l}
	i.busy.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			i.busy.Go(func() { i.answer(c, s.frame()) })
		}
	})
	return i, nil
}

func (i *Server) answer(c net.Conn, frame []byte) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.Write(frame); err != nil {
		return
	}
	n, _ := io.Copy(io.Discard, c)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.heard += int(n)
}

// Address is where it listens.
func (i *Server) Address() string { return i.l.Addr().String() }

// Close ends it, and says how many bytes devices sent it beside those of TLS.
func (i *Server) Close() (heard int) {
	i.l.Close()
	i.busy.Wait()
	return i.heard
}
