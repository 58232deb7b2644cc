//go:build cgo && unix

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// program runs fleetctl as the script would.
func program(ts *testscript.TestScript, args ...string) *exec.Cmd {
	cmd := exec.Command("fleetctl", args...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "SOFTHSM2_CONF="+ts.Getenv("SOFTHSM2_CONF"))
	return cmd
}

// listening VARIABLE ARG… starts a fleetctl that serves, until the script ends
// or `down VARIABLE`, and puts its address into the variable, and where it takes
// submissions into VARIABLE_SUBMIT, its metrics and health into VARIABLE_HEALTH.
func cmdListening(ts *testscript.TestScript, _ bool, args []string) {
	cmd := program(ts, append(args[1:], "--format", "json")...)
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	cmd.Stderr = os.Stderr
	ts.Check(cmd.Start())
	var said struct {
		Listen string `json:"listen"`
		Submit string `json:"submit"`
		Health string `json:"metrics"`
	}
	var raw json.RawMessage
	ts.Check(json.NewDecoder(out).Decode(&raw))
	ts.Check(printedBySchema(string(raw)))
	ts.Check(json.Unmarshal(raw, &said))
	ts.Setenv(args[0], said.Listen)
	ts.Setenv(args[0]+"_SUBMIT", said.Submit)
	ts.Setenv(args[0]+"_HEALTH", strings.TrimSuffix(said.Health, "/metrics"))
	ts.Setenv(args[0]+"_PID", fmt.Sprint(cmd.Process.Pid))
	s := &served{cmd: cmd}
	listeners.Store(cmd.Process.Pid, s)
	ts.Defer(func() {
		listeners.Delete(cmd.Process.Pid)
		_ = s.end(syscall.SIGTERM)
	})
}

// listeners are the scripts' programs that serve, by process.
var listeners sync.Map

type served struct {
	cmd  *exec.Cmd
	once sync.Once
	err  error
}

// end returns when the program has ended. Whoever asked it sooner, right after
// the signal, could still be answered.
func (s *served) end(sig os.Signal) error {
	s.once.Do(func() {
		_ = s.cmd.Process.Signal(sig)
		s.err = s.cmd.Wait()
	})
	return s.err
}

// down VARIABLE ends what listens there, as Ctrl-C would.
func cmdDown(ts *testscript.TestScript, _ bool, args []string) {
	var pid int
	_, err := fmt.Sscan(ts.Getenv(args[0]+"_PID"), &pid)
	ts.Check(err)
	s, ok := listeners.Load(pid)
	if !ok {
		ts.Fatalf("nothing that was started listens as %s", args[0])
	}
	ts.Check(s.(*served).end(syscall.SIGINT))
}

// logpolicy FILE K NAME[=URL]… writes log.policy with a quorum of K of these
// witnesses, whose keys are NAME.pem and made if need be.
func cmdLogPolicy(ts *testscript.TestScript, _ bool, args []string) {
	line, _, _ := strings.Cut(ts.ReadFile("log.policy"), "\n")
	text, group := line+"\n", ""
	for _, arg := range args[2:] {
		name, url, _ := strings.Cut(arg, "=")
		out, err := program(ts, "log", "witness", "--witness-key", name+".pem", "--name", "witness.example/"+name, "--format", "json").Output()
		ts.Check(err)
		var said struct {
			VKey string `json:"vkey"`
		}
		ts.Check(json.Unmarshal(out, &said))
		text += strings.TrimSpace(fmt.Sprintf("witness %s %s %s", name, said.VKey, url)) + "\n"
		group += " " + name
	}
	text += fmt.Sprintf("group q %s%s\nquorum q\n", args[1], group)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}
