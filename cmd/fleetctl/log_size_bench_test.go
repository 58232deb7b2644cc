//go:build cgo && unix

package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// BenchmarkLogSize adds one entry and 10,000 to our log and to Tessera alone, in
// turn, where each has 1,000 and 1,000,000 entries (FLEETCTL_LOG says how many),
// and gives the median of the ratios of each turn, of time and of processor time.
func BenchmarkLogSize(b *testing.B) {
	large := 1_000_000
	if s := os.Getenv("FLEETCTL_LOG"); s != "" {
		large, _ = strconv.Atoi(s)
	}
	for _, size := range []int{1000, large} {
		ours, bare := benchLog(b)
		for from := 0; from < size; from += 50_000 {
			leaves := smallLeaves(from, min(from+50_000, size))
			_, err := ours.Append(context.Background(), leaves...)
			check(b, err)
			bare(b, leaves)
		}
		for _, many := range []int{1, 10_000} {
			b.Run(fmt.Sprintf("entries=%d/append=%d", size, many), func(b *testing.B) {
				var took, processor turns
				for b.Loop() {
					leaves := [2][][]byte{randomLeaves(many), randomLeaves(many)}
					time.Sleep(110 * time.Millisecond) // a checkpoint younger than 100 ms isn't replaced
					a := spent(func() {
						_, err := ours.Append(context.Background(), leaves[0]...)
						check(b, err)
					})
					time.Sleep(110 * time.Millisecond)
					t := spent(func() { bare(b, leaves[1]) })
					took.add(a.time, t.time)
					processor.add(a.processor, t.processor)
				}
				took.report(b, "ms")
				processor.report(b, "ms-cpu")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

func smallLeaves(from, to int) [][]byte {
	var list [][]byte
	for i := from; i < to; i++ {
		list = append(list, binary.BigEndian.AppendUint64(make([]byte, 92), uint64(i)))
	}
	return list
}

// turns are what ours took and what the other took, in turn.
type turns struct {
	ours, other []time.Duration
	ratio       []float64
}

func (t *turns) add(ours, other time.Duration) {
	t.ours, t.other = append(t.ours, ours), append(t.other, other)
	t.ratio = append(t.ratio, float64(ours)/float64(other))
}

func (t *turns) report(b *testing.B, unit string) {
	slices.Sort(t.ratio)
	b.ReportMetric(median(t.ours), unit+"/ours")
	b.ReportMetric(median(t.other), unit+"/tessera")
	b.ReportMetric(t.ratio[len(t.ratio)/2], "ratio-"+unit)
}
