package session

import (
	"bytes"
	"os"
	"slices"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/folder"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// ReadPredecessor reads the epoch before and the statements about it: a bundle
// and a ceremony's folder have statements in them, answers add those that came
// another way. The plan's keys say whose a statement is that a live service served.
func ReadPredecessor(file string, answers []string, plan *ceremony.Plan) ([]byte, []bundle.Signed, error) {
	switch {
	case file == "" && len(answers) > 0:
		return nil, nil, cli.Usagef("name the epoch that it is about with --predecessor", "--previous-statement needs --predecessor")
	case file == "":
		return nil, nil, nil
	}
	artifact, last, err := readEpoch(file)
	if err != nil {
		return nil, nil, err
	}
	for _, path := range answers {
		text, err := cli.ReadFile(path)
		if err != nil {
			return nil, nil, err
		}
		r, err := bundle.ParseAnswer(path, text, plan.PartyKeys())
		if err != nil {
			return nil, nil, cli.Wrong(err)
		}
		at := slices.IndexFunc(last, func(s bundle.Signed) bool { return s.Key == r.Key })
		switch {
		case at < 0:
			last = append(last, r.Signed)
		case !bytes.Equal(last[at].Statement.Message(), r.Statement.Message()) || last[at].Statement.Signature != r.Statement.Signature:
			return nil, nil, cli.Wrong(strict.Errorf(path, "is another statement than %s has of the same key", file).
				WithHint("keep both: an epoch is signed once by each"))
		}
	}
	return artifact, last, nil
}

func readEpoch(file string) ([]byte, []bundle.Signed, error) {
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		account, err := folder.Read(file)
		if err != nil {
			return nil, nil, cli.Wrong(err)
		}
		set, err := account.Artifact()
		if err != nil {
			return nil, nil, cli.Wrong(strict.Errorf(file, "%v", err))
		}
		return set.Raw(), account.Statements(), nil
	}
	data, err := cli.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	if b, err := bundle.ParseAny(file, data); err == nil {
		return b.Artifact(), b.Statements, nil
	}
	return data, nil, nil
}
