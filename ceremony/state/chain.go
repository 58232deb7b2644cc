package state

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/strict"
)

const (
	chainFormat = "fleetctl ceremony chain v1"
	// maxChain bounds a chain: the largest ceremony's has less than a megabyte.
	maxChain = 1 << 20
)

// Chain are the records after one that a screen has seen, without what they say: a
// record's hash covers a commitment to that. So a chain of twelve records fits one QR
// frame, and none of them can be another one later.
type Chain struct {
	Plan   [32]byte
	After  int      // the record that it continues; 0: it begins with the first
	Before [32]byte // that one's hash; the plan's SHA-256 where it begins with the first
	Links  []Link
	State  State // after the last of them
}

// Link is what a record's hash is made of, beside its number and the hash before.
type Link struct {
	Time   time.Time
	Kind   ceremony.Kind
	Commit [32]byte
}

// ChainOf is the chain of a transcript's records after one of them.
func ChainOf(a *ceremony.Account, records []*ceremony.Record, after int) (*Chain, error) {
	if after < 0 || after >= len(records) {
		return nil, fmt.Errorf("there is no record after record %d: the ceremony has %d", after, len(records))
	}
	s, err := Of(a)
	if err != nil {
		return nil, err
	}
	c := &Chain{Plan: a.Plan.Digest(), After: after, Before: records[after].Prev, State: s}
	for _, r := range records[after:] {
		c.Links = append(c.Links, Link{r.Time, r.Kind, r.Commit})
	}
	return c, nil
}

// Encode is the chain as it is carried.
func (c *Chain) Encode() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\nplan %x\nafter %d\nhead %x\n", chainFormat, c.Plan, c.After, c.Before)
	for _, l := range c.Links {
		fmt.Fprintf(&b, "%s %s %s\n", strict.FormatTime(l.Time), l.Kind, base64.StdEncoding.EncodeToString(l.Commit[:]))
	}
	fmt.Fprintf(&b, "state %s\n", c.State)
	return b.Bytes()
}

// IsChain says whether a file is meant to be a chain.
func IsChain(data []byte) bool { return bytes.HasPrefix(data, []byte(chainFormat+"\n")) }

// ParseChain reads a chain. What it says follows itself: its links lead to its state.
func ParseChain(file string, data []byte) (*Chain, error) {
	if len(data) > maxChain {
		return nil, strict.Errorf(file, "has %d bytes; a chain has at most %d", len(data), maxChain)
	}
	l := strict.NewLines(file, data)
	l.Literal(chainFormat)
	c := &Chain{Plan: l.Hash("plan ")}
	after := l.Uint("after ")
	if after >= ceremony.MaxRecords {
		l.Failf("begins after record %d; a ceremony has at most %d", after, ceremony.MaxRecords)
	}
	c.After, c.Before = int(min(after, ceremony.MaxRecords)), l.Hash("head ")
	if c.After == 0 && c.Before != c.Plan {
		l.Failf("the first record follows the plan, and this chain begins elsewhere")
	}
	for {
		line, more := l.Peek()
		if !more || strings.HasPrefix(line, "state ") {
			break
		}
		if c.After+len(c.Links) >= ceremony.MaxRecords {
			l.Next()
			l.Failf("has more than %d records", ceremony.MaxRecords)
			break
		}
		link, err := parseLink(l.Next())
		l.Check(err)
		c.Links = append(c.Links, link)
	}
	s, err := Parse(l.After("state "))
	l.Check(err)
	if c.State = s; l.Err() == nil && len(c.Links) == 0 {
		l.Failf("has no record")
	}
	if err := l.Done(); err != nil {
		return nil, err
	}
	if err := c.end(file); err != nil {
		return nil, err
	}
	heads := c.heads()
	if n := c.After + len(c.Links); s.Record != n || s.Head != heads[len(heads)-1] {
		return nil, strict.Errorf(file, "its records lead to record %d with another head than its state names", n)
	}
	return c, nil
}

// end says what is wrong with where a chain ends: nothing follows a close or an abort,
// and a state that has ended follows nothing else.
func (c *Chain) end(file string) error {
	last := len(c.Links) - 1
	for i, l := range c.Links[:last] {
		if l.Kind == ceremony.KindClose || l.Kind == ceremony.KindAbort {
			return strict.Errorf(file, "goes on after record %d, %s, which ends a ceremony", c.After+i+1, l.Kind)
		}
	}
	kind := c.Links[last].Kind
	if (kind == ceremony.KindClose) != (c.State.Wants == Closed) || (kind == ceremony.KindAbort) != (c.State.Wants == Aborted) {
		return strict.Errorf(file, "ends with the record %s, and with a state that doesn't follow it", kind)
	}
	if n := min(c.resumes(0), maxResumed); c.State.Resumed < n || c.After == 0 && c.State.Resumed > n {
		return strict.Errorf(file, "ends with a state that tells of %d resumes, and has %d", c.State.Resumed, n)
	}
	return nil
}

// resumes is how many resumes there are from a link on.
func (c *Chain) resumes(from int) (n int) {
	for _, l := range c.Links[from:] {
		if l.Kind == ceremony.KindResume {
			n++
		}
	}
	return n
}

func parseLink(line string) (k Link, err error) {
	f := strings.Split(line, " ")
	if len(f) != 3 {
		return k, fmt.Errorf("a record is a time, a kind and a commitment")
	}
	if k.Time, err = strict.ParseTime(f[0]); err != nil {
		return k, err
	}
	if k.Kind = ceremony.Kind(f[1]); k.Kind.Content() == nil {
		return k, fmt.Errorf("a record has the unknown kind %q", strict.Clip(f[1]))
	}
	commit, err := strict.ParseBase64(f[2])
	if err != nil || len(commit) != len(k.Commit) {
		return k, fmt.Errorf("a record's commitment is base64 of %d bytes", len(k.Commit))
	}
	k.Commit = [32]byte(commit)
	return k, nil
}

// heads are the hashes of the chain's records, the one before them first.
func (c *Chain) heads() [][32]byte {
	list := [][32]byte{c.Before}
	for i, l := range c.Links {
		r := &ceremony.Record{N: c.After + i + 1, Time: l.Time, Kind: l.Kind, Prev: list[i], Commit: l.Commit}
		list = append(list, r.Hash())
	}
	return list
}
