package log

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/witness"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/serve"
	"github.com/fleetctl/fleetctl/internal/signer"
	"github.com/fleetctl/fleetctl/internal/strict"
)

func readLogPolicy(path string) (*auditlog.Policy, error) {
	data, err := cli.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p, err := auditlog.ParsePolicy(path, data)
	return p, cli.Usage(err)
}

// witnessFlags say who the witness is and what it watches.
type witnessFlags struct {
	key, kind           string
	name, state, policy string
	logKeys             []string
	first               bool
}

func (w *witnessFlags) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&w.key, "witness-key", "", signer.Help)
	signer.KeyTypeFlag(c, &w.kind)
	f.StringVar(&w.name, "name", "", "the witness's `name`, such as witness.example/w1")
	f.StringVar(&w.state, "state", "", "`directory` of what this witness has cosigned; keep it with the key")
	f.StringVar(&w.policy, "policy", "", "log policy `file` whose logs are watched")
	f.StringSliceVar(&w.logKeys, "log-key", nil, "verifier `key` of a log to watch; may be repeated")
	f.BoolVar(&w.first, "first", false, "this witness has never cosigned anything of these logs")
}

func witnessSigner(a *cli.App, w *witnessFlags) (*witness.Signer, func(), error) {
	kind, err := signer.LogKeyKind(w.kind)
	if err != nil {
		return nil, nil, err
	}
	k, err := signer.OpenOf(a, w.key, kind)
	if err != nil {
		return nil, nil, err
	}
	s, err := witness.NewSigner(w.name, k.Public, k.For(keys.ForLog))
	if err != nil {
		k.Close()
		return nil, nil, cli.Usage(err)
	}
	return s, k.Close, nil
}

func openWitness(a *cli.App, cmd *cobra.Command, w *witnessFlags) (*witness.Witness, *witness.Signer, func(), error) {
	if err := cli.Required(cmd, "witness-key", "name", "state"); err != nil {
		return nil, nil, nil, err
	}
	var logs []*auditlog.Verifier
	for _, s := range w.logKeys {
		v, err := auditlog.ParseVKey(s)
		if err != nil {
			return nil, nil, nil, cli.Usage(err)
		}
		logs = append(logs, v)
	}
	if w.policy != "" {
		p, err := readLogPolicy(w.policy)
		if err != nil {
			return nil, nil, nil, err
		}
		for _, l := range p.Logs() {
			logs = append(logs, l.Key)
		}
	}
	if len(logs) == 0 {
		return nil, nil, nil, cli.Usagef("pin the log's key with --log-key VKEY or --policy FILE", "the witness is told no log's key")
	}
	s, done, err := witnessSigner(a, w)
	if err != nil {
		return nil, nil, nil, err
	}
	out, err := witness.Open(s, witness.Options{State: w.state, Logs: logs, First: w.first, Now: a.Now})
	if err != nil {
		done()
		return nil, nil, nil, cli.Usage(err)
	}
	return out, s, done, nil
}

type cosignJSON struct {
	Witness  string    `strict:"witness"`
	VKey     string    `strict:"vkey"`
	Log      string    `strict:"log"`
	Size     uint64    `strict:"size"`
	Time     time.Time `strict:"time"`
	Cosigned string    `strict:"cosigned"`
}

// Format is what the JSON says that it is.
func (*cosignJSON) Format() string { return "fleetctl log cosign result v1" }

