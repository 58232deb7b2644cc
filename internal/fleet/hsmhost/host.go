//go:build cgo && unix

package hsmhost

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/fleet/anchor"
	"github.com/fleetctl/fleetctl/internal/fleet/anchorhsm"
	"github.com/fleetctl/fleetctl/internal/hsm"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/serve"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/tpmdevice"
)

// host is a token that is open and logged in to, in this process.
type host struct {
	c   *Config
	pin []byte
	m   *hsm.Module
	t   *hsm.Token
	by  agreer
	ctx context.Context

	trace durable.File   // nil: nobody wants one
	kept  anchorhsm.Kept // nil until it is asked for
	ids   map[string][]byte
}

type agreer interface {
	Login(pin []byte) error
	Agree(alg string, id, peer []byte) ([]byte, error)
}

// Main is the process: it takes its configuration and PIN from in, says on out that it
// is ready or why not, and listens on the socket that it has inherited, until in ends.
func Main(in io.Reader, out io.Writer) error {
	f := os.NewFile(inherited, "socket")
	if f == nil {
		return errors.New("this is for fleetctl itself: no socket is inherited")
	}
	l, err := net.FileListener(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("this is for fleetctl itself: %w", err)
	}
	defer l.Close()
	c, pin, err := take(in)
	if err != nil {
		return err
	}
	defer clear(pin)
	if c.Own != "" { // whoever started this process may be gone
		defer func() {
			_ = durable.Remove(filepath.Join(c.Own, socketName))
			_ = durable.Remove(c.Own)
		}()
	}
	if c.Lock != "" {
		unlock, err := held(c.Lock, leaves)
		if err != nil {
			return errors.Join(err, send(out, []byte(err.Error())))
		}
		defer unlock()
	}
	ctx, end := context.WithCancel(context.Background())
	defer end()
	h, err := open(ctx, c, pin)
	if err != nil {
		return errors.Join(err, send(out, []byte(err.Error())))
	}
	if err := send(out, nil); err != nil {
		return errors.Join(err, h.close())
	}
	go func() {
		_, _ = io.Copy(io.Discard, in) // until whoever started this process is gone
		end()
	}()
	return errors.Join(h.serve(l), h.close())
}

// leaves is how long the process before has for its last write, once its node is gone.
const leaves = 20 * time.Second

// held takes the lock, which another process may have, though not for long.
func held(file string, patience time.Duration) (unlock func(), err error) {
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if unlock, err = durable.Lock(file); !errors.Is(err, durable.ErrLocked) {
			return unlock, err
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("another process has this node's HSM, and did not leave it within %s; is the node running already? (%w)", strict.FormatDuration(patience), err)
		}
	}
}

