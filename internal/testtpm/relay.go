//go:build linux

package testtpm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/fleetctl/fleetctl/internal/await"
)

// relay lets any number of callers have one TPM, whose emulator takes one. The
// kernel chooses its ports: it listens before anybody is told of them.
type relay struct {
	mu      sync.Mutex // held from a command to its answer
	tpm     net.Conn
	control string // the emulator's second socket
}

// serve relays until the test is over, and says where.
func serve(t testing.TB, tpm net.Conn, control string) *net.TCPAddr {
	t.Helper()
	r := &relay{tpm: tpm, control: control}
	data, second, err := twoPorts()
	if err != nil {
		t.Fatal(err)
	}
	go accept(data, r.commands)
	go accept(second, r.controls)
	t.Cleanup(func() {
		data.Close()
		second.Close()
		tpm.Close()
	})
	return data.Addr().(*net.TCPAddr)
}

// twoPorts listens on two ports in a row, as tpm2-tss expects them.
func twoPorts() (first, second net.Listener, err error) {
	if !await.Happens(func() bool {
		if first, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
			return true
		}
		second, err = net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", first.Addr().(*net.TCPAddr).Port+1))
		if err != nil {
			first.Close()
		}
		return err == nil
	}) {
		return nil, nil, errors.New("no two ports in a row are free")
	}
	return first, second, err
}

func accept(l net.Listener, serve func(net.Conn)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			serve(c)
		}()
	}
}

// commands passes a caller's commands on, one at a time.
func (r *relay) commands(c net.Conn) {
	for {
		command, err := message(c)
		if err != nil {
			return
		}
		answer, err := r.ask(command)
		if err != nil {
			return
		}
		if _, err := c.Write(answer); err != nil {
			return
		}
	}
}

func (r *relay) ask(command []byte) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.tpm.Write(command); err != nil {
		return nil, err
	}
	return message(r.tpm)
}

// message reads a command or an answer: tag, size, code, and the rest.
func message(c net.Conn) ([]byte, error) {
	head := make([]byte, 10)
	if _, err := io.ReadFull(c, head); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[2:])
	if n < 10 || n > 8192 {
		return nil, errors.New("no message of a TPM")
	}
	rest := make([]byte, n-10)
	_, err := io.ReadFull(c, rest)
	return append(head, rest...), err
}

func (r *relay) controls(c net.Conn) {
	up, err := net.Dial("unix", r.control)
	if err != nil {
		return
	}
	defer up.Close()
	go func() {
		_, _ = io.Copy(up, c) // either end may go first
		up.Close()
	}()
	_, _ = io.Copy(c, up)
}
