package explain

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

// Rekor explains an entry of a Rekor log.
func Rekor(file string, data []byte, s *Shown) error {
	e, err := auditlog.ParseRekorEntry(file, data)
	if err != nil {
		return err
	}
	s.Title = e.Checkpoint.Origin
	s.Next = "fleetctl verify BUNDLE --policy POLICY --rekor " + words.ShellWord(file)
	if of, ok := strings.CutSuffix(file, ".rekor.json"); ok {
		s.Next = "fleetctl verify " + words.ShellWord(of) + " --policy POLICY"
	}
	payload, _, err := auditlog.OpenRekorEnvelope(e.Envelope)
	if err != nil {
		return strict.Errorf(file, "%v", err)
	}
	s.Fact("version", fmt.Sprintf("Rekor v%d", e.Version))
	s.Fact("bundle", fmt.Sprintf("%s bytes, sha256 %x", words.Number(int64(len(payload))), sha256Of(payload)))
	s.Fact("kind", kindOf(e.Body))
	s.Fact("log id", fmt.Sprintf("%x", e.LogID))
	s.Fact("entry", fmt.Sprintf("%d, counted from 0", e.Index))
	if e.TreeIndex != e.Index {
		s.Fact("in the tree", fmt.Sprintf("%d: the log has more trees than this one", e.TreeIndex))
	}
	if !e.Integrated.IsZero() {
		s.Fact("integrated", strict.FormatTime(e.Integrated)+", by the log's own clock")
	}
	s.Fact("path", words.Count(int64(len(e.Hashes)), "hash", "hashes")+" from the leaf to the root")
	checkpointFacts(e.Checkpoint, s)
	return nil
}

// kindOf is the kind and the version in a logged body.
func kindOf(body []byte) string {
	var b struct{ Kind, APIVersion string }
	if json.Unmarshal(body, &b) != nil || b.Kind == "" {
		return "not said"
	}
	return words.Clean(b.Kind + " " + b.APIVersion)
}

// IsLogPolicy recognises a log policy by its first line.
func IsLogPolicy(data []byte) bool {
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return strings.HasPrefix(line, "log ") || strings.HasPrefix(line, "witness ")
		}
	}
	return false
}

// LogPolicy explains the logs and witnesses of a policy.
func LogPolicy(file string, data []byte, s *Shown) error {
	s.Next = "fleetctl verify BUNDLE --policy POLICY, with this under log_policy:"
	return LogPolicyTable(file, data, s)
}

// LogPolicyTable explains the logs and witnesses of a policy within another file.
func LogPolicyTable(file string, data []byte, s *Shown) error {
	if len(data) == 0 {
		return nil
	}
	p, err := auditlog.ParsePolicy(file, data)
	if err != nil {
		return err
	}
	t := s.Table("logs and witnesses", "as", "name", "vkey")
	for _, l := range p.Logs() {
		t.Row("log", l.Key.Name(), l.Key.String())
	}
	for _, w := range p.Witnesses() {
		t.Row("witness", w.Name, w.Key.String())
	}
	return nil
}

// Proof explains the proof that an entry is in a log.
func Proof(file string, data []byte, s *Shown) error {
	p, err := auditlog.ParseProof(file, data)
	if err != nil {
		return err
	}
	s.Title = p.Checkpoint.Origin
	s.Next = "fleetctl verify BUNDLE --policy POLICY --proof " + words.ShellWord(file)
	if of, ok := strings.CutSuffix(file, ".tlog-proof"); ok {
		s.Next = "fleetctl verify " + words.ShellWord(of) + " --policy POLICY"
	}
	s.Fact("entry", fmt.Sprintf("%d, counted from 0", p.Index))
	s.Fact("path", words.Count(int64(len(p.Hashes)), "hash", "hashes")+" from the leaf to the root")
	checkpointFacts(p.Checkpoint, s)
	return nil
}

// IsCheckpoint recognises a checkpoint by its signature lines.
func IsCheckpoint(data []byte) bool {
	return bytes.Contains(data[:min(len(data), 4096)], []byte("\n\n— "))
}

// Checkpoint explains a log's signed head.
func Checkpoint(file string, data []byte, s *Shown) error {
	c, err := auditlog.ParseCheckpoint(file, data)
	if err != nil {
		return err
	}
	s.Title = c.Origin
	s.Next = "fleetctl verify BUNDLE --policy POLICY, with a proof that carries it"
	checkpointFacts(c, s)
	return nil
}

func checkpointFacts(c *auditlog.Checkpoint, s *Shown) {
	s.Fact("log", c.Origin)
	s.Fact("size", words.Count(int64(c.Size), "entry", "entries"))
	s.Fact("root", fmt.Sprintf("%x", c.Root))
	signatureTable(s.Table("signature lines", "key hash", "bytes", "name"), c.Signatures)
}

// LogGuard explains up to where the key of a log has signed.
func LogGuard(file string, data []byte, s *Shown) error {
	s.Next = "fleetctl log audit LOG --policy POLICY"
	lines := strict.NewLines(file, data)
	lines.Literal("fleetctl log guard v1")
	s.Fact("log", lines.After("log "))
	for lines.More() {
		size, root := lines.Uint("size "), lines.Base64("root ")
		s.Fact("size", fmt.Sprintf("%d, root %s", size, words.Hex(root)))
	}
	s.Fact("it says", "which trees the log's key has signed last, the newest below: a log that has fewer entries is an older copy, and signs nothing")
	return lines.Done()
}
