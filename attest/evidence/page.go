package evidence

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// pageVersion changes with every change to what Page renders. A page of
// another version can't be rendered again and is compared with nothing.
const pageVersion = "fleetctl page v1"

//go:embed page.html
var pageSource string

var pageTemplate = template.Must(template.New("page").Parse(pageSource))

type pageData struct {
	Version  string
	Plan     *ceremony.Plan
	Ceremony string
	Head     string // of the last record before the close
	Records  int
	Check    *ceremony.FleetCheck
	Signers  []pageSigner
	Log      string

	rows // of keys, checks, records and files
}

type pageSigner struct {
	Name, Part string
	Time       string
}

// Page renders the package's page from everything but the close record and
// the close sign-offs, so that the close record can list it. It is for
// reading; nobody should trust it further than a verifier compares it.
func Page(files Files) ([]byte, error) {
	plan, err := ceremony.ParsePlan(ceremony.PlanFile, files[ceremony.PlanFile])
	if err != nil {
		return nil, err
	}
	a, t, err := ceremony.Replay(plan, ceremony.TranscriptFile, files[ceremony.TranscriptFile])
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := renderPage(&b, files, files.sums(), a, t); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// samePage compares a page with what would be rendered, as far as they agree: a
// stranger's transcript may give one that is many times as large.
type samePage struct{ left []byte }

var errOtherPage = errors.New("the page differs")

func (s *samePage) Write(p []byte) (int, error) {
	rest, same := bytes.CutPrefix(s.left, p)
	if !same {
		return 0, errOtherPage
	}
	s.left = rest
	return len(p), nil
}

// renderPage is Page for who has followed plan and transcript already. A close
// record changes nothing in what the account says of the records before it.
func renderPage(w io.Writer, files Files, sums map[string][32]byte, a *ceremony.Account, t *ceremony.Transcript) error {
	if a.Open == nil {
		return strict.Errorf(ceremony.TranscriptFile, "has no record")
	}
	d := &pageData{Version: pageVersion, Plan: a.Plan, Ceremony: a.Open.Ceremony, Check: a.FleetCheck, Head: fmt.Sprintf("%x", a.Head),
		rows: rows{to: w, account: a, records: t.Records, files: files, sums: sums}}
	if last := len(t.Records) - 1; t.Records[last].Kind == ceremony.KindClose {
		d.Head, d.records = fmt.Sprintf("%x", t.Records[last].Prev), t.Records[:last]
	}
	d.Records = len(d.records)
	d.signers(a)
	if a.LogProof != nil {
		d.Log = "bundle.json is in the log that the plan names; the proof is bundle.json.tlog-proof"
	}
	return pageTemplate.Execute(w, d)
}

func (d *pageData) signers(a *ceremony.Account) {
	for _, p := range a.Plan.ThirdParties {
		s := pageSigner{Name: p.Name, Part: "third party"}
		for _, r := range a.Responses {
			if r.Key != p.Key {
				continue
			}
			if st, err := bundle.ParseStatement(ceremony.BundleFile, r.Statement); err == nil {
				s.Time = strict.FormatTime(st.Time())
			}
		}
		switch {
		case s.Time == "" && a.Counter != nil:
			s.Time = "absent; enough others signed"
		case slices.ContainsFunc(a.Late(), func(l bundle.Signed) bool { return l.Key == p.Key }):
			s.Time += ", after the countersignature"
		}
		d.Signers = append(d.Signers, s)
	}
	c := pageSigner{Name: a.Plan.Countersigner.Name, Part: "operator"}
	if a.Counter != nil {
		c.Time = "over that statement"
	}
	d.Signers = append(d.Signers, c)
}

// recordText says in a line what a record reports.
func recordText(r *ceremony.Record) string {
	switch c := r.Content.(type) {
	case *ceremony.Open:
		return fmt.Sprintf("ceremony %s; words %s, chosen by the %s", c.Ceremony, strings.Join(c.Words, " "), c.ChosenBy)
	case *ceremony.Reading:
		return fmt.Sprintf("%s %s: %s, typed by the %s", c.What, c.HSM, c.Value, c.By)
	case *ceremony.Challenge:
		return fmt.Sprintf("words %v of the %s typed by the %s, %d tries", c.Positions, c.What, c.By, c.Tries)
	case *ceremony.Intake:
		return fmt.Sprintf("%s: serial %s, %s, firmware %s", c.HSM, c.Serial, c.Model, c.Firmware)
	case *ceremony.Unlock:
		return "restricted" // whether it is withheld or not: the page stays the same
	case *ceremony.Inventory:
		return fmt.Sprintf("%s: %d objects", c.HSM, len(c.Objects))
	case *ceremony.Intent:
		return fmt.Sprintf("%s: %s, %s, CKA_ID %x", c.HSM, c.Role, c.Algorithm, c.ID)
	case *ceremony.Outcome:
		return fmt.Sprintf("%s %s", c.Result, c.Mechanism)
	case *ceremony.Attributes:
		return fmt.Sprintf("%d attributes read back", len(c.Private)+len(c.Public))
	case *ceremony.NegativeTest:
		return c.Tally()
	case *ceremony.Possession:
		return "the key answered its nonce"
	case *ceremony.Found:
		return fmt.Sprintf("found again by a new process; %d objects", len(c.Objects))
	case *ceremony.FleetCheck:
		return fmt.Sprintf("%d HSMs, %d checks", len(c.Rows), len(c.Checks))
	case *ceremony.Release:
		return fmt.Sprintf("artifact %x", c.Artifact)
	case *ceremony.Request:
		return fmt.Sprintf("request core %x; %d files of signatures so far", c.Core, len(c.Files))
	case *ceremony.Response:
		return "statement received and verified"
	case *ceremony.Refusal:
		return "an answer was refused: " + c.Reason
	case *ceremony.Countersignature:
		return fmt.Sprintf("form %s; %d files of signatures so far", c.Form, len(c.Files))
	case *ceremony.LogProof:
		return fmt.Sprintf("bundle %x", c.Bundle)
	case *ceremony.Exception:
		return fmt.Sprintf("%d: expected %s; happened %s; decided %s%s", c.Number, c.Expected, c.Happened, c.Decided, c.AbsentText())
	case *ceremony.Adjourn:
		return fmt.Sprintf("%s; %d seals", c.Reason, len(c.Seals))
	case *ceremony.Reconvene:
		return fmt.Sprintf("%d seals", len(c.Seals))
	case *ceremony.Resume:
		return fmt.Sprintf("after an interruption since %s", strict.FormatTime(c.Since))
	case *ceremony.Abort:
		return c.Reason
	}
	return "restricted"
}
