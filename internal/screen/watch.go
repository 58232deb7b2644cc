package screen

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/ceremony/state"
	"github.com/fleetctl/fleetctl/internal/statepage"
)

// pause is how long nothing is looked at between two looks.
const pause = time.Second

// watch looks at the page and at the folders of pictures while a question stands, and
// tells when something is there that wasn't. What it is, the screen finds.
type watch struct {
	reads, writes *os.File
	cancel        context.CancelFunc
	ended         chan struct{}
}

func newWatch(ctx context.Context, s *Screen) (*watch, error) {
	reads, writes, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &watch{reads, writes, cancel, make(chan struct{})}
	// Before the screen looks for the first time: what comes after that is told.
	before := glance(ctx, s.From, s.Look)
	go w.looks(ctx, s.From, s.Look, before)
	return w, nil
}

// looks writes a byte for each change, and never waits for it to be read.
func (w *watch) looks(ctx context.Context, page string, look []string, before string) {
	defer close(w.ended)
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := glance(ctx, page, look)
		if now != before {
			if _, err := w.writes.Write([]byte{1}); err != nil {
				return
			}
		}
		before = now
	}
}

// glance is what would be different if something had come.
func glance(ctx context.Context, page string, look []string) string {
	var b strings.Builder
	if page != "" {
		if data, err := fetch(ctx, page+statepage.StatePath, len(state.Prefix)+200); err == nil {
			b.Write(data)
		}
	}
	for _, root := range look {
		list, _ := os.ReadDir(root) // one that can't be read is told when it is looked at
		for _, e := range list[:min(len(list), maxPictures)] {
			if info, err := e.Info(); err == nil {
				b.WriteString(e.Name() + info.ModTime().String())
			}
		}
	}
	return b.String()
}

func (w *watch) close() {
	w.cancel()
	w.writes.Close()
	<-w.ended
	w.reads.Close()
}

// Source is the descriptor that tells.
func (w *watch) Source() int { return int(w.reads.Fd()) }

// Came takes what was told. Whatever it is, the screen looks.
func (w *watch) Came() bool {
	_, err := w.reads.Read(make([]byte, 64))
	return err == nil
}
