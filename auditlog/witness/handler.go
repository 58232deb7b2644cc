package witness

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/fleetctl/fleetctl/auditlog"
)

// maxRequest is the most bytes of a request: enough for 63 hashes and a checkpoint
// with many cosignatures.
const maxRequest = 64 << 10

// Handler serves tlog-witness: POST /add-checkpoint, and, for each log, the newest
// cosigned checkpoint at GET /<hex SHA-256 of origin>/checkpoint. It calls failed,
// which may be nil, with the errors of the witness's own disk and key.
func (w *Witness) Handler(failed func(error)) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxRequest))
		var large *http.MaxBytesError
		switch {
		case errors.As(err, &large):
			http.Error(rw, fmt.Sprintf("the request has more than %d bytes", maxRequest), http.StatusRequestEntityTooLarge)
			return
		case err != nil:
			return // the client is gone
		}
		w.answer(rw, body, failed)
	})
	mux.HandleFunc("GET /{log}/checkpoint", func(rw http.ResponseWriter, r *http.Request) {
		for _, key := range w.o.Logs {
			if OriginID(key.Name()) != r.PathValue("log") {
				continue
			}
			if c, _, err := w.Last(key.Name()); err == nil && c != nil {
				rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
				rw.Header().Set("Cache-Control", "no-cache")
				_, _ = rw.Write(c.Marshal())
				return
			}
		}
		http.NotFound(rw, r)
	})
	return mux
}

func (w *Witness) answer(rw http.ResponseWriter, body []byte, failed func(error)) {
	req, err := auditlog.ParseRequest("request", body)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	sig, err := w.Cosign(req)
	var no *Refusal
	switch {
	case err == nil:
		rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(rw, sig)
	case errors.As(err, &no) && no.Status == http.StatusConflict:
		rw.Header().Set("Content-Type", sizeType)
		rw.WriteHeader(no.Status)
		fmt.Fprintln(rw, no.Size)
	case errors.As(err, &no):
		http.Error(rw, err.Error(), no.Status)
	default:
		// The error of the disk or the key is for the operator, not for the client.
		if failed != nil {
			failed(err)
		}
		http.Error(rw, "the witness can't sign at present", http.StatusInternalServerError)
	}
}
