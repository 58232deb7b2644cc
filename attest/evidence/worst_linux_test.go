package evidence_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/internal/await"
)

// What an input of up to 64 MiB may cost whoever verifies it.
const (
	mostTime   = 2 * time.Second // of the processor
	mostMemory = 256 << 20       // resident, with the program's own
)

// worst is an input made to cost as much as can be within the limits of its
// kind. It is judged by a process of its own, which is measured.
type worst struct {
	name        string
	data        func() []byte
	folder      func() evidence.Files // in its place
	policy      []byte                // that of the fleet where there is none
	plan, proof func() []byte
	want        evidence.Type // what it is taken for; "refused" before that
}

const worstEnv = "FLEETCTL_WORST_INPUT"

// TestWorstInputChild is the process that judges: nothing by itself.
func TestWorstInputChild(t *testing.T) {
	dir := os.Getenv(worstEnv)
	if dir == "" {
		t.Skip("it is run by TestNoInputTakesMuchTimeOrMemory")
	}
	out := judgeWorst(t, dir)
	for line := range strings.Lines(string(must(os.ReadFile("/proc/self/status")))) {
		if strings.HasPrefix(line, "VmHWM:") {
			fmt.Print(line)
		}
	}
	fmt.Println(out)
}

func judgeWorst(t *testing.T, dir string) string {
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return data
	}
	in := evidence.Input{File: "input", Data: read("input"), Plan: read("plan"), Proof: read("proof"), Logged: read("proof")}
	var err error
	if _, serr := os.Stat(filepath.Join(dir, "folder")); serr == nil {
		in.Folder, err = evidence.ReadFolder(filepath.Join(dir, "folder"))
	}
	if err != nil {
		return fmt.Sprint("refused: ", err)
	}
	policy, err := evidence.ParsePolicy("policy.yaml", read("policy"))
	if err != nil {
		return fmt.Sprint("refused: ", err)
	}
	r, err := evidence.Verify(in, policy, evidence.Question{Now: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)})
	if err != nil || len(r.JSON()) > 4<<20 {
		t.Fatalf("%v, a report of %d bytes", err, len(r.JSON()))
	}
	return fmt.Sprintf("taken for %q, %d problems and %d others, first: %v", r.Object, len(r.Problems), r.Others, r.Problems[:min(1, len(r.Problems))])
}

// TestNoInputTakesMuchTimeOrMemory judges the worst inputs that anybody thought
// of, each in a process of its own.
func TestNoInputTakesMuchTimeOrMemory(t *testing.T) {
	if await.RaceDetector {
		t.Skip("the race detector takes time and memory of its own")
	}
	for i, w := range worstInputs(t) {
		if testing.Short() && i%6 != 0 {
			continue // a sample
		}
		t.Run(w.name, func(t *testing.T) {
			size, out, spent, memory := w.judge(t)
			t.Logf("%-60s %6d kB %5d ms %4d MiB: %.120s", w.name, size>>10, spent.Milliseconds(), memory>>20, out)
			if spent > mostTime || memory > mostMemory {
				t.Errorf("takes %v of processor time and %d MiB; %v and %d MiB are allowed", spent, memory>>20, mostTime, mostMemory>>20)
			}
			if want := fmt.Sprintf("taken for %q", w.want); w.want == "refused" && !strings.HasPrefix(out, "refused") || w.want != "refused" && !strings.HasPrefix(out, want) {
				t.Errorf("it is %.300s; want: %s", out, want)
			}
		})
	}
}

// judge has a process judge it, and measures that.
func (w *worst) judge(t *testing.T) (size int, out string, spent time.Duration, memory int64) {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, data []byte) {
		name = filepath.Join(dir, name)
		must(0, os.MkdirAll(filepath.Dir(name), 0o700))
		must(0, os.WriteFile(name, data, 0o600))
	}
	for name, data := range map[string]func() []byte{"input": w.data, "plan": w.plan, "proof": w.proof} {
		if data != nil {
			made := data()
			size += len(made)
			write(name, made)
		}
	}
	if w.folder != nil {
		for path, data := range w.folder() {
			size += len(data)
			write("folder/"+path, data)
		}
	}
	write("policy", w.policy)
	cmd := exec.Command(must(os.Executable()), "-test.run=^TestWorstInputChild$", "-test.count=1")
	cmd.Env = append(os.Environ(), worstEnv+"="+dir)
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	// What the system says of a child's peak is its parent's where that was
	// larger: the child says it itself.
	peak, out, ok := strings.Cut(string(said), "\n")
	if _, err := fmt.Sscanf(peak, "VmHWM: %d kB", &memory); err != nil || !ok {
		t.Fatalf("%v: %s", err, said)
	}
	return size, out, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), memory << 10
}

// archived packs files as they are: a manifest that doesn't fit is one more
// problem, and the rest is judged all the same.
func archived(files evidence.Files) []byte { return must(sealed(files)) }
