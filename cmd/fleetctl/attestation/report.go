package attestation

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/report"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

type resultJSON struct {
	Format   string        `strict:"format"`
	Evidence string        `strict:"evidence"` // its digest
	Device   string        `strict:"device"`
	Time     string        `strict:"time"`
	Level    string        `strict:"level"`
	Anchor   string        `strict:"anchor,optional"`
	Key      keyJSON       `strict:"key"`
	Platform platformJSON  `strict:"platform"`
	Nonce    string        `strict:"nonce,optional"`
	Until    string        `strict:"until,optional"`
	Ended    bool          `strict:"ended"` // by the clock, whatever the time judged at
	Unknown  []unknownJSON `strict:"unknown"`
	Quirks   []string      `strict:"quirks"`
	Details  []nameJSON    `strict:"details"`
	Problems []nameJSON    `strict:"problems"`
	Verified bool          `strict:"verified"`
}

type keyJSON struct {
	Identifier       string `strict:"identifier,optional"`
	SPKI             []byte `strict:"spki,base64"`
	Extractable      string `strict:"extractable"`
	Sensitive        string `strict:"sensitive"`
	NeverExtractable string `strict:"never_extractable"`
	Local            string `strict:"local"`
	Expiry           string `strict:"expiry,optional"`
	Sign             string `strict:"sign"`
	Decrypt          string `strict:"decrypt"`
	Wrap             string `strict:"wrap"`
	Unwrap           string `strict:"unwrap"`
	Derive           string `strict:"derive"`
}

type platformJSON struct {
	Vendor    string `strict:"vendor,optional"`
	Model     string `strict:"hwmodel,optional"`
	Serial    string `strict:"hwserial,optional"`
	Identity  string `strict:"identity,optional"`
	Firmware  string `strict:"swversion,optional"`
	FIPSBoot  string `strict:"fipsboot"`
	FIPSLevel uint64 `strict:"fipslevel,optional"`
}

type unknownJSON struct {
	Where   string `strict:"where"`
	What    string `strict:"what"`
	Matters bool   `strict:"matters"`
}

type nameJSON struct {
	Name string `strict:"name"`
	Text string `strict:"text"`
}

func result(a *cli.App, in attest.Input, c *attest.Claims, problems []attest.Problem) *resultJSON {
	k, p, u := c.Key, c.Platform, c.Key.Purpose
	r := &resultJSON{
		Format: "fleetctl attestation-report v1", Evidence: hex.EncodeToString(c.Evidence[:]), Device: c.Format, Time: strict.FormatTime(in.At), Level: c.Level.String(),
		Key: keyJSON{
			Identifier: k.Identifier, SPKI: k.SPKI, Extractable: k.Extractable.String(), Sensitive: k.Sensitive.String(), NeverExtractable: k.NeverExtractable.String(),
			Local: k.Local.String(), Expiry: when(k.Expires), Sign: u.Sign.String(), Decrypt: u.Decrypt.String(), Wrap: u.Wrap.String(), Unwrap: u.Unwrap.String(), Derive: u.Derive.String(),
		},
		Platform: platformJSON{p.Vendor, p.Model, p.Serial, p.Identity, p.Firmware, p.FIPSBoot.String(), p.FIPSLevel},
		Nonce:    hex.EncodeToString(c.Nonce), Until: when(c.Until), Ended: !c.Until.IsZero() && a.Now().After(c.Until), Unknown: []unknownJSON{}, Quirks: append([]string{}, c.Quirks...),
		Details: []nameJSON{}, Problems: []nameJSON{}, Verified: len(problems) == 0,
	}
	if c.Anchor != nil {
		r.Anchor = c.Anchor.Name
	}
	for _, x := range c.Unknown {
		r.Unknown = append(r.Unknown, unknownJSON(x))
	}
	for _, x := range c.Details {
		r.Details = append(r.Details, nameJSON{x.Name, x.Value})
	}
	for _, x := range problems {
		r.Problems = append(r.Problems, nameJSON{x.Name, x.What})
	}
	return r
}