func cosignCmd(a *cli.App) *cobra.Command {
	var w witnessFlags
	var out string
	c := cli.Command("cosign REQUEST|CHECKPOINT|PROOF", "Cosign a log's checkpoint as a witness, by file",
		`Cosign is a witness's side, on its own machine, which needs no network. It
checks the log's signature under the key it pins, and that the checkpoint
continues the last one it has cosigned, makes that its new record, and only
then signs. It never goes back and never takes another root at the same size.

A request (fleetctl log prove --consistency SIZE) carries the proof; a bare
checkpoint, or one in a proof, does only for the first time and for cosigning
the same size again. The answer is the checkpoint with the cosignature, for
--cosigned of fleetctl log append and log prove.`,
		"  fleetctl log cosign to-witness-b --witness-key w.pem --name witness.example/b --state seen --log-key VKEY --out cosigned-by-b",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			if err := cli.Required(cmd, "out"); err != nil {
				return err
			}
			data, err := cli.ReadFile(args[0])
			if err != nil {
				return err
			}
			if _, err := os.Lstat(out); err == nil {
				return cli.Exists(fs.ErrExist, out)
			}
			wit, s, done, err := openWitness(a, cmd, &w)
			if err != nil {
				return err
			}
			defer done()
			req, err := wit.Request(args[0], data)
			if err != nil {
				return cli.Wrong(err)
			}
			sig, err := wit.Cosign(req)
			var no *witness.Refusal
			if errors.As(err, &no) {
				return cli.Wrong(no.Err)
			}
			if err != nil {
				return err
			}
			cosigned := req.Checkpoint.With(sig)
			t, err := s.Key.Check(cosigned, sig.Raw)
			if err != nil {
				return err
			}
			if err := cli.WriteNew(out, cosigned.Marshal()); err != nil {
				return err
			}
			return a.Emit(&cosignJSON{w.name, s.Key.String(), cosigned.Origin, cosigned.Size, t, out}, a.UI.Fields([][2]string{
				{"witness", s.Key.String()}, {"log", cosigned.Origin}, {"size", fmt.Sprint(cosigned.Size)},
				{"time", strict.FormatTime(t)}, {"cosigned", out},
			}))
		})
	w.flags(c)
	c.Flags().StringVar(&out, "out", "", "the cosigned checkpoint's new `file`")
	return c
}

type witnessKeyJSON struct {
	Witness string `strict:"witness"`
	VKey    string `strict:"vkey"`
	Listen  string `strict:"listen,optional"`
	Metrics string `strict:"metrics,optional"`
}

// Format is what the JSON says that it is.
func (*witnessKeyJSON) Format() string { return "fleetctl log witness result v1" }

func witnessCmd(a *cli.App) *cobra.Command {
	var w witnessFlags
	var o cli.Server
	c := cli.Command("witness", "Say a witness's key, or serve as a witness",
		`Without --listen it says the witness's verifier key, for a policy's witness
line; a key file that doesn't exist is made: with --key-type ml-dsa-44 one that
cosigns post-quantum, as policies with require_all demand. With --listen it
serves C2SP tlog-witness, with the same record and the same rules as fleetctl
log cosign, until it is interrupted: POST /add-checkpoint, GET /<hex SHA-256 of
origin>/checkpoint, GET /healthz.`,
		`  fleetctl log witness --witness-key w.pem --name witness.example/b
  fleetctl log witness --witness-key w.pem --name witness.example/b --state seen --policy log.policy --listen 127.0.0.1:7380`,
		cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
			if err := cli.Required(cmd, "witness-key", "name"); err != nil {
				return err
			}
			if !o.Given() {
				kind, err := signer.LogKeyKind(w.kind)
				if err != nil {
					return err
				}
				if err := signer.MakeFile(a, w.key, kind); err != nil {
					return err
				}
				s, done, err := witnessSigner(a, &w)
				if err != nil {
					return err
				}
				defer done()
				return a.Emit(&witnessKeyJSON{Witness: w.name, VKey: s.Key.String()}, a.UI.Fields([][2]string{{"witness", w.name}, {"vkey", s.Key.String()}}))
			}
			wit, s, done, err := openWitness(a, cmd, &w)
			if err != nil {
				return err
			}
			defer done()
			watched, err := o.Watch(a, "witness", wit.Healthy)
			if err != nil {
				return err
			}
			measureWitness(watched, wit)
			failed := func(err error) { watched.Log.Error("the witness can't sign", "error", err) }
			return o.Serve(a, cmd.Context(), watched, wit.Handler(failed), func(address, metrics string) (cli.Result, [][2]string) {
				return &witnessKeyJSON{w.name, s.Key.String(), address, metrics}, [][2]string{{"witness", s.Key.String()}, {"listening", address}}
			})
		})
	w.flags(c)
	o.Flags(c, "127.0.0.1:7380")
	return c
}

func measureWitness(w *serve.Watched, wit *witness.Witness) {
	size := w.Metrics.Gauge("fleetctl_witness_entries", "Entries in the newest tree that was cosigned, by log.", "log")
	w.Metrics.OnRead(func() {
		for _, origin := range wit.Origins() {
			if _, n, err := wit.Last(origin); err == nil {
				size.Set(float64(n), origin)
			}
		}
	})
}
