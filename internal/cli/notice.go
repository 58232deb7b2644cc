package cli

import (
	"fmt"
	"strings"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/explain"
)

type noticeJSON struct {
	File      string   `strict:"file"`
	Kind      string   `strict:"notice"` // the notice's own format
	Fleet     string   `strict:"fleet"`
	Mode      string   `strict:"mode"`
	Namespace string   `strict:"namespace"`
	Epoch     uint64   `strict:"epoch"`
	Digest    [32]byte `strict:"digest,hex"`
	Officers  []string `strict:"officers"`
	Output    string   `strict:"output,optional"`
}

// Format is what the JSON says that it is.
func (*noticeJSON) Format() string { return "fleetctl notice result v1" }

// Noticed emits a notice as a command's result. next is the command that comes next.
func Noticed(a *App, file string, n *bundle.Notice, officers []string, output, next string) error {
	digest := n.Digest()
	out := &noticeJSON{File: file, Kind: n.Format, Fleet: n.Fleet, Mode: n.Mode, Namespace: n.Namespace, Epoch: n.Epoch,
		Digest: digest, Officers: officers, Output: output}
	return a.Emit(out, NoticeText(a, file, n, officers, output, next))
}

// NoticeText shows a retirement or a void to a person who is asked to agree to it.
func NoticeText(a *App, file string, n *bundle.Notice, officers []string, output, next string) string {
	digest := n.Digest()
	rows := append([][2]string{{"notice", file}, {"namespace", n.Namespace}, {"digest", fmt.Sprintf("%x", digest)}}, explain.NoticeFacts(n)...)
	for _, r := range [][2]string{{"approved by", strings.Join(officers, ", ")}, {"written", output}, {"next", next}} {
		if r[1] != "" {
			rows = append(rows, r)
		}
	}
	return a.UI.Header(fmt.Sprintf("%s · epoch %d", n.Fleet, n.Epoch), strings.ToUpper(n.Mode)) + a.UI.Words(digest[:], 4, true) + "\n" + a.UI.Fields(rows)
}

// ReadNotice reads a notice with its officers' signature files.
func ReadNotice(file string, approvals []string) (*bundle.Notice, []ceremony.Signing, error) {
	data, err := ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	n, err := bundle.ParseNotice(file, data)
	if err != nil {
		return nil, nil, Wrong(err)
	}
	var list []ceremony.Signing
	for _, path := range approvals {
		sig, err := ReadFile(path)
		if err != nil {
			return nil, nil, err
		}
		list = append(list, ceremony.Signing{Name: strings.TrimSuffix(path, ".sig"), Signature: sig})
	}
	return n, list, nil
}

// ApprovalHelp is the help of a flag that names an officer's signature over a notice.
const ApprovalHelp = "an officer's signature `file` over the notice, made with ssh-keygen -Y sign"
