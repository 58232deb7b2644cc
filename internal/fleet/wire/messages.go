package wire

import (
	"fmt"
	"strings"
)

// RegisterStart asks for an account's registration: OPAQUE's request.
type RegisterStart struct {
	Account string
	Request [32]byte
}

// RegisterAnswer is OPAQUE's response.
type RegisterAnswer struct{ Response [64]byte }

// RegisterFinish has OPAQUE's record and the device's key, sealed under the export key.
// Used is how many guesses the device has seen used of the account with an earlier
// fleet: they count here too.
type RegisterFinish struct {
	Record   [192]byte
	Envelope []byte
	Used     uint32
}

// Registered says that a majority has the record. Who knows the registration's number
// may erase it.
type Registered struct {
	Registration [16]byte
	Epoch        uint64
	Remaining    uint32
	Limit        uint32
}

// LoginStart has OPAQUE's KE1.
type LoginStart struct {
	Account string
	KE1     [96]byte
}

// LoginAnswer has KE2, for which a guess was counted; Remaining is what is left.
type LoginAnswer struct {
	Remaining uint32
	KE2       [320]byte
}

// LoginFinish has KE3.
type LoginFinish struct{ KE3 [64]byte }

// Recovered has the sealed key, once a majority has it that the guess was right.
type Recovered struct {
	Registration [16]byte
	Epoch        uint64
	Remaining    uint32
	Limit        uint32
	Envelope     []byte
}

// Erase destroys the record of a registration.
type Erase struct {
	Account      string
	Registration [16]byte
}

// Erased says that a majority has destroyed it, and how many guesses are used.
type Erased struct{ Used, Limit uint32 }

// StatusRequest asks how a node is.
type StatusRequest struct{}

// Status is what a node says of itself. It is a node's word, and no proof.
type Status struct {
	Node, Leader, State, Anchor, Voters, Version string
	Epoch, Term, Last, Applied                   uint64
	Accounts, Locked                             uint32 // how many there are, and how many of them are locked
}

// Refusal says why there is no other answer.
type Refusal struct {
	Code   Code
	Leader string // CodeNotLeader: who leads, where that is known
	Detail string
}

func (r *Refusal) Error() string {
	s := codes[r.Code]
	if s == "" {
		s = fmt.Sprintf("refused with code %d", r.Code)
	}
	if r.Code == CodeNotLeader && r.Leader != "" {
		s += ": " + r.Leader + " is"
	}
	if r.Detail != "" {
		s += ": " + r.Detail
	}
	return s
}

// Refuse is a refusal with a detail, of which only what a device may show is sent.
func Refuse(code Code, detail string) *Refusal {
	plain := strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, detail)
	return &Refusal{Code: code, Detail: plain[:min(len(plain), MaxText)]}
}

// Context is what a login is bound to: this protocol, and the session that it is in by
// 32 bytes that both of its ends have and nobody else (RFC 8446, section 7.5).
func Context(exporter []byte) ([]byte, error) {
	if len(exporter) != 32 || [32]byte(exporter) == [32]byte{} {
		return nil, fmt.Errorf("a session's exporter has 32 bytes, not all of them zero, and not %d", len(exporter))
	}
	return append([]byte("fleetctl-drill/1 login "), exporter...), nil
}

// Code is why a node refuses.
type Code uint8

// The codes. With CodeNotLeader, CodeNoMajority and CodeLocked nothing was written for the
// message that is refused; with CodeUncertain nobody knows yet. A login that is refused by
// these begins anew with the same KE1, at a node that leads: it stays one guess.
const (
	CodeMalformed  Code = 1
	CodeOrder      Code = 2
	CodeNotDrill   Code = 3
	CodeNotLeader  Code = 4
	CodeNoMajority Code = 5
	CodeUncertain  Code = 6
	CodeWrong      Code = 7
	CodeLocked     Code = 8
	CodeErased     Code = 9
	CodeEraseFirst Code = 10
	CodeRetired    Code = 11
	CodeNumber     Code = 12
	CodeNode       Code = 13
	CodeFull       Code = 14
)

// codes are the refusals in words.
var codes = map[Code]string{
	CodeMalformed:  "the message isn't one that a device sends",
	CodeOrder:      "the message comes at the wrong time",
	CodeNotDrill:   "only accounts named drill.… are kept: this is a reference fleet, not a vault",
	CodeNotLeader:  "this node doesn't lead, and nothing was written: go to the one that does, with the same KE1",
	CodeNoMajority: "no majority of the nodes answers: nothing was written, and nothing is answered until they do",
	CodeUncertain:  "a majority didn't say in time whether it was written: log in again with the same KE1, which uses no second guess",
	CodeWrong:      "the password or code is wrong; the guess is used",
	CodeLocked:     "no guess is left: the record was destroyed, for good",
	CodeErased:     "the account's record was erased or retired: register again",
	CodeEraseFirst: "a record of an earlier epoch is still there: erase it first",
	CodeRetired:    "the fleet's epoch is over: take its next bundle",
	CodeNumber:     "there is no registration with this number: it was erased or replaced",
	CodeNode:       "the node can't answer",
	CodeFull:       "the fleet has as many accounts as it keeps, and forgets none: only those that it has are registered anew",
}

// messages make an empty message of each kind.
var messages = map[kind]func() Message{
	kindRegisterStart:  func() Message { return &RegisterStart{} },
	kindRegisterAnswer: func() Message { return &RegisterAnswer{} },
	kindRegisterFinish: func() Message { return &RegisterFinish{} },
	kindRegistered:     func() Message { return &Registered{} },
	kindLoginStart:     func() Message { return &LoginStart{} },
	kindLoginAnswer:    func() Message { return &LoginAnswer{} },
	kindLoginFinish:    func() Message { return &LoginFinish{} },
	kindRecovered:      func() Message { return &Recovered{} },
	kindErase:          func() Message { return &Erase{} },
	kindErased:         func() Message { return &Erased{} },
	kindStatusRequest:  func() Message { return &StatusRequest{} },
	kindStatus:         func() Message { return &Status{} },
	kindRefusal:        func() Message { return &Refusal{} },
}

var kindNames = map[kind]string{kindRegisterStart: "register-start", kindRegisterAnswer: "register-answer", kindRegisterFinish: "register-finish", kindRegistered: "registered",
	kindLoginStart: "login-start", kindLoginAnswer: "login-answer", kindLoginFinish: "login-finish", kindRecovered: "recovered", kindErase: "erase", kindErased: "erased",
	kindStatusRequest: "status-request", kindStatus: "status", kindRefusal: "refusal"}

func (k kind) String() string {
	if n := kindNames[k]; n != "" {
		return n
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

func (*RegisterStart) kind() kind  { return kindRegisterStart }
func (*RegisterAnswer) kind() kind { return kindRegisterAnswer }
func (*RegisterFinish) kind() kind { return kindRegisterFinish }
func (*Registered) kind() kind     { return kindRegistered }
func (*LoginStart) kind() kind     { return kindLoginStart }
func (*LoginAnswer) kind() kind    { return kindLoginAnswer }
func (*LoginFinish) kind() kind    { return kindLoginFinish }
func (*Recovered) kind() kind      { return kindRecovered }
func (*Erase) kind() kind          { return kindErase }
func (*Erased) kind() kind         { return kindErased }
func (*StatusRequest) kind() kind  { return kindStatusRequest }
func (*Status) kind() kind         { return kindStatus }
func (*Refusal) kind() kind        { return kindRefusal }
