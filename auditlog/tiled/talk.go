//go:build unix

package tiled

import (
	"context"
	"log"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"k8s.io/klog/v2"
)

// Tessera logs the reason why it failed to publish a checkpoint only to klog, and
// that it couldn't remove a file only to slog. Both write to stderr by default.
// talked keeps their last messages for our errors instead. Like klog and slog it is
// one for the whole process: with two logs open, one's error may quote the other's
// messages.
var talked tail

var captureTalk = sync.OnceFunc(func() {
	logger := slog.New(&talked)
	klog.SetSlogLogger(logger)
	// SetDefault takes package log along, whose lines aren't Tessera's.
	out, flags := log.Writer(), log.Flags()
	slog.SetDefault(logger)
	log.SetOutput(out)
	log.SetFlags(flags)
})

// tail is a slog.Handler that keeps the last messages.
type tail struct {
	mu   sync.Mutex
	list []string
}

const maxTail = 8

func (t *tail) Handle(_ context.Context, r slog.Record) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	said := r.Message
	r.Attrs(func(a slog.Attr) bool {
		said += " " + a.String()
		return true
	})
	if slices.Contains(t.list, said) { // again at every attempt
		return nil
	}
	if len(t.list) == maxTail {
		t.list = t.list[1:]
	}
	t.list = append(t.list, said)
	return nil
}

func (t *tail) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }
func (t *tail) WithAttrs([]slog.Attr) slog.Handler               { return t }
func (t *tail) WithGroup(string) slog.Handler                    { return t }

func (t *tail) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(t.list, "; ")
}
