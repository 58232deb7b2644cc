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

// agentRef begins the name of a key that is in ssh-agent: agent:FILE.pub.
const agentRef = "agent:"

// dialAgent reaches ssh-agent, and reads which of its keys is meant.
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

// openAgentKey opens an agent's key that signs bytes as they are, which only
// Ed25519 keys do in the form that is wanted here.
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
	raw, _ := key.Ed25519() // or Raw would have refused it
	public, err := keys.FromEd25519(raw)
	if err != nil {
		agent.Close()
		return nil, cli.Usage(strict.Errorf(pub, "%v", err))
	}
	return &Key{Public: public, Sign: sign, Close: func() { agent.Close() }}, nil
}
