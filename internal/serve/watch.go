package serve

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/fleetctl/fleetctl/internal/metrics"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// maxPath bounds, in bytes, the path of a request in a log line.
const maxPath = 200

// seconds are the bounds of the histogram of answers' durations.
var seconds = []float64{0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10}

// Watched is a service as its operator sees it: healthy or not, how many requests
// of which kind, and what went wrong.
type Watched struct {
	Log     *slog.Logger
	Metrics *metrics.Set

	// Healthy says why the service can't do its work, nil if it can. Whoever asks
	// for /healthz reads the text, so it has no paths and no secrets.
	Healthy func() error
	// Route names the kind of a request, of a few: it is a label of metrics. Without
	// it the pattern of http.ServeMux is.
	Route func(*http.Request) string
	// Access has each request logged, not only those that the service failed to
	// answer.
	Access bool

	requests, durations, bytes, open *metrics.Family
}

// Watch begins to watch a service. The name is the command's: log, thirdparty,
// bundle, monitor.
func Watch(name, version string, log *slog.Logger, healthy func() error) *Watched {
	m := &metrics.Set{}
	m.Process(name, version, time.Now())
	w := &Watched{Log: log, Metrics: m, Healthy: healthy}
	up := m.Gauge("fleetctl_healthy", "Whether the service can do its work, as /healthz says.")
	m.OnRead(func() { up.Set(truth(w.Healthy() == nil)) })
	return w
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Handler counts and logs what another handler answers, and answers /healthz.
func (w *Watched) Handler(next http.Handler) http.Handler {
	if w.requests == nil {
		labels := []string{"route", "method", "code"}
		w.requests = w.Metrics.Counter("fleetctl_http_requests_total", "Requests that were answered.", labels...)
		w.durations = w.Metrics.Histogram("fleetctl_http_request_duration_seconds", "Time from a request's header to the end of its answer.", seconds, "route")
		w.bytes = w.Metrics.Counter("fleetctl_http_response_bytes_total", "Bytes of answers' bodies.", "route")
		w.open = w.Metrics.Gauge("fleetctl_http_requests_in_flight", "Requests that are being answered.")
	}
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			w.health(rw, r)
			return
		}
		began := time.Now()
		answer := &answered{ResponseWriter: rw}
		w.open.Add(1)
		defer func() {
			w.open.Add(-1)
			broke := recover()
			if broke != nil && broke != http.ErrAbortHandler {
				w.Log.Error("the program broke down in an answer", "what", fmt.Sprint(broke), "at", string(debug.Stack()))
				answer.code = http.StatusInternalServerError
			}
			w.count(r, answer, time.Since(began))
			if broke != nil {
				panic(http.ErrAbortHandler) // the client sees an answer that is cut off
			}
		}()
		next.ServeHTTP(answer, r)
	})
}

func (w *Watched) count(r *http.Request, answer *answered, took time.Duration) {
	route := r.Pattern
	if w.Route != nil {
		route = w.Route(r)
	}
	method := r.Method
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost:
	default:
		method = "other" // a client may send any word
	}
	code := answer.code
	if code == 0 {
		code = http.StatusOK
	}
	w.requests.Add(1, route, method, strconv.Itoa(code))
	w.durations.Observe(took.Seconds(), route)
	w.bytes.Add(float64(answer.bytes), route)
	level := slog.LevelDebug
	switch {
	case code >= 500:
		level = slog.LevelError
	case w.Access:
		level = slog.LevelInfo
	}
	path := r.URL.Path
	if len(path) > maxPath {
		path = path[:maxPath] + "…"
	}
	w.Log.Log(r.Context(), level, "answered", "method", method, "path", path, "code", code, "bytes", answer.bytes, "seconds", took.Seconds(), "from", r.RemoteAddr)
}

// Operator answers those who run the service: /metrics and /healthz.
func (w *Watched) Operator() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", metrics.ContentType)
		if err := w.Metrics.Write(rw); err != nil {
			w.Log.Debug("the metrics were not read to their end", "error", err)
		}
	})
	mux.HandleFunc("/healthz", w.health)
	return mux
}

type healthJSON struct {
	Status string `strict:"status"` // ok or failing
	Why    string `strict:"why,optional"`
}

func (w *Watched) health(rw http.ResponseWriter, r *http.Request) {
	h := rw.Header()
	h.Set("Cache-Control", "no-store")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(rw, "health is only read", http.StatusMethodNotAllowed)
		return
	}
	h.Set("Content-Type", "application/json")
	answer := healthJSON{Status: "ok"}
	if err := w.Healthy(); err != nil {
		rw.WriteHeader(http.StatusServiceUnavailable)
		answer = healthJSON{"failing", err.Error()}
	}
	rw.Write(strict.EncodeLine(&answer))
}

// answered notes what an answer was.
type answered struct {
	http.ResponseWriter
	code  int
	bytes int64
}

// Unwrap lets http.ResponseController reach the server's own.
func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answered) WriteHeader(code int) {
	if a.code == 0 && code >= 200 { // those below come before the answer
		a.code = code
	}
	a.ResponseWriter.WriteHeader(code)
}

// ReadFrom keeps the server's way of sending a file without copying it.
func (a *answered) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(a.ResponseWriter, r)
	a.bytes += n
	return n, err
}

func (a *answered) Write(p []byte) (int, error) {
	n, err := a.ResponseWriter.Write(p)
	a.bytes += int64(n)
	return n, err
}
