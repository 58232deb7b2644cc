package cli

import "github.com/fleetctl/fleetctl/attest/evidence/planned"

// Forecast is a table that says which of a policy's demands a plan's ceremony can reach,
// and what to do about those that it can't.
func Forecast(a *App, list []planned.Outlook) string {
	var table [][]string
	var rows [][2]string
	for _, o := range list {
		mark := "in reach"
		if o.Short() {
			mark = "OUT OF REACH"
			rows = append(rows, [2]string{o.Claim, o.Missing}, [2]string{"", o.Do})
		} else if o.Do != "" {
			rows = append(rows, [2]string{o.Claim, o.Do})
		}
		table = append(table, []string{mark, o.Claim, o.Least.String()})
	}
	text := a.UI.Table([]string{"forecast", "claim demanded", "at least"}, table)
	if len(rows) > 0 {
		text += "\n" + a.UI.Fields(rows)
	}
	return text
}

// Outlook is a forecast for one claim, for programs.
type Outlook struct {
	Claim   string `strict:"claim"`
	Least   string `strict:"least"`
	InReach bool   `strict:"in_reach"`
	Missing string `strict:"missing,optional"`
	Do      string `strict:"do,optional"`
}

// Outlooks are a forecast for programs.
func Outlooks(list []planned.Outlook) (out []Outlook) {
	for _, o := range list {
		out = append(out, Outlook{o.Claim, o.Least.String(), !o.Short(), o.Missing, o.Do})
	}
	return out
}
