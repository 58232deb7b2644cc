package await_test

import (
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/internal/await"
)

// The test runs itself as the process that it waits for.
func TestMain(m *testing.M) {
	switch os.Getenv("AWAIT_TEST") {
	case "":
		os.Exit(m.Run())
	case "ends":
		os.Exit(7)
	case "stays":
		// Not for ever at nothing: where there is no cgo, Go ends such a process.
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, os.Interrupt)
		<-signals
	}
}

func start(t *testing.T, how string) *await.Process {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "AWAIT_TEST="+how)
	return await.Start(t, cmd)
}

func TestAProcessThatEndsIsNotWaitedFor(t *testing.T) {
	p := start(t, "ends")
	if p.Until(func() bool { return false }) {
		t.Error("what never happens has happened")
	}
	if ok, err := p.Ends(); !ok || p.ProcessState.ExitCode() != 7 || err == nil {
		t.Errorf("%v, %v", ok, err)
	}
	// What it did last counts, though it was gone when it was looked at.
	if !p.Until(func() bool { return p.Ended() }) {
		t.Error("its end was not seen")
	}
}

func TestAProcessIsGoneOnceItIsKilled(t *testing.T) {
	p := start(t, "stays")
	n := 0
	if !p.Until(func() bool { n++; return n == 3 }) || n != 3 || p.Ended() {
		t.Errorf("%d looks, ended: %v", n, p.Ended())
	}
	p.Kill()
	p.Kill() // twice does no harm
	if !p.Ended() || p.Wait() == nil {
		t.Error("it lives on")
	}
}

func TestReservedPortsAreFreeAndNobodyElses(t *testing.T) {
	seen := map[int]bool{}
	for range 50 {
		first := await.Ports(t, 2)
		for port := first; port < first+2; port++ {
			if seen[port] {
				t.Fatalf("port %d was given twice", port)
			}
			seen[port] = true
			l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
			if err != nil {
				t.Fatal(err)
			}
			l.Close()
		}
	}
}

func TestProcessorTimeIsOfWorkAndNotOfWaiting(t *testing.T) {
	before := await.Processor()
	time.Sleep(300 * time.Millisecond)
	slept := await.Processor() - before
	n := 0
	await.Until(t, "a tenth of a second of work", func() bool {
		for range 1_000_000 {
			n++
		}
		return await.Processor()-before-slept >= 100*time.Millisecond
	})
	if runtime.GOOS != "windows" && slept > 200*time.Millisecond {
		t.Errorf("300 ms of sleep took %v of processor time", slept)
	}
}
