package explain

import (
	"bytes"
	"fmt"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/words"
)

// IsWitnessRequest recognises a request to a witness by its first line, "old <n>".
func IsWitnessRequest(data []byte) bool {
	rest, ok := bytes.CutPrefix(data, []byte("old "))
	return ok && len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9'
}

// WitnessRequest explains a request to a witness.
func WitnessRequest(file string, data []byte, s *Shown) error {
	r, err := auditlog.ParseRequest(file, data)
	if err != nil {
		return err
	}
	s.Title = r.Checkpoint.Origin
	s.Next = "fleetctl log cosign " + words.ShellWord(file) + " --witness-key KEY --name NAME --state DIR --log-key VKEY --out FILE"
	s.Fact("asks for", "a witness's cosignature on the checkpoint below")
	since := "this witness has cosigned nothing of this log yet"
	if r.Old > 0 {
		since = words.Count(int64(r.Old), "entry", "entries") + ", which this witness is said to have cosigned last"
	}
	s.Fact("since", since)
	s.Fact("proof", words.Count(int64(len(r.Hashes)), "hash", "hashes")+" from that tree to this one")
	checkpointFacts(r.Checkpoint, s)
	return nil
}

// Split explains two checkpoints that contradict each other.
func Split(file string, data []byte, s *Shown) error {
	v, err := auditlog.ParseSplitView(file, data)
	if err != nil {
		return err
	}
	s.Title = v.Smaller.Origin
	s.Next = "fleetctl verify " + words.ShellWord(file) + " --policy POLICY --expect split-view"
	s.Fact("says", "that one log signed two trees, neither of which continues the other")
	s.Fact("log", v.Smaller.Origin)
	if v.Larger.Origin != v.Smaller.Origin {
		s.Fact("and", v.Larger.Origin)
	}
	trees := s.Table("the two trees", "tree", "entries", "root")
	trees.Row("smaller", words.Number(int64(v.Smaller.Size)), fmt.Sprintf("%x", v.Smaller.Root))
	if v.Root != [32]byte{} {
		trees.Row("larger, at that size", words.Number(int64(v.Smaller.Size)), fmt.Sprintf("%x", v.Root))
	}
	trees.Row("larger", words.Number(int64(v.Larger.Size)), fmt.Sprintf("%x", v.Larger.Root))
	switch {
	case v.Smaller.Size == v.Larger.Size:
		s.Fact("shown by", "two roots at one size")
	case v.Root != [32]byte{}:
		s.Fact("shown by", words.Count(int64(len(v.Hashes)), "hash", "hashes")+" from the larger tree at the smaller size to the larger tree")
	default:
		s.Fact("shown by", "nothing yet: which root the larger tree has at the smaller size is not in it")
	}
	signatureTable(s.Table("who signed the smaller", "key hash", "bytes", "name"), v.Smaller.Signatures)
	signatureTable(s.Table("who signed the larger", "key hash", "bytes", "name"), v.Larger.Signatures)
	return nil
}

func signatureTable(t *Table, list []auditlog.Signature) {
	for _, x := range list {
		t.Row(fmt.Sprintf("%08x", x.KeyHash), fmt.Sprint(len(x.Raw)), x.Name)
	}
}
