package engine

import (
	"testing"
	"time"
)

// The clock is set, or the computer sleeps, while fleetctl runs or between two
// commands: only the first is a jump.
func TestTheWatchTellsASetClockFromSleep(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name         string
		elapsed      time.Duration // by the steady clock
		set          time.Duration
		boot         string
		ahead, slack time.Duration
		known        bool
	}{
		{"nothing happened", time.Hour, 0, "one", 0, clockSlack + 3600*time.Millisecond, true},
		{"a night's sleep", 8 * time.Hour, 0, "one", 0, clockSlack + 8*3600*time.Millisecond, true},
		{"ten years ahead", time.Hour, 87600 * time.Hour, "one", 87600 * time.Hour, clockSlack + 3600*time.Millisecond, true},
		{"an hour back", 2 * time.Hour, -time.Hour, "one", -time.Hour, clockSlack + 7200*time.Millisecond, true},
		{"another start", time.Hour, 87600 * time.Hour, "two", 0, clockSlack, false},
	} {
		dir := t.TempDir()
		s := uptime{"one", 1000 * time.Second}
		read := func() uptime { return s }
		first, err := openClockWatch(dir, read)
		if err != nil {
			t.Fatal(err)
		}
		first.begin(dir, now.Add(-c.elapsed-c.set)) // by the clock of then
		if first.known {
			t.Errorf("%s: the first command knows something", c.name)
		}
		s = uptime{c.boot, 1000*time.Second + c.elapsed}
		second, err := openClockWatch(dir, read)
		if err != nil {
			t.Fatal(err)
		}
		ahead, slack, known := second.ahead(now), second.slack(now), second.comparable(now)
		if (ahead-c.ahead).Abs() > 2*time.Second || (slack-c.slack).Abs() > time.Second || known != c.known {
			t.Errorf("%s: ahead %s, slack %s, known %t", c.name, ahead, slack, known)
		}
	}
}

func TestTheWatchTellsOfSleepOnce(t *testing.T) {
	now := time.Now()
	s := uptime{"one", time.Hour}
	w, err := openClockWatch(t.TempDir(), func() uptime { return s })
	if err != nil {
		t.Fatal(err)
	}
	w.begin(t.TempDir(), now)
	s.at += 8*time.Hour + 10*time.Second
	if d := w.slept(now.Add(10 * time.Second)); d != 8*time.Hour {
		t.Errorf("it slept for %s", d)
	}
	s.at += time.Second
	if d := w.slept(now.Add(11 * time.Second)); d != 0 {
		t.Errorf("and once more for %s", d)
	}
}
