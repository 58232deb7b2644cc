//go:build cgo && unix

package hsm

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/token"
)

// calls are the PKCS#11 functions. Each call is traced, and its error names the function.
// Nothing else in this package calls the module.
type calls struct {
	lib      *library
	trace    *tracer
	deadline time.Duration
}

// patient is how many times the deadline C_GenerateKeyPair may take: an RSA key takes
// minutes on old devices.
const patient = 10

// call calls one function. on is empty if the call concerns the whole module.
func (c *calls) call(function string, on subject, about string, f func() uint) error {
	_, err := ask(c, c.deadline, function, on, about, func() (struct{}, uint) { return struct{}{}, f() })
	return err
}

// get is call for a function with a result. f must not share data that it writes, since
// it goes on after the deadline.
func get[T any](c *calls, function string, on subject, about string, f func() (T, uint)) (T, error) {
	return ask(c, c.deadline, function, on, about, f)
}

func ask[T any](c *calls, deadline time.Duration, function string, on subject, about string, f func() (T, uint)) (T, error) {
	var nothing T
	if c.lib.hung.Load() {
		return nothing, fmt.Errorf("%w: it is asked nothing more since a call hung", &Error{Call: function, Code: noAnswer})
	}
	start := time.Now()
	v, rv, in := within(deadline, f)
	took := time.Since(start)
	if !in {
		// A call into C can't be interrupted. It goes on in its own thread, and no other
		// call may enter the module.
		c.lib.hung.Store(true)
		c.trace.line(function, on, about, noAnswer, took)
		return nothing, fmt.Errorf("%w within %s", &Error{Call: function, Code: noAnswer}, strict.FormatDuration(deadline))
	}
	c.trace.line(function, on, about, token.CodeName(uint64(rv)), took)
	return v, failed(function, rv)
}

func within[T any](deadline time.Duration, f func() (T, uint)) (v T, rv uint, in bool) {
	if deadline <= 0 {
		v, rv = f()
		return v, rv, true
	}
	type answer struct {
		v  T
		rv uint
	}
	done := make(chan answer, 1)
	go func() {
		v, rv := f()
		done <- answer{v, rv}
	}()
	timer := time.NewTimer(deadline)
	defer timer.Stop()
	select {
	case a := <-done:
		return a.v, a.rv, true
	case <-timer.C:
		return v, 0, false
	}
}

// failed makes the error of a call that returned rv; nil for CKR_OK.
func failed(call string, rv uint) error {
	if rv == 0 {
		return nil
	}
	return &Error{Call: call, Code: token.CodeName(uint64(rv))}
}

// keyErr says which key an error is about.
func keyErr(err error, half string, id []byte) error {
	return fmt.Errorf("%s key with CKA_ID %x: %w", half, id, err)
}

// subject is the slot or session that a call is about.
type subject struct {
	kind   string
	number uint
}

func slot(n uint) subject                    { return subject{"slot", n} }
func session(h pkcs11.SessionHandle) subject { return subject{"session", uint(h)} }
func mechanism(m uint) []*pkcs11.Mechanism   { return []*pkcs11.Mechanism{pkcs11.NewMechanism(m, nil)} }
func attributeName(a uint) string            { return "CKA_" + attributeNames[a] }

// code turns miekg's error back into the return code.
func code(err error) uint {
	var e pkcs11.Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return uint(e)
	}
	return pkcs11.CKR_GENERAL_ERROR
}

type tracer struct {
	mu sync.Mutex
	w  io.Writer
}

func newTracer(w io.Writer) *tracer {
	if w == nil {
		return nil
	}
	return &tracer{w: w}
}

