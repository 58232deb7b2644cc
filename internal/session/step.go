package session

import (
	"fmt"
	"slices"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/ceremony/script"
	"github.com/fleetctl/fleetctl/internal/cli"
)

type stepJSON struct {
	Dir    string   `strict:"dir"`
	File   string   `strict:"file"`
	SHA256 [32]byte `strict:"sha256,hex"`
	Record int      `strict:"record"`
	Next   string   `strict:"next,optional"`
}

// Format is what the JSON says that it is.
func (*stepJSON) Format() string { return "fleetctl ceremony step result v1" }

// TellStep says what a step left behind, and what comes next: the ceremony's next
// command, unless a row says who is to do something first.
func TellStep(a *cli.App, j *engine.Journal, file string, data []byte, rows ...[2]string) error {
	out := &stepJSON{Dir: j.Dir(), File: file, SHA256: bundle.Digest(data), Record: j.Account().N}
	if s, ok := j.Account().Next(); ok && !j.Account().Ended() {
		out.Next = string(s.Act)
	}
	all := [][2]string{{"file", file}, {"sha256", fmt.Sprintf("%x", out.SHA256)}, {"record", fmt.Sprint(out.Record)}}
	all = append(all, rows...)
	if cmd := script.Next(j.Account(), j.Dir()); cmd != "" {
		label := "next"
		if slices.ContainsFunc(rows, func(r [2]string) bool { return r[0] == label }) {
			label = "then"
		}
		all = append(all, [2]string{label, cmd})
	}
	return a.Emit(out, a.UI.Fields(all))
}

// ImportProof takes a log's proof onto the record and shows it.
func ImportProof(a *cli.App, j *engine.Journal, file string, proof []byte) error {
	in, err := j.ImportProof(file, proof)
	if err != nil {
		return cli.Wrong(err)
	}
	return TellStep(a, j, ceremony.ProofFile, proof, [2]string{"logged", fmt.Sprintf("entry %d of %d, %s", in.Index, in.Size, in.Origin)})
}
