//go:build cgo && unix

package log

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/publish"
	"github.com/fleetctl/fleetctl/auditlog/witness"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// witnessOptions are the flags of the commands that make proofs.
type witnessOptions struct {
	dir, guard, policy string
	cosigned           []string
	timeout            time.Duration
}

func (o *witnessOptions) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.dir, "log", "", "the log's `directory`")
	f.StringVar(&o.guard, "guard", "", guardHelp)
	f.StringVar(&o.policy, "policy", "", "log policy `file` (C2SP tlog-policy): which witnesses to ask, and how many must cosign")
	f.StringSliceVar(&o.cosigned, "cosigned", nil, "checkpoint `file` that a witness has cosigned by file; may be repeated")
	cli.Duration(f, &o.timeout, "witness-timeout", witnessTimeout, "how long to wait for a witness")
}

func (o *witnessOptions) options() publish.Options {
	return publish.Options{Guard: o.guard, Timeout: logTimeout}
}

// read reads the policy; nil where none is given.
func (o *witnessOptions) read() (*auditlog.Policy, error) {
	if o.policy == "" {
		if len(o.cosigned) > 0 {
			return nil, cli.Usagef("cosignatures count by the keys that it pins", "--cosigned needs --policy")
		}
		return nil, nil
	}
	return readLogPolicy(o.policy)
}

// readSigners reads the policy of whoever appends. A verifier's policy pins whose signatures
// a bundle must have, too.
func (o *witnessOptions) readSigners(a *cli.App) (*auditlog.Policy, *publish.Signers, error) {
	if o.policy == "" {
		p, err := o.read()
		return p, nil, err
	}
	data, err := cli.ReadWhole(o.policy)
	if err != nil {
		return nil, nil, err
	}
	if !bytes.HasPrefix(data, []byte("format:")) && !bytes.Contains(data, []byte("\nformat:")) { // a line of no log policy
		p, err := o.read()
		return p, nil, err
	}
	p, err := evidence.ParsePolicy(o.policy, data)
	if err != nil {
		return nil, nil, cli.Usage(err)
	}
	if p.Log == nil && len(o.cosigned) > 0 {
		return nil, nil, cli.Usage(strict.Errorf(o.policy, "pins no log, and cosignatures count by the keys that it pins").WithHint("pin the log and its witnesses under log_policy:"))
	}
	return p.Log, &publish.Signers{Now: a.Now(), Trust: func(ns string) (*bundle.Trust, error) {
		if !p.Pins(ns) {
			return nil, strict.Errorf(o.policy, "pins no namespace %s", ns)
		}
		return p.Trust(ns), nil
	}}, nil
}

// witnessing has what a proof of the entry needs of witnesses: whom to ask, and
// what came of them by file.
func witnessing(a *cli.App, e *publish.Entry, p *auditlog.Policy, o witnessOptions) (publish.Witnessing, error) {
	w := publish.Witnessing{Policy: p, Client: witness.Client{Timeout: o.timeout}}
	w.Alarm = func(x witness.Answer) {
		a.UI.Error(strict.Errorf("", "%v", x.Err).WithHint("%s", adviceOf(x.Err)))
	}
	for _, file := range o.cosigned {
		data, err := cli.ReadFile(file)
		if err != nil {
			return w, err
		}
		c, err := e.Cosigned(p, file, data)
		if err != nil {
			return w, cli.Wrong(err)
		}
		w.Cosigned = append(w.Cosigned, c)
	}
	return w, nil
}

func prove(a *cli.App, ctx context.Context, e *publish.Entry, p *auditlog.Policy, o witnessOptions) ([]byte, error) {
	w, err := witnessing(a, e, p, o)
	if err != nil {
		return nil, err
	}
	proof, err := e.Prove(ctx, w)
	return proof, logFault(a, err)
}

type witnessJSON struct {
	Name  string    `strict:"name"`
	Time  time.Time `strict:"time,optional"`
	Error string    `strict:"error,optional"`
	Next  string    `strict:"next,optional"`
}

type pendingJSON struct {
	Log       string        `strict:"log"`
	Index     uint64        `strict:"index"`
	Size      uint64        `strict:"size"`
	Pending   bool          `strict:"pending"`
	Witnesses []witnessJSON `strict:"witnesses"`
}

// Format is what the JSON says that it is.
func (*pendingJSON) Format() string { return "fleetctl log pending result v1" }

// logFault gives what came of a log its exit code, and shows which witnesses
// are missing.
func logFault(a *cli.App, err error) error {
	var refused *publish.Refusal
	var old *publish.NotNewer
	var short *publish.Short
	switch {
	case errors.As(err, &refused):
		return cli.Wrong(err)
	case errors.As(err, &old):
		return cli.Exit(cli.ExitPending, err)
	case errors.As(err, &short):
		return notWitnessed(a, short)
	}
	return err
}

// notWitnessed says which witnesses are missing, why, and what to do.
func notWitnessed(a *cli.App, s *publish.Short) error {
	j := &pendingJSON{Log: s.Origin, Index: s.Index, Size: s.Size, Pending: true}
	for _, c := range s.Cosigned {
		j.Witnesses = append(j.Witnesses, witnessJSON{Name: c.Name, Time: c.Time})
	}
	var why []string
	for _, c := range s.Missing {
		w := witnessJSON{Name: c.Name}
		if c.Err != nil {
			w.Error, w.Next = c.Err.Error(), adviceOf(c.Err)
			why = append(why, w.Error)
		}
		j.Witnesses = append(j.Witnesses, w)
	}
	if a.Format == "json" {
		if err := a.Emit(j); err != nil {
			return err
		}
	}
	code := cli.ExitFailed
	if s.Fork == nil {
		code = cli.ExitPending
		why = append(why, "run the same command again when they are back: it finishes what is missing")
	}
	return cli.Exit(code, strict.Errorf("", "%v", s).WithHint("%s", strings.Join(why, "\n")))
}

func adviceOf(err error) string {
	var e *witness.Error
	if errors.As(err, &e) {
		return e.Next()
	}
	return ""
}
