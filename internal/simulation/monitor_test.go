package simulation

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/monitor"
	"github.com/fleetctl/fleetctl/auditlog/tile"
	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/simdisk"
)

// served is a log of up to 255 entries, in files on a disk of its own.
type served struct {
	dir    string
	vkey   string
	signer note.Signer
	leaves []string
}

const servedOrigin = "log.example/served"

func newServed(t testing.TB) *served {
	seed := sha256.Sum256([]byte("the key of a log"))
	key := ed25519.NewKeyFromSeed(seed[:])
	vkey, err := note.NewEd25519VerifierKey(servedOrigin, key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	s, err := note.NewSigner(fmt.Sprintf("PRIVATE+KEY+%s+%s+%s", servedOrigin, strings.Split(vkey, "+")[1], base64.StdEncoding.EncodeToString(append([]byte{1}, seed[:]...))))
	if err != nil {
		t.Fatal(err)
	}
	return &served{dir: simdisk.New(t, 1).Path("log"), vkey: vkey, signer: s}
}

// stored are the hashes of a tree, as golang.org/x/mod numbers them.
type stored []tlog.Hash

func (s stored) ReadHashes(at []int64) ([]tlog.Hash, error) {
	var list []tlog.Hash
	for _, i := range at {
		list = append(list, s[i])
	}
	return list, nil
}

// show serves these entries, and signs their tree.
func (l *served) show(leaves ...string) error {
	l.leaves = leaves
	var entries, hashes []byte
	var all stored
	for i, leaf := range leaves {
		entries = append(binary.BigEndian.AppendUint16(entries, uint16(len(leaf))), leaf...)
		h := tlog.RecordHash([]byte(leaf))
		hashes = append(hashes, h[:]...)
		more, err := tlog.StoredHashes(int64(i), []byte(leaf), all)
		if err != nil {
			return err
		}
		all = append(all, more...)
	}
	root, err := tlog.TreeHash(int64(len(leaves)), all)
	if err != nil {
		return err
	}
	signed, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%s\n", servedOrigin, len(leaves), root)}, l.signer)
	if err != nil {
		return err
	}
	if err := durable.RemoveAll(l.dir); err != nil {
		return err
	}
	for name, data := range map[string][]byte{tile.EntriesPath(0, len(leaves)): entries, tile.Path(0, 0, len(leaves)): hashes, "checkpoint": signed} {
		name = filepath.Join(l.dir, name)
		if err := errors.Join(durable.MkdirAll(path.Dir(name), 0o755), durable.Replace(name, data, 0o644)); err != nil {
			return err
		}
	}
	return nil
}

// badOnes is a judge to whom entries are bad that say so.
type badOnes struct{ next uint64 }

func (j *badOnes) Read(_ uint64, leaf []byte) any { return bytes.HasPrefix(leaf, []byte("bad")) }

func (j *badOnes) Take(index uint64, made any) []monitor.Finding {
	j.next = index + 1
	if made.(bool) {
		return []monitor.Finding{{Kind: "bad", Index: index, Text: "it says so"}}
	}
	return nil
}

func (j *badOnes) Overdue() []monitor.Finding { return nil }
func (j *badOnes) State() string              { return strconv.FormatUint(j.next, 10) }

func (j *badOnes) Restore(s string) (err error) {
	if s != "" {
		j.next, err = strconv.ParseUint(s, 10, 64)
	}
	return err
}

// monitored is a monitor of a log that grows, and at last goes back.
type monitored struct {
	log    *served
	policy *auditlog.Policy
	state  string
	told   uint64 // the size that somebody was told of
	done   int
}

func newMonitor(t testing.TB, d *simdisk.Disk) follower {
	m := &monitored{log: newServed(t), state: d.Path("monitor")}
	var err error
	if m.policy, err = auditlog.ParsePolicy("policy", []byte("log "+m.log.vkey+"\nquorum none\n")); err != nil {
		t.Fatal(err)
	}
	if err := m.log.show("one", "bad two"); err != nil {
		t.Fatal(err)
	}
	return m
}

// pass is one look at the log, the first one where nothing is known of it.
func (m *monitored) pass() (*monitor.Seen, []monitor.Alarm, error) {
	src, err := monitor.Open(m.log.dir, nil)
	if err != nil {
		return nil, nil, err
	}
	_, err = durable.Stat(filepath.Join(m.state, "state.json"))
	first := errors.Is(err, fs.ErrNotExist) && m.told == 0
	x, err := monitor.New(src, m.policy, func() monitor.Judge { return &badOnes{} }, monitor.Options{
		State: m.state, First: first, Workers: 1, Now: func() time.Time { return time.Unix(1772442000, 0) },
	})
	if err != nil {
		return nil, nil, err
	}
	return x.Pass(context.Background())
}

func (m *monitored) act() func() error {
	if m.done > rounds {
		return nil
	}
	return func() error {
		seen, _, err := m.pass()
		if err != nil {
			return err
		}
		if m.done < rounds {
			m.told = seen.Size
		}
		switch m.done++; {
		case m.done < rounds:
			n := len(m.log.leaves)
			return m.log.show(append(m.log.leaves, "good", fmt.Sprintf("bad %d", n), fmt.Sprintf("bad %d", n+1))...)
		case m.done == rounds:
			return m.log.show(append(m.log.leaves[:len(m.log.leaves)-2:len(m.log.leaves)-2], "of another history")...)
		}
		return nil
	}
}

// end reads the alarms as somebody's program does, line by line: each is there, and
// the proof that the log signed two histories.
func (m *monitored) end() error {
	data, err := durable.ReadFile(filepath.Join(m.state, "alarms.jsonl"))
	if err != nil {
		return fmt.Errorf("lost: the alarms: %w", err)
	}
	raised, proof := map[uint64]bool{}, ""
	for line := range bytes.Lines(data) {
		var a struct {
			Kind, Evidence string
			Index          uint64
		}
		if err := json.Unmarshal(line, &a); err != nil {
			return fmt.Errorf("unreadable: %q among the alarms: %w", line, err)
		}
		if a.Kind == "bad" {
			raised[a.Index] = true
		} else if a.Kind == monitor.KindSplit {
			proof = a.Evidence
		}
	}
	for i := range m.told {
		if bad := i == 1 || i > 1 && (i-2)%3 > 0; bad && !raised[i] {
			return fmt.Errorf("lost: the alarm about entry %d of %d", i, m.told)
		}
	}
	split, err := durable.ReadFile(proof)
	if err != nil {
		return fmt.Errorf("lost: the proof that the log has two histories: %w", err)
	}
	s, err := auditlog.ParseSplitView(proof, split)
	if err != nil {
		return err
	}
	if err := m.policy.VerifySplit(s); err != nil {
		return err
	}
	seen, alarms, err := m.pass()
	if err == nil && (seen.Size != m.told || len(alarms) > 0) {
		err = fmt.Errorf("lost: what was seen of the log: %d of %d entries, %v", seen.Size, m.told, alarms)
	}
	return err
}
