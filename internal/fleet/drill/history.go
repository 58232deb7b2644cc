package drill

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/fleetctl/fleetctl/internal/fleet/report"
	"github.com/fleetctl/fleetctl/internal/fleet/wire"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// What a device asks, as far as the count is concerned.
const (
	didRegister = "register"
	didGuess    = "guess"   // KE1
	didSucceed  = "succeed" // KE3
	didErase    = "erase"   // the registration's record
)

// asked is an operation of a history.
type asked struct {
	Account string   `strict:"account"`
	What    string   `strict:"what"`
	Attempt [32]byte `strict:"attempt,hex,optional"` // SHA-256 of KE1
	Used    int      `strict:"used,optional"`
	Epoch   int      `strict:"epoch,optional"` // of the fleet that is registered with
}

// told is its answer.
type told struct {
	Lost   bool   `strict:"lost,optional"` // none came: it may have been done, or be done later
	Code   string `strict:"code,optional"` // the refusal: locked, erased, erase-first, other
	Left   int    `strict:"left"`
	Limit  int    `strict:"limit,optional"`
	Secret bool   `strict:"secret,optional"` // a sealed key came with it
}

// history is what devices saw, in the order in which they saw it.
type history struct {
	mu  sync.Mutex
	now int64
	ops []porcupine.Operation
}

func (h *history) begin() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now++
	return h.now
}

func (h *history) end(client int, in asked, began int64, out told) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now++
	op := porcupine.Operation{ClientId: client, Input: in, Call: began, Output: out, Return: h.now}
	if out.Lost {
		op.Return = math.MaxInt64
	}
	h.ops = append(h.ops, op)
}

// counter is the model of one account: written after the rules, not after the code.
type counter struct {
	registered, locked bool
	erased             bool // the record; the count stays
	epoch              int  // of the record
	limit, used        int
	open, before       string // attempts: 32 bytes, what was left, whether it was right
}

const attemptSize = 34

func find(list string, id [32]byte) int {
	for at := 0; at < len(list); at += attemptSize {
		if list[at:at+32] == string(id[:]) {
			return at
		}
	}
	return -1
}

// step gives the next state and what a device is told.
func (c counter) step(in asked) (counter, told) {
	next := c
	if c.locked {
		return next, told{Code: "locked"}
	}
	switch {
	case in.What == didRegister:
		if c.registered && !c.erased && c.epoch < in.Epoch {
			return next, told{Code: "erase-first"}
		}
		if !c.registered {
			next.used = in.Used
		}
		next.registered, next.erased, next.epoch, next.open, next.before = true, false, in.Epoch, "", ""
		return next, told{Left: next.limit - next.used, Limit: next.limit}
	case in.What == didErase && c.registered:
		next.erased, next.open, next.before = true, "", ""
		return next, told{Left: c.limit - c.used, Limit: c.limit}
	case c.erased:
		return next, told{Code: "erased"}
	case in.What == didErase:
		return next, told{Code: "other"}
	case in.What == didGuess:
		for _, list := range []string{c.open, c.before} {
			if at := find(list, in.Attempt); at >= 0 {
				return next, told{Left: int(list[at+32])}
			}
		}
		if c.used == c.limit {
			next.locked, next.open, next.before = true, "", ""
			return next, told{Code: "locked"}
		}
		next.used++
		next.open += string(in.Attempt[:]) + string([]byte{byte(c.limit - next.used), 0})
		return next, told{Left: c.limit - next.used}
	}
	for _, list := range []string{c.open, c.before} {
		at := find(list, in.Attempt)
		if at < 0 {
			continue
		}
		if list[at+33] == 0 { // the count starts anew
			cut := c.open
			if i := find(cut, in.Attempt); i >= 0 {
				cut = cut[:i] + cut[i+attemptSize:]
			}
			next.used, next.open, next.before = 0, "", cut+list[at:at+33]+"\x01"
		}
		return next, told{Left: next.limit - next.used, Limit: next.limit, Secret: true}
	}
	return next, told{Code: "other"}
}

func model(limit int) porcupine.Model {
	return porcupine.Model{
		Partition: func(all []porcupine.Operation) (parts [][]porcupine.Operation) {
			at := map[string]int{}
			for _, op := range all {
				name := op.Input.(asked).Account
				if _, ok := at[name]; !ok {
					at[name] = len(parts)
					parts = append(parts, nil)
				}
				parts[at[name]] = append(parts[at[name]], op)
			}
			return parts
		},
		Init: func() any { return counter{limit: limit} },
		Step: func(state, in, out any) (bool, any) {
			next, want := state.(counter).step(in.(asked))
			got := out.(told)
			return got.Lost || got == want, next
		},
	}
}

// judge holds a history against the model, account by account.
func (h *history) judge(name string, limit int, most time.Duration) report.History {
	h.mu.Lock()
	ops := slices.Clone(h.ops)
	h.mu.Unlock()
	r := report.History{Name: name, Operations: len(ops), SHA256: sha256.Sum256(text(ops)), Result: report.Linearizable}
	m := model(limit)
	for _, part := range m.Partition(ops) {
		switch porcupine.CheckOperationsTimeout(m, part, most) {
		case porcupine.Ok:
		case porcupine.Illegal:
			r.Result = report.NotLinearizable
			return r
		default:
			r.Result = report.Undecided
		}
	}
	return r
}

