package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/witness"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// evidenceProof is where the proof of a package's identity lies.
func evidenceProof(archive string) string { return strings.TrimSuffix(archive, ".tar") + ".tlog-proof" }

func readLogPolicy(path string) (*auditlog.Policy, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	p, err := auditlog.ParsePolicy(path, data)
	return p, usage(err)
}

// witnessFlags say who the witness is and what it watches.
type witnessFlags struct {
	key, name, state, policy string
	logKeys                  []string
	first                    bool
}

func (w *witnessFlags) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&w.key, "witness-key", "", keyHelp)
	f.StringVar(&w.name, "name", "", "the witness's `name`, such as witness.example/w1")
	f.StringVar(&w.state, "state", "", "`directory` of what this witness has cosigned; keep it with the key")
	f.StringVar(&w.policy, "policy", "", "log policy `file` whose logs are watched")
	f.StringSliceVar(&w.logKeys, "log-key", nil, "verifier `key` of a log to watch; may be repeated")
	f.BoolVar(&w.first, "first", false, "this witness has never cosigned anything of these logs")
}

func (a *app) witnessSigner(w *witnessFlags) (*witness.Signer, func(), error) {
	k, err := a.openKey(w.key)
	if err != nil {
		return nil, nil, err
	}
	pub, ok := k.public.Ed25519()
	if !ok {
		k.close()
		return nil, nil, usagef("", "the witness's key is %s; a witness cosigns with ed25519", k.public.Algorithm())
	}
	s, err := witness.NewSigner(w.name, pub, k.sign)
	if err != nil {
		k.close()
		return nil, nil, usage(err)
	}
	return s, k.close, nil
}

func (a *app) openWitness(cmd *cobra.Command, w *witnessFlags) (*witness.Witness, *witness.Signer, func(), error) {
	if err := required(cmd, "witness-key", "name", "state"); err != nil {
		return nil, nil, nil, err
	}
	var logs []*auditlog.Verifier
	for _, s := range w.logKeys {
		v, err := auditlog.ParseVKey(s)
		if err != nil {
			return nil, nil, nil, usage(err)
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
		return nil, nil, nil, usagef("pin the log's key with --log-key VKEY or --policy FILE", "the witness is told no log's key")
	}
	s, done, err := a.witnessSigner(w)
	if err != nil {
		return nil, nil, nil, err
	}
	out, err := witness.Open(s, witness.Options{State: w.state, Logs: logs, First: w.first, Now: a.now})
	if err != nil {
		done()
		return nil, nil, nil, usage(err)
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

func (a *app) logCosignCmd() *cobra.Command {
	var w witnessFlags
	var out string
	c := command("cosign REQUEST|CHECKPOINT|PROOF", "Cosign a log's checkpoint as a witness, by file",
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
			if err := required(cmd, "out"); err != nil {
				return err
			}
			data, err := readFile(args[0])
			if err != nil {
				return err
			}
			if _, err := os.Lstat(out); err == nil {
				return exists(fs.ErrExist, out)
			}
			wit, s, done, err := a.openWitness(cmd, &w)
			if err != nil {
				return err
			}
			defer done()
			req, err := wit.Request(args[0], data)
			if err != nil {
				return wrong(err)
			}
			sig, err := wit.Cosign(req)
			var no *witness.Refusal
			if errors.As(err, &no) {
				return wrong(no.Err)
			}
			if err != nil {
				return err
			}
			cosigned := req.Checkpoint.With(sig)
			t, err := s.Key.Check(cosigned, sig.Raw)
			if err != nil {
				return err
			}
			if err := writeNew(out, cosigned.Marshal()); err != nil {
				return err
			}
			return a.emit(&cosignJSON{w.name, s.Key.String(), cosigned.Origin, cosigned.Size, t, out}, a.ui.Fields([][2]string{
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
}

func (a *app) logWitnessCmd() *cobra.Command {
	var w witnessFlags
	var listen, cert, key string
	c := command("witness", "Say a witness's key, or serve as a witness",
		`Without --listen it says the witness's verifier key, for a policy's witness
line; a key file that doesn't exist is made. With --listen it serves C2SP
tlog-witness, with the same record and the same rules as fleetctl log cosign,
until it is interrupted: POST /add-checkpoint, GET /<hex SHA-256 of
origin>/checkpoint.`,
		`  fleetctl log witness --witness-key w.pem --name witness.example/b
  fleetctl log witness --witness-key w.pem --name witness.example/b --state seen --policy log.policy --listen 127.0.0.1:7380`,
		cobra.NoArgs, func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd, "witness-key", "name"); err != nil {
				return err
			}
			if listen == "" {
				if err := a.makeKeyFile(w.key); err != nil {
					return err
				}
				s, done, err := a.witnessSigner(&w)
				if err != nil {
					return err
				}
				defer done()
				return a.emit(&witnessKeyJSON{Witness: w.name, VKey: s.Key.String()}, a.ui.Fields([][2]string{{"witness", w.name}, {"vkey", s.Key.String()}}))
			}
			wit, s, done, err := a.openWitness(cmd, &w)
			if err != nil {
				return err
			}
			defer done()
			return a.serve(cmd.Context(), listen, cert, key, wit.Handler(a.ui.Error), func(address string) error {
				return a.emit(&witnessKeyJSON{w.name, s.Key.String(), address}, a.ui.Fields([][2]string{{"witness", s.Key.String()}, {"listening", address}}))
			})
		})
	w.flags(c)
	f := c.Flags()
	f.StringVar(&listen, "listen", "", "`address` to serve at, such as 127.0.0.1:7380")
	serveFlags(c, &cert, &key)
	return c
}

func serveFlags(c *cobra.Command, cert, key *string) {
	c.Flags().StringVar(cert, "tls-cert", "", "certificate chain `file` (PEM), to serve HTTPS")
	c.Flags().StringVar(key, "tls-key", "", "private key `file` (PEM) of the certificate")
}

// serve answers until it is interrupted, and then ends what it has begun.
func (a *app) serve(ctx context.Context, listen, cert, key string, h http.Handler, ready func(address string) error) error {
	if (cert == "") != (key == "") {
		return usagef("", "--tls-cert and --tls-key belong together")
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
	if err != nil {
		return usage(strict.Errorf("", "--listen %s: %v", listen, err))
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 20 * time.Second, WriteTimeout: time.Minute, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	scheme := "http://"
	if cert != "" {
		scheme = "https://"
	}
	if err := ready(scheme + l.Addr().String()); err != nil {
		l.Close()
		return err
	}
	ended := make(chan error, 1)
	go func() {
		if cert != "" {
			ended <- s.ServeTLS(l, filepath.Clean(cert), filepath.Clean(key))
			return
		}
		ended <- s.Serve(l)
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return s.Shutdown(end)
}
