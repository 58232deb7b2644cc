package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"os/exec"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/internal/metrics"
	"github.com/fleetctl/fleetctl/internal/serve"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// staleAfter is after how many missed passes a command that follows something is
// unhealthy.
const staleAfter = 3

// Following is a command that looks at something again and again, and raises alarms.
type Following struct {
	Service
	every, lasting time.Duration
	once           bool
	onAlarm        string

	now     func() time.Time
	mu      sync.Mutex
	good    time.Time // the last pass that could look
	passes  *metrics.Family
	alarms  *metrics.Family
	stand   *metrics.Family
	success *metrics.Family
}

// Pass is what came of one look.
type Pass struct {
	Alarms   []Raised
	Standing int    // alarms raised before whose cause is still there
	Line     []byte // JSON, without LF
}

// Raised is an alarm: one line of JSON without LF, and how many findings it stands for.
type Raised struct {
	Kind  string
	Count uint64
	Line  []byte
}

// Flags adds the flags to a command.
func (o *Following) Flags(c *cobra.Command) {
	f := c.Flags()
	Duration(f, &o.every, "every", 5*time.Minute, "`time` between two passes")
	Duration(f, &o.lasting, "for", 0, "end after this `time`, such as 168h (default: until it is stopped)")
	f.BoolVar(&o.once, "once", false, "one pass only")
	f.StringVar(&o.onAlarm, "on-alarm", "", "shell `command` to run for each alarm, with its JSON on standard input")
	o.Service.Flags(c, false)
}

// Run looks until it is stopped. It writes a line for each alarm and each pass, and ends
// with ExitAlarm if an alarm was raised. measure adds metrics of the command's own.
func (o *Following) Run(a *App, ctx context.Context, name string, measure func(*metrics.Set), look func(context.Context) (*Pass, error)) error {
	if o.every <= 0 || o.lasting < 0 {
		return Usagef("", "--every is more than 0, and --for is not less")
	}
	o.now, o.good = a.Now, a.Now() // healthy until the first pass has had its time
	w, err := o.Watch(a, name, o.healthy)
	if err != nil {
		return err
	}
	o.measure(w.Metrics)
	measure(w.Metrics)
	parts, address, err := o.Operator(ctx, w)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if o.lasting > 0 {
		ctx, stop = context.WithTimeout(ctx, o.lasting)
		defer stop()
	}
	if address != "" {
		w.Log.Info("started", "metrics", address)
	}
	served := make(chan error, 1)
	go func() {
		err := serve.Run(ctx, w.Log, parts...)
		if err != nil {
			stop() // one that nobody can watch any more ends, and is started again
		}
		served <- err
	}()
	err = o.loop(a, ctx, look)
	stop()
	return cmp.Or(err, <-served)
}

func (o *Following) loop(a *App, ctx context.Context, look func(context.Context) (*Pass, error)) error {
	raised := 0
	for {
		n, err := o.pass(a, ctx, look)
		raised += n
		switch {
		case ctx.Err() != nil || o.once && raised > 0:
			return alarmed(raised)
		case o.once:
			return err
		case err != nil:
			a.UI.Error(err)
		}
		select {
		case <-ctx.Done():
			return alarmed(raised)
		case <-time.After(o.every):
		}
	}
}

func alarmed(n int) error {
	if n == 0 {
		return nil
	}
	return Exit(ExitAlarm, ErrQuiet)
}

func (o *Following) pass(a *App, ctx context.Context, look func(context.Context) (*Pass, error)) (int, error) {
	p, err := look(ctx)
	if ctx.Err() == nil { // a pass that a signal ended says nothing
		o.count(p, err)
	}
	if err != nil {
		return 0, err
	}
	for _, x := range p.Alarms {
		line := append(bytes.Clone(x.Line), '\n')
		if err := a.UI.Print(string(line)); err != nil {
			return len(p.Alarms), err
		}
		if o.onAlarm == "" {
			continue
		}
		// An interrupt ends the passes, not the message about an alarm.
		run, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		c := exec.CommandContext(run, "/bin/sh", "-c", o.onAlarm)
		c.Stdin, c.Stdout, c.Stderr = bytes.NewReader(line), a.Stderr, a.Stderr
		if err := c.Run(); err != nil {
			a.UI.Error(strict.Errorf("", "--on-alarm: %v", err))
		}
		cancel()
	}
	return len(p.Alarms), a.UI.Print(string(p.Line) + "\n")
}

func (o *Following) measure(s *metrics.Set) {
	o.passes = s.Counter("fleetctl_monitor_passes_total", "Looks at what is followed, by whether it could be looked at.", "result")
	o.alarms = s.Counter("fleetctl_monitor_alarms_total", "Alarms raised, by kind.", "kind")
	o.stand = s.Gauge("fleetctl_monitor_alarms_standing", "Alarms raised whose cause is still there.")
	o.success = s.Gauge("fleetctl_monitor_last_success_timestamp_seconds", "Time of the last pass that could look, in seconds since 1970; 0 before the first.")
}

func (o *Following) count(p *Pass, err error) {
	if err != nil {
		o.passes.Add(1, "failed")
		return
	}
	now := o.now()
	o.mu.Lock()
	o.good = now
	o.mu.Unlock()
	o.passes.Add(1, "done")
	o.success.Set(float64(now.Unix()))
	o.stand.Set(float64(p.Standing))
	for _, x := range p.Alarms {
		o.alarms.Add(float64(max(1, x.Count)), x.Kind)
	}
}

// healthy is about the command, not about what it follows: alarms are in the metrics.
func (o *Following) healthy() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if since := o.now().Sub(o.good); since > staleAfter*o.every {
		return errors.New("nothing could be looked at for " + strict.FormatDuration(since.Truncate(time.Second)))
	}
	return nil
}
