// Package page is a package's page for people: rendered from the data, compared
// with what is rendered again, and read as mere text where its version is another.
package page

import (
	"bytes"
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/story"
	"github.com/fleetctl/fleetctl/internal/explain"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// Version changes with every change to what Render writes. A page of another
// version can't be rendered again and is compared with nothing.
const Version = "fleetctl page v4"

//go:embed page.html
var pageSource string

type pageData struct {
	plan     *ceremony.Plan
	ceremony string
	head     string // of the last record before the close
	signers  []pageSigner
	story    *story.Story
	told     *explain.Told
	words    map[string]string // the parts that are a single text
	whole    bool

	rows // of keys, checks, records and files
}

type pageSigner struct {
	Name, Part string
	Time       string
}

// Content is what a page shows: a ceremony as its plan, its transcript and what
// people signed tell it, and the files that its close record can list, but for the
// page itself.
type Content struct {
	Account    *ceremony.Account
	Transcript *ceremony.Transcript
	Signed     story.Signed // sign-offs of the close are asked for by Fill alone
	Listed     []File
	File       func(path string) []byte // the package's; nil for one that isn't there
}

// File is one that the close record can list.
type File struct {
	Path string
	Size int
	Sum  [32]byte
}

// Render writes the page from everything but the close record and the close
// sign-offs, so that the close record can list it. It is for reading; nobody
// should trust it further than a verifier compares it. A close record changes
// nothing in what the account says of the records before it.
func Render(w io.Writer, c Content) error {
	a := c.Account
	d, err := c.begin(w)
	if err != nil {
		return err
	}
	if last := len(d.records) - 1; d.records[last].Kind == ceremony.KindClose {
		d.head, d.records = fmt.Sprintf("%x", d.records[last].Prev), d.records[:last]
	}
	if d.story, err = story.Tell(a, d.records, c.signedBefore); err != nil {
		return err
	}
	before := *a
	before.Close = nil // whose verdicts aren't told here
	d.story.Account = &before
	d.tell(a)
	return d.fill(pageSource)
}

// Fill writes markup of the caller's with the parts that the page has where their
// names stand, in two braces, so that whatever else shows a ceremony tells it in the
// page's words. Unlike the page it tells the close and its verdicts too.
func Fill(w io.Writer, c Content, markup string) error {
	d, err := c.begin(w)
	if err != nil {
		return err
	}
	if d.story, err = story.Tell(c.Account, d.records, c.Signed); err != nil {
		return err
	}
	d.whole = true
	d.tell(c.Account)
	return d.fill(markup)
}

func (c *Content) begin(w io.Writer) (*pageData, error) {
	a := c.Account
	if a.Open == nil {
		return nil, strict.Errorf(ceremony.TranscriptFile, "has no record")
	}
	return &pageData{plan: a.Plan, ceremony: a.Open.Ceremony, head: fmt.Sprintf("%x", a.Head),
		rows: rows{to: w, account: a, records: c.Transcript.Records, listed: c.Listed, file: c.File}}, nil
}

// tell puts the story into the words of the page's parts.
func (d *pageData) tell(a *ceremony.Account) {
	d.told = explain.TellStory(d.story, true)
	d.signed(a)
	d.words = map[string]string{
		"version": Version, "fleet": d.plan.Fleet, "epoch": strconv.FormatUint(d.plan.Epoch, 10), "mode": d.plan.Mode, "namespace": d.plan.Namespace,
		"ran": d.told.Ran, "logins": d.logins(), "restricted": explain.Restricted,
		"ceremony": d.ceremony, "plan": fmt.Sprintf("%x", d.plan.Digest()), "count": strconv.Itoa(len(d.records)), "head": d.head,
		"fleet check note": d.checkNote(), "device note": deviceNote,
	}
}

// signedBefore is what people signed before the close, whose sign-offs are over
// the page.
func (c *Content) signedBefore(dir string) ([]ceremony.Signing, error) {
	if dir == ceremony.CloseSignoffDir {
		return nil, nil
	}
	return c.Signed(dir)
}

// fill writes the page's source with the parts where their names stand, in two
// braces.
func (d *pageData) fill(source string) error {
	for {
		markup, rest, more := strings.Cut(source, "{{")
		if err := d.row(markup); err != nil || !more {
			return err
		}
		name, after, _ := strings.Cut(rest, "}}")
		if err := d.part(name); err != nil {
			return err
		}
		source = after
	}
}

// part writes the part of that name.
func (d *pageData) part(name string) error {
	switch name {
	case "keys":
		return d.keyRows()
	case "otherwise":
		return d.otherwise()
	case "people":
		return d.peopleRows()
	case "timeline":
		return d.timelineRows()
	case "digests":
		return d.digestRows()
	case "fleet check":
		if d.plan.Destroys != nil {
			return d.destroyed()
		}
		if err := d.fleetCheck(); err != nil {
			return err
		}
		return d.devices()
	case "drill":
		return d.drill()
	case "drills":
		return d.drills()
	case "fleet check rows":
		return d.checkRows()
	case "device rows":
		return d.deviceRows()
	case "signers":
		return d.signerRows()
	case "records":
		return d.recordRows()
	case "files":
		return d.fileRows()
	case "logged":
		if d.account.LogProof != nil {
			d.add("<p>bundle.json is in the log that the plan names; the proof is bundle.json.tlog-proof.</p>")
		}
		return d.classicalOnly()
	}
	text, known := d.words[name]
	if !known {
		return fmt.Errorf("the page has no part %q", name)
	}
	return d.row("", text)
}

// IsCurrent says whether a page calls itself one of this version.
func IsCurrent(page []byte) bool { return bytes.Contains(page, []byte(`content="`+Version+`"`)) }

// Same says whether a page is what would be rendered. It is compared as far as
// they agree: a stranger's transcript may give one that is many times as large. An
// error says why none can be rendered.
func Same(page []byte, c Content) (bool, error) {
	rest := &samePage{page}
	err := Render(rest, c)
	if errors.Is(err, errOtherPage) {
		return false, nil
	}
	return err == nil && len(rest.left) == 0, err
}

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

func (d *pageData) signed(a *ceremony.Account) {
	if a.Plan.Destroys != nil {
		for _, p := range a.Plan.ThirdParties {
			d.signers = append(d.signers, pageSigner{p.Name, "third party", "the retirement, where retirement.json has it"})
		}
		d.signers = append(d.signers, pageSigner{a.Plan.Countersigner.Name, "operator", "the retirement, where retirement.json has it"})
		return
	}
	for _, p := range a.Plan.ThirdParties {
		s := pageSigner{Name: p.Name, Part: "third party"}
		for _, r := range a.Responses {
			if r.Key != p.Key {
				continue
			}
			if st, err := bundle.ParseServed(ceremony.BundleFile, r.Statement); err == nil {
				s.Time = strict.FormatTime(st.Time()) + both("ed25519", p.PostQuantum, r.Addition)
			}
		}
		switch {
		case s.Time == "" && a.Counter != nil:
			s.Time = "absent; enough others signed"
		case slices.ContainsFunc(a.Late(), func(l bundle.Signed) bool { return l.Key == p.Key }):
			s.Time += ", after the countersignature"
		}
		d.signers = append(d.signers, s)
	}
	c := pageSigner{Name: a.Plan.Countersigner.Name, Part: "operator"}
	if a.Counter != nil {
		c.Time = "over that statement" + both(a.Plan.Countersigner.Algorithm, a.Plan.Countersigner.PostQuantum, a.Counter.PostQuantum)
	}
	d.signers = append(d.signers, c)
}

func (d *pageData) signerRows() error {
	for _, s := range d.signers {
		if err := d.row("<tr><td>", s.Name, "</td><td>", s.Part, "</td><td>", cmp.Or(s.Time, "not yet"), "</td></tr>\n"); err != nil {
			return err
		}
	}
	return nil
}
