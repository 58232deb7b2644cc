package show

import (
	"fmt"

	"github.com/fleetctl/fleetctl/attest/evidence/media"
	"github.com/fleetctl/fleetctl/internal/explain"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

func explainMedia(file string, data []byte, s *explain.Shown) error {
	x, err := media.Parse(file, data)
	if err != nil {
		return err
	}
	s.Title = words.Count(int64(len(x.Media)), "recording", "recordings")
	s.Next = "fleetctl verify PACKAGE --policy POLICY --media FOLDER"
	for _, m := range x.Media {
		s.Fact("recording", fmt.Sprintf("%s, %s, from %s", m.Name, words.Size(int64(m.Size)), strict.FormatTime(m.Start)))
		s.Fact("sha256", fmt.Sprintf("%x", m.SHA256))
		for _, p := range m.Places {
			s.Fact("at", p.String())
		}
	}
	return nil
}
