// Package junit writes a run in the form of JUnit's results, as Jenkins and GitLab
// read them: a test case for each check, and a failure, or an error where there
// is no verdict, for each that did not pass.
package junit

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/fleetctl/fleetctl/internal/report"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Marshal gives the run's XML.
func Marshal(r *report.Run) []byte {
	r.Complete()
	failures, errors, skipped := 0, 0, 0
	for _, c := range r.Checks {
		switch c.Outcome {
		case report.Passed:
		case report.NotAsked:
			skipped++
		case report.NoVerdict:
			errors++
		default:
			failures++
		}
	}
	var b strings.Builder
	counts := fmt.Sprintf(`tests="%d" failures="%d" errors="%d"`, len(r.Checks), failures, errors)
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n")
	fmt.Fprintf(&b, "<testsuites name=\"%s\" %s>\n", escape(r.Command), counts)
	fmt.Fprintf(&b, "  <testsuite name=\"%s\" %s skipped=\"%d\" timestamp=\"%s\" version=\"%s\">\n", escape(r.Command+" "+r.Subject), counts, skipped,
		strings.TrimSuffix(strict.FormatTime(r.Time), "Z"), escape(r.Version))
	for _, c := range r.Checks {
		writeCase(&b, r, c)
	}
	b.WriteString("  </testsuite>\n</testsuites>\n")
	return []byte(b.String())
}

func writeCase(b *strings.Builder, r *report.Run, c report.Check) {
	name := c.Rule
	if where := c.At.String(); c.Outcome != report.Passed && c.Outcome != report.NotAsked && where != "" && where != r.Subject {
		name += " at " + where
	}
	fmt.Fprintf(b, "    <testcase name=\"%s\" classname=\"%s\">\n", escape(name), escape(strings.ReplaceAll(r.Command, " ", ".")))
	switch c.Outcome {
	case report.Passed:
		fmt.Fprintf(b, "      <system-out>%s</system-out>\n", escape(c.Message))
	case report.NotAsked:
		fmt.Fprintf(b, "      <skipped message=\"%s\"/>\n", escape(c.Message))
	default:
		element := "failure"
		if c.Outcome == report.NoVerdict {
			element = "error"
		}
		text := c.Message
		if where := c.At.String(); where != "" {
			text = where + ": " + text
		}
		if c.Next != "" {
			text += "\nNext: " + c.Next
		}
		fmt.Fprintf(b, "      <%s type=\"%s\" message=\"%s\">%s</%s>\n", element, escape(c.Rule), escape(c.Message), escape(text), element)
	}
	b.WriteString("    </testcase>\n")
}

// escape makes a text one that XML 1.0 can hold, as content and as an attribute.
// Characters that it can't hold at all are replaced.
func escape(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '&':
			b.WriteString("&amp;")
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '"':
			b.WriteString("&quot;")
		case r == '\n' || r == '\t' || r == '\r':
			fmt.Fprintf(&b, "&#%d;", r)
		case r < 0x20 || r == 0xfffe || r == 0xffff:
			b.WriteRune(utf8.RuneError)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
