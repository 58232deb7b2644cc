package show

import (
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/explain"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

// explainSite shows names only: where the HSMs are and how their PINs come is
// nobody's business who looks over a shoulder.
func explainSite(file string, data []byte, s *explain.Shown) error {
	var site engine.Site
	if _, err := strict.DecodeYAML(file, data, strict.MaxYAML, &site); err != nil {
		return err
	}
	s.Next = "fleetctl plan check PLAN --site " + words.ShellWord(file)
	s.Fact("private", "it says where HSMs are and where PINs come from: keep it out of every package, mail and repository")
	s.Fact("left out", "modules, token labels and PIN sources are not shown; names only")
	t := s.Table("HSMs", "name")
	for _, h := range site.HSMs {
		t.Row(h.Name)
	}
	return nil
}
