package evidence

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/fleetctl/fleetctl/attest/evidence"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// input reads what is to be verified and what lies beside it.
func input(a *cli.App, file string, o verifyOptions) (in evidence.Input, err error) {
	in.File = file
	object := evidence.TypeEvidence
	switch info, serr := os.Stat(file); {
	case file == "-":
		in.File = "standard input"
		in.Data, err = cli.ReadAll(a.Stdin, in.File, 0, evidence.MaxPackage)
	case serr != nil:
		return in, cli.Usage(cli.Missing(serr))
	case info.IsDir():
		in.Folder, err = evidence.ReadFolder(file)
	default:
		in.Data, err = cli.ReadWhole(file)
	}
	var fault *strict.Error
	if errors.As(err, &fault) {
		return in, cli.Wrong(err) // too large, or no package's folder
	} else if err != nil {
		return in, err
	}
	if in.Folder == nil {
		object = evidence.Detect(in.Data)
	}
	for _, b := range []struct {
		flag, given, usual string
		of                 evidence.Type
		into               *[]byte
	}{
		{"rekor", o.rekor, file + ".rekor.json", evidence.TypeBundle, &in.Rekor},
		{"evidence-proof", o.logged, evidence.ProofBeside(file), evidence.TypeEvidence, &in.Logged},
		{"plan", o.plan, filepath.Join(filepath.Dir(file), ceremony.PlanFile), evidence.TypeTranscript, &in.Plan},
	} {
		switch {
		case b.given != "" && object != "" && object != b.of:
			return in, cli.Usagef("what it needs of this, an evidence package holds itself", "--%s goes with %s, and %s is %s", b.flag, b.of.Noun(), in.File, object.Noun())
		case b.given != "":
			*b.into, err = cli.ReadNamed(b.given, cli.MaxBeside)
		case object == b.of && in.Folder == nil && file != "-":
			*b.into, err = cli.ReadBeside(b.usual)
		}
		if err != nil {
			return in, err
		}
	}
	return in, proofs(&in, file, object, o.proofs)
}

// proofs reads the log proofs that were named, or that lie beside: an entry may
// have several, and the earliest dates it.
func proofs(in *evidence.Input, file string, object evidence.Type, named []string) error {
	base := file + ".tlog-proof"
	if object == evidence.TypeEvidence {
		base = evidence.ProofBeside(file)
	} else if object != evidence.TypeBundle && object != "" && len(named) > 0 {
		return cli.Usagef("", "--proof goes with a bundle or a package, and %s is %s", in.File, object.Noun())
	}
	first := &in.Proof
	switch {
	case object == evidence.TypeEvidence:
		first = &in.Logged
	case object != evidence.TypeBundle:
		return nil
	case len(named) > 0:
		data, err := cli.ReadFile(named[0])
		if err != nil {
			return err
		}
		*first, named = data, named[1:]
		base = ""
	}
	if in.Folder == nil && file != "-" && base != "" {
		for n := 1; n <= evidence.MaxProofs; n++ {
			path := evidence.ProofNumber(base, n)
			data, err := cli.ReadBeside(path)
			switch {
			case err != nil:
				return err
			case data == nil:
				n = evidence.MaxProofs
			case *first == nil:
				*first = data
			case n > 1:
				in.Proofs = append(in.Proofs, evidence.Input{File: path, Data: data})
			}
		}
	}
	for _, path := range named {
		data, err := cli.ReadFile(path)
		if err != nil {
			return err
		}
		in.Proofs = append(in.Proofs, evidence.Input{File: path, Data: data})
	}
	return nil
}
