package bundle

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"filippo.io/mldsa"

	"github.com/fleetctl/fleetctl/auditlog"
)

// pqNote cosigns as a witness with ML-DSA-44 (type 6), as C2SP's tlog-cosignature says.
type pqNote struct{ name string }

func (k pqNote) key() *mldsa.PrivateKey {
	return must(mldsa.NewPrivateKey(mldsa.MLDSA44(), seed(k.name)))
}

func (k pqNote) hash() []byte {
	h := sha256.Sum256(append([]byte(k.name+"\n\x06"), k.key().PublicKey().Bytes()...))
	return h[:4]
}

func (k pqNote) vkey() string {
	return fmt.Sprintf("%s+%x+%s", k.name, k.hash(), base64.StdEncoding.EncodeToString(append([]byte{6}, k.key().PublicKey().Bytes()...)))
}

// line cosigns the tree of [logged], whose root stands on the text's third line.
func (k pqNote) line(proof []byte, at time.Time) string {
	_, note, _ := strings.Cut(string(proof), "\n\n")
	text := strings.Split(note, "\n")
	m := append([]byte("subtree/v1\n\x00"), byte(len(k.name)))
	m = binary.BigEndian.AppendUint64(append(m, k.name...), uint64(at.Unix()))
	m = append(append(m, byte(len(text[0]))), text[0]...)
	m = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(m, 0), 2)
	m = append(m, must(base64.StdEncoding.DecodeString(text[2]))...)
	raw := binary.BigEndian.AppendUint64(k.hash(), uint64(at.Unix()))
	raw = append(raw, must(k.key().SignDeterministic(m, nil))...)
	return "— " + k.name + " " + base64.StdEncoding.EncodeToString(raw) + "\n"
}

var (
	strong1 = pqNote{"pq1.example"}
	strong2 = pqNote{"pq2.example"}
)

func hybridLog(t *testing.T, quorum string) *auditlog.Policy {
	t.Helper()
	p, err := auditlog.ParsePolicy("policy", []byte("log "+logKey.vkey()+"\nwitness one "+witness1.vkey()+"\nwitness two "+witness2.vkey()+
		"\nwitness strong-1 "+strong1.vkey()+"\nwitness strong-2 "+strong2.vkey()+"\n"+quorum))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What dates a hybrid bundle is as strong as it: witnesses whose keys are classical
// make no quorum, neither the earliest nor the newest, however many there are.
func TestADeviceHasAHybridBundleDatedByPostQuantumWitnesses(t *testing.T) {
	w := hybridWorld()
	bundle := must(Assemble(w.set.Raw(), w.statements, w.counter, aRecord)).Raw()
	log := hybridLog(t, "group q 2 one two strong-1 strong-2\nquorum q\n")
	classical := logged(bundle, now.Add(-2*time.Hour), now.Add(-time.Hour))
	one := append(classical, strong1.line(classical, now.Add(-3*time.Hour))...)
	two := append(one, strong2.line(classical, now.Add(-4*time.Hour))...)
	check := func(w *world, log *auditlog.Policy, proof []byte) (*Accepted, error) {
		return Check(bundle, proof, w.trust, log, nil, now, 24*time.Hour)
	}
	for name, proof := range map[string][]byte{"none": classical, "one of two": one} {
		_, err := check(w, log, proof)
		var r *Refusal
		if !errors.As(err, &r) || r.Reason != ReasonWitnesses || !strings.Contains(err.Error(), "one: its key is classical, and post-quantum signatures are required") {
			t.Errorf("%s: %v", name, err)
		}
	}
	got, err := check(w, log, two)
	if err != nil || got.Age != 4*time.Hour || !got.State.Witnessed.Equal(now.Add(-4*time.Hour)) {
		t.Errorf("%+v, %v", got, err)
	}
	// Under a classical trust the same witnesses count as they always did.
	if got, err = check(newWorld(), log, two); err != nil || got.Age != 2*time.Hour {
		t.Errorf("%+v, %v", got, err)
	}
	for quorum, want := range map[string]string{
		"group q all one strong-1\nquorum q\n": "can't be met by witnesses whose keys are ML-DSA-44",
		"quorum none\n":                        "names no quorum of witnesses",
	} {
		log := hybridLog(t, quorum)
		_, err := check(w, log, two)
		if !errors.Is(err, ErrTrust) || !errors.Is(w.trust.CheckWith(log), ErrTrust) {
			t.Errorf("%q: %v", quorum, err)
		}
		wantError(t, err, want)
	}
}
