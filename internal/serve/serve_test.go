package serve

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/fleetctl/fleetctl/internal/await"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// text is a log that a test reads while it is written.
type text struct{ lines chan string }

func (t *text) Write(p []byte) (int, error) {
	t.lines <- string(p)
	return len(p), nil
}

var quiet = slog.New(slog.DiscardHandler)

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	c := &http.Client{Timeout: await.Longest, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode, string(must(io.ReadAll(resp.Body)))
}

func TestSlowClientsTakeNoMoreThanTheirShare(t *testing.T) {
	inner := must(net.Listen("tcp", "127.0.0.1:0"))
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "here") })
	go Run(t.Context(), quiet, Part{Listener: limit(inner, 4), Handler: h})
	for range 3 { // half a request, and then nothing
		c := must(net.Dial("tcp", inner.Addr().String()))
		defer c.Close()
		fmt.Fprint(c, "GET /info HTTP/1.1\r\nHost:")
	}
	for range 5 {
		if code, body := get(t, "http://"+inner.Addr().String()+"/info"); code != 200 || body != "here" {
			t.Fatal(code, body)
		}
	}
	// One whose headers never end is cut off.
	slow := must(net.Dial("tcp", inner.Addr().String()))
	defer slow.Close()
	slow.SetReadDeadline(time.Now().Add(await.Longest))
	fmt.Fprint(slow, "GET /info HTTP/1.1\r\n")
	if _, err := bufio.NewReader(slow).ReadString('\n'); err == io.EOF {
		return // closed without an answer
	} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
		t.Error("a client that sends nothing is waited for")
	}
}

