// Package metrics keeps a service's numbers and writes them in the text format
// of Prometheus, version 0.0.4
// (prometheus.io/docs/instrumenting/exposition_formats). Names follow
// prometheus.io/docs/practices/naming: base units, _total for counters.
//
// A label's value is always one of a few that the program knows: a route, a
// status code, a kind of alarm. What a client sends never becomes one, or any
// client could fill the memory.
package metrics

import (
	"bufio"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// ContentType is that of the text.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Set is the metrics of one process. Its methods may be called from several
// goroutines.
type Set struct {
	mu       sync.Mutex
	families []*Family
	read     []func()
}

// Family is a metric with its series, one for each combination of its labels'
// values.
type Family struct {
	set              *Set
	name, help, kind string
	labels           []string
	buckets          []float64 // upper bounds, of a histogram
	series           []*series
}

type series struct {
	values []string
	number float64   // a counter's or gauge's value, a histogram's sum
	counts []float64 // a histogram's, by bucket; the last one has no bound
}

// Counter adds a metric that only grows. Its name ends in _total.
func (s *Set) Counter(name, help string, labels ...string) *Family {
	return s.family(&Family{name: name, help: help, kind: "counter", labels: labels})
}

// Gauge adds a metric that goes up and down.
func (s *Set) Gauge(name, help string, labels ...string) *Family {
	return s.family(&Family{name: name, help: help, kind: "gauge", labels: labels})
}

// Histogram adds a metric that counts observations by size. The bounds ascend.
func (s *Set) Histogram(name, help string, bounds []float64, labels ...string) *Family {
	return s.family(&Family{name: name, help: help, kind: "histogram", labels: labels, buckets: bounds})
}

func (s *Set) family(f *Family) *Family {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.set = s
	s.families = append(s.families, f)
	if len(f.labels) == 0 {
		f.at(nil) // without labels there is one series, at 0 from the start
	}
	return f
}

// OnRead has a function called each time before the metrics are written. It sets
// gauges of what would otherwise have to be watched.
func (s *Set) OnRead(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read = append(s.read, f)
}

// at finds a series. The set is locked.
func (f *Family) at(values []string) *series {
	for _, x := range f.series {
		if slices.Equal(x.values, values) {
			return x
		}
	}
	x := &series{values: slices.Clone(values)}
	if f.kind == "histogram" {
		x.counts = make([]float64, len(f.buckets)+1)
	}
	f.series = append(f.series, x)
	return x
}

// Add adds to a counter or a gauge. The values are those of the labels, in their
// order.
func (f *Family) Add(n float64, values ...string) {
	f.set.mu.Lock()
	defer f.set.mu.Unlock()
	f.at(values).number += n
}

// Set sets a gauge.
func (f *Family) Set(n float64, values ...string) {
	f.set.mu.Lock()
	defer f.set.mu.Unlock()
	f.at(values).number = n
}

// Observe adds an observation to a histogram.
func (f *Family) Observe(n float64, values ...string) {
	f.set.mu.Lock()
	defer f.set.mu.Unlock()
	x := f.at(values)
	i, _ := slices.BinarySearch(f.buckets, n) // a bound belongs to its bucket
	x.counts[i]++
	x.number += n
}

// Write writes all metrics, sorted by name and labels.
func (s *Set) Write(out io.Writer) error {
	s.mu.Lock()
	read := slices.Clone(s.read)
	s.mu.Unlock()
	for _, f := range read {
		f()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w := &writer{Writer: bufio.NewWriter(out)}
	families := slices.SortedFunc(slices.Values(s.families), func(a, b *Family) int { return strings.Compare(a.name, b.name) })
	for _, f := range families {
		if len(f.series) == 0 {
			continue
		}
		w.put("# HELP ", f.name, " ", escapeHelp(f.help), "\n# TYPE ", f.name, " ", f.kind, "\n")
		sorted := slices.SortedFunc(slices.Values(f.series), func(a, b *series) int { return slices.Compare(a.values, b.values) })
		for _, x := range sorted {
			w.series(f, x)
		}
	}
	return w.Flush()
}

func escapeHelp(s string) string { return strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(s) }

func escapeValue(s string) string {
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`).Replace(s)
}

// writer leaves errors to the flush.
type writer struct{ *bufio.Writer }

func (w *writer) put(parts ...string) {
	for _, p := range parts {
		w.WriteString(p)
	}
}

func (w *writer) series(f *Family, x *series) {
	if f.kind != "histogram" {
		w.sample(f.name, f.labels, x.values, x.number)
		return
	}
	labels, values := append(slices.Clone(f.labels), "le"), append(slices.Clone(x.values), "")
	var sum float64
	for i, n := range x.counts {
		bound := math.Inf(1)
		if i < len(f.buckets) {
			bound = f.buckets[i]
		}
		sum += n
		values[len(values)-1] = number(bound)
		w.sample(f.name+"_bucket", labels, values, sum)
	}
	w.sample(f.name+"_sum", f.labels, x.values, x.number)
	w.sample(f.name+"_count", f.labels, x.values, sum)
}

func (w *writer) sample(name string, labels, values []string, n float64) {
	w.put(name)
	for i, label := range labels {
		open := ","
		if i == 0 {
			open = "{"
		}
		value := ""
		if i < len(values) {
			value = values[i]
		}
		w.put(open, label, `="`, escapeValue(value), `"`)
	}
	if len(labels) > 0 {
		w.put("}")
	}
	w.put(" ", number(n), "\n")
}

func number(n float64) string {
	if math.IsInf(n, 1) {
		return "+Inf"
	}
	return strconv.FormatFloat(n, 'g', -1, 64)
}
