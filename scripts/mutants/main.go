// Command mutants changes the rules one operator at a time and counts the changes
// that tests notice. Which changes there are, gremlins says (its list is standard
// input, made by scripts/mutate); which of them are tried, a seed does.
//
// A change is laid over the sources (go test -overlay): no file is touched. The
// tests of its own package run first, then those of the packages that rest on it.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	seed := flag.Uint64("seed", 1, "chooses the sample")
	size := flag.Int("sample", 300, "how many are tried")
	skip := flag.Int("skip", 0, "how many of them an earlier run has tried")
	workers := flag.Int("workers", runtime.NumCPU(), "how many at a time")
	timeout := flag.Duration("timeout", 3*time.Minute, "how long the tests of one package may take; more where the machine is busy")
	least := flag.Float64("least", 85, "per cent that must be killed")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, tester{*timeout}, *seed, *size, *skip, *workers, *least); err != nil {
		fmt.Fprintln(os.Stderr, "scripts/mutate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, t tester, seed uint64, size, skip, workers int, least float64) error {
	all, err := readList(os.Stdin)
	if err != nil {
		return err
	}
	list := sample(all, seed, size, skip)
	fmt.Printf("%d of %d changes, seed %d, from number %d on\n", len(list), len(all), seed, skip+1)
	tmp, err := os.MkdirTemp("", "fleetctl-mutants-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	var lock sync.Mutex
	var wait sync.WaitGroup
	count, next := map[result]int{}, make(chan mutant)
	var left []string
	for range workers {
		wait.Go(func() {
			for m := range next {
				began := time.Now()
				r, what := t.try(ctx, tmp, m)
				lock.Lock()
				count[r]++
				if r == survived {
					left = append(left, m.String())
				}
				fmt.Printf("%-9s %s%s, after %.0f s\n", r, m, what, time.Since(began).Seconds())
				lock.Unlock()
			}
		})
	}
	for _, m := range list {
		if ctx.Err() != nil {
			break
		}
		next <- m
	}
	close(next)
	wait.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	slices.Sort(left)
	for _, m := range left {
		fmt.Println(survived, m)
	}
	return tell(count, least)
}

// sample chooses without regard to the order of the list. The first skip of those
// chosen were tried before.
func sample(all []mutant, seed uint64, size, skip int) []mutant {
	slices.SortFunc(all, func(a, b mutant) int { return strings.Compare(a.key(), b.key()) })
	r := rand.New(rand.NewPCG(seed, 0))
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	all = all[:min(size, len(all))]
	return all[min(skip, len(all)):]
}

func tell(count map[result]int, least float64) error {
	judged := count[killed] + count[endless] + count[survived]
	if judged == 0 {
		return fmt.Errorf("no change could be tried")
	}
	score := 100 * float64(judged-count[survived]) / float64(judged)
	fmt.Printf("note: %.1f %% of %d changes were noticed (%d killed, %d ran without end, %d survived; %d did not compile)\n",
		score, judged, count[killed], count[endless], count[survived], count[invalid])
	if score < least {
		return fmt.Errorf("%.1f %% were noticed, and %.0f %% is the least: read each that survived and write the test that it calls for", score, least)
	}
	return nil
}
