package thirdparty

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/bundle/thirdparty/service"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

type queueJSON struct {
	Queue   string        `strict:"queue"`
	Waiting []waitingJSON `strict:"waiting"`
}

type waitingJSON struct {
	File      string   `strict:"file"`
	Namespace string   `strict:"namespace,empty"`
	Epoch     uint64   `strict:"epoch"`
	Digest    [32]byte `strict:"digest,hex"`
	Size      int64    `strict:"size"`
	Time      string   `strict:"time"`
	WaitsFor  string   `strict:"waits_for"`
	Fault     string   `strict:"fault,optional"`
}

func queueCmd(a *cli.App) *cobra.Command {
	var reject string
	c := cli.Command("queue DIR", "List the requests that wait for a person",
		`Queue lists what was submitted. A request is inspected and signed by its file:
thirdparty inspect FILE, thirdparty sign FILE. A submission is an epoch and a
digest alone: nobody signs it, it waits for its request. --reject takes one out,
so that another for the same epoch can be submitted; the file is kept.`,
		"  fleetctl thirdparty queue queue\n  fleetctl thirdparty queue queue --reject example.fleet_keys.v1-0000000000000002.request.json",
		cobra.ExactArgs(1), func(_ *cobra.Command, args []string) error {
			if reject != "" {
				if err := rejectRequest(args[0], reject, a.Now().UTC().Format("20060102T150405Z")); err != nil {
					return err
				}
			}
			list, err := service.List(args[0])
			if err != nil {
				return cli.Usage(cli.Missing(err))
			}
			out := &queueJSON{Queue: args[0], Waiting: []waitingJSON{}}
			var rows [][]string
			for _, w := range list {
				wants := "a person"
				if w.Bare {
					wants = "its request"
				}
				out.Waiting = append(out.Waiting, waitingJSON{w.File, w.Namespace, w.Epoch, w.Digest, w.Size, strict.FormatTime(w.Time), wants, w.Fault})
				what := filepath.Base(w.File)
				if w.Fault != "" {
					what += ": " + w.Fault
				}
				rows = append(rows, []string{fmt.Sprint(w.Epoch), strict.FormatTime(w.Time), wants, what})
			}
			if len(rows) == 0 {
				return a.Emit(out, a.UI.Line("nothing waits"))
			}
			return a.Emit(out, a.UI.Table([]string{"epoch", "submitted", "waits for", "file"}, rows))
		})
	c.Flags().StringVar(&reject, "reject", "", "take this `file` out of the queue")
	return c
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
	if _, err := os.Stat(to); err == nil {
		return cli.Usagef("try again in a second", "%s exists", to)
	}
	return cli.Usage(cli.Missing(durable.Move(filepath.Join(dir, name), to)))
}
