package device

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/await"
)

// The test runs itself as the processes that check, and that it kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv("DEVICE_TEST"); dir != "" {
		from, _ := strconv.Atoi(os.Getenv("DEVICE_TEST_FROM"))
		to, _ := strconv.Atoi(os.Getenv("DEVICE_TEST_TO"))
		if err := checks(dir, from, to, func(v *Verdict) { fmt.Println(v.State.Witnessed.Unix()) }); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// question is check number n of a device: each with a proof that is a second newer,
// so that each changes the state.
func question(dir string, n int) Question {
	at := now.Add(time.Duration(n) * time.Second)
	b := made{}.bundle()
	return Question{
		Bundle: b.Raw(), Proof: proof(logKey, b.Raw(), at, at), Policy: policy(Pins{}), Now: hour(20),
		State: File(filepath.Join(dir, "state")), Guard: File(filepath.Join(dir, "secure", "guard")), Begin: true,
	}
}

// checks does one check after the other, and tells of each once it has said yes.
func checks(dir string, from, to int, tell func(*Verdict)) error {
	for n := from; n < to; n++ {
		v, err := Check(question(dir, n))
		if err != nil {
			return err
		}
		tell(v)
	}
	return nil
}

func quiet(*Verdict) {}

func started(t *testing.T, dir string, from, to int) (*await.Process, *bytes.Buffer, func() int64) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "DEVICE_TEST="+dir, "DEVICE_TEST_FROM="+strconv.Itoa(from), "DEVICE_TEST_TO="+strconv.Itoa(to))
	talk := new(bytes.Buffer)
	cmd.Stderr = talk
	out := must(cmd.StdoutPipe())
	var mu sync.Mutex
	var last int64
	p := await.Start(t, cmd)
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			mu.Lock()
			last = must(strconv.ParseInt(lines.Text(), 10, 64))
			mu.Unlock()
		}
	}()
	return p, talk, func() int64 { mu.Lock(); defer mu.Unlock(); return last }
}

func newDevice(t *testing.T) (dir string) {
	dir = t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "secure"), 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestAKilledCheckLosesNoState kills a process that checks without pause, at each
// step of its writing in turn, and has the next one go on: FLEETCTL_FULL=1 kills a
// thousand.
func TestAKilledCheckLosesNoState(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes")
	}
	kills, dir, n := 40, newDevice(t), 0
	if os.Getenv("FLEETCTL_FULL") == "1" {
		kills = 1000
	}
	state, guard := filepath.Join(dir, "state"), filepath.Join(dir, "secure", "guard")
	between, pending := 0, 0
	for i := range kills {
		p, talk, told := started(t, dir, n, n+1_000_000)
		p.Until(func() bool { return told() != 0 })
		was, _ := os.ReadFile(state)
		for !p.Ended() {
			is, _ := os.ReadFile(state)
			g, _ := os.ReadFile(guard)
			if i%3 == 0 || i%3 == 1 && !bytes.Contains(g, []byte("\nnext -\n")) || i%3 == 2 && !bytes.Equal(was, is) {
				break
			}
		}
		if p.Ended() {
			t.Fatalf("it ended before it was killed: %s", talk)
		}
		p.Kill()
		s := must(ParseState("state", must(os.ReadFile(state))))
		g := must(parseGuard("guard", must(os.ReadFile(guard))))
		if !g.knows(s.Raw()) || s.Witnessed.Unix() < told() {
			t.Fatalf("the state is of %d, and %d was told of; its guard:\n%s", s.Witnessed.Unix(), told(), g.text())
		}
		if g.next != ([32]byte{}) {
			pending++
		}
		if s.Witnessed.Unix() > told() {
			between++
		}
		n = int(s.Witnessed.Sub(now)/time.Second) + 1
	}
	if err := checks(dir, n, n+1, quiet); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*", ".fleetctl-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	t.Logf("killed %d times after %d checks, %d times with the guard naming two states, %d times before it was told; none was lost", kills, n, pending, between)
}

