package thirdparty

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/thirdparty/service"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

type queueJSON struct {
	Queue   string        `strict:"queue"`
	Waiting []waitingJSON `strict:"waiting"`
	Signed  []waitingJSON `strict:"signed"` // and out of the queue
}

// Format is what the JSON says that it is.
func (*queueJSON) Format() string { return "fleetctl thirdparty queue result v1" }

type waitingJSON struct {
	File      string   `strict:"file"`
	Namespace string   `strict:"namespace,empty"`
	Epoch     uint64   `strict:"epoch"`
	Digest    [32]byte `strict:"digest,hex"`
	Size      int64    `strict:"size"`
	Time      string   `strict:"time"`
	WaitsFor  string   `strict:"waits_for"`
	Against   [32]byte `strict:"against,hex,optional"` // another digest that waits for the epoch
	Signed    string   `strict:"signed,optional"`      // when
	Fault     string   `strict:"fault,optional"`
}

func queueCmd(a *cli.App) *cobra.Command {
	var reject, ledger, key string
	c := cli.Command("queue DIR", "List the requests that wait for a person",
		`Queue lists what was submitted. A request is inspected and signed by its file:
thirdparty inspect FILE, thirdparty sign FILE. A submission is an epoch and a
digest alone: nobody signs it, it waits for its request. Where a request came
and another digest was submitted for its epoch, both are listed: ask the
operator which is theirs. --reject takes one out, so that another for the same
epoch can be submitted; the file is kept.

What the ledger has signed the service moves to DIR/signed when it is next asked
something, be it its health. With --ledger and --public-key, Queue also says of
what isn't moved yet whether it is signed.`,
		"  fleetctl thirdparty queue queue --ledger ledger.jsonl --public-key thirdparty.pub\n  fleetctl thirdparty queue queue --reject example.fleet_keys.v1-0000000000000002.request.json",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			var signed []*bundle.Statement
			if ledger != "" || key != "" {
				if err := cli.Required(cmd, "ledger", "public-key"); err != nil {
					return err
				}
				l, err := readLedger(ledger, key)
				if err != nil {
					return err
				}
				signed = l.Statements()
			}
			if reject != "" {
				if err := rejectRequest(args[0], reject, a.Now().UTC().Format("20060102T150405Z")); err != nil {
					return err
				}
			}
			return listQueue(a, args[0], signed)
		})
	c.Flags().StringVar(&reject, "reject", "", "take this `file` out of the queue")
	c.Flags().StringVar(&ledger, "ledger", "", "the `file` of everything that was signed")
	c.Flags().StringVar(&key, "public-key", "", "the ledger's `key`: base64, a file of it, or an OpenSSH .pub file")
	return c
}

func listQueue(a *cli.App, dir string, signed []*bundle.Statement) error {
	list, err := service.List(dir)
	if err != nil {
		return cli.Usage(cli.Missing(err))
	}
	settled, err := service.ListSigned(dir)
	if err != nil {
		return err
	}
	out := &queueJSON{Queue: dir, Waiting: []waitingJSON{}, Signed: []waitingJSON{}}
	var rows, done [][]string
	var faults []string
	for _, w := range list {
		line := waitingLine(w, signed)
		out.Waiting = append(out.Waiting, line)
		if w.Fault != "" {
			faults = append(faults, a.UI.Line(w.Fault))
		}
		wants := line.WaitsFor
		switch {
		case line.Signed != "":
			wants += ": signed " + line.Signed
		case w.Against != ([32]byte{}):
			wants += "; another digest was submitted for the epoch too"
		}
		rows = append(rows, []string{fmt.Sprint(w.Epoch), line.Time, wants, filepath.Base(w.File)})
	}
	for _, w := range settled {
		line := waitingLine(w.Waiting, nil)
		line.WaitsFor, line.Signed = "nothing", strict.FormatTime(w.Signed)
		out.Signed = append(out.Signed, line)
		done = append(done, []string{fmt.Sprint(w.Epoch), line.Time, line.Signed, filepath.Base(filepath.Dir(w.File)) + "/" + filepath.Base(w.File)})
	}
	text := []string{a.UI.Line("nothing waits")}
	if len(rows) > 0 {
		text[0] = a.UI.TableWhole([]string{"epoch", "submitted", "waits for", "file"}, rows)
	}
	if len(faults) > 0 {
		text = append(append(text, "\n"), faults...)
	}
	if len(done) > 0 {
		text = append(text, "\n", a.UI.TableWhole([]string{"epoch", "submitted", "signed", "file"}, done))
	}
	return a.Emit(out, text...)
}

// waitingLine says what a file in the queue waits for: for nothing, where its digest
// is among what was signed.
func waitingLine(w service.Waiting, signed []*bundle.Statement) waitingJSON {
	line := waitingJSON{File: w.File, Namespace: w.Namespace, Epoch: w.Epoch, Digest: w.Digest, Size: w.Size, Time: strict.FormatTime(w.Time), WaitsFor: "a person", Against: w.Against, Fault: w.Fault}
	if w.Bare {
		line.WaitsFor = "its request"
	}
	for _, s := range signed {
		switch {
		case w.Fault != "" || s.Namespace != w.Namespace || s.Epoch != w.Epoch:
		case s.Digest == w.Digest:
			line.WaitsFor, line.Signed = "nothing", strict.FormatTime(s.Time())
		default:
			line.WaitsFor = "nothing: another digest was signed; take it out with --reject"
		}
	}
	return line
}

// rejectRequest moves a request aside, under a name that nothing has.
func rejectRequest(dir, file, at string) error {
	name := filepath.Base(file)
	if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
		return cli.Usage(strict.Errorf(filepath.Join(dir, name), "does not wait").WithHint("what waits says fleetctl thirdparty queue %s", words.ShellWord(dir)))
	}
	if err := durable.MkdirAll(filepath.Join(dir, "rejected"), 0o700); err != nil {
		return err
	}
	to := filepath.Join(dir, "rejected", at+"-"+name)
	for i := 2; hasFile(to); i++ { // one of the same name was taken out in this second
		to = filepath.Join(dir, "rejected", fmt.Sprintf("%s-%d-%s", at, i, name))
	}
	return cli.Usage(cli.Missing(durable.Move(filepath.Join(dir, name), to)))
}
