package page

import (
	"cmp"
	"strconv"

	"github.com/fleetctl/fleetctl/internal/explain"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/words"
)

// otherwise says in a few words what went otherwise than planned.
func (d *pageData) otherwise() error {
	if len(d.told.Otherwise) == 0 {
		return d.row("nothing")
	}
	d.add(`<ul class="otherwise">`)
	for _, text := range d.told.Otherwise {
		d.add("<li>", text, "</li>")
	}
	return d.row("</ul>")
}

// logins counts them. What the HSMs answered is restricted; that somebody logged in
// is not.
func (d *pageData) logins() string {
	return words.Count(int64(d.story.Logins), "login", "logins") + ", " + strconv.Itoa(d.story.PlannedLogins()) + " if each PIN is given once"
}

// peopleRows writes a row for each of the plan's people, with the keys that make them
// who they are.
func (d *pageData) peopleRows() error {
	for _, p := range d.told.People {
		parts := []string{"<tr><td>", p.Name, " <small>", p.Role}
		for _, x := range d.plan.People {
			if k, err := sshsig.ParsePublicKey(x.Key); err == nil && x.Name == p.Name {
				parts = append(parts, `</small> <small class="mono">`, k.Fingerprint())
			}
		}
		parts = append(parts, `</small></td><td class="`, weights[p.Weight], `">`, cmp.Or(p.Release, "not asked"))
		if d.whole {
			parts = append(parts, `</td><td class="`, weights[p.Weight], `">`, cmp.Or(p.Close, "not asked"))
		}
		err := d.row(append(parts, `</td><td class="wide">`, cmp.Or(p.Approved, "nothing"), "</td></tr>\n")...)
		if err != nil {
			return err
		}
	}
	return nil
}

// weights are the classes of what should catch the eye, and of the rest.
var weights = [...]string{explain.Planned: "planned", explain.Notable: "notable", explain.Grave: "grave"}

// timelineRows writes the ceremony's milestones and what went otherwise. A day
// stands once, in the first of its rows.
func (d *pageData) timelineRows() error {
	day := ""
	for _, e := range d.told.Timeline {
		date, clock := "", e.At
		if len(e.At) > len("2006-01-02 ") {
			date, clock = e.At[:10], e.At[11:]
		}
		if date != day && date != "" {
			if err := d.row(`<tr class="day"><td colspan="3">`, date, "</td></tr>\n"); err != nil {
				return err
			}
			day = date
		}
		err := d.row(`<tr class="`, weights[e.Weight], `"><td class="num">`, clock, `</td><td class="what">`, e.Name, `</td><td class="wide">`, e.Text, "</td></tr>\n")
		if err != nil {
			return err
		}
	}
	return nil
}
