package ceremony

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/ceremony/story"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/explain"
	"github.com/fleetctl/fleetctl/internal/session"
	"github.com/fleetctl/fleetctl/internal/ui"
	"github.com/fleetctl/fleetctl/internal/words"
)

type courseJSON struct {
	Dir       string        `strict:"dir"`
	Ceremony  string        `strict:"ceremony"`
	Mode      string        `strict:"mode"`
	Plan      [32]byte      `strict:"plan,hex"`
	State     string        `strict:"state"`
	Seconds   int           `strict:"seconds"`
	Done      int           `strict:"steps_done"`
	Planned   int           `strict:"steps_planned"`
	People    []string      `strict:"people"`
	Otherwise []troubleJSON `strict:"otherwise"`
	Tries     int           `strict:"challenge_tries"`
	Machine   int           `strict:"challenges_by_machine"`
}

type troubleJSON struct {
	What  string `strict:"what"`
	Count int    `strict:"count"`
}

type compareStepJSON struct {
	Step             string `strict:"step"`
	Rehearsed        bool   `strict:"rehearsed"`
	RehearsalSeconds int    `strict:"rehearsal_seconds"`
	Run              bool   `strict:"run"`
	Seconds          int    `strict:"seconds"`
	RehearsalTries   int    `strict:"rehearsal_tries"`
	Tries            int    `strict:"tries"`
}

type compareJSON struct {
	Of        bool              `strict:"rehearsal_of_this_plan"`
	Rehearsal courseJSON        `strict:"rehearsal"`
	Run       courseJSON        `strict:"run"`
	Steps     []compareStepJSON `strict:"steps"`
	Missing   []string          `strict:"people_not_rehearsed"`
}

// Format is what the JSON says that it is.
func (*compareJSON) Format() string { return "fleetctl ceremony compare result v1" }

func compareCmd(a *cli.App) *cobra.Command {
	return cli.Command("compare REHEARSAL_DIR DIR", "Hold what was rehearsed against what was run",
		`Compare goes through two ceremonies' folders, step by step: which steps were
done, how long each took, how often words had to be typed, who signed, and what
went otherwise than planned. It says whether the first was a rehearsal of the
second's very plan. It judges nothing; verify does.`,
		"  fleetctl ceremony compare rehearsal ceremony", cobra.ExactArgs(2),
		func(_ *cobra.Command, args []string) error {
			rehearsal, err := folder.ReadSummary(args[0])
			if err != nil {
				return cli.Wrong(err)
			}
			run, err := folder.ReadSummary(args[1])
			if err != nil {
				return cli.Wrong(err)
			}
			return compare(a, args, rehearsal, run)
		})
}

