package signer

import (
	"os"
	"strings"

	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/sshsig/sshkey"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// agentRef begins the reference to a key in ssh-agent: agent:FILE.pub.
const agentRef = "agent:"

// dialAgent connects to ssh-agent, and reads the public key of the key that is meant.
func dialAgent(pub string) (*sshkey.Agent, *sshsig.Key, error) {
	line, err := cli.ReadFile(pub)
	if err != nil {
		return nil, nil, err
	}
	key, err := sshsig.ParsePublicKey(strings.TrimSpace(string(line)))
	if err != nil {
		return nil, nil, cli.Usage(strict.Errorf(pub, "%v", err))
	}
	agent, err := sshkey.DialAgent(os.Getenv("SSH_AUTH_SOCK"))
	return agent, key, err
}

// openAgentKey opens a key in ssh-agent that signs bytes directly. Only Ed25519 keys do
// that in the form that is needed here.
func openAgentKey(pub string, kind keys.Algorithm) (*Key, error) {
	agent, key, err := dialAgent(pub)
	if err != nil {
		return nil, err
	}
	sign, err := agent.Raw(key)
	if err == nil && kind != keys.Ed25519 {
		err = strict.Errorf(pub, "this key has to be %s, which is not taken from ssh-agent", kind)
	}
	if err != nil {
		agent.Close()
		return nil, cli.Usage(err)
	}
	raw, _ := key.Ed25519() // Raw refuses other keys
	public, err := keys.FromEd25519(raw)
	if err != nil {
		agent.Close()
		return nil, cli.Usage(strict.Errorf(pub, "%v", err))
	}
	return &Key{Public: public, Sign: always(sign), Close: func() { agent.Close() }}, nil
}
