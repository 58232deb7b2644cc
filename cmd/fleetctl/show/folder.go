package show

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/script"
	"github.com/fleetctl/fleetctl/internal/explain"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

func explainFolder(dir string) (*explain.Shown, error) {
	planFile, transcript := filepath.Join(dir, ceremony.PlanFile), filepath.Join(dir, ceremony.TranscriptFile)
	data, err := os.ReadFile(transcript)
	if _, lerr := os.Stat(filepath.Join(dir, "log", "checkpoint")); lerr == nil && err != nil {
		return nil, strict.Errorf(dir, "is a log's directory").WithHint("what it holds is in its checkpoint:\nfleetctl show %s", words.ShellWord(filepath.Join(dir, "log", "checkpoint")))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, strict.Errorf(dir, "is no ceremony's folder: it has no %s", ceremony.TranscriptFile).
			WithHint("show explains files, the folder of a ceremony, and an unpacked evidence package")
	}
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(planFile)
	if err != nil {
		return nil, err
	}
	plan, err := ceremony.ParsePlan(planFile, raw)
	if err != nil {
		return nil, err
	}
	account, t, err := ceremony.Replay(plan, transcript, data)
	if err != nil {
		return nil, err
	}
	files, err := evidence.ReadFolder(dir)
	if err != nil {
		return nil, err
	}
	s := &explain.Shown{
		Kind: "ceremony's folder", Format: "plan.yaml, transcript.jsonl and what follows from them", File: dir, Size: files.Size(),
		Mode: plan.Mode, Title: fmt.Sprintf("%s · epoch %d", plan.Fleet, plan.Epoch), Facts: []explain.Fact{}, Tables: []explain.Table{},
		Next: "fleetctl verify " + words.ShellWord(dir) + " --policy POLICY",
	}
	explain.AccountFacts(account, t, s)
	signed := func(dir string) ([]ceremony.Signing, error) { return ceremony.Signings(files, dir) }
	if err := explain.ShowStory(account, t, signed, s); err != nil {
		return nil, err
	}
	if cmd := script.Continue(account, dir); cmd != "" && len(t.Torn) == 0 {
		s.Fact("to go on", cmd)
	}
	filesTable(files, s)
	if _, err := os.Stat(filepath.Join(dir, ceremony.PrivateDir)); err == nil {
		s.Fact("private", ceremony.PrivateDir+"/ is never published, and not shown")
	}
	return s, nil
}
