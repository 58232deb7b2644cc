package service

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// An owner submits an epoch's digest, as to Cloudflare's auditor. A person signs no
// digest that they know nothing of: it waits for its request, which is what is
// inspected and signed.

const (
	submissionFormat = "fleetctl waiting-submission v1"
	submitted        = ".submission.json"
	maxSubmission    = 1 << 10 // bytes
	comeAgain        = 60      // seconds: it is a person that is waited for
)

// submission is an epoch's digest that was submitted without its request.
type submission struct {
	Format    string   `strict:"format"`
	Namespace string   `strict:"namespace,token"`
	Epoch     uint64   `strict:"epoch"`
	Digest    [32]byte `strict:"digest,hex"`
}

// parseSubmission reads a submission that waits.
func parseSubmission(file string, data []byte) (*submission, error) {
	n, err := strict.ParseJSON(file, data, maxSubmission)
	if err != nil {
		return nil, err
	}
	if err := strict.Format(file, n, submissionFormat); err != nil {
		return nil, err
	}
	x := new(submission)
	if err := strict.Decode(file, n, x); err != nil {
		return nil, err
	}
	if err := x.check(file); err != nil {
		return nil, err
	}
	return x, nil
}

func (x *submission) check(file string) error {
	if _, err := bundle.NewStatement(bundle.Protobuf, x.Namespace, 0, x.Epoch, x.Digest); err != nil {
		return strict.Errorf(file, "%v", err)
	}
	return nil
}

type epochJSON struct {
	Epoch  uint64   `strict:"epoch"`
	Digest [32]byte `strict:"digest,hex"`
}

// parsePosted reads what was submitted.
func parsePosted(namespace string, data []byte) (*submission, error) {
	n, err := strict.ParseJSON("submission", data, maxSubmission)
	if err != nil {
		return nil, err
	}
	var e epochJSON
	if err := strict.Decode("submission", n, &e); err != nil {
		return nil, err
	}
	x := &submission{submissionFormat, namespace, e.Epoch, e.Digest}
	if err := x.check("submission"); err != nil {
		return nil, err
	}
	return x, nil
}

type submittedJSON struct {
	Namespace string   `strict:"namespace"`
	Epoch     uint64   `strict:"epoch"`
	Digest    [32]byte `strict:"digest,hex"`
	Status    string   `strict:"status"`
}

// take answers a submission: with the statement where the epoch is signed, else that
// it waits.
func (q *Queue) take(s *Service, w http.ResponseWriter, r *http.Request) {
	who := r.TLS.VerifiedChains[0][0].Subject.String()
	ns, err := s.known(r)
	if err != nil {
		fail(w, http.StatusNotFound, err.Error())
		return
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxSubmission))
	var huge *http.MaxBytesError
	switch {
	case errors.As(err, &huge):
		fail(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("a submission has at most %d bytes", maxSubmission))
		return
	case err != nil:
		fail(w, http.StatusBadRequest, "the submission was cut off")
		return
	}
	x, err := parsePosted(ns, data)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	if !q.answered(s, x, "a submission", who, w) {
		q.wait(x, who, w)
	}
}

// answered answers what the ledger has decided: with the statement where this very
// digest is signed, with a conflict where what is submitted can't be signed any more.
func (q *Queue) answered(s *Service, x *submission, what, who string, w http.ResponseWriter) bool {
	st, err := s.read()
	if err != nil {
		s.failUnread(w, err)
		return true
	}
	q.settle(st)
	if done := st.epochs[x.Namespace][x.Epoch]; done != nil && done.Digest == x.Digest {
		w.Header().Set("Content-Type", "application/json")
		w.Write(done.Raw())
		return true
	}
	if err := st.allows(x); err != nil {
		q.Log.Warn(what+" contradicts the ledger", "from", who, "epoch", x.Epoch, "digest", fmt.Sprintf("%x", x.Digest), "error", err)
		fail(w, http.StatusConflict, err.Error())
		return true
	}
	return false
}

// allows holds a submission against what was signed.
func (st *state) allows(x *submission) error {
	if st.epochs[x.Namespace][x.Epoch] != nil {
		return fmt.Errorf("epoch %d was signed with another digest: one epoch has one digest", x.Epoch)
	}
	if last := st.last[x.Namespace]; last != nil && x.Epoch < last.Epoch {
		return fmt.Errorf("epoch %d comes before epoch %d, which was signed last", x.Epoch, last.Epoch)
	}
	for _, signed := range st.epochs[x.Namespace] {
		if signed.Digest == x.Digest {
			return fmt.Errorf("the digest was signed as epoch %d: no digest recurs", signed.Epoch)
		}
	}
	return nil
}

// wait puts a submission into the queue, if it isn't there.
func (q *Queue) wait(x *submission, who string, w http.ResponseWriter) {
	request, err := q.keep(x)
	switch {
	case errors.Is(err, errTaken):
		q.Log.Warn("a second digest for one epoch", "from", who, "epoch", x.Epoch, "digest", fmt.Sprintf("%x", x.Digest))
		fail(w, http.StatusConflict, "another digest waits for this epoch")
	case errors.Is(err, errFull):
		q.Log.Warn("the queue is full", "from", who)
		fail(w, http.StatusServiceUnavailable, err.Error())
	case err != nil:
		q.Log.Error("a submission can't be stored", "error", err)
		fail(w, http.StatusInternalServerError, "the submission can't be stored")
	default:
		status := "waiting for its request"
		if request {
			status = "waiting for a person"
		}
		q.Log.Info(status, "from", who, "namespace", x.Namespace, "epoch", x.Epoch)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Retry-After", fmt.Sprint(comeAgain))
		w.WriteHeader(http.StatusAccepted)
		w.Write(strict.EncodeLine(&submittedJSON{x.Namespace, x.Epoch, x.Digest, status}))
	}
}

// keep stores a submission, and says whether its request is there.
func (q *Queue) keep(x *submission) (request bool, err error) {
	q.one.Lock()
	defer q.one.Unlock()
	r, err := other(q.place(x.Namespace, x.Epoch, queued))
	switch {
	case err != nil:
		return false, err
	case r != nil && r.Digest != x.Digest:
		return false, &taken{*r, x.Digest}
	}
	_, err = q.store(q.place(x.Namespace, x.Epoch, submitted), submitted, strict.EncodeJSON(x))
	return r != nil, err
}