func TestAnAnswerThatWasBegunIsFinished(t *testing.T) {
	begun, goOn := make(chan bool), make(chan bool)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-goOn
		if r.Context().Err() != nil {
			t.Error("the request was cancelled")
		}
		fmt.Fprint(w, "whole")
	})
	l := must(Listen(t.Context(), "listen", "127.0.0.1:0", false))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, quiet, Part{Listener: l, Handler: h}) }()
	answer := make(chan string, 1)
	go func() {
		_, body := get(t, "http://"+l.Addr().String())
		answer <- body
	}()
	<-begun
	stop()
	close(goOn)
	if got := <-answer; got != "whole" {
		t.Errorf("the answer is %q", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestAPartThatFailsEndsTheOthers(t *testing.T) {
	good := must(Listen(t.Context(), "listen", "127.0.0.1:0", false))
	bad := must(Listen(t.Context(), "listen", "127.0.0.1:0", false))
	bad.Close()
	if err := Run(t.Context(), quiet, Part{Listener: good, Handler: http.NotFoundHandler()}, Part{Listener: bad, Handler: http.NotFoundHandler()}); err == nil {
		t.Error("the listener was closed, and that is no error")
	}
}

func TestOtherMachinesAreLetInOnlyWhereThatIsSaid(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:80"} {
		if _, err := Listen(t.Context(), "listen", address, false); err == nil || !strings.Contains(err.Error(), "reachable from other machines") {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{"18091", "127.0.0.1", "", "a:b:c"} {
		if _, err := Listen(t.Context(), "listen", address, true); err == nil || !strings.Contains(err.Error(), "host and port are wanted") {
			t.Errorf("%q: %v", address, err)
		}
	}
	l := must(Listen(t.Context(), "listen", "0.0.0.0:0", true))
	l.Close()
}

// curl asks as an operator would.
func curl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("curl", append([]string{"--silent", "--show-error", "--max-time", "60"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("curl %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func TestHealthAndMetricsForCurlAndPrometheus(t *testing.T) {
	var sick atomic.Bool
	lines := &text{make(chan string, 100)}
	w := Watch("test", "1", slog.New(slog.NewTextHandler(lines, nil)), func() error {
		if sick.Load() {
			return errors.New("the ledger can't be read")
		}
		return nil
	})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /thing/{name}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("name") == "broken" {
			http.Error(w, "no", http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, "12345")
	})
	public := must(Listen(t.Context(), "listen", "127.0.0.1:0", false))
	operator := must(Listen(t.Context(), "metrics", "127.0.0.1:0", false))
	go Run(t.Context(), w.Log, Part{Listener: public, Handler: w.Handler(mux)}, Part{Listener: operator, Handler: w.Operator()})
	at, metrics := "http://"+public.Addr().String(), "http://"+operator.Addr().String()+"/metrics"

	if got := curl(t, "--fail", at+"/healthz"); got != `{"status":"ok"}` {
		t.Errorf("health: %s", got)
	}
	sick.Store(true)
	if got := curl(t, "--write-out", " %{http_code}", at+"/healthz"); got != `{"status":"failing","why":"the ledger can't be read"} 503` {
		t.Errorf("health: %s", got)
	}
	if got := curl(t, "--request", "POST", "--output", "/dev/null", "--write-out", "%{http_code}", at+"/healthz"); got != "405" {
		t.Errorf("POST to health: %s", got)
	}
	// What a client makes up is no label: else it could fill the memory.
	for _, path := range []string{"/thing/a", "/thing/b", "/thing/broken", "/elsewhere", "/metrics"} {
		curl(t, at+path)
	}
	curl(t, "--request", "BREW", at+"/thing/a")
	if line := <-lines.lines; !strings.Contains(line, "level=ERROR") || !strings.Contains(line, "path=/thing/broken") || !strings.Contains(line, "code=500") {
		t.Errorf("logged: %s", line)
	}
	p := expfmt.NewTextParser(model.LegacyValidation)
	got, err := p.TextToMetricFamilies(strings.NewReader(curl(t, "--fail", metrics)))
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]float64{}
	for _, m := range got["fleetctl_http_requests_total"].Metric {
		var key []string
		for _, l := range m.Label {
			key = append(key, l.GetValue())
		}
		counts[strings.Join(key, "|")] = m.Counter.GetValue()
	}
	want := map[string]float64{"GET /thing/{name}|GET|200": 2, "GET /thing/{name}|GET|500": 1, "|GET|404": 2, "|other|405": 1}
	if fmt.Sprint(counts) != fmt.Sprint(want) { // labels in the order of the text: route, method, code
		t.Errorf("requests: %v", counts)
	}
	if up := got["fleetctl_healthy"].Metric[0].Gauge.GetValue(); up != 0 {
		t.Errorf("fleetctl_healthy is %v while the service is sick", up)
	}
	if n := got["fleetctl_http_request_duration_seconds"].Metric; len(n) != 2 {
		t.Errorf("durations: %v", n)
	}
}

// What breaks down in the program is no news of a client's: it is told, counted, and
// the service goes on.
func TestABreakdownIsLoggedAndCountedAsOne(t *testing.T) {
	lines := &text{make(chan string, 10)}
	w := Watch("test", "1", slog.New(slog.NewTextHandler(lines, nil)), func() error { return nil })
	mux := http.NewServeMux()
	mux.HandleFunc("GET /breaks", func(rw http.ResponseWriter, _ *http.Request) { panic("a slice is too short") })
	mux.HandleFunc("GET /aborts", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	mux.HandleFunc("GET /works", func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, "here") })
	l := must(Listen(t.Context(), "listen", "127.0.0.1:0", false))
	go Run(t.Context(), w.Log, Part{Listener: l, Handler: w.Handler(mux)})
	at := "http://" + l.Addr().String()
	for _, path := range []string{"/aborts", "/breaks"} {
		if resp, err := http.Get(at + path); err == nil {
			resp.Body.Close()
			t.Errorf("%s answers %s", path, resp.Status)
		}
	}
	if code, body := get(t, at+"/works"); code != http.StatusOK || body != "here" {
		t.Errorf("afterwards: %d, %s", code, body)
	}
	for _, want := range []string{"a slice is too short", "code=500"} {
		select {
		case line := <-lines.lines:
			if !strings.Contains(line, "level=ERROR") || !strings.Contains(line, want) {
				t.Errorf("logged: %s", line)
			}
		default:
			t.Fatalf("nothing is logged of %q", want)
		}
	}
	var b strings.Builder
	if err := w.Metrics.Write(&b); err != nil || !strings.Contains(b.String(), `route="GET /breaks",method="GET",code="500"} 1`) {
		t.Errorf("%v\n%s", err, b.String())
	}
}
