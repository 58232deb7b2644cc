package page

import (
	"strconv"
	"strings"
)

// devices writes what devices attested of their keys, as the people in the room saw
// it; nothing where the plan names none.
func (r *rows) devices() error {
	steps := r.account.AttestationSteps()
	if len(steps) == 0 {
		return nil
	}
	if err := r.row("<h2>Devices</h2>\n<div class=\"scroll\"><table>\n"); err != nil {
		return err
	}
	if err := r.deviceRows(); err != nil {
		return err
	}
	return r.row("</table></div>\n<p class=\"dim\">" + deviceNote + "</p>\n")
}

const deviceNote = "This is what the people in the room saw, by their operator's policy. The evidence itself lies in attestations, and whoever verifies the package judges it under anchors of their own."

func (r *rows) deviceRows() error {
	if err := r.row("<tr><th>key</th><th>format</th><th>attestation identity</th><th>level</th><th>anchor</th><th>record</th><th>problems</th></tr>\n"); err != nil {
		return err
	}
	for _, s := range r.account.AttestationSteps() {
		level, anchor, record, problems := "not attested", "", "", ""
		if o := s.Record; o != nil {
			level, anchor, record, problems = o.Level, o.Anchor, strconv.Itoa(o.N), strings.Join(o.Problems, "; ")
		}
		class := ""
		if problems != "" {
			class = ` class="notable"`
		}
		err := r.row("<tr><td>", s.Name(), "</td><td>", s.Wants.Format, `</td><td class="mono">`, s.Wants.Identity, "</td><td>", level,
			"</td><td>", anchor, `</td><td class="num">`, record, "</td><td"+class+">", problems, "</td></tr>\n")
		if err != nil {
			return err
		}
	}
	return nil
}
