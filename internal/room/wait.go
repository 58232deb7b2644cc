package room

import (
	"crypto/sha256"
	"errors"

	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/ui"
)

// wait gives a file that is what is waited for: from the exchange, where it may come
// at any time, or from where somebody says that it is.
func (r *Room) wait(name, question string, is func(file string, data []byte) bool) (file string, data []byte, err error) {
	for {
		r.watch.drain()
		if file, data, err = r.brought(r.Exchange, is); err == nil {
			return file, data, nil
		}
		if r.StandIn.Unattended {
			return "", nil, cli.Exit(cli.ExitPending, strict.Errorf(r.Config.Dir, "it waits for the %s", name).
				WithHint("put it into %s, and run the same command again", r.Exchange))
		}
		r.watch.came = func() bool {
			_, _, err := r.brought(r.Exchange, is)
			return err == nil
		}
		r.App.UI.About(name, "")
		path, err := r.App.UI.AskUnless(question, r.watch)
		switch {
		case errors.Is(err, ui.ErrNews), err == nil && path == "":
			continue
		case err != nil:
			return "", nil, err
		}
		if file, data, err = r.brought(path, is); err == nil {
			return file, data, nil
		}
		r.say(path + " holds nothing of that kind.")
	}
}

// notAgain remembers a file that is of no use any more.
func (r *Room) notAgain(data []byte) { r.seen[sha256.Sum256(data)] = true }
