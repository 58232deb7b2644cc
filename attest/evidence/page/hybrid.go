package page

import (
	"fmt"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/sshsig"
)

// both names the kinds of the two keys by which somebody signed; empty where the plan names
// one of them.
func both(classical bundle.Algorithm, second *ceremony.PostQuantum, signature []byte) string {
	if second == nil || signature == nil {
		return ""
	}
	return fmt.Sprintf(", with both keys: %s and %s", classical, second.Algorithm)
}

// classicalOnly names, of a plan with post-quantum keys, each link that has none: whoever
// breaks the classical keys breaks it.
func (d *pageData) classicalOnly() error {
	list := d.classical()
	if len(list) == 0 {
		return d.row("")
	}
	d.add("<p>Classical only, so without a post-quantum signature or key:</p>\n<ul>")
	for _, text := range list {
		d.add("<li>", text, "</li>")
	}
	return d.row("</ul>")
}

func (d *pageData) classical() (list []string) {
	p := d.plan
	hybrid := p.Countersigner.PostQuantum != nil
	for _, t := range p.ThirdParties {
		hybrid = hybrid || t.PostQuantum != nil
	}
	if !hybrid {
		return nil
	}
	for _, t := range p.ThirdParties {
		if t.PostQuantum == nil {
			list = append(list, "third party "+t.Name+": ed25519")
		}
	}
	if c := p.Countersigner; c.PostQuantum == nil && !c.Algorithm.IsMLDSA() {
		list = append(list, fmt.Sprintf("operator %s: %s", c.Name, c.Algorithm))
	}
	for _, r := range p.Roles {
		if !r.Algorithm.IsMLDSA() {
			list = append(list, fmt.Sprintf("the fleet's keys of the role %s: %s", r.Name, r.Algorithm))
		}
	}
	for _, x := range p.People {
		if k, err := sshsig.ParsePublicKey(x.Key); err == nil && !k.Hybrid() {
			list = append(list, fmt.Sprintf("%s %s, who signs with %s", x.Role, x.Name, k.Type()))
		}
	}
	log, err := auditlog.ParsePolicy("log_policy", []byte(p.LogPolicy))
	if err != nil {
		return list // a plan has one that can be read
	}
	logs, witnesses := log.Classical()
	for _, name := range logs {
		list = append(list, "log "+name+": its own signature")
	}
	for _, name := range witnesses {
		list = append(list, "witness "+name)
	}
	return list
}
