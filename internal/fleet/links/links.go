// Package links is the network of a drill: a proxy for each line from one node or
// device to another, which can be cut, slowed down and listened to.
//
// A line that is cut loses no byte, as TCP loses none to dropped packets: what is
// under way waits, and goes on when the line is whole again. Whoever dials meanwhile is
// connected to nobody. Lines see ciphertext alone.
package links

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Devices is where the devices are, beside the sites of the nodes.
const Devices = "devices"

// Way is one direction of a line.
type Way struct{ From, To string }

// Net has the lines of a drill.
type Net struct {
	mu    sync.Mutex
	moved *sync.Cond // broadcast when a gate or a count changes
	ways  map[Way]*way
	ends  map[Way]net.Listener
	far   map[Way]string   // where a line leads
	conns map[net.Conn]Way // of the line that it was dialled on
	done  bool
	busy  sync.WaitGroup
}

// way is the state of one direction, of every connection over it: both those that From
// dialled and the answers on those that To dialled.
type way struct {
	shut    bool
	delay   time.Duration
	passed  int64 // bytes
	waiting int64 // bytes at a shut gate
}

// New is a network without a line.
func New() *Net {
	n := &Net{ways: map[Way]*way{}, ends: map[Way]net.Listener{}, far: map[Way]string{}, conns: map[net.Conn]Way{}}
	n.moved = sync.NewCond(&n.mu)
	return n
}

// Line makes the line by which from dials to, and gives the address to dial. It leads
// nowhere until Lead says where to listens.
func (n *Net) Line(from, to string) (address string, err error) {
	at := Way{from, to}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.done || n.ends[at] != nil {
		return "", fmt.Errorf("there is a line from %s to %s already, or the network is closed", from, to)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	n.ends[at] = l
	n.busy.Add(1)
	go n.accept(l, at)
	return l.Addr().String(), nil
}

// Lead says where to listens now: for devices, or for the other nodes.
func (n *Net) Lead(to, devices, peers string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for at := range n.ends {
		switch {
		case at.To != to:
		case at.From == Devices:
			n.far[at] = devices
		default:
			n.far[at] = peers
		}
	}
}

func (n *Net) accept(l net.Listener, at Way) {
	defer n.busy.Done()
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		n.busy.Add(1)
		go n.carry(c, at)
	}
}

// carry is one connection over a line.
func (n *Net) carry(c net.Conn, at Way) {
	defer n.busy.Done()
	defer c.Close()
	if !n.enter(c, at) {
		return
	}
	defer n.leave(c)
	back := Way{at.To, at.From}
	if !n.pass(at, c, 0) || !n.pass(back, c, 0) { // nobody answers over a line that is cut
		return
	}
	n.mu.Lock()
	target := n.far[at]
	n.mu.Unlock()
	if target == "" {
		return
	}
	var d net.Dialer
	ctx, stop := context.WithTimeout(context.Background(), 5*time.Second)
	defer stop()
	far, err := d.DialContext(ctx, "tcp", target)
	if err != nil {
		return
	}
	defer far.Close()
	if !n.enter(far, at) {
		return
	}
	defer n.leave(far)
	half := make(chan struct{})
	go func() {
		defer close(half)
		n.pump(far, c, at)
	}()
	n.pump(c, far, back)
	<-half
}

// pump carries bytes one way until either end is closed.
func (n *Net) pump(to, from net.Conn, at Way) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 64<<10)
	for {
		k, err := from.Read(buf)
		if k > 0 {
			if !n.pass(at, from, int64(k)) {
				return
			}
			if _, err := to.Write(buf[:k]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass waits at the gate of a way until k bytes of a connection may go on; false where
// the connection or the network is closed meanwhile.
func (n *Net) pass(at Way, c net.Conn, k int64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	w := n.way(at)
	if w.shut && k > 0 {
		w.waiting += k
		n.moved.Broadcast()
		defer func() { w.waiting -= k }()
	}
	for w.shut && !n.done && n.has(c) {
		n.moved.Wait()
	}
	if d := w.delay; d > 0 && k > 0 {
		n.mu.Unlock()
		time.Sleep(d)
		n.mu.Lock()
	}
	if n.done || !n.has(c) {
		return false
	}
	w.passed += k
	n.moved.Broadcast()
	return true
}

func (n *Net) has(c net.Conn) bool { _, ok := n.conns[c]; return ok }

func (n *Net) way(at Way) *way {
	w := n.ways[at]
	if w == nil {
		w = &way{}
		n.ways[at] = w
	}
	return w
}

func (n *Net) enter(c net.Conn, at Way) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.done {
		c.Close()
		return false
	}
	n.conns[c] = at
	return true
}

func (n *Net) leave(c net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, c)
}

// Shut has nothing pass on these ways until they are opened.
func (n *Net) Shut(ways ...Way) { n.set(true, ways) }

// Open lets what waits on these ways go on.
func (n *Net) Open(ways ...Way) { n.set(false, ways) }

func (n *Net) set(shut bool, ways []Way) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, at := range ways {
		n.way(at).shut = shut
	}
	n.moved.Broadcast()
}

// Of are the ways from and to a site, with the devices' where they count too.
func (n *Net) Of(site string, devices bool) (list []Way) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for at := range n.ends {
		if (at.From == site || at.To == site) && (devices || at.From != Devices) {
			list = append(list, at, Way{at.To, at.From})
		}
	}
	return list
}

// Delay holds up each piece that passes on these ways by a time, from now on.
func (n *Net) Delay(d time.Duration, ways ...Way) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, at := range ways {
		n.way(at).delay = d
	}
}

// Waiting waits until something is held at the shut gate of a way.
func (n *Net) Waiting(ctx context.Context, at Way) error {
	return n.until(ctx, func() bool { return n.way(at).waiting > 0 })
}

// Passed is how many bytes went a way so far.
func (n *Net) Passed(at Way) int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.way(at).passed
}

// Beyond waits until more bytes than so many went a way.
func (n *Net) Beyond(ctx context.Context, at Way, count int64) error {
	return n.until(ctx, func() bool { return n.way(at).passed > count })
}

func (n *Net) until(ctx context.Context, happened func() bool) error {
	wake := context.AfterFunc(ctx, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.moved.Broadcast()
	})
	defer wake()
	n.mu.Lock()
	defer n.mu.Unlock()
	for !happened() {
		if n.done {
			return errors.New("the drill's network is closed")
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		n.moved.Wait()
	}
	return nil
}

// Break closes every connection over the lines from and to a site, as when it loses
// its power: neither end is told anything else.
func (n *Net) Break(site string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c, at := range n.conns {
		if at.From == site || at.To == site {
			delete(n.conns, c)
			c.Close()
		}
	}
	n.moved.Broadcast()
}

// Close ends every line and waits until it has.
func (n *Net) Close() {
	n.mu.Lock()
	n.done = true
	for _, l := range n.ends {
		l.Close()
	}
	for c := range n.conns {
		c.Close()
	}
	n.moved.Broadcast()
	n.mu.Unlock()
	n.busy.Wait()
}
