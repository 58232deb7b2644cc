package drill

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/fleet/links"
	"github.com/fleetctl/fleetctl/internal/fleet/processes"
	"github.com/fleetctl/fleetctl/internal/fleet/site"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// world is the fleet that a drill runs, with the network between its nodes.
type world struct {
	program string
	dir     string
	net     *links.Net
	members []*member
	serve   []string // arguments of every node beside its own
}

// member is one node: a process, when it runs, and what is left of it when it doesn't.
type member struct {
	site.Node
	address  string // where devices reach it: a line
	siteFile string
	host     Host
	proc     *processes.Node
}

// newWorld lays the lines between the nodes and writes a site file for each: it sees the
// others through its own lines.
func newWorld(program, dir string, nodes []site.Node, hosts []Host) (*world, error) {
	w := &world{program: program, dir: dir, net: links.New()}
	for _, sub := range []string{"logs", "nodes", "devices", "sites"} {
		if err := durable.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, err
		}
	}
	for i, n := range nodes {
		m := &member{Node: n, host: hosts[i], siteFile: filepath.Join(dir, "sites", n.HSM+".yaml")}
		m.Dir = filepath.Join(dir, "nodes", n.HSM)
		m.Listen, m.ListenPeers = "127.0.0.1:0", "127.0.0.1:0"
		var err error
		if m.address, err = w.net.Line(links.Devices, n.HSM); err != nil {
			return nil, err
		}
		w.members = append(w.members, m)
	}
	for _, m := range w.members {
		if err := w.writeSite(m); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (w *world) writeSite(m *member) error {
	s := &site.Site{}
	for _, o := range w.members {
		line, err := w.net.Line(m.HSM, o.HSM)
		if err != nil {
			return err
		}
		n := site.Node{HSM: o.HSM}
		if o == m {
			n = m.Node
		}
		n.Address, n.Peers = o.address, line
		s.Nodes = append(s.Nodes, n)
	}
	text := s.Encode()
	if _, err := site.Parse(m.siteFile, text); err != nil {
		return err
	}
	return durable.Create(m.siteFile, text, 0o600)
}

// run runs a command of this program for one node, to its end.
func (w *world) run(ctx context.Context, m *member, verb string, args ...string) error {
	p, err := w.process(m, verb, args...)
	if err != nil {
		return err
	}
	defer p.Kill()
	if err := p.Gone(ctx); err != nil {
		return err
	}
	return p.Failed()
}

func (w *world) process(m *member, verb string, args ...string) (*processes.Node, error) {
	all := slices.Concat([]string{"fleet", verb, "--site", m.siteFile, "--hsm", m.HSM, "--hsm-socket", m.host.Socket(), "--format", "json", "--plain"}, w.serve, args)
	return processes.Start(m.HSM, w.program, all, filepath.Join(w.dir, "logs", m.HSM+".log"))
}

// start starts a node and waits until it serves, and has the lines lead there.
func (w *world) start(ctx context.Context, m *member, args ...string) error {
	if m.proc != nil && !m.proc.Ended() {
		return fmt.Errorf("node %s runs already", m.HSM)
	}
	p, err := w.process(m, "serve", args...)
	if err != nil {
		return err
	}
	m.proc = p
	if err := m.proc.Ready(ctx); err != nil {
		return err
	}
	said, err := strict.ParseJSON("what "+m.HSM+" says", m.proc.Said(), 1<<16)
	if err != nil {
		return err
	}
	devices, peers := said.Get("listen"), said.Get("listen_peers")
	if devices == nil || peers == nil {
		return fmt.Errorf("node %s doesn't say where it listens", m.HSM)
	}
	w.net.Lead(m.HSM, devices.Text, peers.Text)
	return nil
}

// startAll starts every node that doesn't run, one after the other: software tokens in
// one folder are read while others log in to theirs.
func (w *world) startAll(ctx context.Context, args ...string) error {
	var all []error
	for _, m := range w.members {
		if !m.running() {
			all = append(all, w.start(ctx, m, args...))
		}
	}
	return errors.Join(all...)
}

func (m *member) running() bool { return m.proc != nil && !m.proc.Ended() }

// kill ends a node as a power cut does: its process is gone at once, and nobody on its
// lines is told anything but that.
func (w *world) kill(m *member) {
	if m.proc != nil {
		m.proc.Kill()
	}
	w.net.Break(m.HSM)
}

// stopPatience is how long a node has to end by itself.
const stopPatience = 10 * time.Second

// stop has every node end.
func (w *world) stop() {
	for _, m := range w.members {
		if m.running() {
			m.proc.Stop(stopPatience)
		}
	}
}

// close ends everything; it can be called again.
func (w *world) close() {
	if w != nil {
		w.stop()
		w.net.Close()
	}
}

// member finds a node by its HSM.
func (w *world) member(hsm string) *member {
	for _, m := range w.members {
		if m.HSM == hsm {
			return m
		}
	}
	return nil
}

// others are the nodes beside one.
func (w *world) others(m *member) (list []*member) {
	for _, o := range w.members {
		if o != m {
			list = append(list, o)
		}
	}
	return list
}
