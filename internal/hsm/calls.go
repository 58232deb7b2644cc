//go:build cgo && unix

package hsm

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/miekg/pkcs11"
)

// calls are the PKCS#11 functions, each traced and each with an error that
// names it. Nothing else in this package calls the module.
type calls struct {
	lib   *library
	trace *tracer
}

// call runs one function. Where on is nothing, it concerns the whole module.
func (c *calls) call(function string, on subject, about string, f func() uint) error {
	if c.trace == nil {
		return failed(function, f())
	}
	start := time.Now()
	rv := f()
	c.trace.line(function, on, about, CodeName(rv), time.Since(start))
	return failed(function, rv)
}

// failed makes the error of a call that returned rv; nil for CKR_OK.
func failed(call string, rv uint) error {
	if rv == 0 {
		return nil
	}
	return &Error{Call: call, Code: CodeName(rv)}
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

// line is called with names and numbers only; that is what keeps secrets out.
func (t *tracer) line(function string, on subject, about, code string, took time.Duration) {
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

func (c *calls) info() (info pkcs11.Info, err error) {
	err = c.call("C_GetInfo", subject{}, "", func() uint {
		var e error
		info, e = c.lib.ctx.GetInfo()
		return code(e)
	})
	return info, err
}

func (c *calls) slots() (list []uint, err error) {
	err = c.call("C_GetSlotList", subject{}, "", func() uint {
		var e error
		list, e = c.lib.ctx.GetSlotList(true)
		return code(e)
	})
	return list, err
}

func (c *calls) tokenInfo(n uint) (info pkcs11.TokenInfo, err error) {
	err = c.call("C_GetTokenInfo", slot(n), "", func() uint {
		var e error
		info, e = c.lib.ctx.GetTokenInfo(n)
		return code(e)
	})
	return info, err
}

func (c *calls) mechanisms(n uint) (list []*pkcs11.Mechanism, err error) {
	err = c.call("C_GetMechanismList", slot(n), "", func() uint {
		var e error
		list, e = c.lib.ctx.GetMechanismList(n)
		return code(e)
	})
	return list, err
}

func (c *calls) mechanismInfo(n, m uint) (info pkcs11.MechanismInfo, err error) {
	err = c.call("C_GetMechanismInfo", slot(n), MechanismName(m), func() uint {
		var e error
		info, e = c.lib.ctx.GetMechanismInfo(n, mechanism(m))
		return code(e)
	})
	return info, err
}

func (c *calls) initToken(n uint, pin []byte, label [32]byte) error {
	return c.call("C_InitToken", slot(n), "", func() uint { return c.lib.own.initToken(n, pin, label) })
}

func (c *calls) openSession(n uint) (h pkcs11.SessionHandle, err error) {
	err = c.call("C_OpenSession", slot(n), "", func() uint {
		var e error
		h, e = c.lib.ctx.OpenSession(n, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
		return code(e)
	})
	return h, err
}

func (c *calls) closeSession(h pkcs11.SessionHandle) error {
	return c.call("C_CloseSession", session(h), "", func() uint { return code(c.lib.ctx.CloseSession(h)) })
}

func (c *calls) sessionState(h pkcs11.SessionHandle) (state uint, err error) {
	err = c.call("C_GetSessionInfo", session(h), "", func() uint {
		info, e := c.lib.ctx.GetSessionInfo(h)
		state = info.State
		return code(e)
	})
	return state, err
}

func (c *calls) initPIN(h pkcs11.SessionHandle, pin []byte) error {
	return c.call("C_InitPIN", session(h), "", func() uint { return c.lib.own.initPIN(uint(h), pin) })
}

func (c *calls) login(h pkcs11.SessionHandle, user uint, pin []byte) error {
	return c.call("C_Login", session(h), "", func() uint { return c.lib.own.login(uint(h), user, pin) })
}

func (c *calls) logout(h pkcs11.SessionHandle) error {
	return c.call("C_Logout", session(h), "", func() uint { return code(c.lib.ctx.Logout(h)) })
}

func (c *calls) random(h pkcs11.SessionHandle, n int) (b []byte, err error) {
	err = c.call("C_GenerateRandom", session(h), "", func() uint {
		var e error
		b, e = c.lib.ctx.GenerateRandom(h, n)
		return code(e)
	})
	return b, err
}
