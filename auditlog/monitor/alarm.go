package monitor

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// maxAlarm bounds an alarm's text, in bytes: some quote a server's words, and all
// are kept.
const maxAlarm = 2000

// maxEach is how many findings of one kind a pass raises one by one. One more
// alarm counts all others of that kind, so that whoever fills a log with junk
// doesn't fill mailboxes and disks with alarms.
const maxEach = 20

// Alarm says that something is wrong with a log.
type Alarm struct {
	Finding
	Time     time.Time
	Log      string
	Evidence string // file that proves it, where one does
	Count    uint64 // how many findings it stands for, if more than one; Finding is then the last of them
}

type alarmJSON struct {
	Format   string    `strict:"format"`
	Time     time.Time `strict:"time"`
	Log      string    `strict:"log"`
	Kind     string    `strict:"kind"`
	Index    uint64    `strict:"index"`
	Text     string    `strict:"text"`
	Evidence string    `strict:"evidence,optional"`
	Count    uint64    `strict:"count,optional"`
}

// JSON is the alarm on one line, without LF.
func (a Alarm) JSON() []byte {
	return strict.EncodeLine(&alarmJSON{"fleetctl alarm v1", a.Time, a.Log, a.Kind, a.Index, a.Text, a.Evidence, a.Count})
}

// alarm notes what is wrong. An alarm whose cause has been there since an earlier
// pass is not raised again.
func (p *pass) alarm(kind string, index uint64, evidence, format string, args ...any) {
	p.note(Alarm{Finding: Finding{kind, index, fmt.Sprintf(format, args...)}, Evidence: evidence})
}

func (p *pass) note(a Alarm) {
	if len(a.Text) > maxAlarm {
		a.Text = strings.ToValidUTF8(a.Text[:maxAlarm], "") + "…"
	}
	a.Time, a.Log = p.o.Now().UTC().Truncate(time.Second), p.name
	key := fmt.Sprintf("%s %d %s", a.Kind, a.Index, a.Text)
	if p.stands(key) && !p.stood[key] {
		p.alarms = append(p.alarms, a)
	}
}

// stands notes that an alarm's cause is there in this pass, and says whether it is
// new.
func (p *pass) stands(key string) bool {
	if p.standing[key] {
		return false
	}
	p.standing[key] = true
	p.still = append(p.still, key)
	return true
}

// silence alarms once for each silence.
func (p *pass) silence() {
	if p.o.Silence > 0 && p.o.Now().Sub(p.s.Grown) > p.o.Silence {
		p.alarm(KindSilence, 0, "", "the log has not grown since %s", strict.FormatTime(p.s.Grown))
	}
}

// tally keeps the first findings of each kind. Of the others it keeps only their
// number and the last one, so that its size doesn't grow with the log.
type tally struct {
	kinds []*ofKind
}

type ofKind struct {
	first []Finding
	more  uint64
	last  Finding
}

func (t *tally) add(list []Finding) {
	for _, f := range list {
		k := t.of(f.Kind)
		if len(k.first) < maxEach {
			k.first = append(k.first, f)
			continue
		}
		k.more++
		k.last = f
	}
}

// of gives the entry of a kind, of which there are a dozen.
func (t *tally) of(kind string) *ofKind {
	for _, k := range t.kinds {
		if k.first[0].Kind == kind {
			return k
		}
	}
	t.kinds = append(t.kinds, &ofKind{first: make([]Finding, 0, 1)})
	return t.kinds[len(t.kinds)-1]
}

// tell raises an alarm for each finding that was kept, and one for all others of
// the same kind.
func (p *pass) tell(t *tally) {
	for _, k := range t.kinds {
		for _, f := range k.first {
			p.note(Alarm{Finding: f})
		}
		if k.more > 0 {
			text := fmt.Sprintf("%d more of this kind, the last of them: %s", k.more, k.last.Text)
			p.note(Alarm{Finding: Finding{k.last.Kind, k.last.Index, text}, Count: k.more})
		}
	}
}

// raise appends the alarms to the file in the state's directory that has them all. A
// pass that was cut off here wrote no state, so that its alarms are raised again.
func (p *pass) raise() error {
	if len(p.alarms) == 0 {
		return nil
	}
	var lines []byte
	for _, a := range p.alarms {
		lines = append(append(lines, a.JSON()...), '\n')
	}
	return durable.AppendLines(filepath.Join(p.o.State, "alarms.jsonl"), lines, 0o644)
}
