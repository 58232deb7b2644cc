package serve

import (
	"net"
	"net/netip"
	"sync"
)

// Bounded is a listener as every service of the program has it: of at most maxOpen
// connections at once, and for each client a quarter of them.
func Bounded(l net.Listener) net.Listener { return limit(l, maxOpen) }

// limit lets at most n connections be open at once, and of them each client hold at
// most a quarter: the others wait, and slow clients take up no more than that. What
// comes from this machine itself is a proxy's as a rule, which stands for all its
// clients: for it only n holds.
func limit(l net.Listener, n int) net.Listener {
	return &limited{Listener: l, free: make(chan struct{}, n), share: max(1, n/4), done: make(chan struct{}), open: map[netip.Prefix]int{}}
}

type limited struct {
	net.Listener
	free  chan struct{}
	share int // a client's
	done  chan struct{}
	once  sync.Once

	mu   sync.Mutex
	open map[netip.Prefix]int // of each client
}

func (l *limited) Accept() (net.Conn, error) {
	for {
		select {
		case l.free <- struct{}{}:
		case <-l.done:
			return nil, net.ErrClosed
		}
		c, err := l.Listener.Accept()
		if err != nil {
			<-l.free
			return nil, err
		}
		who, counted := client(c.RemoteAddr())
		if counted && !l.enter(who) {
			c.Close()
			<-l.free
			continue
		}
		return &limitedConn{Conn: c, l: l, who: who, counted: counted}, nil
	}
}

// client is the address of a connection's other end; of IPv6 the /64, of which one
// machine has every address.
func client(a net.Addr) (who netip.Prefix, counted bool) {
	at, ok := a.(*net.TCPAddr)
	if !ok {
		return who, false
	}
	ip := at.AddrPort().Addr().Unmap()
	if ip.IsLoopback() {
		return who, false
	}
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	who, err := ip.WithZone("").Prefix(bits)
	return who, err == nil
}

// enter counts a client's connection, unless it holds its share already.
func (l *limited) enter(who netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[who] >= l.share {
		return false
	}
	l.open[who]++
	return true
}

func (l *limited) leave(who netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[who]--; l.open[who] == 0 {
		delete(l.open, who)
	}
}

func (l *limited) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	l       *limited
	who     netip.Prefix
	counted bool
	once    sync.Once
}

func (c *limitedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() {
		if c.counted {
			c.l.leave(c.who)
		}
		<-c.l.free
	})
	return err
}
