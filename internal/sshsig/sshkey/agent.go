package sshkey

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// listTimeout is for what an agent answers by itself. Signing has no limit of
// ours: a person touches a device or types a PIN meanwhile.
const listTimeout = 10 * time.Second

// Agent is an ssh-agent, whose keys stay with it.
type Agent struct {
	conn   net.Conn
	client agent.Agent
}

// DialAgent reaches the agent at a socket, which its environment variable
// SSH_AUTH_SOCK names.
func DialAgent(socket string) (*Agent, error) {
	if socket == "" {
		return nil, strict.Errorf("", "no ssh-agent is running here: SSH_AUTH_SOCK is empty").WithHint("eval \"$(ssh-agent)\" && ssh-add")
	}
	conn, err := net.DialTimeout("unix", socket, listTimeout)
	if err != nil {
		return nil, strict.Errorf(socket, "no ssh-agent answers: %v", err).WithHint("eval \"$(ssh-agent)\" && ssh-add")
	}
	return NewAgent(conn), nil
}

// NewAgent speaks to an agent at the connection's other end.
func NewAgent(conn net.Conn) *Agent {
	// Without Close before its eyes the client asks one thing at a time and
	// keeps no reader of its own running.
	rw := struct {
		io.Reader
		io.Writer
	}{conn, conn}
	return &Agent{conn: conn, client: agent.NewClient(rw)}
}

// Close ends the connection.
func (a *Agent) Close() error { return a.conn.Close() }

// Keys are the agent's keys that people may sign with, in its order; it may
// have others.
func (a *Agent) Keys() ([]*sshsig.Key, error) {
	if err := a.conn.SetDeadline(time.Now().Add(listTimeout)); err != nil {
		return nil, err
	}
	listed, err := a.client.List()
	if err != nil {
		return nil, fmt.Errorf("ssh-agent can't list its keys: %w", err)
	}
	var list []*sshsig.Key
	for _, l := range listed {
		if key, err := sshsig.ParseBlob(l.Blob); err == nil {
			list = append(list, key)
		}
	}
	return list, a.conn.SetDeadline(time.Time{})
}

// Signer is the agent's key that is the one given.
func (a *Agent) Signer(key *sshsig.Key) (sshsig.Signer, error) {
	k, err := a.find(key)
	if err != nil {
		return nil, err
	}
	return k, nil
}

// Raw signs messages themselves, as they are, with the agent's key that is the
// one given. SSH's own signatures by a key of type ssh-ed25519 are plain Ed25519
// (RFC 8709, section 6); those of every other type are refused.
func (a *Agent) Raw(key *sshsig.Key) (func(message []byte) ([]byte, error), error) {
	k, err := a.find(key)
	if err != nil {
		return nil, err
	}
	pub, ok := key.Ed25519()
	if !ok {
		return nil, strict.Errorf("", "the key %s is of type %s; only ssh-ed25519 signs what an auditor signs", key.Fingerprint(), key.Type()).
			WithHint("ssh-keygen -t ed25519 makes one")
	}
	return func(message []byte) ([]byte, error) {
		sig, err := k.sign(message)
		if err != nil {
			return nil, err
		}
		// Found out at once, not at the audit.
		if sig.Format != ssh.KeyAlgoED25519 || len(sig.Rest) > 0 || keys.VerifyEd25519(pub, message, sig.Blob) != nil {
			return nil, strict.Errorf("", "what ssh-agent gave for %s is no Ed25519 signature of that key over the message", key.Fingerprint())
		}
		return sig.Blob, nil
	}, nil
}

func (a *Agent) find(key *sshsig.Key) (*agentKey, error) {
	if key == nil {
		return nil, errors.New("no key was named to look for in ssh-agent")
	}
	list, err := a.Keys()
	if err != nil {
		return nil, err
	}
	for _, k := range list {
		if k.Equal(key) {
			return &agentKey{a.client, k}, nil
		}
	}
	return nil, strict.Errorf("", "ssh-agent does not have the key %s", key.Fingerprint()).
		WithHint("see what it has: ssh-add -l\ngive it the key: ssh-add <file>")
}

type agentKey struct {
	client agent.Agent
	key    *sshsig.Key
}

func (k *agentKey) Key() *sshsig.Key { return k.key }

func (k *agentKey) Sign(namespace string, message []byte) (*sshsig.Signature, error) {
	return sshsig.SignWith(k.key, namespace, message, func(signed []byte) ([]byte, error) {
		sig, err := k.sign(signed)
		if err != nil {
			return nil, err
		}
		return ssh.Marshal(sig), nil
	})
}

func (k *agentKey) sign(message []byte) (*ssh.Signature, error) {
	sig, err := k.client.Sign(&agent.Key{Format: k.key.Type(), Blob: k.key.Blob()}, message)
	if err != nil {
		return nil, strict.Errorf("", "ssh-agent did not sign with %s: %v", k.key.Fingerprint(), err).
			WithHint("a FIDO2 key must be plugged in and touched while it blinks; a key may need a yes on the agent's own screen")
	}
	return sig, nil
}
