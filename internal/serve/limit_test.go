package serve

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/internal/await"
)

// elsewhere is a listener whose connections come from the addresses of a list, one
// after the other.
type elsewhere struct {
	net.Listener
	mu   sync.Mutex
	from []string
}

func (e *elsewhere) Accept() (net.Conn, error) {
	c, err := e.Listener.Accept()
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	at := must(net.ResolveTCPAddr("tcp", e.from[0]))
	e.from = e.from[1:]
	return &from{c, at}, nil
}

type from struct {
	net.Conn
	at net.Addr
}

func (f *from) RemoteAddr() net.Addr { return f.at }

func TestOneClientHoldsNoMoreThanAQuarterOfTheConnections(t *testing.T) {
	var list []string
	for i := range 6 { // one machine: its address, or any of its /64
		list = append(list, []string{"192.0.2.7:1", "[2001:db8::1]:1"}[i%2])
	}
	list[5] = "[2001:db8::ffff]:9"
	list = append(list, "192.0.2.8:1", "[2001:db8:0:1::1]:1", "192.0.2.7:1")
	l := limit(&elsewhere{Listener: must(net.Listen("tcp", "127.0.0.1:0")), from: list}, 8)
	go Run(t.Context(), quiet, Part{Listener: l, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "here") })})
	dial := func() net.Conn {
		c := must(net.Dial("tcp", l.Addr().String()))
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(await.Longest))
		return c
	}
	answered := func(c net.Conn) bool {
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		b := make([]byte, 400)
		n, _ := c.Read(b)
		return strings.HasPrefix(string(b[:n]), "HTTP/1.1 200")
	}
	var conns []net.Conn
	for i, want := range []bool{true, true, true, true, false, false, true, true} {
		c := dial() // and it is held: keep-alive
		if got := answered(c); got != want {
			t.Errorf("connection %d, from %s: answered %t", i, list[i], got)
		}
		conns = append(conns, c)
	}
	// Once one of them ends, the client has room for another.
	conns[0].Close()
	held := l.(*limited)
	await.Until(t, "the connection is given back", func() bool {
		held.mu.Lock()
		defer held.mu.Unlock()
		who, _ := client(&net.TCPAddr{IP: net.ParseIP("192.0.2.7")})
		return held.open[who] == 1
	})
	if !answered(dial()) {
		t.Error("a client that has given one back gets none")
	}
}

// A proxy on this machine stands for all of its clients.
func TestThisMachinesOwnConnectionsAreBoundedTogetherAlone(t *testing.T) {
	for address, counted := range map[string]bool{"127.0.0.1:1": false, "[::1]:1": false, "[::ffff:127.0.0.1]:1": false, "10.0.0.1:1": true, "[fe80::1%lo]:1": true} {
		a, err := net.ResolveTCPAddr("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if _, got := client(a); got != counted {
			t.Errorf("%s: counted %t", address, got)
		}
	}
}
