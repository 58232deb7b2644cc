package links_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/fleet/links"
)

// echo answers each line with itself.
func echo(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

type caller struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, address string) *caller {
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &caller{t, c, bufio.NewReader(c)}
}

func (c *caller) say(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		c.t.Fatal(err)
	}
}

func (c *caller) hears(want string) {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(await.Longest))
	if got, err := c.r.ReadString('\n'); err != nil || got != want+"\n" {
		c.t.Fatalf("heard %q, %v; want %q", got, err, want)
	}
}

func line(t *testing.T) (*links.Net, string) {
	n := links.New()
	t.Cleanup(n.Close)
	address, err := n.Line("a", "b")
	if err != nil {
		t.Fatal(err)
	}
	n.Lead("b", "", echo(t))
	return n, address
}

func TestALineThatIsCutLosesNoByteAndGoesOn(t *testing.T) {
	n, address := line(t)
	c := dial(t, address)
	c.say("one")
	c.hears("one")
	n.Shut(n.Of("b", true)...)
	c.say("two")
	if err := n.Waiting(t.Context(), links.Way{From: "a", To: "b"}); err != nil {
		t.Fatal(err)
	}
	late := dial(t, address) // connected to nobody
	late.say("late")
	before := n.Passed(links.Way{From: "a", To: "b"})
	n.Open(links.Way{From: "a", To: "b"})
	if err := n.Waiting(t.Context(), links.Way{From: "b", To: "a"}); err != nil {
		t.Fatal(err)
	}
	if now := n.Passed(links.Way{From: "a", To: "b"}); now != before+4 {
		t.Errorf("%d bytes went on, want 4: those of the connection that was there", now-before)
	}
	n.Open(n.Of("b", true)...)
	c.hears("two")
	late.hears("late")
}

func TestWhatIsWaitedForOnALineEndsWithTheContext(t *testing.T) {
	n, _ := line(t)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := n.Beyond(ctx, links.Way{From: "a", To: "b"}, 0); err != context.Canceled {
		t.Errorf("got %v", err)
	}
}

func TestADelayHoldsUpEachPiece(t *testing.T) {
	n, address := line(t)
	c := dial(t, address)
	const d = 50 * time.Millisecond
	n.Delay(d, links.Way{From: "a", To: "b"})
	began := time.Now()
	c.say("slow")
	c.hears("slow")
	if took := time.Since(began); took < d {
		t.Errorf("it took %v, less than the delay", took)
	}
}

func TestABrokenSiteHasNoConnectionLeftEvenAtAShutGate(t *testing.T) {
	n, address := line(t)
	c := dial(t, address)
	c.say("one")
	c.hears("one")
	n.Shut(n.Of("b", true)...)
	c.say("two")
	if err := n.Waiting(t.Context(), links.Way{From: "a", To: "b"}); err != nil {
		t.Fatal(err)
	}
	n.Break("b")
	_ = c.SetReadDeadline(time.Now().Add(await.Longest))
	if got, err := c.r.ReadString('\n'); err == nil || got != "" {
		t.Errorf("heard %q over a connection that was broken: %v", got, err)
	}
}

func TestTwoLinesBetweenTheSameSitesAreRefused(t *testing.T) {
	n, _ := line(t)
	if _, err := n.Line("a", "b"); err == nil {
		t.Error("there are two")
	}
	if got := len(n.Of("b", true)); got != 2 {
		t.Errorf("%d ways, want both of one line", got)
	}
	if _, err := n.Line(links.Devices, "b"); err != nil {
		t.Fatal(err)
	}
	if got := len(n.Of("b", false)); got != 2 {
		t.Errorf("%d ways without the devices', want 2", got)
	}
}
