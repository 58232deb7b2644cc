package signer

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/sshsig/sshkey"
)

// Find finds the key of one of a plan's people: a file in places that has the person's
// name, a private key in places whose .pub file has the public key, or a key in ssh-agent.
// places are files and folders. It returns nil if there is none. It opens no other keys,
// since each may need a passphrase.
func Find(a *cli.App, p ceremony.Person, places []string) (*Signatory, error) {
	want, err := sshsig.ParsePublicKey(p.Key)
	if err != nil {
		return nil, err
	}
	for _, path := range keyFiles(p.Name, places) {
		v, err := OpenSignatory(a, path, "")
		if err != nil {
			return nil, err
		}
		if v.Key.Fingerprint() == want.Fingerprint() {
			return v, nil
		}
		v.Done()
	}
	for _, path := range publicHalves(places) {
		line, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if k, err := sshsig.ParsePublicKey(strings.TrimSpace(string(line))); err == nil && k.Fingerprint() == want.Fingerprint() {
			if private := strings.TrimSuffix(path, ".pub"); isFile(private) {
				return OpenSignatory(a, private, "")
			}
		}
	}
	return fromAgent(want)
}

// keyFiles are the private keys that have the person's name, or that places name and that
// have no .pub file.
func keyFiles(name string, places []string) (list []string) {
	for _, place := range places {
		path := place
		if !isFile(place) {
			path = filepath.Join(place, name)
		} else if filepath.Base(place) != name && isFile(place+".pub") {
			continue // publicHalves has it
		}
		if isFile(path) && !slices.Contains(list, path) {
			list = append(list, path)
		}
	}
	return list
}

// publicHalves are the public keys at the places.
func publicHalves(places []string) (list []string) {
	for _, place := range places {
		if isFile(place) {
			list = append(list, place+".pub")
			continue
		}
		found, _ := filepath.Glob(filepath.Join(place, "*.pub"))
		list = append(list, found...)
	}
	return list
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// fromAgent is the key in ssh-agent; nil if there is no agent or it doesn't have the key.
func fromAgent(want *sshsig.Key) (*Signatory, error) {
	socket := os.Getenv("SSH_AUTH_SOCK")
	if socket == "" {
		return nil, nil
	}
	agent, err := sshkey.DialAgent(socket)
	if err != nil {
		return nil, nil // the key may be elsewhere
	}
	s, err := agent.Signer(want)
	if err != nil {
		agent.Close()
		return nil, nil
	}
	return &Signatory{Key: s.Key(), by: s, Done: func() { agent.Close() }}, nil
}

// Sign signs a text. The key's owner must have consented to that.
func (v *Signatory) Sign(namespace string, text []byte) (*sshsig.Signature, error) {
	if v.made != nil {
		return v.made, nil
	}
	return v.by.Sign(namespace, text)
}
