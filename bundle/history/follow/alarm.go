package follow

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// maxText bounds an alarm's text, in bytes: some quote a server's words.
const maxText = 2000

// maxEach is how many alarms of one kind a pass raises one by one; one more counts the
// others, so that whoever serves junk doesn't fill mailboxes.
const maxEach = 20

// Alarm says that something is wrong in the namespace.
type Alarm struct {
	Time      time.Time
	Namespace string
	Kind      string
	Epoch     uint64
	Text      string
	Evidence  []string // files that prove it, where some do
	Count     uint64   // how many things it stands for, if more than one

	told bool // on the disk
}

type alarmJSON struct {
	Format    string    `strict:"format"`
	Time      time.Time `strict:"time"`
	Namespace string    `strict:"namespace"`
	Kind      string    `strict:"kind"`
	Epoch     uint64    `strict:"epoch"`
	Text      string    `strict:"text"`
	Evidence  []string  `strict:"evidence,optional"`
	Count     uint64    `strict:"count,optional"`
}

// JSON is the alarm on one line, without LF.
func (a *Alarm) JSON() []byte {
	return strict.EncodeLine(&alarmJSON{"fleetctl history alarm v1", a.Time, a.Namespace, a.Kind, a.Epoch, a.Text, a.Evidence, a.Count})
}

// alarm raises one unless its cause stood before.
func (p *pass) alarm(kind string, epoch uint64, evidence []string, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	if key := fmt.Sprintf("%s %d %s", kind, epoch, text); p.stands(key) && !p.stood[key] {
		p.alarms = append(p.alarms, Alarm{Time: p.o.Now().UTC().Truncate(time.Second), Namespace: p.client.Namespace, Kind: kind, Epoch: epoch, Text: text, Evidence: evidence})
	}
}

// stands notes that an alarm's cause is there, and says whether that is new in this pass.
func (p *pass) stands(key string) bool {
	if p.standing[key] {
		return false
	}
	p.standing[key] = true
	p.still = append(p.still, key)
	return true
}

// found raises what the check found, with the files that prove it.
func (p *pass) found(files []string) {
	proof := map[uint64][]string{}
	for i, pair := range p.report.Evidence {
		proof[pair.Epoch] = append(proof[pair.Epoch], files[2*i], files[2*i+1])
	}
	each, more := map[string]int{}, map[string]uint64{}
	for _, one := range p.report.Problems {
		if each[one.Check]++; each[one.Check] > maxEach {
			more[one.Check]++
			continue
		}
		p.alarm(one.Check, one.Epoch, slices.Compact(slices.Sorted(slices.Values(proof[one.Epoch]))), "%s", one.What)
	}
	for _, kind := range slices.Sorted(maps.Keys(more)) {
		p.alarm(kind, 0, nil, "%d more of this kind", more[kind])
		if last := len(p.alarms) - 1; last >= 0 && p.alarms[last].Kind == kind && p.alarms[last].Epoch == 0 {
			p.alarms[last].Count = more[kind]
		}
	}
}

// silence raises one alarm for each silence.
func (p *pass) silence() {
	if p.o.Silence > 0 && p.o.Now().Sub(p.s.Grown) > p.o.Silence {
		p.alarm(kindSilence, p.s.Newest, nil, "there was no new epoch since %s", strict.FormatTime(p.s.Grown))
	}
}

// raise appends the alarms that aren't there yet to the file that has them all.
func (p *pass) raise() error {
	if !slices.ContainsFunc(p.alarms, func(a Alarm) bool { return !a.told }) {
		return nil
	}
	var lines []byte
	for _, a := range p.alarms {
		if !a.told {
			lines = append(append(lines, a.JSON()...), '\n')
		}
	}
	if err := durable.AppendLines(p.path("alarms.jsonl"), lines, 0o644); err != nil {
		return err
	}
	for i := range p.alarms {
		p.alarms[i].told = true
	}
	return nil
}
