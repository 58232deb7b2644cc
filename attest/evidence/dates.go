package evidence

import (
	"fmt"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/sshsig"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// A time in a signed text proves nothing, since the signer chooses it. But a signature is
// not younger than the time at which independent witnesses had seen something that
// commits to it. The bundle's log entry commits to the files that the
// countersignature's record lists, the evidence's entry to all others. If no witness has
// seen a signature, only the verifier's own time is known.

// seenBy is the time by which witnesses had seen a file of people's signatures; nil if
// they have not.
func (v *verifier) seenBy(file string, listed map[string][32]byte) *time.Time {
	if _, ok := listed[file]; ok && v.witnessed != nil && (v.closed == nil || v.witnessed.Before(*v.closed)) {
		return v.witnessed
	}
	return v.closed
}

// uncounted is a signature by a pinned person that doesn't count, and why.
type uncounted struct{ file, why string }

// counting are the pinned people, with only those of their signatures for which the key's
// window covers the verifier's time, or the time by which witnesses had seen it.
func (v *verifier) counting(a *ceremony.Account) (*ceremony.People, error) {
	everyone, err := v.policy.everyone()
	if err != nil {
		return nil, err
	}
	windows := map[string]keys.Window{}
	for _, x := range v.policy.people {
		k, err := sshsig.ParsePublicKey(x.Key)
		if err != nil {
			return nil, err
		}
		windows[k.Fingerprint()] = keys.Window(x.Window)
	}
	listed := a.Dated()
	return everyone.Counting(func(k *sshsig.Key, file string) bool {
		if by := a.Afterwards(file); by != "" {
			v.uncount(file, fmt.Sprintf("the %s's record does not list it, and what leads to that is signed before", by))
			return false
		}
		seen := v.seenBy(file, listed)
		if windows[k.Fingerprint()].Counts(v.now, seen) {
			return true
		}
		name, _, _ := everyone.RoleOf(k)
		when := "no witness says when it was made, and now is outside its key's window"
		if seen != nil {
			when = fmt.Sprintf("witnesses had it by %s at the latest, and neither that nor now is inside its key's window", strict.FormatTime(*seen))
		}
		v.uncount(file, name+"'s: "+when)
		return false
	}), nil
}

func (v *verifier) uncount(file, why string) {
	for _, u := range v.ignored {
		if u.file == file {
			return
		}
	}
	v.ignored = append(v.ignored, uncounted{file, why})
}

// notCounted says why the first of a folder's uncounted signatures doesn't count, and how
// many more there are.
func (v *verifier) notCounted(dir string) string {
	n, first := 0, uncounted{}
	for _, u := range v.ignored {
		if strings.HasPrefix(u.file, dir+"/") {
			if n++; n == 1 {
				first = u
			}
		}
	}
	if n == 0 {
		return ""
	}
	text := fmt.Sprintf("; not counted: %s, %s", first.file, first.why)
	if n > 1 {
		text += fmt.Sprintf("; and %d more", n-1)
	}
	return text
}

// atTheLatest says by when witnesses had seen what people signed before the bundle was
// made; empty if they have not.
func (v *verifier) atTheLatest() string {
	if v.witnessed == nil {
		return ""
	}
	return ", by " + strict.FormatTime(*v.witnessed) + " at the latest"
}

// times refuses records that are dated after the verifier's time, or after the time by
// which witnesses had seen what follows from them. Clocks may differ by
// [keys.ClockTolerance].
func (v *verifier) times(a *ceremony.Account) {
	v.notAfter(recordOf(a.N), "was recorded", a.Time, v.now, "the time it is judged at")
	if a.Counter != nil && v.witnessed != nil {
		v.notAfter(recordOf(a.CounterHead.N), "was recorded", a.CounterTime, *v.witnessed, "the time by which witnesses had seen the bundle that came of it")
	}
	if a.LogProof != nil && v.newest != nil {
		v.notAfter(recordOf(a.LogProofN), "has a proof that was cosigned", *v.newest, a.LogProofTime, "the time of the record")
	}
	if a.Ended() && v.closed != nil {
		v.notAfter(recordOf(a.N), "was recorded", a.Time, *v.closed, "the time by which witnesses had seen that the ceremony had ended with it")
	}
}

func (v *verifier) notAfter(where, what string, at, limit time.Time, name string) {
	if at.After(limit.Add(keys.ClockTolerance)) {
		v.problem(where, "", "%s at %s, after %s, %s", what, strict.FormatTime(at), strict.FormatTime(limit), name)
	}
}
