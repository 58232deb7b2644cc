package session

import (
	"fmt"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/ui"
	"github.com/fleetctl/fleetctl/internal/words"
)

// matrix shows the fleet check: a row for each check and a column for each HSM, or if that
// is too wide, a row for each HSM.
func matrix(p ui.Page, m *ceremony.FleetCheck) string {
	byCheck := [][]string{}
	head := []string{"check"}
	wide := 4
	for _, name := range m.Checks {
		wide = max(wide, len(name))
	}
	for _, r := range m.Rows {
		head = append(head, r.HSM)
		wide += len(r.HSM) + 3
	}
	for i, name := range m.Checks {
		row := []string{name}
		for _, r := range m.Rows {
			row = append(row, r.Results[i])
		}
		byCheck = append(byCheck, row)
	}
	about := fmt.Sprintf("%s, firmware %s, %d of them must agree", words.Count(int64(len(m.Rows)), "HSM", "HSMs"), m.Firmware, m.Majority)
	if wide <= p.Width()-4 {
		return p.Line(about+":") + "\n" + p.Table(head, byCheck)
	}
	rows := [][2]string{}
	for _, r := range m.Rows {
		all := ""
		for i, name := range m.Checks {
			if i > 0 {
				all += ", "
			}
			all += name + " " + r.Results[i]
		}
		rows = append(rows, [2]string{r.HSM, all})
	}
	return p.Line(about+":") + "\n" + p.Fields(rows)
}
