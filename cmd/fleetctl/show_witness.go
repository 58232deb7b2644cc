package main

import (
	"bytes"
	"fmt"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/internal/words"
)

// isRequest tells what is carried to a witness by its first line, "old <n>".
func isRequest(data []byte) bool {
	rest, ok := bytes.CutPrefix(data, []byte("old "))
	return ok && len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9'
}

func explainWitnessRequest(file string, data []byte, s *shown) error {
	r, err := auditlog.ParseRequest(file, data)
	if err != nil {
		return err
	}
	s.title = r.Checkpoint.Origin
	s.Next = "fleetctl log cosign " + words.ShellWord(file) + " --witness-key KEY --name NAME --state DIR --log-key VKEY --out FILE"
	s.fact("asks for", "a witness's cosignature on the checkpoint below")
	since := "this witness has cosigned nothing of this log yet"
	if r.Old > 0 {
		since = words.Count(int64(r.Old), "entry", "entries") + ", which this witness is said to have cosigned last"
	}
	s.fact("since", since)
	s.fact("proof", words.Count(int64(len(r.Hashes)), "hash", "hashes")+" from that tree to this one")
	checkpointFacts(r.Checkpoint, s)
	return nil
}

func explainSplit(file string, data []byte, s *shown) error {
	v, err := auditlog.ParseSplitView(file, data)
	if err != nil {
		return err
	}
	s.title = v.Smaller.Origin
	s.Next = "fleetctl verify " + words.ShellWord(file) + " --policy POLICY --expect split-view"
	s.fact("says", "that one log signed two trees, neither of which continues the other")
	s.fact("log", v.Smaller.Origin)
	if v.Larger.Origin != v.Smaller.Origin {
		s.fact("and", v.Larger.Origin)
	}
	trees := s.table("the two trees", "tree", "entries", "root")
	trees.row("smaller", words.Number(int64(v.Smaller.Size)), fmt.Sprintf("%x", v.Smaller.Root))
	if v.Root != [32]byte{} {
		trees.row("larger, at that size", words.Number(int64(v.Smaller.Size)), fmt.Sprintf("%x", v.Root))
	}
	trees.row("larger", words.Number(int64(v.Larger.Size)), fmt.Sprintf("%x", v.Larger.Root))
	switch {
	case v.Smaller.Size == v.Larger.Size:
		s.fact("shown by", "two roots at one size")
	case v.Root != [32]byte{}:
		s.fact("shown by", words.Count(int64(len(v.Hashes)), "hash", "hashes")+" from the larger tree at the smaller size to the larger tree")
	default:
		s.fact("shown by", "nothing yet: which root the larger tree has at the smaller size is not in it")
	}
	signatureTable(s.table("who signed the smaller", "key hash", "bytes", "name"), v.Smaller.Signatures)
	signatureTable(s.table("who signed the larger", "key hash", "bytes", "name"), v.Larger.Signatures)
	return nil
}

func signatureTable(t *factTable, list []auditlog.Signature) {
	for _, x := range list {
		t.row(fmt.Sprintf("%08x", x.KeyHash), fmt.Sprint(len(x.Raw)), x.Name)
	}
}
