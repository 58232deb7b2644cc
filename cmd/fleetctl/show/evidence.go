package show

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/explain"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

func isArchive(data []byte) bool { return evidence.Detect(data) == evidence.TypeEvidence }

func explainArchive(file string, data []byte, s *explain.Shown) error {
	files, err := evidence.Unpack(file, data)
	if err != nil {
		return err
	}
	raw, text := files[ceremony.PlanFile], files[ceremony.TranscriptFile]
	if raw == nil || text == nil {
		return strict.Errorf(file, "is an archive, but has no %s or no %s", ceremony.PlanFile, ceremony.TranscriptFile)
	}
	plan, err := ceremony.ParsePlan(file+" "+ceremony.PlanFile, raw)
	if err != nil {
		return err
	}
	account, t, err := ceremony.Replay(plan, file+" "+ceremony.TranscriptFile, text)
	if err != nil {
		return err
	}
	s.Mode, s.Title = plan.Mode, fmt.Sprintf("%s · epoch %d", plan.Fleet, plan.Epoch)
	if account.Close != nil {
		s.Fact("identity", fmt.Sprintf("%x, the close record's hash", account.Head))
	}
	explain.AccountFacts(account, t, s)
	signed := func(dir string) ([]ceremony.Signing, error) { return ceremony.Signings(files, dir) }
	if err := explain.ShowStory(account, t, signed, s); err != nil {
		return err
	}
	if b, err := bundle.ParseBundle("", files[ceremony.BundleFile]); err == nil {
		s.Fact("artifact", fmt.Sprintf("%x", b.KeySet.Digest()))
		s.Fact("signed by", fmt.Sprintf("%s, %s", words.Count(int64(len(b.Statements)), "third party", "third parties"),
			words.Count(int64(len(b.Countersignatures)), "countersignature", "countersignatures")))
	}
	filesTable(files, s)
	return nil
}

// purpose says what each file of a package is there for.
func purpose() map[string]string {
	return map[string]string{
		ceremony.PlanFile:       "the plan that was followed",
		ceremony.TranscriptFile: "what happened, by record",
		ceremony.ArtifactFile:   "the fleet's public keys",
		ceremony.CoreFile:       "what third parties were asked",
		ceremony.BundleFile:     "what devices get",
		ceremony.ProofFile:      "that the bundle is in the log",
		ceremony.RetirementFile: "the fleet's retirement", ceremony.RetirementProofFile: "that it is in the log",
		ceremony.RetiredFile: "the bundle of the keys that are destroyed", ceremony.RetiredProofFile: "that it is in the log",
		evidence.RekorFile:    "that the bundle is in a Rekor log",
		evidence.PageFile:     "all of it as a page",
		evidence.ManifestFile: "checksums, for the transport",
	}
}

func purposeIn() map[string]string {
	return map[string]string{
		ceremony.PlanApprovalsDir: "approval of the plan", ceremony.ApprovalsDir: "approval of an act",
		ceremony.ReleaseSignoffDir: "sign-off of the release", ceremony.CloseSignoffDir: "sign-off of the close",
	}
}

func filesTable(files evidence.Files, s *explain.Shown) {
	t := s.Table("files", "bytes", "path", "what it is")
	for _, path := range files.Paths() {
		what := purpose()[path]
		if what == "" {
			what = purposeIn()[filepath.ToSlash(filepath.Dir(path))]
			switch {
			case what == "":
				what = "no file of a package"
			case strings.HasSuffix(path, ".sig") && files[strings.TrimSuffix(path, ".sig")] != nil:
				what = "its signature"
			}
		}
		t.Row(words.Number(int64(len(files[path]))), path, what)
	}
	s.Fact("files", fmt.Sprintf("%d", len(files)))
}

func isChecksums(data []byte) bool { return regexp.MustCompile(`^[0-9a-f]{64}  \S`).Match(data) }

func explainChecksums(file string, data []byte, s *explain.Shown) error {
	s.Next = "sha256sum -c " + words.ShellWord(file)
	t := s.Table("files", "SHA-256", "path")
	l := strict.NewLines(file, data)
	for l.More() {
		sum, path, _ := strings.Cut(l.Next(), "  ")
		h, err := strict.ParseHash(sum)
		if err != nil || path == "" {
			l.Failf("is no line of sha256sum: digest, two spaces, path")
			break
		}
		t.Row(words.Short(h[:]), path)
	}
	s.Fact("files", fmt.Sprint(len(t.Rows)))
	return l.Done()
}

// explainReport is for what verify --format json wrote. A report is somebody's
// word about a verdict, not the verdict.
func explainReport(file string, data []byte, s *explain.Shown) error {
	n, err := strict.ParseJSON(file, data, 16<<20)
	if err != nil {
		return err
	}
	text := func(n *strict.Node, field string) string {
		if n != nil && n.Get(field) != nil {
			return n.Get(field).Text
		}
		return "not said"
	}
	s.Title = text(n, "file")
	if m := n.Get("mode"); m != nil {
		s.Mode = m.Text
	}
	s.Fact("about", text(n, "object")+" "+text(n, "file")+", sha256 "+text(n, "sha256"))
	s.Fact("policy", text(n.Get("policy"), "file")+", sha256 "+text(n.Get("policy"), "sha256"))
	s.Fact("time", text(n, "time"))
	s.Fact("says", "verified: "+text(n, "verified")+"; whoever wants to know verifies again")
	s.Next = "fleetctl verify " + words.ShellWord(text(n, "file")) + " --policy POLICY"
	t := s.Table("claims", "claim", "grade", "demanded", "why")
	if claims := n.Get("claims"); claims != nil {
		for _, c := range claims.Items {
			demanded := "no"
			if d := c.Get("demanded"); d != nil {
				demanded = d.Text
			}
			t.Row(text(c, "name"), text(c, "grade"), demanded, text(c, "detail"))
		}
	}
	return nil
}