// file is the history as the drill leaves it.
func (h *history) file() []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	return text(h.ops)
}

// text is a history's file: an operation a line.
func text(ops []porcupine.Operation) []byte {
	var b strings.Builder
	for _, op := range ops {
		fmt.Fprintf(&b, "%d %d %d %s %s\n", op.ClientId, op.Call, op.Return, strings.TrimSpace(string(strict.EncodeLine(op.Input.(asked)))), strings.TrimSpace(string(strict.EncodeLine(op.Output.(told)))))
	}
	return []byte(b.String())
}

// tap listens to what a device says in a session, for the history, and calls whoever
// waits for one of its words.
type tap struct {
	io.ReadWriter
	h       *history
	client  int
	account string
	epoch   int             // of the fleet
	seen    func(at moment) // nil, or told of each moment of a login
	record  func(*wire.RegisterFinish)
	// answered is told when a guess that was answered had been sent.
	answered func(sent time.Time)

	attempt [32]byte
	in      asked
	began   int64 // 0: nothing is under way
	sent    time.Time
	read    []byte
}

// moment is one of a login.
type moment string

const (
	beforeKE1 moment = "before KE1 is sent"
	afterKE1  moment = "after KE1 was sent"
	afterKE2  moment = "after KE2 was read"
	beforeKE3 moment = "before KE3 is sent"
	afterKE3  moment = "after KE3 was sent"
	afterKey  moment = "after the sealed key was read"
)

func (t *tap) at(m moment) {
	if t.seen != nil {
		t.seen(m)
	}
}

func (t *tap) Write(b []byte) (int, error) {
	m, err := wire.Parse(b)
	if err != nil {
		return 0, err
	}
	var after moment
	switch m := m.(type) {
	case *wire.RegisterFinish:
		if t.record != nil {
			t.record(m)
		}
		t.begin(asked{Account: t.account, What: didRegister, Used: int(m.Used), Epoch: t.epoch})
	case *wire.Erase:
		t.begin(asked{Account: t.account, What: didErase})
	case *wire.LoginStart:
		t.at(beforeKE1)
		t.attempt = sha256.Sum256(m.KE1[:])
		t.begin(asked{Account: t.account, What: didGuess, Attempt: t.attempt})
		t.sent = time.Now()
		after = afterKE1
	case *wire.LoginFinish:
		t.at(beforeKE3)
		t.begin(asked{Account: t.account, What: didSucceed, Attempt: t.attempt})
		after = afterKE3
	}
	n, err := t.ReadWriter.Write(b)
	if err != nil {
		t.lost()
	} else if after != "" {
		t.at(after)
	}
	return n, err
}

func (t *tap) begin(in asked) { t.in, t.began = in, t.h.begin() }

// Read listens for whole messages in what is read.
func (t *tap) Read(b []byte) (int, error) {
	n, err := t.ReadWriter.Read(b)
	t.read = append(t.read, b[:n]...)
	for len(t.read) >= 3 {
		end := 3 + int(binary.BigEndian.Uint16(t.read[1:]))
		if len(t.read) < end {
			break
		}
		if m, err := wire.Parse(t.read[:end]); err == nil {
			t.heard(m)
		}
		t.read = t.read[end:]
	}
	if err != nil {
		t.lost()
	}
	return n, err
}

// lost says that no answer came.
func (t *tap) lost() {
	if t.began != 0 {
		t.h.end(t.client, t.in, t.began, told{Lost: true})
		t.began = 0
	}
}

// heard takes an answer that was read.
func (t *tap) heard(m wire.Message) {
	if t.began == 0 {
		return
	}
	var out told
	var after moment
	switch m := m.(type) {
	case *wire.Registered:
		out = told{Left: int(m.Remaining), Limit: int(m.Limit)}
	case *wire.Erased:
		out = told{Left: int(m.Limit) - int(m.Used), Limit: int(m.Limit)}
	case *wire.LoginAnswer:
		out, after = told{Left: int(m.Remaining)}, afterKE2
		if t.answered != nil {
			t.answered(t.sent)
		}
	case *wire.Recovered:
		out, after = told{Left: int(m.Remaining), Limit: int(m.Limit), Secret: true}, afterKey
	case *wire.Refusal:
		switch m.Code {
		case wire.CodeLocked:
			out.Code = "locked"
		case wire.CodeErased:
			out.Code = "erased"
		case wire.CodeEraseFirst:
			out.Code = "erase-first"
		case wire.CodeNotLeader, wire.CodeNoMajority:
			t.began = 0 // nothing was written
			return
		case wire.CodeUncertain, wire.CodeNode:
			out.Lost = true
		default:
			out.Code = "other"
		}
	default:
		return
	}
	t.h.end(t.client, t.in, t.began, out)
	t.began = 0
	if after != "" {
		t.at(after)
	}
}
