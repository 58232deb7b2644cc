// Package processes runs a drill's nodes: each is this very program in a process of its
// own, whose log is kept, and which can be killed as a power cut would.
package processes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Node is a process that was started.
type Node struct {
	Name string

	cmd   *exec.Cmd
	ended chan struct{}
	err   error // of its end
	ready chan struct{}

	mu  sync.Mutex
	out bytes.Buffer // what it said on standard output: its result, once it is ready
	log tail
}

// Start runs a program under a name. What it logs is appended to a file.
func Start(name, program string, args []string, logFile string) (*Node, error) {
	f, err := durable.OpenFile(logFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	n := &Node{Name: name, ended: make(chan struct{}), ready: make(chan struct{}), cmd: exec.Command(program, args...)}
	n.cmd.Stdout, n.cmd.Stderr = said{n}, io.MultiWriter(f, &n.log)
	// Whatever a process inherits of an interrupt at the terminal, the drill decides.
	apart(n.cmd)
	if err := n.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("node %s can't be started: %w", name, err), f.Close())
	}
	go func() {
		n.err = n.cmd.Wait()
		f.Close()
		close(n.ended)
	}()
	return n, nil
}

// said notes that the process is ready: it prints its result once it is, as JSON.
type said struct{ *Node }

func (s said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := bytes.HasSuffix(s.out.Bytes(), []byte("\n}\n"))
	if s.out.Len() < 1<<16 {
		s.out.Write(p)
	}
	if !before && bytes.HasSuffix(s.out.Bytes(), []byte("\n}\n")) {
		close(s.ready)
	}
	return len(p), nil
}

// Ready waits until the node has said that it serves. Its error is what the node said
// last, where it ended instead.
func (n *Node) Ready(ctx context.Context) error {
	select {
	case <-n.ready:
		return nil
	case <-n.ended:
		return n.failure()
	case <-ctx.Done():
		return fmt.Errorf("node %s is not ready: %w", n.Name, ctx.Err())
	}
}

// Said is what it said on standard output.
func (n *Node) Said() []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	return bytes.Clone(n.out.Bytes())
}

// Failed is why a process that ended failed; nil where it ended as it should.
func (n *Node) Failed() error {
	if n.err == nil {
		return nil
	}
	return n.failure()
}

// Refused is the node's reason for having ended by itself; nil while it runs, and where
// it was killed.
func (n *Node) Refused() error {
	if !n.Ended() || n.killed() {
		return nil
	}
	return n.failure()
}

func (n *Node) killed() bool {
	var e *exec.ExitError
	return errors.As(n.err, &e) && !e.Exited()
}

func (n *Node) failure() error {
	return strict.Errorf("", "node %s ended: %v: %s", n.Name, n.err, n.log.text())
}

// Ended says whether the process is gone.
func (n *Node) Ended() bool {
	select {
	case <-n.ended:
		return true
	default:
		return false
	}
}

// Gone waits for the end of the process.
func (n *Node) Gone(ctx context.Context) error {
	select {
	case <-n.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("node %s doesn't end: %w", n.Name, ctx.Err())
	}
}

// Signal sends a signal to the process.
func (n *Node) Signal(s os.Signal) error { return n.cmd.Process.Signal(s) }

// Kill ends the process as kill -9 does, and waits until it is gone.
func (n *Node) Kill() {
	_ = n.cmd.Process.Kill()
	<-n.ended
}

// Stop asks the process to end, and kills it where it doesn't.
func (n *Node) Stop(patience time.Duration) {
	_ = n.cmd.Process.Signal(os.Interrupt)
	select {
	case <-n.ended:
	case <-time.After(patience):
		n.Kill()
	}
}

// tail keeps the last words of a log.
type tail struct {
	mu   sync.Mutex
	last []byte
}

const tailSize = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, p...)
	if over := len(t.last) - tailSize; over > 0 {
		t.last = append([]byte{}, t.last[over:]...)
	}
	return len(p), nil
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.last))
}
