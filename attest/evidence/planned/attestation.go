package planned

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/attest"
	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/attest/formats"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// attestation is the policy's block attestation; empty if no claim about attestations is
// demanded. It requires fresh evidence, or anchored evidence of formats without a nonce.
func (d *policyDraft) attestation() string {
	if !slices.ContainsFunc(d.demands, func(x evidence.Demand) bool {
		return x.Claim == evidence.ClaimKeyAttested || x.Claim == evidence.ClaimCountersignerAttested
	}) {
		return ""
	}
	var b strings.Builder
	b.WriteString(`

# What a device's attestation has to show of each key, beside that it was made
# inside and can't leave: least is module-claimed, vendor-signed, anchored or
# fresh. vendors:, models:, firmware: and fips_level: may ask for more, sites: for
# HSMs that stand apart. An anchor is a key that you pin: compare it with its
# origin, as it says under check, and write under confirmed: how and when.
attestation:`)
	least := attest.Fresh
	for _, h := range d.plan.HSMs {
		if h.Attestation != nil && !formats.Challenged(h.Attestation.Format) {
			least = attest.Anchored
		}
	}
	fmt.Fprintf(&b, "\n  least: %s", least)
	if c := d.plan.Countersigner.Attestation; c != nil {
		level := attest.Fresh
		if !formats.Challenged(c.Format) {
			level = attest.Anchored
		}
		if level != least {
			fmt.Fprintf(&b, "\n  countersigner: %s", level)
		}
	}
	if len(d.anchors) == 0 {
		b.WriteString("\n  anchors: []")
		return b.String()
	}
	b.WriteString("\n  anchors:")
	for _, a := range d.anchors {
		b.WriteString(d.anchor(a))
	}
	return b.String()
}

func (d *policyDraft) anchor(a attest.Anchor) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n    - vendor: %s\n      name: %s", a.Vendor, strict.QuoteYAML(a.Name))
	field := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "\n      %s: %s", name, value)
		}
	}
	text := func(name, value string) {
		if value != "" {
			field(name, strict.QuoteYAML(value))
		}
	}
	text("operator", a.Operator)
	field("formats", "["+strings.Join(a.Formats, ", ")+"]")
	field("spki_sha256", strict.QuoteYAML(fmt.Sprintf("%x", a.SPKI)))
	field("certificate", base64.StdEncoding.EncodeToString(a.Certificate))
	field("key", base64.StdEncoding.EncodeToString(a.Key))
	text("origin", a.Origin)
	text("check", a.Check)
	if a.NotAfter != nil {
		text("not_after", strict.FormatTime(*a.NotAfter))
	}
	if a.Confirmed == "" {
		a.Confirmed = d.confirmed
	}
	text("confirmed", a.Confirmed)
	return b.String()
}
