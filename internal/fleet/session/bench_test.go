package session

import (
	"slices"
	"testing"
	"time"
)

// BenchmarkSession is a session's set-up over a loopback connection, both sides: TCP,
// TLS with the node's signature, the answer, the device's check of it with its state's
// files, and the node's key held against the bundle.
func BenchmarkSession(b *testing.B) {
	w := fleetOf(b)
	c, o := w.device(b), w.server(b, "hsm-1").opener()
	var all []time.Duration
	for b.Loop() {
		began := time.Now()
		m := meet(b, c, o)
		all = append(all, time.Since(began))
		if m.err != nil || m.nodeErr != nil {
			b.Fatal(m.err, m.nodeErr)
		}
		m.session.Close()
		m.node.Close()
		c.Begin = false
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "ms/median")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "ms/p99")
}
