package node_test

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/await"
	"github.com/fleetctl/fleetctl/internal/fleet/client"
)

// becomes waits until a node is well, or says that it isn't with this in it.
func (w *world) becomes(hsm, text string) {
	w.Helper()
	n := w.nodes[hsm]
	await.Until(w, hsm+" says: "+text, func() bool {
		err := n.Well()
		return err == nil && text == "" || err != nil && text != "" && strings.Contains(err.Error(), text)
	})
}

func TestANodeIsWellWhileItCanAnswerADeviceOrSendItToOneThatCan(t *testing.T) {
	w := newWorld(t)
	w.start("hsm-1")
	// It leads, of all those that have joined: which is itself.
	w.becomes("hsm-1", "1 of the fleet's 3 nodes have a vote, and its majority is 2")
	w.start("hsm-2")
	w.becomes("hsm-1", "")
	w.becomes("hsm-2", "")
	w.start("hsm-3")
	w.becomes("hsm-3", "")
	// The one that is left reaches no majority, whether it led or not.
	w.stop("hsm-1")
	w.stop("hsm-2")
	w.becomes("hsm-3", "no node leads the fleet")
	w.start("hsm-1")
	w.start("hsm-2")
	for _, n := range w.site.Nodes {
		w.becomes(n.HSM, "")
	}
	// One whose HSM hangs answers nothing, whatever the others do.
	w.keepers["hsm-3"].Block()
	code := must(client.ParseCode(must(client.NewCode(rand.Reader))))
	must(w.phone("drill.alice").Register(t.Context(), code, must(client.NewKey(rand.Reader)), 0)) // it has something to write
	w.becomes("hsm-3", "waits for its disk or its HSM")
	w.keepers["hsm-3"].Unblock()
	w.becomes("hsm-3", "")
}

func TestANodeThatHasNotJoinedIsNotWell(t *testing.T) {
	w := newWorld(t)
	w.start("hsm-2")
	w.becomes("hsm-2", "this node has no vote")
}

func TestAStatusCountsAccountsAndThoseThatAreLocked(t *testing.T) {
	w := newWorld(t)
	for _, n := range w.site.Nodes {
		w.start(n.HSM)
	}
	code := must(client.ParseCode(must(client.NewCode(rand.Reader))))
	for _, name := range []string{"drill.alice", "drill.bob"} {
		must(w.phone(name).Register(t.Context(), code, must(client.NewKey(rand.Reader)), 0))
	}
	other := must(client.ParseCode(must(client.NewCode(rand.Reader))))
	bob := w.phone("drill.bob")
	for range guesses {
		if _, err := bob.Recover(t.Context(), other); !errors.As(err, new(*client.Wrong)) {
			t.Fatal(err)
		}
	}
	count := func(accounts, locked uint32) {
		t.Helper()
		for _, n := range bob.Nodes {
			await.Until(t, n.HSM+" has applied the log", func() bool {
				s := must(bob.Status(t.Context(), n))
				return s.Accounts == accounts && s.Locked == locked
			})
		}
	}
	count(2, 0)
	if _, err := bob.Recover(t.Context(), code); err == nil {
		t.Fatal("one guess too many")
	}
	count(2, 1)
	// A node that begins anew counts the same.
	w.stop("hsm-3")
	w.start("hsm-3")
	count(2, 1)
}
