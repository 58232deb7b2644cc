package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

func explainRekor(file string, data []byte, s *shown) error {
	e, err := auditlog.ParseRekorEntry(file, data)
	if err != nil {
		return err
	}
	s.title = e.Checkpoint.Origin
	s.Next = "fleetctl verify BUNDLE --policy POLICY --rekor " + words.ShellWord(file)
	if of, ok := strings.CutSuffix(file, ".rekor.json"); ok {
		s.Next = "fleetctl verify " + words.ShellWord(of) + " --policy POLICY"
	}
	payload, _, err := auditlog.OpenRekorEnvelope(e.Envelope)
	if err != nil {
		return strict.Errorf(file, "%v", err)
	}
	s.fact("version", fmt.Sprintf("Rekor v%d", e.Version))
	s.fact("bundle", fmt.Sprintf("%s bytes, sha256 %x", words.Number(int64(len(payload))), sha256Of(payload)))
	s.fact("kind", kindOf(e.Body))
	s.fact("log id", fmt.Sprintf("%x", e.LogID))
	s.fact("entry", fmt.Sprintf("%d, counted from 0", e.Index))
	if e.TreeIndex != e.Index {
		s.fact("in the tree", fmt.Sprintf("%d: the log has more trees than this one", e.TreeIndex))
	}
	if !e.Integrated.IsZero() {
		s.fact("integrated", strict.FormatTime(e.Integrated)+", by the log's own clock")
	}
	s.fact("path", words.Count(int64(len(e.Hashes)), "hash", "hashes")+" from the leaf to the root")
	checkpointFacts(e.Checkpoint, s)
	return nil
}

// kindOf is what the logged body calls itself.
func kindOf(body []byte) string {
	var b struct{ Kind, APIVersion string }
	if json.Unmarshal(body, &b) != nil || b.Kind == "" {
		return "not said"
	}
	return words.Clean(b.Kind + " " + b.APIVersion)
}
