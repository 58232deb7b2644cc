package show

import (
	"strings"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/internal/explain"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

func explainPolicy(file string, data []byte, s *explain.Shown) error {
	p, err := evidence.ParsePolicy(file, data)
	if err != nil {
		return err
	}
	s.Mode, s.Title = p.Mode, words.Short(p.Digest[:])
	s.Next = "fleetctl verify FILE --policy " + words.ShellWord(file)
	s.Fact("namespaces", strings.Join(p.Namespaces, ", "))
	s.Fact("keys", p.TellPinned())
	for _, name := range p.Unpinned() {
		s.Fact("unconfirmed", name)
	}
	for _, allowed := range p.Allows() {
		s.Fact("allowed", allowed)
	}
	t := s.Table("claims demanded", "claim", "at least")
	for _, d := range p.Demands {
		t.Row(d.Claim, d.Least.String())
	}
	root, err := strict.ParseYAML(file, data, strict.MaxYAML)
	if err != nil {
		return err
	}
	pinnedTable(root, s)
	if log := root.Get("log_policy"); log != nil {
		return explain.LogPolicyTable("log_policy", []byte(log.Text), s)
	}
	return nil
}

// pinnedTable lists every pinned key with how it was confirmed.
func pinnedTable(root *strict.Node, s *explain.Shown) {
	text := func(n *strict.Node, field, none string) string {
		if v := n.Get(field); v != nil && v.Text != "" {
			return v.Text
		}
		return none
	}
	t := s.Table("pinned keys", "who", "as", "key", "confirmed")
	rekor := root.Get("rekor")
	if rekor == nil {
		rekor = &strict.Node{}
	}
	for _, list := range []struct {
		n  *strict.Node
		as string
	}{
		{root.Get("people"), ""}, {root.Get("third_parties"), "third party"}, {root.Get("additional_keys"), "third party, beside its statement"}, {root.Get("operators"), "operator"},
		{rekor.Get("logs"), "Rekor log"}, {rekor.Get("submitters"), "submitter to Rekor"},
	} {
		n := list.n
		if n == nil {
			continue
		}
		for _, item := range n.Items {
			as := list.as
			if as == "" {
				as = text(item, "role", "")
			}
			key := strings.TrimSuffix(strings.TrimSpace(text(item, "key", "")), "\n-----END PUBLIC KEY-----")
			t.Row(text(item, "name", ""), as, "…"+key[max(0, len(key)-12):], text(item, "confirmed", "NEVER"))
		}
	}
}
