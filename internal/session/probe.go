package session

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/spf13/cobra"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/hsm"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// A probe is this program run anew, to look at a token as any other process
// would: what it doesn't find was never really there. It gets the request and
// the PIN over its standard input, which no other process can read, and the
// PIN apart from the request, so that it never enters a string.

const maxProbe = 1 << 20

type probeRequest struct {
	Module    string `strict:"module"`
	InitArgs  string `strict:"init_args,optional"`
	Serial    string `strict:"serial"`
	Label     string `strict:"label"`
	Algorithm string `strict:"algorithm,optional"`
	ID        []byte `strict:"id,hex,optional"`
	Protected bool   `strict:"protected"`
	Patience  string `strict:"patience"`
}

type probeReply struct {
	SPKI    []byte            `strict:"spki,base64,optional"`
	Objects []ceremony.Object `strict:"objects"`
	Error   string            `strict:"error,optional"`
}

func runProbe(ctx context.Context, req probeRequest, pin []byte) (*probeReply, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	line := strict.EncodeLine(req)
	input := binary.BigEndian.AppendUint32(nil, uint32(len(line)))
	input = append(append(input, line...), pin...)
	defer clear(input)
	cmd := exec.CommandContext(ctx, self, "probe-token")
	cmd.Stdin = bytes.NewReader(input)
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	err = cmd.Run()
	if ctx.Err() != nil { // it was killed, and not of itself
		return nil, fmt.Errorf("a new process to look at the token: %w", ctx.Err())
	}
	if err != nil {
		return nil, fmt.Errorf("a new process to look at the token: %w: %.200s", err, talk.String())
	}
	reply := &probeReply{}
	return reply, strict.DecodeJSON("the new process", bytes.TrimSpace(out.Bytes()), maxProbe, reply)
}

// ProbeCommand is the new process.
func ProbeCommand(a *cli.App) *cobra.Command {
	c := cli.Command("probe-token", "Look at a token for another fleetctl", "", "", cobra.NoArgs, func(*cobra.Command, []string) error {
		reply := &probeReply{Objects: []ceremony.Object{}}
		if err := probe(a, reply); err != nil {
			reply.Error = err.Error()
		}
		return a.UI.Print(string(strict.EncodeJSON(reply)))
	})
	c.Hidden = true
	return c
}

func probe(a *cli.App, reply *probeReply) error {
	// One piece of memory from the start: one that grows leaves copies behind.
	input := make([]byte, maxProbe)
	defer clear(input)
	k, err := io.ReadFull(a.Stdin, input)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return err
	}
	input = input[:k]
	if len(input) < 4 || uint64(binary.BigEndian.Uint32(input)) > uint64(len(input)-4) {
		return fmt.Errorf("probe-token is for fleetctl itself")
	}
	n := 4 + int(binary.BigEndian.Uint32(input))
	req := &probeRequest{}
	if err := strict.DecodeJSON("request", input[4:n], maxProbe, req); err != nil {
		return err
	}
	pin := input[n:]
	if req.Protected {
		pin = nil
	}
	patience, err := time.ParseDuration(req.Patience)
	if err != nil {
		return err
	}
	m, err := hsm.Open(req.Module, hsm.Options{InitArgs: req.InitArgs, Deadline: patience})
	if err != nil {
		return err
	}
	defer m.Close()
	t, err := m.Token(hsm.Selector{Serial: req.Serial, Label: req.Label})
	if err != nil {
		return err
	}
	defer t.Close()
	if err := t.Login(pin); err != nil {
		return err
	}
	if req.Algorithm != "" {
		if reply.SPKI, err = t.PublicKey(req.Algorithm, req.ID); err != nil {
			return err
		}
	}
	objects, err := t.Objects()
	for _, o := range objects {
		reply.Objects = append(reply.Objects, ceremony.Object{Class: o.Class, ID: o.ID})
	}
	return err
}
