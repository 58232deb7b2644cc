package await

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// Ports gives the first of n TCP ports in a row on 127.0.0.1 that are free and
// stay reserved for this test: for a program that can't choose a port itself.
//
// A port that was found free and let go may be another's before the program has
// it. These are none that the system gives to whom asks for any port, and
// whoever asks here holds the UDP ports of the same numbers as long as the test
// runs: two tests, also of two processes, never get the same.
func Ports(t testing.TB, n int) (first int) {
	t.Helper()
	for range 10_000 {
		first = 10_000 + rand.IntN(10_000)
		if reserved := reserve(first, n); reserved != nil {
			t.Cleanup(reserved)
			return first
		}
	}
	t.Fatalf("no %d ports in a row are free", n)
	return 0
}

// reserve gives what ends the reservation; nil where a port is taken.
func reserve(first, n int) (end func()) {
	var held []net.PacketConn
	end = func() {
		for _, c := range held {
			c.Close()
		}
	}
	for port := first; port < first+n; port++ {
		address := fmt.Sprintf("127.0.0.1:%d", port)
		c, err := net.ListenPacket("udp4", address)
		if err != nil {
			end()
			return nil
		}
		held = append(held, c)
		l, err := net.Listen("tcp4", address)
		if err != nil {
			end()
			return nil
		}
		l.Close()
	}
	return end
}
