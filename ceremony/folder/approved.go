package folder

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// ApprovedSoFar says who has approved a plan, before another officer does.
type ApprovedSoFar struct {
	This    []string // those who approved exactly this plan
	Earlier []string // those whose signature is over another version and doesn't count
	// Before is another version that this officer approved before; nil if none is
	// known.
	Before []byte
}

// approvedPlans is the folder of the plans that somebody approved. They are kept to show
// an officer what changed since.
func approvedPlans(root string) string {
	return filepath.Join(root, ceremony.PrivateDir, "approved-plans")
}

// keepApproved keeps a plan that was approved.
func keepApproved(root string, text []byte) error {
	dir := approvedPlans(root)
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	err := Temp(root).Create(filepath.Join(dir, fmt.Sprintf("%x.yaml", sum[:8])), text, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

// ReadApproved says who approved the plan whose approvals are kept under root, and which
// version the person who approved before.
func ReadApproved(root string, plan *ceremony.Plan, who string) (*ApprovedSoFar, error) {
	people, err := ceremony.PeopleOf(plan)
	if err != nil {
		return nil, err
	}
	list, err := ReadSignings(root, ceremony.PlanApprovalsDir)
	if err != nil {
		return nil, err
	}
	kept, err := keptPlans(root)
	if err != nil {
		return nil, err
	}
	so := &ApprovedSoFar{}
	namespace := ceremony.SignNamespace(ceremony.NamespacePlan, plan.Mode)
	for _, s := range list {
		file := ceremony.PlanApprovalsDir + "/" + s.Name + ceremony.SigSuffix
		sig, err := sshsig.Parse(file, s.Signature)
		if err != nil {
			return nil, err
		}
		name, _, ok := people.RoleOf(sig.Key())
		if !ok {
			name = s.Name // an earlier version of the plan named them
		}
		if sig.Verify(namespace, plan.Raw()) == nil {
			so.This = append(so.This, name)
			continue
		}
		so.Earlier = append(so.Earlier, name)
		if name != who {
			continue
		}
		for _, text := range kept {
			if sig.Verify(namespace, text) == nil {
				so.Before = text
			}
		}
	}
	slices.Sort(so.This)
	slices.Sort(so.Earlier)
	return so, nil
}

// maxKept is how many versions of a plan may be kept.
const maxKept = 256

func keptPlans(root string) (texts [][]byte, err error) {
	dir := approvedPlans(root)
	entries, err := durable.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || !strings.HasSuffix(e.Name(), ".yaml") {
			continue
		}
		if len(texts) == maxKept {
			return nil, strict.Errorf(dir, "has more than %d plans", maxKept).WithHint("move old ones away")
		}
		text, err := durable.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, nil
}
