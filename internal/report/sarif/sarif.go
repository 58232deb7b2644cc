// Package sarif writes a run as SARIF 2.1.0 (OASIS): what failed, each with its
// place. What GitHub's code scanning wants beyond the standard is there too: a
// line for each place, a fingerprint for each result, a category for each file.
package sarif

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"path"
	"path/filepath"
	"strings"

	"github.com/fleetctl/fleetctl/internal/report"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// schema is the address of the schema that the output follows.
const schema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

// maxResults is how many results are written: GitHub takes 25,000, and shows 5,000.
const maxResults = 5000

type logFile struct {
	Schema  string `strict:"$schema"`
	Version string `strict:"version"`
	Runs    []run  `strict:"runs"`
}

type run struct {
	Tool        tool         `strict:"tool"`
	Invocations []invocation `strict:"invocations"`
	Automation  automation   `strict:"automationDetails"`
	Columns     string       `strict:"columnKind"`
	Results     []result     `strict:"results"`
}

type tool struct {
	Driver driver `strict:"driver"`
}

type driver struct {
	Name          string       `strict:"name"`
	Version       string       `strict:"version"`
	Rules         []descriptor `strict:"rules"`
	Notifications []descriptor `strict:"notifications,optional"`
}

type descriptor struct {
	ID    string  `strict:"id"`
	Short message `strict:"shortDescription"`
}

type message struct {
	Text string `strict:"text"`
}

type automation struct {
	ID string `strict:"id"`
}

type invocation struct {
	Successful    bool           `strict:"executionSuccessful"`
	ExitCode      int            `strict:"exitCode"`
	Notifications []notification `strict:"toolExecutionNotifications,optional"`
}

type notification struct {
	Descriptor reference  `strict:"descriptor"`
	Level      string     `strict:"level"`
	Message    message    `strict:"message"`
	Locations  []location `strict:"locations"`
}

type reference struct {
	ID string `strict:"id"`
}

type result struct {
	RuleID       string       `strict:"ruleId"`
	RuleIndex    int          `strict:"ruleIndex"`
	Level        string       `strict:"level"`
	Message      message      `strict:"message"`
	Locations    []location   `strict:"locations"`
	Fingerprints fingerprints `strict:"partialFingerprints"`
}

type fingerprints struct {
	Finding string `strict:"fleetctlFinding/v1"`
}

type location struct {
	Physical physical  `strict:"physicalLocation"`
	Logical  []logical `strict:"logicalLocations,optional"`
}

type physical struct {
	Artifact artifact `strict:"artifactLocation"`
	Region   region   `strict:"region"`
}

type artifact struct {
	URI string `strict:"uri"`
}

type region struct {
	StartLine int  `strict:"startLine"`
	Offset    *int `strict:"byteOffset,optional"`
	Length    *int `strict:"byteLength,optional"`
}

type logical struct {
	Name      string `strict:"name"`
	Qualified string `strict:"fullyQualifiedName"`
	Kind      string `strict:"kind"`
}

// Marshal gives the run's SARIF.
func Marshal(r *report.Run) []byte {
	r.Complete()
	d := driver{Name: "fleetctl", Version: r.Version, Rules: []descriptor{}}
	in := invocation{Successful: r.Judged(), ExitCode: r.Code}
	results := []result{}
	known := map[string]int{}
	for _, c := range r.Checks {
		at, ok := known[c.Rule]
		if !ok {
			at = len(d.Rules)
			known[c.Rule] = at
			d.Rules = append(d.Rules, descriptor{c.Rule, message{c.Title}})
		}
		if c.Outcome == report.Passed || c.Outcome == report.NotAsked || len(results) == maxResults {
			continue
		}
		text, where := textOf(c), []location{locate(c.At, r.Subject)}
		sum := sha256.Sum256([]byte(c.Rule + "\n" + c.At.File + "\n" + c.At.Member + "\n" + c.Message))
		results = append(results, result{c.Rule, at, "error", message{text}, where, fingerprints{hex.EncodeToString(sum[:16])}})
		if c.Outcome == report.NoVerdict {
			in.Notifications = append(in.Notifications, notification{reference{report.RuleNoVerdict}, "error", message{text}, where})
			d.Notifications = []descriptor{{report.RuleNoVerdict, message{"The command comes to a verdict"}}}
		}
	}
	return strict.EncodeJSON(&logFile{schema, "2.1.0", []run{{
		Tool: tool{d}, Invocations: []invocation{in}, Columns: "unicodeCodePoints", Results: results,
		// Up to its last slash GitHub takes it for the category: alerts of one file aren't
		// closed by a run over another one.
		Automation: automation{strings.ReplaceAll(r.Command, " ", "-") + "/" + uri(r.Subject) + "/"},
	}}})
}

func textOf(c report.Check) string {
	text := c.Message
	if c.At.Member != "" {
		text = strings.TrimPrefix(report.Place{Member: c.At.Member, Line: c.At.Line}.String(), "!") + ": " + text
	}
	if c.Rule != report.RuleWrong && c.Rule != report.RuleNoVerdict {
		text = c.Rule + ": " + text
	}
	if c.Next != "" {
		text += "\nNext: " + c.Next
	}
	return text
}

func locate(p report.Place, subject string) location {
	if p.File == "" {
		p.File = subject
	}
	l := location{Physical: physical{artifact{uri(p.File)}, region{StartLine: max(1, p.Line)}}}
	if p.Member != "" {
		l.Physical.Region.StartLine = 1
		l.Logical = []logical{{path.Base(p.Member), report.Place{File: p.File, Member: p.Member}.String(), "resource"}}
	}
	if p.Region != nil {
		l.Physical.Region = region{max(1, p.Region.Line), &p.Region.Offset, &p.Region.Length}
	}
	return l
}

// uri is a path as a relative reference, or as a file's address where it is absolute. An
// address stays one.
func uri(file string) string {
	if strings.HasPrefix(file, "https://") || strings.HasPrefix(file, "http://") {
		if u, err := url.Parse(file); err == nil {
			u.User = nil
			return u.String()
		}
	}
	slashed := filepath.ToSlash(filepath.Clean(file))
	u := url.URL{Path: slashed}
	if filepath.IsAbs(file) {
		u.Scheme, u.Path = "file", "/"+strings.TrimPrefix(slashed, "/")
	}
	return u.String()
}