// Several processes, each with answers of its own: one after the other, and no
// state goes back.
func TestProcessesThatCheckAtOnceDoSoOneAfterTheOther(t *testing.T) {
	dir := newDevice(t)
	const each = 25
	var running []*await.Process
	var talks []*bytes.Buffer
	for i := range 4 {
		p, talk, _ := started(t, dir, i*2, i*2+each)
		running, talks = append(running, p), append(talks, talk)
	}
	for i, p := range running {
		if ok, err := p.Ends(); !ok || err != nil {
			t.Errorf("process %d: %v\n%s", i, err, talks[i])
		}
	}
	state := must(ParseState("state", must(os.ReadFile(filepath.Join(dir, "state")))))
	if want := now.Add((3*2 + each - 1) * time.Second); !state.Witnessed.Equal(want) {
		t.Errorf("the state is of %s, want %s", state.Witnessed, want)
	}
	unlock := must(lock(File(filepath.Join(dir, "state")), File(filepath.Join(dir, "secure", "guard"))))
	done := make(chan error, 1)
	go func() { done <- checks(dir, 100, 101, quiet) }()
	for i := range 50 { // more of the same work than a check does
		if err := File(filepath.Join(dir, "secure", "other")).Write(fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-done:
			t.Fatalf("a check did not wait for who has the state: %v", err)
		default:
		}
	}
	unlock()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Whatever is put back from a copy, or changed, is refused: the state alone, the
// guard alone, one byte of either. Both together pass, and SPEC says so.
func TestAStateThatIsPutBackIsRefused(t *testing.T) {
	dir := newDevice(t)
	state, guard := filepath.Join(dir, "state"), filepath.Join(dir, "secure", "guard")
	var states, guards [][]byte
	for n := range 4 {
		if err := checks(dir, n, n+1, quiet); err != nil {
			t.Fatal(err)
		}
		states, guards = append(states, must(os.ReadFile(state))), append(guards, must(os.ReadFile(guard)))
	}
	q := question(dir, 3)
	put := func(s, g []byte) error {
		for path, text := range map[string][]byte{state: s, guard: g} {
			os.Remove(path)
			if text != nil {
				if err := os.WriteFile(path, text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		_, err := Check(q)
		return err
	}
	refused := func(what string, s, g []byte) {
		t.Helper()
		var r *bundle.Refusal
		if err := put(s, g); !errors.As(err, &r) || r.Reason != ReasonState {
			t.Errorf("%s: %v", what, err)
		}
	}
	for n := range 3 {
		refused("an older state", states[n], guards[3])
		refused("an older guard", states[3], guards[n])
	}
	refused("no state", nil, guards[3])
	refused("no guard", states[3], nil)
	for i := range states[3] {
		changed := bytes.Clone(states[3])
		changed[i] ^= 1
		refused(fmt.Sprintf("byte %d of the state", i), changed, guards[3])
	}
	for i := range guards[3] {
		changed := bytes.Clone(guards[3])
		changed[i] ^= 1
		refused(fmt.Sprintf("byte %d of the guard", i), states[3], changed)
	}
	for n := range len(states[3]) {
		refused("a state that was cut off", states[3][:n], guards[3])
	}
	if err := put(states[3], guards[3]); err != nil {
		t.Error(err)
	}
	if err := put(states[1], guards[1]); err != nil {
		t.Errorf("both put back together, which nothing here can see: %v", err)
	}
}

// hollow is a place that has a text, and it is empty: some systems' storage gives
// such a one as nothing.
type hollow struct{ memory }

func (h *hollow) Read() ([]byte, error) { return nil, nil }

func TestAnEmptyStateIsNoFirstContact(t *testing.T) {
	for _, guarded := range []string{"", "nothing-yet", "first-begun"} {
		q := question(newDevice(t), 0)
		q.State = &hollow{memory{name: "state"}}
		q.Guard = newVectors().place("guard", newVectors().Guards, guarded)
		v, err := Check(q)
		var r *bundle.Refusal
		if v != nil || !errors.As(err, &r) || r.Reason != ReasonState {
			t.Errorf("guard %q: %v", guarded, err)
		}
	}
}

func TestAStateAndItsGuardAreFilesOfTwoNames(t *testing.T) {
	dir := newDevice(t)
	if err := checks(dir, 0, 1, quiet); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "state"), link); err != nil {
		t.Skip(err)
	}
	round, second := filepath.Join(dir, "secure", "round"), filepath.Join(dir, "secure", "second")
	if err := errors.Join(os.Symlink(dir, round), os.Link(filepath.Join(dir, "state"), second)); err != nil {
		t.Skip(err)
	}
	q := question(dir, 1)
	for what, x := range map[string]struct {
		state, guard Place
		want         string
	}{
		"a link":                            {File(link), q.Guard, "is a symbolic link"},
		"a guard link":                      {q.State, File(link), "is a symbolic link"},
		"a folder":                          {File(filepath.Join(dir, "secure")), q.Guard, "is no regular file"},
		"one place":                         {q.State, q.State, "each is in a place of its own"},
		"no place":                          {q.State, nil, "each need a place"},
		"one place by two paths":            {q.State, File(filepath.Join(dir, "secure") + "/../state"), "each is in a place of its own"},
		"one place by a link to its folder": {q.State, File(filepath.Join(round, "state")), "each is in a place of its own"},
		"one file of two names":             {q.State, File(second), "each is in a place of its own"},
		"a guard that is the state's lock":  {q.State, File(filepath.Join(dir, "state.lock")), "each is in a place of its own"},
	} {
		q := q
		q.State, q.Guard = x.state, x.guard
		v, err := Check(q)
		if wantError(t, err, x.want); v != nil {
			t.Errorf("%s: a verdict came with the error", what)
		}
	}
	if !strings.HasSuffix(File("a/b").Name(), "b") {
		t.Error("a file's name is its path")
	}
}