func compare(a *cli.App, dirs []string, rehearsal, run *folder.Summary) error {
	out := &compareJSON{
		Of:        rehearsal.Mode == ceremony.Rehearsal && rehearsal.Rehearses == run.Plan,
		Rehearsal: courseOf(dirs[0], rehearsal), Run: courseOf(dirs[1], run),
		Steps: compareSteps(rehearsal, run), Missing: []string{},
	}
	for _, name := range run.People {
		if !slices.Contains(rehearsal.People, name) {
			out.Missing = append(out.Missing, name)
		}
	}
	of := "the first is a rehearsal of the second's plan"
	if !out.Of {
		of = "the first is NOT a rehearsal of the second's plan"
	}
	missing := "everybody who signed had rehearsed it"
	if len(out.Missing) > 0 {
		missing = strings.Join(out.Missing, ", ") + " signed, and had not rehearsed it"
	}
	rows := [][]string{}
	both := func(name string, x, y any) { rows = append(rows, []string{name, fmt.Sprint(x), fmt.Sprint(y)}) }
	x, y := &out.Rehearsal, &out.Run
	both("mode", strings.ToUpper(x.Mode), strings.ToUpper(y.Mode))
	both("state", x.State, y.State)
	both("steps done", fmt.Sprintf("%d of %d", x.Done, x.Planned), fmt.Sprintf("%d of %d", y.Done, y.Planned))
	both("took", minutes(x.Seconds), minutes(y.Seconds))
	both("people who signed", strings.Join(x.People, ", "), strings.Join(y.People, ", "))
	both("tries at word challenges", x.Tries, y.Tries)
	both("answered by the machine", x.Machine, y.Machine)
	for _, w := range story.Troubles() {
		if n, m := rehearsal.Story.Count(w), run.Story.Count(w); n+m > 0 {
			both(explain.Counted(w), n, m)
		}
	}
	var steps [][]string
	for _, s := range out.Steps {
		steps = append(steps, []string{s.Step, took(s.Rehearsed, s.RehearsalSeconds, s.RehearsalTries), took(s.Run, s.Seconds, s.Tries)})
	}
	return a.Emit(out,
		a.UI.Fields([][2]string{{"plan", of}, {"people", missing}}), "\n",
		a.UI.Table([]string{"", dirs[0], dirs[1]}, rows), "\n",
		a.UI.Table([]string{"step", dirs[0], dirs[1]}, steps), courses(a, dirs, rehearsal, run))
}

// courses tell each of the two, where anything went otherwise in it.
func courses(a *cli.App, dirs []string, two ...*folder.Summary) string {
	var b strings.Builder
	for i, c := range two {
		if told := explain.TellStory(c.Story, false); len(told.Otherwise) > 0 {
			b.WriteString("\n" + a.UI.Style(ui.Heading, "How "+dirs[i]+" went:") + "\n" + cli.StoryText(a.UI.Page, told, false))
		}
	}
	return b.String()
}

func courseOf(dir string, c *folder.Summary) courseJSON {
	j := courseJSON{Dir: dir, Ceremony: c.Ceremony, Mode: c.Mode, Plan: c.Plan, State: c.State, Seconds: seconds(c.Took), Done: len(c.Steps), Planned: c.Planned,
		People: append([]string{}, c.People...), Otherwise: []troubleJSON{}}
	for _, w := range story.Troubles() {
		if n := c.Story.Count(w); n > 0 {
			j.Otherwise = append(j.Otherwise, troubleJSON{string(w), n})
		}
	}
	for _, s := range c.Steps {
		j.Tries += s.Tries
		if s.By == session.ByMachine {
			j.Machine++
		}
	}
	return j
}

// compareSteps puts the two side by side, in the second's order; what only the
// first has comes after.
func compareSteps(rehearsal, run *folder.Summary) []compareStepJSON {
	list := []compareStepJSON{}
	find := func(c *folder.Summary, title string) (folder.StepSummary, bool) {
		i := slices.IndexFunc(c.Steps, func(s folder.StepSummary) bool { return s.Title == title })
		if i < 0 {
			return folder.StepSummary{}, false
		}
		return c.Steps[i], true
	}
	add := func(title string) {
		x, rehearsed := find(rehearsal, title)
		y, done := find(run, title)
		list = append(list, compareStepJSON{title, rehearsed, seconds(x.Took - x.Paused), done, seconds(y.Took - y.Paused), x.Tries, y.Tries})
	}
	for _, s := range run.Steps {
		add(s.Title)
	}
	for _, s := range rehearsal.Steps {
		if _, ok := find(run, s.Title); !ok {
			add(s.Title)
		}
	}
	return list
}

func seconds(d time.Duration) int { return int(d / time.Second) }

// minutes writes seconds as people read a watch.
func minutes(s int) string { return fmt.Sprintf("%d:%02d", s/60, s%60) }

func took(done bool, s, tries int) string {
	if !done {
		return "not done"
	}
	text := minutes(s)
	if tries > 1 {
		text += ", " + words.Count(int64(tries), "try", "tries")
	}
	return text
}