// line writes a line. Callers give it only names and numbers, which keeps secrets out.
func (t *tracer) line(function string, on subject, about, code string, took time.Duration) {
	if t == nil {
		return
	}
	where := ""
	if on.kind != "" {
		where = fmt.Sprintf(" %s=%d", on.kind, on.number)
	}
	if about != "" {
		about = " " + about
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	// A trace that can't be written must not stop a ceremony.
	_, _ = fmt.Fprintf(t.w, "%s%s%s %s %dµs\n", function, where, about, code, took.Microseconds())
}

func (c *calls) info() (pkcs11.Info, error) {
	return get(c, "C_GetInfo", subject{}, "", func() (pkcs11.Info, uint) {
		info, e := c.lib.ctx.GetInfo()
		return info, code(e)
	})
}

func (c *calls) slots() ([]uint, error) {
	return get(c, "C_GetSlotList", subject{}, "", func() ([]uint, uint) {
		list, e := c.lib.ctx.GetSlotList(true)
		return list, code(e)
	})
}

func (c *calls) tokenInfo(n uint) (pkcs11.TokenInfo, error) {
	return get(c, "C_GetTokenInfo", slot(n), "", func() (pkcs11.TokenInfo, uint) {
		info, e := c.lib.ctx.GetTokenInfo(n)
		return info, code(e)
	})
}

func (c *calls) mechanisms(n uint) ([]*pkcs11.Mechanism, error) {
	return get(c, "C_GetMechanismList", slot(n), "", func() ([]*pkcs11.Mechanism, uint) {
		list, e := c.lib.ctx.GetMechanismList(n)
		return list, code(e)
	})
}

func (c *calls) mechanismInfo(n, m uint) (pkcs11.MechanismInfo, error) {
	return get(c, "C_GetMechanismInfo", slot(n), mechanismName(m), func() (pkcs11.MechanismInfo, uint) {
		info, e := c.lib.ctx.GetMechanismInfo(n, mechanism(m))
		return info, code(e)
	})
}

// withPIN gives a call its own copy of the PIN, and clears the copy afterwards. If the
// call hangs, the caller clears its PIN, and the module must not read zeros then, which
// would be a wrong PIN.
func withPIN(pin []byte, f func(pin []byte) uint) func() uint {
	return func() uint {
		own := bytes.Clone(pin)
		defer clear(own)
		return f(own)
	}
}

func (c *calls) initToken(n uint, pin []byte, label [32]byte) error {
	return c.call("C_InitToken", slot(n), "", withPIN(pin, func(pin []byte) uint { return c.lib.own.initToken(n, pin, label) }))
}

func (c *calls) openSession(n uint) (pkcs11.SessionHandle, error) {
	return get(c, "C_OpenSession", slot(n), "", func() (pkcs11.SessionHandle, uint) {
		h, e := c.lib.ctx.OpenSession(n, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
		return h, code(e)
	})
}

func (c *calls) closeSession(h pkcs11.SessionHandle) error {
	return c.call("C_CloseSession", session(h), "", func() uint { return code(c.lib.ctx.CloseSession(h)) })
}

func (c *calls) sessionState(h pkcs11.SessionHandle) (uint, error) {
	return get(c, "C_GetSessionInfo", session(h), "", func() (uint, uint) {
		info, e := c.lib.ctx.GetSessionInfo(h)
		return info.State, code(e)
	})
}

func (c *calls) initPIN(h pkcs11.SessionHandle, pin []byte) error {
	return c.call("C_InitPIN", session(h), "", withPIN(pin, func(pin []byte) uint { return c.lib.own.initPIN(uint(h), pin) }))
}

func (c *calls) login(h pkcs11.SessionHandle, user uint, pin []byte) error {
	deadline := c.deadline
	if len(pin) == 0 {
		deadline = 0 // somebody is typing at the device
	}
	f := withPIN(pin, func(pin []byte) uint { return c.lib.own.login(uint(h), user, pin) })
	_, err := ask(c, deadline, "C_Login", session(h), "", func() (struct{}, uint) { return struct{}{}, f() })
	return err
}

func (c *calls) logout(h pkcs11.SessionHandle) error {
	return c.call("C_Logout", session(h), "", func() uint { return code(c.lib.ctx.Logout(h)) })
}

func (c *calls) random(h pkcs11.SessionHandle, n int) ([]byte, error) {
	return get(c, "C_GenerateRandom", session(h), "", func() ([]byte, uint) {
		b, e := c.lib.ctx.GenerateRandom(h, n)
		return b, code(e)
	})
}
