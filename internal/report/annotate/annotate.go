// Package annotate writes a run as GitHub's workflow commands: printed in a job, each
// becomes a note at the file that it names.
package annotate

import (
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/internal/report"
)

// Marshal gives a line for each failure, or one that says that there is none.
func Marshal(r *report.Run) []byte {
	r.Complete()
	var b strings.Builder
	for _, c := range r.Failures() {
		text, file, line := c.Message, c.At.File, c.At.Line
		if c.At.Member != "" { // a line inside an archive is none of the archive
			text = strings.TrimPrefix(report.Place{Member: c.At.Member, Line: c.At.Line}.String(), "!") + ": " + text
			line = 0
		}
		if file == "" {
			file = r.Subject
		}
		if c.Next != "" {
			text += "\nnext: " + c.Next
		}
		at := ""
		if file != "" { // without one, arguments were missing
			at = fmt.Sprintf("file=%s,line=%d,", property(file), max(1, line))
		}
		fmt.Fprintf(&b, "::error %stitle=%s::%s\n", at, property(r.Command+": "+c.Rule), data(text))
	}
	if r.Good {
		fmt.Fprintf(&b, "::notice title=%s::%s\n", property(r.Command), data(r.Subject+": "+r.Summary))
	}
	return []byte(b.String())
}

// data is a text as the last part of a workflow command: no line of it is a command of
// its own.
func data(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

// property is a text as the value of a property.
func property(s string) string {
	return strings.NewReplacer(":", "%3A", ",", "%2C").Replace(data(s))
}
