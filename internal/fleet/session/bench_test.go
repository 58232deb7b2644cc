package session

import (
	"slices"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/ceremony/draft"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/testfleet"
)

// BenchmarkSession is a session's set-up over a loopback connection, both sides: TCP,
// TLS with the node's signature, the answer, the device's check of it with its state's
// files, the node's key held against the bundle, and the ML-DSA signature in a fleet that
// has such keys.
func BenchmarkSession(b *testing.B) {
	for _, second := range []keys.Algorithm{"", keys.MLDSA44, keys.MLDSA65, keys.MLDSA87} {
		o := testfleet.Options{Name: "sessions by " + string(second), Roles: hybridRoles[:1]}
		if second != "" {
			o.Roles = []draft.Role{hybridRoles[0], {Name: rolePQ, Algorithm: second}}
		}
		b.Run("ecdsa-p256,"+string(second), func(b *testing.B) {
			w := newWorld(b, o)
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
		})
	}
}
