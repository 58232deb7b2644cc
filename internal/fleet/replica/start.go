package replica

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/fleetctl/fleetctl/internal/durable"
	"github.com/fleetctl/fleetctl/internal/fleet/anchor"
	"github.com/fleetctl/fleetctl/internal/fleet/chain"
)

// Refused means that a node doesn't start, and why: what is on its disk isn't what
// its anchor says that it acknowledged. Nothing is ever repaired.
type Refused struct {
	Dir    string
	Reason Reason
	Detail string
}

// Reason is why a node doesn't start.
type Reason string

// The reasons.
const (
	NoAnchor         Reason = "there is no anchor"
	BadAnchor        Reason = "the anchor can't be read"
	OtherFleet       Reason = "the anchor is another fleet's"
	DiskOlder        Reason = "the disk is older than the anchor"
	DiskOther        Reason = "the disk has another log than the anchor"
	SnapshotMissing  Reason = "the snapshot that the anchor names is not on the disk"
	SnapshotDetached Reason = "the log on the disk doesn't follow its snapshot"
	BadLog           Reason = "the log can't be read"
)

func (e *Refused) Error() string {
	return fmt.Sprintf("%s: the node is refused: %s: %s. Nothing is repaired: remove this incarnation from the fleet and join another one", e.Dir, e.Reason, e.Detail)
}

// load reads the anchor.
func load(dir string, k anchor.Keeper, fleet [16]byte) (*anchor.Anchor, error) {
	a, err := anchor.Load(k)
	switch {
	case errors.Is(err, anchor.ErrNone):
		return nil, &Refused{dir, NoAnchor, "a member begins with one, made when it is set up, and never gets another"}
	case err != nil:
		return nil, &Refused{dir, BadAnchor, err.Error()}
	case a.Fleet != fleet:
		return nil, &Refused{dir, OtherFleet, fmt.Sprintf("it is of fleet %x, this is %x", a.Fleet, fleet)}
	}
	return a, nil
}

// judge holds a disk against its anchor, and gives the log and the snapshot's place. The
// anchor's end must lie on the disk's chain, or be its snapshot's. What lies beyond it
// was never acknowledged, and is cut off.
func judge(dir string, a *anchor.Anchor) (*chain.Log, chain.Point, error) {
	refuse := func(r Reason, format string, args ...any) (*chain.Log, chain.Point, error) {
		return nil, chain.Point{}, &Refused{dir, r, fmt.Sprintf(format, args...)}
	}
	snap, others, err := findSnapshot(dir, a)
	if err != nil {
		return nil, chain.Point{}, err
	}
	log, err := chain.Open(filepath.Join(dir, logName))
	if err != nil {
		return refuse(BadLog, "%v", err)
	}
	want := end(*a)
	has, ok := log.At(want.Index)
	switch {
	case ok && has == want:
		err = log.Cut(want.Index)
	case want == snap && snap.Index > 0:
		err = log.Reset(snap) // the node stopped before it took the log away
	case log.Last().Index < want.Index:
		log.Close()
		return refuse(DiskOlder, "the disk's log ends at entry %d, and this node has acknowledged entry %d", log.Last().Index, want.Index)
	default:
		log.Close()
		return refuse(DiskOther, "entry %d of the disk's log is not the one that this node has acknowledged", want.Index)
	}
	if err != nil {
		log.Close()
		return nil, chain.Point{}, err
	}
	if log.Base().Index > snap.Index {
		log.Close()
		return refuse(SnapshotDetached, "it begins after entry %d, the snapshot is of entry %d", log.Base().Index, snap.Index)
	}
	if at, ok := log.At(snap.Index); snap.Index > 0 && (!ok || at != snap) {
		log.Close()
		return refuse(SnapshotDetached, "entry %d isn't the snapshot's", snap.Index)
	}
	for _, name := range others {
		if err := remove(dir, name); err != nil {
			log.Close()
			return nil, chain.Point{}, err
		}
	}
	return log, snap, nil
}

// findSnapshot finds the snapshot that the anchor names, and what there is besides:
// it was never acknowledged, or is over.
func findSnapshot(dir string, a *anchor.Anchor) (at chain.Point, others []string, err error) {
	list, err := durable.ReadDir(dir)
	if err != nil {
		return at, nil, err
	}
	for _, e := range list {
		if durable.IsTemp(e.Name()) {
			others = append(others, e.Name())
		}
		if !strings.HasPrefix(e.Name(), "snapshot-") {
			continue
		}
		file, err := durable.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return at, nil, err
		}
		snap, err := parseSnapshot(file)
		if err != nil || digest(file) != a.Snapshot || e.Name() != snapshotName(snap.at) {
			others = append(others, e.Name())
			continue
		}
		at = snap.at
	}
	if (at.Index == 0) != (a.Snapshot == [24]byte{}) {
		return at, nil, &Refused{dir, SnapshotMissing, fmt.Sprintf("its digest begins with %x", a.Snapshot)}
	}
	return at, others, nil
}
