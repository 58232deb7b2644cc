package engine

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
)

const (
	siteFormat = "fleetctl site v1"
	maxSite    = strict.MaxYAML
)

// Site says where the plan's HSMs are. It is private: nothing of it appears in
// anything a ceremony produces.
type Site struct {
	Format string    `strict:"format"`
	HSMs   []SiteHSM `strict:"hsms"`
}

// SiteHSM is how one HSM of the plan is reached; the plan's serial says
// whether it is the right one.
type SiteHSM struct {
	Name     string `strict:"name,token"`
	Module   string `strict:"module"`
	Token    string `strict:"token"` // label
	PIN      string `strict:"pin"`   // see ParsePINSource
	InitArgs string `strict:"init_args,optional"`
	// TPM is how a TPM is asked beside its module: to attest its keys, and to agree by
	// them. nil where there is none, and people use the vendor's tool.
	TPM *SiteTPM `strict:"tpm,optional"`
}

// SiteTPM is the way to a TPM whose keys tpm2-pkcs11 has, and what its operator has
// of it. Paths are absolute.
type SiteTPM struct {
	TCTI           string `strict:"tcti"`                     // as tpm2-tss writes it: device:/dev/tpmrm0
	Store          string `strict:"store"`                    // tpm2_pkcs11.sqlite3
	AKCertificates string `strict:"ak_certificates,optional"` // PEM: the attestation key's and those above it
	EKCertificates string `strict:"ek_certificates,optional"` // PEM: those above the endorsement key's
}

// paths are the files that it names.
func (s *SiteTPM) paths() [][2]string {
	return [][2]string{{"store", s.Store}, {"ak_certificates", s.AKCertificates}, {"ek_certificates", s.EKCertificates}}
}

// HSM finds an HSM by its name.
func (s *Site) HSM(name string) *SiteHSM {
	for i := range s.HSMs {
		if s.HSMs[i].Name == name {
			return &s.HSMs[i]
		}
	}
	return nil
}

// ParseSite reads a site file and checks it against the plan: each HSM of the
// plan is there once, and no other.
func ParseSite(file string, data []byte, plan *ceremony.Plan) (*Site, error) {
	s := &Site{}
	root, err := strict.DecodeFormat(file, data, maxSite, siteFormat, s)
	var faults strict.Errors
	faults.Add(err)
	if root == nil {
		return nil, faults.Err()
	}
	failf := func(line int, hint, format string, args ...any) {
		faults.Add(strict.At(file, line, format, args...).WithHint("%s", hint))
	}
	seen := map[string]bool{}
	for i, h := range s.HSMs {
		at := root.LineOf("hsms", i)
		switch {
		case h.Name == "":
		case seen[h.Name]:
			failf(at, "", "hsm %q is there twice", h.Name)
		case plan.HSM(h.Name) == nil:
			failf(at, "", "hsm %q is not in the plan", h.Name)
		}
		seen[h.Name] = true
		for _, o := range s.HSMs[:i] {
			if same := plan.HSM(o.Name); h.Module == o.Module && h.Token == o.Token && same != nil && plan.HSM(h.Name) != nil && same.Serial == plan.HSM(h.Name).Serial {
				failf(at, "what has no serial of its own is found by its label: give each token another", "hsm %q is the same token as hsm %q: module, label and serial", h.Name, o.Name)
			}
		}
		if h.Module != "" && !filepath.IsAbs(h.Module) {
			failf(at, "a library found by a search path can be swapped", "hsm %q: module %q is not an absolute path", h.Name, h.Module)
		}
		if h.PIN != "" {
			if _, err := ParsePINSource(h.PIN); err != nil {
				failf(at, "terminal, protected, fd:N or file:/absolute/path", "hsm %q: pin %v", h.Name, err)
			}
		}
	}
	for i, h := range s.HSMs {
		at, planned := root.LineOf("hsms", i), plan.HSM(h.Name)
		if h.TPM == nil {
			if planned != nil && planned.Agreement == ceremony.AgreementTPM {
				failf(at, "add tpm: {tcti: …, store: …}", "hsm %q: by the plan its keys agree by its TPM, and the way to that is missing", h.Name)
			}
			continue
		}
		for _, path := range h.TPM.paths() {
			if path[1] != "" && !filepath.IsAbs(path[1]) {
				failf(at, "", "hsm %q: tpm: %s %q is not an absolute path", h.Name, path[0], path[1])
			}
		}
		if planned != nil && planned.Attestation != nil && h.TPM.AKCertificates == "" {
			failf(at, "enrol its attestation key: fleetctl attestation tpm", "hsm %q: tpm: by the plan it attests its keys, and ak_certificates is missing", h.Name)
		}
	}
	for _, h := range plan.HSMs {
		if !seen[h.Name] {
			failf(root.LineOf("hsms"), "add it with module, token and pin", "hsm %q of the plan is missing", h.Name)
		}
	}
	if err := faults.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

// Write is the site file, with what a person has to know who edits it.
func (s *Site) Write() ([]byte, error) {
	var b strings.Builder
	b.WriteString(`# Where the plan's HSMs are. Private: nothing of it appears in anything that a
# ceremony produces. pin is the source of the PIN, never the PIN itself:
# terminal, protected (typed at the device), fd:N, file:/absolute/path.
format: ` + siteFormat + `
hsms:
`)
	for _, h := range s.HSMs {
		fmt.Fprintf(&b, "  - name: %s\n    module: %s\n    token: %s\n    pin: %s\n", h.Name, strict.QuoteYAML(h.Module), strict.QuoteYAML(h.Token), strict.QuoteYAML(h.PIN))
		if h.InitArgs != "" {
			fmt.Fprintf(&b, "    init_args: %s\n", strict.QuoteYAML(h.InitArgs))
		}
		if t := h.TPM; t != nil {
			fmt.Fprintf(&b, "    tpm:\n      tcti: %s\n", strict.QuoteYAML(t.TCTI))
			for _, path := range t.paths() {
				if path[1] != "" {
					fmt.Fprintf(&b, "      %s: %s\n", path[0], strict.QuoteYAML(path[1]))
				}
			}
		}
	}
	return []byte(b.String()), nil
}

// PINKind is a way by which a PIN comes to a token.
type PINKind string

// PINs are never in an argument or the environment, which other processes read.
const (
	PINTerminal  PINKind = "terminal"  // typed without echo
	PINProtected PINKind = "protected" // typed at the device
	PINFile      PINKind = "file"      // a file that only its owner reads
	PINFD        PINKind = "fd"        // an open file descriptor
)

// PINSource is a parsed source.
type PINSource struct {
	Kind PINKind
	Path string
	FD   int
}

// ParsePINSource reads terminal, protected, fd:N or file:/absolute/path.
func ParsePINSource(s string) (PINSource, error) {
	kind, arg, has := strings.Cut(s, ":")
	switch k := PINKind(kind); {
	case (k == PINTerminal || k == PINProtected) && !has:
		return PINSource{Kind: k}, nil
	case k == PINFile && filepath.IsAbs(arg):
		return PINSource{Kind: k, Path: arg}, nil
	case k == PINFD:
		if n, err := strconv.ParseUint(arg, 10, 16); err == nil && n > 2 {
			return PINSource{Kind: k, FD: int(n)}, nil
		}
	}
	// What stands here may be a PIN by mistake: it is not repeated.
	return PINSource{}, strict.Errorf("", "is no source of a PIN")
}