func open(ctx context.Context, c *Config, pin []byte) (_ *host, err error) {
	h := &host{c: c, pin: pin, ctx: ctx, ids: map[string][]byte{}}
	o := hsm.Options{InitArgs: c.InitArgs, Deadline: c.deadline()}
	if c.Trace != "" {
		if h.trace, err = durable.OpenFile(c.Trace, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
			return nil, err
		}
		o.Trace = h.trace
	}
	if h.m, err = hsm.Open(c.Module, o); err != nil {
		return nil, errors.Join(err, h.close())
	}
	if h.t, err = h.m.Token(hsm.Selector{Label: c.Label, Serial: c.Serial}); err != nil {
		return nil, errors.Join(err, h.close())
	}
	h.by = h.t
	if c.TPM != nil {
		h.by = tpmdevice.WithAgreement(ctx, h.t, tpmdevice.Source{TCTI: c.TPM.TCTI, Store: c.TPM.Store, Label: c.Label})
	}
	if c.Keypad {
		pin = nil
	}
	if err := h.by.Login(pin); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

func (h *host) close() error {
	var err error
	if h.kept != nil {
		err = h.kept.Close()
	}
	if h.t != nil {
		err = errors.Join(err, h.t.Close())
	}
	if h.m != nil {
		err = errors.Join(err, h.m.Close())
	}
	if h.trace != nil {
		err = errors.Join(err, h.trace.Close())
	}
	return err
}

// serve talks to one node after the other.
func (h *host) serve(l net.Listener) error {
	defer context.AfterFunc(h.ctx, func() { l.Close() })()
	for {
		conn, err := serve.Accept(h.ctx, l, nil)
		if err != nil {
			if h.ctx.Err() != nil {
				return nil
			}
			return err
		}
		h.talk(conn)
	}
}

// talk answers a node until it is gone.
func (h *host) talk(conn net.Conn) {
	defer conn.Close()
	defer context.AfterFunc(h.ctx, func() { conn.Close() })()
	for {
		body, err := receive(conn, maxMessage)
		if err != nil {
			return
		}
		q, err := parseQuestion(body)
		if err != nil {
			_ = send(conn, (&answer{answerFailed, []byte(err.Error())}).encode()) // it is gone, or reads this
			return
		}
		payload, err := h.do(q)
		a := &answer{answerDone, payload}
		switch {
		case errors.Is(err, anchor.ErrNone):
			a = &answer{answerNone, nil}
		case errors.Is(err, anchorhsm.ErrUnfit):
			a = &answer{answerUnfit, []byte(err.Error())}
		case err != nil:
			a = &answer{answerFailed, []byte(err.Error())}
		}
		err = send(conn, a.encode())
		if q.op == opAgree {
			clear(payload)
		}
		if err != nil {
			return
		}
	}
}

func (h *host) do(q *question) ([]byte, error) {
	switch q.op {
	case opAbout:
		return []byte(h.m.Description()), nil
	case opSign:
		alg, id, err := h.find(q.key, keys.Sign)
		if err != nil {
			return nil, err
		}
		return h.t.Sign(string(alg), id, keys.ForSession, q.payload)
	case opAgree:
		alg, id, err := h.find(q.key, keys.Agree)
		if err != nil {
			return nil, err
		}
		return h.by.Agree(string(alg), id, q.payload)
	}
	if h.kept == nil {
		var err error
		if h.c.AnchorIndex != 0 {
			if h.c.TPM == nil {
				return nil, errors.New("the anchor is to be in a TPM, and the configuration names none")
			}
			h.kept, err = anchorhsm.OnTPM(h.ctx, h.c.TPM.TCTI, uint32(h.c.AnchorIndex), h.c.Fleet, h.pin)
		} else {
			h.kept, err = anchorhsm.OnToken(h.m, h.t, h.c.Fleet)
		}
		if err != nil {
			h.kept = nil
			return nil, err
		}
	}
	switch q.op {
	case opRead:
		return h.kept.Read()
	case opWrite:
		return nil, h.kept.Write(q.payload)
	case opRemove:
		return nil, h.kept.Remove()
	}
	return nil, fmt.Errorf("operation %d is unknown", q.op)
}

// find gives the id under which the token has a key, as what it is used.
func (h *host) find(spki []byte, use keys.Use) (keys.Algorithm, []byte, error) {
	p, err := keys.ParseSPKI(spki)
	if err != nil {
		return "", nil, fmt.Errorf("the key %w", err)
	}
	alg := p.Algorithm()
	if alg == keys.P256 && use == keys.Agree {
		alg = keys.ECDHP256
	}
	if alg.Use() != use {
		return "", nil, fmt.Errorf("a key of kind %s is asked to %s", alg, use)
	}
	if id := h.ids[string(spki)]; id != nil {
		return alg, id, nil
	}
	objects, err := h.t.Objects()
	if err != nil {
		return "", nil, err
	}
	for _, o := range objects {
		if o.Class != "private" || len(o.ID) == 0 {
			continue
		}
		if got, err := h.t.PublicKey(string(alg), o.ID); err == nil && bytes.Equal(got, spki) {
			h.ids[string(spki)] = o.ID
			return alg, o.ID, nil
		}
	}
	return "", nil, fmt.Errorf("token %q has no key %x: it is another token, or of another epoch", h.c.Label, p.Fingerprint())
}
