package metrics

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

func TestPrometheusReadsWhatIsWritten(t *testing.T) {
	s := &Set{}
	s.Process("log", "1.2", time.Unix(1_800_000_000, 500_000_000))
	hits := s.Counter("fleetctl_http_requests_total", "Requests\nwith a \\ and \"quotes\".", "route", "code")
	hits.Add(1, "tile", "200")
	hits.Add(2, "tile", "200")
	hits.Add(1, "a \"quoted\"\\\nroute", "404")
	took := s.Histogram("fleetctl_seconds", "Time.", []float64{0.1, 1}, "route")
	for _, x := range []float64{0.05, 0.1, 0.7, 3} {
		took.Observe(x, "tile")
	}
	level := s.Gauge("fleetctl_level", "A level.")
	s.OnRead(func() { level.Set(-2.5) })
	s.Counter("fleetctl_never_total", "Nothing yet, and with a label: no series.", "kind")

	var out bytes.Buffer
	if err := s.Write(&out); err != nil {
		t.Fatal(err)
	}
	p := expfmt.NewTextParser(model.UTF8Validation)
	got, err := p.TextToMetricFamilies(&out)
	if err != nil {
		t.Fatal(err)
	}
	if n := got["fleetctl_http_requests_total"].Metric; len(n) != 2 || n[1].Counter.GetValue() != 3 {
		t.Errorf("requests: %v", n)
	} else if l := n[0].Label[0].GetValue(); l != "a \"quoted\"\\\nroute" {
		t.Errorf("a label's value came back as %q", l)
	}
	if h := got["fleetctl_http_requests_total"].GetHelp(); h != "Requests\nwith a \\ and \"quotes\"." {
		t.Errorf("the help came back as %q", h)
	}
	h := got["fleetctl_seconds"].Metric[0].Histogram
	var counts []uint64
	for _, b := range h.Bucket {
		counts = append(counts, b.GetCumulativeCount())
	}
	if h.GetSampleCount() != 4 || h.GetSampleSum() != 3.85 || len(counts) != 3 || counts[0] != 2 || counts[1] != 3 || counts[2] != 4 {
		t.Errorf("histogram %v", h)
	}
	if v := got["fleetctl_level"].Metric[0].Gauge.GetValue(); v != -2.5 {
		t.Errorf("the gauge is %v", v)
	}
	if v := got["process_start_time_seconds"].Metric[0].Gauge.GetValue(); v != 1_800_000_000.5 {
		t.Errorf("the start is %v", v)
	}
	if got["fleetctl_never_total"] != nil {
		t.Error("a family without series was written")
	}
	for name := range got {
		if !model.UTF8Validation.IsValidMetricName(name) || strings.ToLower(name) != name {
			t.Errorf("%s is no name by the conventions", name)
		}
	}
}

func TestNumbersAddUpFromManyGoroutines(t *testing.T) {
	s := &Set{}
	n := s.Counter("fleetctl_n_total", "N.", "of")
	var all sync.WaitGroup
	for _, who := range []string{"a", "b", "a", "b"} {
		all.Go(func() {
			for range 1000 {
				n.Add(1, who)
			}
		})
	}
	for range 10 {
		if err := s.Write(&bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
	var out bytes.Buffer
	if err := s.Write(&out); err != nil {
		t.Fatal(err)
	}
	want := "# HELP fleetctl_n_total N.\n# TYPE fleetctl_n_total counter\nfleetctl_n_total{of=\"a\"} 2000\nfleetctl_n_total{of=\"b\"} 2000\n"
	if out.String() != want {
		t.Errorf("%s", out.String())
	}
}