// checks are the result as continuous integration counts it.
func checks(files []string, in attest.Input, j *resultJSON) *report.Run {
	run := &report.Run{Command: "fleetctl attestation check", Subject: strings.Join(files, " "), Time: in.At, Good: j.Verified, Summary: j.Level + ": the key was made inside and can't leave"}
	at := report.Place{File: run.Subject}
	if _, file, ok := strings.Cut(files[0], "="); ok && len(files) == 1 {
		at.File = file
	}
	for _, p := range j.Problems {
		run.Checks = append(run.Checks, report.Check{Rule: "attestation." + p.Name, Title: "The device's evidence shows: " + p.Name, Message: p.Text, At: at})
	}
	if j.Verified {
		run.Checks = append(run.Checks, report.Check{Rule: "attestation", Title: "The device's evidence shows what is demanded", Outcome: report.Passed, Message: run.Summary, At: at})
		return run
	}
	run.Code = cli.ExitWrong
	run.Summary = words.Count(int64(len(j.Problems)), "demand is", "demands are") + " not met"
	return run
}

func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strict.FormatTime(t)
}

// screen is the result for people: what is shown, then what is missing.
func screen(a *cli.App, in attest.Input, c *attest.Claims, problems []attest.Problem) string {
	p := a.UI.Page
	anchor := "none: " + c.NoAnchor
	if c.Anchor != nil {
		anchor = c.Anchor.Vendor + ": " + c.Anchor.Name
		if c.Anchor.Operator != "" {
			anchor += ", run by " + c.Anchor.Operator
		}
		if c.Anchor.Confirmed == "" {
			anchor += " (UNCONFIRMED)"
		}
	}
	rows := [][2]string{{"attestation", c.Format + "   " + words.Short(c.Evidence[:])}, {"level", c.Level.String()}, {"anchor", anchor}, {"time", strict.FormatTime(in.At)}}
	if !c.Until.IsZero() {
		until := strict.FormatTime(c.Until)
		if a.Now().After(c.Until) {
			until += " (ENDED since)"
		}
		rows = append(rows, [2]string{"valid until", until})
	}
	rows = append(rows, [2]string{"nonce", or(hex.EncodeToString(c.Nonce))})
	key := "of no kind that fleet keys have"
	if pub, err := keys.ParseSPKI(c.Key.SPKI); err == nil {
		key = string(pub.Algorithm())
	}
	rows = append(rows, [2]string{"key", key}, [2]string{"identifier", or(c.Key.Identifier)})
	k, u, d := c.Key, c.Key.Purpose, c.Platform
	fips := d.FIPSBoot.String()
	if d.FIPSLevel > 0 {
		fips += fmt.Sprintf(", level %d", d.FIPSLevel)
	}
	for _, x := range [][2]string{
		{"extractable", k.Extractable.String()}, {"sensitive", k.Sensitive.String()}, {"never-extractable", k.NeverExtractable.String()}, {"local", k.Local.String()},
		{"purpose", fmt.Sprintf("sign %s, decrypt %s, wrap %s, unwrap %s, derive %s", u.Sign, u.Decrypt, u.Wrap, u.Unwrap, u.Derive)},
		{"vendor", or(d.Vendor)}, {"model", or(d.Model)}, {"serial", or(d.Serial)}, {"identity", or(d.Identity)}, {"firmware", or(d.Firmware)}, {"FIPS mode", fips},
	} {
		rows = append(rows, x)
	}
	for _, x := range c.Details {
		rows = append(rows, [2]string{x.Name, x.Value})
	}
	for _, q := range c.Quirks {
		rows = append(rows, [2]string{"quirk", q})
	}
	for _, x := range c.Unknown {
		rows = append(rows, [2]string{"not understood", x.Where + ": " + x.What})
	}
	text := p.Fields(rows) + "\n"
	if len(problems) == 0 {
		return text + p.Verdict(true, c.Level.String()+": the key was made inside and can't leave")
	}
	var missing [][]string
	for _, x := range problems {
		missing = append(missing, []string{x.Name, x.What})
	}
	return text + p.Table([]string{"not met", "why"}, missing) + "\n" + p.Verdict(false, words.Count(int64(len(problems)), "demand is", "demands are")+" not met")
}

func or(s string) string {
	if s == "" {
		return attest.NotShown.String()
	}
	return s
}
