package tpm_test

import (
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/internal/await"
)

func TestSevenAttestationsTakeAtMostTwiceTheirSignatures(t *testing.T) {
	if await.RaceDetector {
		t.Skip("measures times, which mean nothing under the race detector")
	}
	cases, signatures := seven(t)
	const most = 2.0
	var whole, bare time.Duration
	for range 60 { // in turn: both meet the same weather
		start := await.Processor()
		judgeAll(t, cases)
		middle := await.Processor()
		signatures()
		whole, bare = whole+middle-start, bare+await.Processor()-middle
	}
	ratio := float64(whole) / float64(bare)
	t.Logf("seven HSMs: %v, their 21 signatures alone: %v, %.2f times", whole/60, bare/60, ratio)
	if ratio > most {
		t.Errorf("%.2f times their signatures; at most %.1f", ratio, most)
	}
}
