package metrics

import (
	"runtime"
	"time"
)

// Process adds what every service tells of itself: which program it is, when it
// started, and what the Go runtime uses. Their names are those of Prometheus'
// client libraries, so that the dashboards made for those fit.
func (s *Set) Process(service, version string, started time.Time) {
	s.Gauge("fleetctl_build_info", "The service and the version of the program, always 1.", "service", "version", "goversion").
		Set(1, service, version, runtime.Version())
	s.Gauge("process_start_time_seconds", "Start of the process, in seconds since 1970.").
		Set(float64(started.UnixMilli()) / 1000)
	goroutines := s.Gauge("go_goroutines", "Number of goroutines.")
	memory := s.Gauge("go_memstats_sys_bytes", "Bytes of memory obtained from the system.")
	s.OnRead(func() {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		goroutines.Set(float64(runtime.NumGoroutine()))
		memory.Set(float64(m.Sys))
	})
}
