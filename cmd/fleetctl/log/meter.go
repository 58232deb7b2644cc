package log

import (
	"errors"
	"sync"
	"time"

	"github.com/fleetctl/fleetctl/auditlog/monitor"
	"github.com/fleetctl/fleetctl/internal/metrics"
)

// staleAfter is after how many missed passes a monitor is unhealthy.
const staleAfter = 3

// meter counts a monitor's passes, and says whether it still does its work.
type meter struct {
	now   func() time.Time
	stale time.Duration

	mu   sync.Mutex
	good time.Time // the last pass that could look at the log

	passes, alarms                          *metrics.Family
	entries, quorum, witnesses, stand, last *metrics.Family
}

func (m *meter) measure(s *metrics.Set) {
	m.good = m.now() // until the first pass has had its time
	m.passes = s.Counter("fleetctl_monitor_passes_total", "Looks at the log, by whether the log could be looked at.", "result")
	m.alarms = s.Counter("fleetctl_monitor_alarms_total", "Alarms raised, by kind.", "kind")
	m.stand = s.Gauge("fleetctl_monitor_alarms_standing", "Alarms raised whose cause is still there.")
	m.entries = s.Gauge("fleetctl_monitor_log_entries", "Entries in the newest tree that was seen.")
	m.quorum = s.Gauge("fleetctl_monitor_quorum", "Whether the policy's quorum has cosigned the newest checkpoint.")
	m.witnesses = s.Gauge("fleetctl_monitor_witnesses", "Witnesses of the policy that have cosigned the newest checkpoint.")
	m.last = s.Gauge("fleetctl_monitor_last_success_timestamp_seconds", "Time of the last pass that could look at the log, in seconds since 1970; 0 before the first.")
}

// pass notes what came of a pass.
func (m *meter) pass(seen *monitor.Seen, alarms []monitor.Alarm, err error) {
	if err != nil {
		m.passes.Add(1, "failed")
		return
	}
	m.passes.Add(1, "done")
	now := m.now()
	m.mu.Lock()
	m.good = now
	m.mu.Unlock()
	for _, a := range alarms {
		m.alarms.Add(float64(max(1, a.Count)), a.Kind)
	}
	m.stand.Set(float64(seen.Standing))
	m.entries.Set(float64(seen.Size))
	m.witnesses.Set(float64(len(seen.Witnesses)))
	quorum := 0.0
	if seen.Quorum {
		quorum = 1
	}
	m.quorum.Set(quorum)
	m.last.Set(float64(now.Unix()))
}

// healthy is about the monitor, not about the log: alarms are in the metrics.
func (m *meter) healthy() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.now().Sub(m.good) > m.stale {
		return errors.New("the log could not be looked at for " + m.now().Sub(m.good).Truncate(time.Second).String())
	}
	return nil
}
