package saved

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/bundle/history"
	"github.com/fleetctl/fleetctl/internal/await"
)

const space = "example.backup.fleet_keys.v1"

var (
	key = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	pub = [32]byte(key.Public().(ed25519.PublicKey))
	now = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
)

func statement(epoch uint64, what string) []byte {
	s, err := bundle.NewStatement(bundle.Protobuf, space, 1795255200000+epoch, epoch, sha256.Sum256(fmt.Appendf(nil, "%s %d", what, epoch)))
	if err != nil {
		panic(err)
	}
	if s, err = s.Seal(pub, ed25519.Sign(key, s.Message())); err != nil {
		panic(err)
	}
	return s.Raw()
}

func options() history.Options {
	return history.Options{Keys: []history.Key{{Name: "tp", Key: pub}}, Now: now, Rows: 5}
}

func write(t testing.TB, path string, data []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func run(t testing.TB, rec *Record, third, operator []string) *history.Report {
	t.Helper()
	a, err := Open(third, operator)
	if err != nil {
		t.Fatal(err)
	}
	o := options()
	if rec != nil {
		o.Seen = rec.Seen
	}
	r, err := history.Check(context.Background(), a, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestFoldersAndLinesAreOneArchive(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a/1.json"), statement(1, "x"))
	write(t, filepath.Join(dir, "a/.hidden"), []byte("no"))
	write(t, filepath.Join(dir, "a/.git/no.json"), []byte("no"))
	lines := append(append(statement(2, "x"), "\n\n"...), statement(3, "x")...) // no line feed at the end
	write(t, filepath.Join(dir, "a/rest.jsonl"), lines)
	op := write(t, filepath.Join(dir, "op/2.json"), statement(2, "x"))
	r := run(t, nil, []string{filepath.Join(dir, "a")}, []string{op})
	if !r.Good() || r.Statements != 3 || r.Files != 4 {
		t.Fatalf("%+v", r)
	}
	// Where something is, is said.
	write(t, filepath.Join(dir, "a/rest.jsonl"), append(append(lines, '\n'), statement(3, "other")...))
	r = run(t, nil, []string{filepath.Join(dir, "a")}, nil)
	if len(r.Problems) != 1 || len(r.Problems[0].Where) != 2 || !strings.Contains(r.Problems[0].Where[1], "rest.jsonl, byte ") {
		t.Fatalf("%+v", r.Problems)
	}
	files, err := KeepEvidence(filepath.Join(dir, "evidence"), r.Evidence)
	if err != nil || len(files) != 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil || !bytes.Equal(data, statement(3, "x")) && !bytes.Equal(data, statement(3, "other")) {
			t.Errorf("%s: %v", data, err)
		}
	}
	if _, err := KeepEvidence(filepath.Join(dir, "evidence"), r.Evidence); err != nil {
		t.Errorf("a second time: %v", err)
	}
	if _, err := Open([]string{t.TempDir()}, nil); err == nil {
		t.Error("an empty folder is an archive")
	}
	if _, err := Open([]string{filepath.Join(dir, "nowhere")}, nil); !os.IsNotExist(err) {
		t.Errorf("a missing path: %v", err)
	}
	huge := write(t, filepath.Join(dir, "huge.json"), make([]byte, maxFile+1))
	if r := run(t, nil, []string{huge}, nil); r.Good() {
		t.Error("a huge file is good")
	}
	long := write(t, filepath.Join(dir, "huge.jsonl"), make([]byte, maxFile+1))
	a, _ := Open([]string{long}, nil)
	if _, err := history.Check(context.Background(), a, options()); err == nil || !strings.Contains(err.Error(), "huge.jsonl:1: is longer than") {
		t.Errorf("a huge line: %v", err)
	}
}

func TestTheRecordIsKeptAcrossRuns(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "record")
	one := write(t, filepath.Join(dir, "1.json"), statement(1, "x"))
	two := write(t, filepath.Join(dir, "2.json"), statement(2, "x"))
	pass := func(want int64, files ...string) *Record {
		t.Helper()
		rec, err := OpenRecord(path)
		if err != nil {
			t.Fatal(err)
		}
		defer rec.Close()
		r := run(t, rec, files, nil)
		if !r.Good() || r.Statements != want {
			t.Fatalf("%+v", r)
		}
		if _, err := OpenRecord(path); err == nil {
			t.Error("two runs have the record at once")
		}
		if err := rec.Extend(r, now); err != nil {
			t.Fatal(err)
		}
		return rec
	}
	pass(1, one)
	pass(2, one, two)
	pass(2, two)
	whole, _ := os.ReadFile(path)
	write(t, path, append(whole, "s 0 0 1 1795255200003 3 "...))
	rec := pass(2, two)
	if rec.Torn == 0 || rec.TornAt == "" {
		t.Errorf("%+v", rec)
	}
	if kept, err := os.ReadFile(rec.TornAt); err != nil || string(kept) != "s 0 0 1 1795255200003 3 " {
		t.Errorf("%q, %v", kept, err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(after, whole) {
		t.Error("the record is not as it was")
	}
}

// TestAMillionEpochs measures; it makes them first, and that isn't measured.
// What others do to a machine's clock time they don't do to processor time.
// A power cut can leave a line, and not the one before it: neither had been synced.
func TestZeroBytesEndWhatAFileOfLinesHas(t *testing.T) {
	one, two := append(statement(1, "a"), '\n'), append(statement(2, "b"), '\n')
	path := write(t, filepath.Join(t.TempDir(), "all.jsonl"), bytes.Join([][]byte{one, make([]byte, 300), two, two}, nil))
	x, err := ReadIndex(path, space)
	if err != nil || x.Size != int64(len(one)) || x.Newest() != 1 {
		t.Errorf("%+v, %v", x, err)
	}
}

func TestAMillionEpochs(t *testing.T) {
	n := 20_000
	if os.Getenv("FLEETCTL_FULL") != "" {
		n = 1_000_000
	} else if testing.Short() {
		t.Skip("short")
	} else if await.RaceDetector {
		n = 2000 // it sees in a few what it sees in many, in a tenth of the time
	}
	path := filepath.Join(t.TempDir(), "all.jsonl")
	generate(t, path, n)

	m, sig := []byte("a message of the length of a statement's, more or less, with its namespace and digest ........"), []byte(nil)
	sig = ed25519.Sign(key, m)
	alone := min(n, 20_000)
	began, busy := time.Now(), processorTime()
	for range alone {
		if !ed25519.Verify(pub[:], m, sig) {
			t.Fatal("no")
		}
	}
	t.Logf("ed25519.Verify alone, on one core: %s", pace(alone, time.Since(began), processorTime()-busy))

	defer debug.SetGCPercent(debug.SetGCPercent(25))
	debug.FreeOSMemory()
	resetPeak()
	for _, pass := range []string{"without a record", "with a record of all"} {
		rec, err := OpenRecord(path + ".record")
		if err != nil {
			t.Fatal(err)
		}
		began, busy := time.Now(), processorTime()
		r := run(t, rec, []string{path}, nil)
		took, used := time.Since(began), processorTime()-busy
		if !r.Good() || r.Statements != int64(n) || r.Namespaces[0].Epochs != int64(n) {
			t.Fatalf("%+v", r.Problems)
		}
		began = time.Now()
		if err := rec.Extend(r, now); err != nil {
			t.Fatal(err)
		}
		rec.Close()
		peak := peakMemory()
		t.Logf("%d epochs %s: %v, %s; record %v; peak %d MiB",
			n, pass, took.Round(time.Millisecond), pace(n, took, used), time.Since(began).Round(time.Millisecond), peak>>20)
		if peak > 256<<20 {
			t.Errorf("took %d MiB, 256 are allowed", peak>>20)
		}
	}
}

func generate(t *testing.T, path string, n int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	const block = 1000
	for from := 0; from < n; from += 2 * block {
		var made [2][]byte
		var wg sync.WaitGroup
		for i := range made {
			wg.Go(func() {
				for e := from + i*block + 1; e <= min(n, from+(i+1)*block); e++ {
					made[i] = append(append(made[i], quick(uint64(e))...), '\n')
				}
			})
		}
		wg.Wait()
		w.Write(made[0])
		w.Write(made[1])
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

// quick is statement without its checks.
func quick(epoch uint64) []byte {
	s, err := bundle.NewStatement(bundle.Protobuf, space, 1795255200000+epoch, epoch, sha256.Sum256(fmt.Appendf(nil, "x %d", epoch)))
	if err != nil {
		panic(err)
	}
	return s.Encode([64]byte(ed25519.Sign(key, s.Message())))
}

// peakMemory is the process's greatest size so far (proc(5)), 0 where that
// isn't known.
func peakMemory() int64 {
	data, _ := os.ReadFile("/proc/self/status")
	_, rest, ok := strings.Cut(string(data), "VmHWM:")
	var kib int64
	if ok {
		fmt.Sscan(rest, &kib)
	}
	return kib << 10
}

// processorTime is what this process has had so far, on all cores (proc(5));
// 0 where that isn't known.
func processorTime() time.Duration {
	data, _ := os.ReadFile("/proc/self/stat")
	_, rest, _ := strings.Cut(string(data), ") ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0
	}
	var user, system int64
	fmt.Sscan(f[11], &user)
	fmt.Sscan(f[12], &system)
	return time.Duration(user+system) * 10 * time.Millisecond // ticks, a hundred a second
}

func pace(n int, took, used time.Duration) string {
	text := fmt.Sprintf("%.0f a second", float64(n)/took.Seconds())
	if used > 0 {
		text += fmt.Sprintf(", %.0f a second of processor time", float64(n)/used.Seconds())
	}
	return text
}

// resetPeak starts the count anew; where it can't, what came before counts too.
func resetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }
