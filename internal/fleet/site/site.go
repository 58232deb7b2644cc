// Package site reads the file that says where a fleet's nodes are: which token each
// opens, where it listens, where it keeps its log and its anchor.
package site

import (
	"cmp"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony/engine"
	"github.com/fleetctl/fleetctl/internal/strict"
)

const (
	format = "fleetctl fleet-site v1"
	// MaxSite bounds a site file, in bytes.
	MaxSite = strict.MaxYAML
	// MaxNodes is the largest fleet: above that, Raft waits more than it works.
	MaxNodes = 15
)

// Site says where a fleet's nodes are. It is private, as a ceremony's site file is.
type Site struct {
	Format string `strict:"format"`
	Nodes  []Node `strict:"nodes"`
}

// Node is how one HSM of the bundle is reached, and the program that works for it.
type Node struct {
	HSM      string          `strict:"hsm,token"` // the bundle's name of it
	Module   string          `strict:"module,optional"`
	Token    string          `strict:"token,optional"` // label
	PIN      string          `strict:"pin,optional"`   // see engine.ParsePINSource
	InitArgs string          `strict:"init_args,optional"`
	TPM      *engine.SiteTPM `strict:"tpm,optional"`
	Address  string          `strict:"address"` // HOST:PORT, where devices reach it
	Peers    string          `strict:"peers"`   // HOST:PORT, where the other nodes reach it
	// Where it listens for either, if that is another address; the system chooses port 0.
	Listen      string `strict:"listen,optional"`
	ListenPeers string `strict:"listen_peers,optional"`
	Dir         string `strict:"dir,optional"`    // its log, snapshots and sealed secrets
	Anchor      string `strict:"anchor,optional"` // see ParsePlace
}

// Place is where a node's anchor lives.
type Place struct {
	Kind  string
	Index uint32 // of a TPM's NV space
}

// The places of an anchor. On a token without one, disks that are put back from a copy
// are not noticed.
const (
	InToken = "token" // a data object of the node's own token
	InTPM   = "tpm"   // an NV index of the TPM at tpm.tcti: tpm:0x01800f1e
	Nowhere = "none"
)

// nvFirst and nvLast bound the NV indices that a TPM's owner gives out.
const nvFirst, nvLast = 0x01800000, 0x01bfffff

// ParsePlace reads token, none or tpm:0x01800f1e.
func ParsePlace(s string) (Place, error) {
	kind, index, has := strings.Cut(s, ":")
	switch {
	case (s == InToken || s == Nowhere) && !has:
		return Place{Kind: s}, nil
	case kind == InTPM && has && strings.HasPrefix(index, "0x"):
		if n, err := strconv.ParseUint(index[2:], 16, 32); err == nil && n >= nvFirst && n <= nvLast {
			return Place{InTPM, uint32(n)}, nil
		}
	}
	return Place{}, strict.Errorf("", "is %q, and no place of an anchor", strict.Clip(s)).WithHint("token, none, or tpm:INDEX with an index from 0x%08x to 0x%08x", nvFirst, nvLast)
}

func (p Place) String() string {
	if p.Kind == InTPM {
		return fmt.Sprintf("%s:0x%08x", p.Kind, p.Index)
	}
	return p.Kind
}

// Node finds the node of an HSM.
func (s *Site) Node(hsm string) *Node {
	for i := range s.Nodes {
		if s.Nodes[i].HSM == hsm {
			return &s.Nodes[i]
		}
	}
	return nil
}

// AtHSM is the node's HSM, as a ceremony's site file has it.
func (n *Node) AtHSM() *engine.SiteHSM {
	return &engine.SiteHSM{Name: n.HSM, Module: n.Module, Token: n.Token, PIN: n.PIN, InitArgs: n.InitArgs, TPM: n.TPM}
}

// ListenAt are the addresses at which the node listens: for devices, and for the others.
func (n *Node) ListenAt() (devices, peers string) {
	return cmp.Or(n.Listen, n.Address), cmp.Or(n.ListenPeers, n.Peers)
}

// Runs says what is missing for this program to run the node here: a site file that
// others are given may leave out where its token and its folder are.
func (n *Node) Runs() error {
	for _, x := range [][2]string{{"module", n.Module}, {"token", n.Token}, {"pin", n.PIN}, {"dir", n.Dir}, {"anchor", n.Anchor}} {
		if x[1] == "" {
			return strict.Errorf("", "node %s: %s is missing, and it can't be run without", n.HSM, x[0]).WithHint("a file that only says where nodes are needs no more than hsm, address and peers")
		}
	}
	return nil
}

// Parse reads a site file. file names it in errors.
func Parse(file string, data []byte) (*Site, error) {
	s := &Site{}
	root, err := strict.DecodeFormat(file, data, MaxSite, format, s)
	var faults strict.Errors
	faults.Add(err)
	if root == nil {
		return nil, faults.Err()
	}
	if n := len(s.Nodes); err == nil && (n == 0 || n > MaxNodes) {
		faults.Add(strict.At(file, root.LineOf("nodes"), "has %d nodes; a fleet has 1 to %d", n, MaxNodes))
	}
	for i := range s.Nodes {
		at := root.LineOf("nodes", i)
		for _, f := range s.Nodes[i].faults(s.Nodes[:i]) {
			f.File, f.Line = file, at
			faults.Add(f)
		}
	}
	if err := faults.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

func (n *Node) faults(before []Node) (list []*strict.Error) {
	failf := func(hint, text string, args ...any) {
		list = append(list, strict.Errorf("", "node %q: "+text, append([]any{n.HSM}, args...)...).WithHint("%s", hint))
	}
	for _, path := range [][2]string{{"module", n.Module}, {"dir", n.Dir}} {
		if path[1] != "" && !filepath.IsAbs(path[1]) {
			failf("", "%s %q is not an absolute path", path[0], path[1])
		}
	}
	if n.PIN != "" {
		if _, err := engine.ParsePINSource(n.PIN); err != nil {
			failf("terminal, protected, fd:N or file:/absolute/path", "pin %v", err)
		}
	}
	for _, a := range []struct {
		name, address string
		least         uint64 // port
	}{{"address", n.Address, 1}, {"peers", n.Peers, 1}, {"listen", n.Listen, 0}, {"listen_peers", n.ListenPeers, 0}} {
		if !isAddress(a.address, a.least) && (a.address != "" || a.least > 0) {
			failf("", "%s %q is no HOST:PORT", a.name, strict.Clip(a.address))
		}
	}
	if n.Address == n.Peers {
		failf("", "devices and nodes reach it at one address; each protocol has its own")
	}
	if n.Anchor != "" {
		switch p, err := ParsePlace(n.Anchor); {
		case err != nil:
			failf("token, none, or tpm:INDEX", "anchor is %q, and no place of one", strict.Clip(n.Anchor))
		case p.Kind == InTPM && n.TPM == nil:
			failf("add tpm: {tcti: …, store: …}", "its anchor lives in a TPM, and the way to that is missing")
		}
	}
	for _, o := range before {
		switch {
		case o.HSM == n.HSM:
			failf("", "is there twice")
		case o.Address == n.Address || o.Peers == n.Peers || o.Address == n.Peers || o.Peers == n.Address:
			failf("", "has an address of node %q", o.HSM)
		case n.Dir != "" && o.Dir != "" && filepath.Clean(o.Dir) == filepath.Clean(n.Dir):
			failf("", "has the folder of node %q", o.HSM)
		case n.Token != "" && o.Module == n.Module && o.Token == n.Token && o.InitArgs == n.InitArgs:
			failf("a token is found by its label: give each another", "has the token of node %q", o.HSM)
		}
	}
	return list
}

// isAddress says whether it is HOST:PORT, with a port from least on.
func isAddress(s string, least uint64) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n >= least && host != "" && !strings.ContainsAny(host, "/ \t")
}

// Matches holds the file against a fleet's key set: each HSM has its node, and no other.
func (s *Site) Matches(k *bundle.KeySet) error {
	var faults strict.Errors
	has := map[string]bool{}
	for _, x := range k.Keys {
		if !has[x.HSM] && s.Node(x.HSM) == nil {
			faults.Add(strict.Errorf("", "hsm %q of the bundle has no node", x.HSM))
		}
		has[x.HSM] = true
	}
	for _, n := range s.Nodes {
		if !has[n.HSM] {
			faults.Add(strict.Errorf("", "node %q has no key in the bundle of %s, epoch %d", n.HSM, k.Fleet, k.Epoch))
		}
	}
	return faults.Err()
}

// Encode is the site file.
func (s *Site) Encode() []byte {
	var b strings.Builder
	b.WriteString("# Where a fleet's nodes are. Private. pin is the source of the PIN, never the PIN\n# itself: terminal, protected (typed at the device), fd:N, file:/absolute/path.\nformat: " + format + "\nnodes:\n")
	for i := range s.Nodes {
		n := &s.Nodes[i]
		fmt.Fprintf(&b, "  - hsm: %s\n", n.HSM)
		for _, x := range [][2]string{{"module", n.Module}, {"token", n.Token}, {"pin", n.PIN}, {"init_args", n.InitArgs}, {"address", n.Address}, {"peers", n.Peers}, {"listen", n.Listen}, {"listen_peers", n.ListenPeers}, {"dir", n.Dir}, {"anchor", n.Anchor}} {
			if x[1] != "" {
				fmt.Fprintf(&b, "    %s: %s\n", x[0], strict.QuoteYAML(x[1]))
			}
		}
		if t := n.TPM; t != nil {
			fmt.Fprintf(&b, "    tpm:\n      tcti: %s\n      store: %s\n", strict.QuoteYAML(t.TCTI), strict.QuoteYAML(t.Store))
			for _, x := range [][2]string{{"ak_certificates", t.AKCertificates}, {"ek_certificates", t.EKCertificates}} {
				if x[1] != "" {
					fmt.Fprintf(&b, "      %s: %s\n", x[0], strict.QuoteYAML(x[1]))
				}
			}
		}
	}
	return []byte(b.String())
}
