package drill

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/internal/fleet/anchorhsm"
	"github.com/fleetctl/fleetctl/internal/fleet/report"
	"github.com/fleetctl/fleetctl/internal/fleet/site"
)

// hostOf is an HSM's process that only says whether it keeps an anchor.
type hostOf struct {
	keeps            error
	removed, stopped bool
}

func (h *hostOf) Socket() string { return "" }
func (h *hostOf) PID() int       { return 0 }
func (h *hostOf) Keeps() error   { return h.keeps }
func (h *hostOf) Rewrite(n int) ([]time.Duration, error) {
	return make([]time.Duration, n), nil
}
func (h *hostOf) Remove() error { h.removed = true; return nil }
func (h *hostOf) Stop() error   { h.stopped = true; return nil }

func TestADrillLeavesATokenAloneThatHasAnAnchorAlready(t *testing.T) {
	for at, hosts := range [][]*hostOf{
		{{keeps: errors.New("has an anchor of this fleet already")}},
		{{}, {keeps: errors.New("has an anchor of this fleet already")}},
		{{keeps: fmt.Errorf("SoftHSM %w", anchorhsm.ErrUnfit)}, {}, {keeps: errors.New("has an anchor of this fleet already")}},
	} {
		last := len(hosts) - 1
		c := &Config{Now: time.Now, Open: func(hsm string, _ bool) (Host, error) { return hosts[hsm[0]-'a'], nil }}
		for i := range hosts {
			c.Nodes = append(c.Nodes, site.Node{HSM: string(rune('a' + i)), Anchor: site.InToken})
		}
		d := &drill{Config: c, notes: &notes{screen: silent{}, r: &report.Report{}}}
		err := d.open()
		d.shut()
		if err == nil || !strings.Contains(err.Error(), "has an anchor of this fleet already") {
			t.Errorf("%d: %v", at, err)
		}
		for i, h := range hosts {
			if !h.stopped {
				t.Errorf("%d: the process of HSM %d runs on", at, i)
			}
			if h.removed != (i != last && h.keeps == nil) {
				t.Errorf("%d: the anchor of HSM %d is removed: %t", at, i, h.removed)
			}
		}
	}
}
