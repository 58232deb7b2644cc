package ceremony

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/serve"
	"github.com/fleetctl/fleetctl/internal/statepage"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// slowestScreen is how long a second screen may take to read the page.
const slowestScreen = 30 * time.Second

// serves has where the ceremony stands served to second screens, if that is asked for.
// A page that breaks down stops nothing: screens take the codes instead.
func (o *runOptions) serves(ctx context.Context, a *cli.App, plan *ceremony.Plan) (stop func(), err error) {
	if o.listen == "" {
		return func() {}, nil
	}
	// People who name an address in their room mean that others there reach it.
	l, err := serve.Listen(ctx, "listen", o.listen, true)
	if err != nil {
		return nil, cli.Usage(strict.Errorf("", "%v", err).WithHint("give an address of this machine and a free port, or port 0 for any"))
	}
	names := []string{}
	if host, _, err := net.SplitHostPort(o.listen); err == nil && net.ParseIP(host) == nil && host != "" {
		names = append(names, host)
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := serve.Run(ctx, slog.New(slog.DiscardHandler), serve.Part{Listener: l, Handler: statepage.Handler(o.dir, plan, names...), Slowest: slowestScreen}); err != nil {
			a.UI.Error(strict.Errorf("", "the page for second screens has ended: %v", err).WithHint("the ceremony goes on; type qr where words are asked for"))
		}
	}()
	a.UI.Say(a.UI.Talk.Line("Second screens read where the ceremony stands at http://"+l.Addr().String()+", and so can whoever else reaches that address."),
		a.UI.Talk.Line("fleetctl screen PLAN --role ROLE --dir screen --from http://"+l.Addr().String()))
	return func() { cancel(); <-ended }, nil
}
