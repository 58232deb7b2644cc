package room

import (
	"crypto/sha256"
	"errors"

	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/ui"
)

// awaited is a file that is waited for.
type awaited struct {
	name, question string
	expected       string                                // in words
	is             func(file string, data []byte) bool   // it is that
	unfit          func(file string, data []byte) string // why another file isn't; empty where nothing is to be said of it
}

// wait gives a file that is what is waited for: from the exchange, where it may come
// at any time, or from where somebody says that it is.
func (r *Room) wait(x awaited) (file string, data []byte, err error) {
	for {
		r.watch.drain()
		if file, data, err = r.brought(r.Exchange, x.is); err == nil {
			return file, data, nil
		}
		r.tellMisfits(x.expected, x.unfit)
		if r.StandIn.Unattended {
			return "", nil, cli.Exit(cli.ExitPending, strict.Errorf(r.Config.Dir, "it waits for the %s", x.name).
				WithHint("put it into %s, and run the same command again", r.Exchange))
		}
		r.watch.came = func() bool {
			_, _, err := r.brought(r.Exchange, x.is)
			return err == nil || len(r.misfits(x.unfit)) > 0
		}
		r.App.UI.About(x.name, "")
		path, err := r.App.UI.AskUnless(x.question, r.watch)
		switch {
		case errors.Is(err, ui.ErrNews), err == nil && path == "":
			continue
		case err != nil:
			return "", nil, err
		}
		if file, data, err = r.brought(path, x.is); err == nil {
			return file, data, nil
		}
		r.say(path + " holds nothing of that kind. Expected: " + x.expected + ".")
	}
}

// notAgain remembers a file that is of no use any more.
func (r *Room) notAgain(data []byte) { r.seen[sha256.Sum256(data)] = true }
