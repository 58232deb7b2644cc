//go:build unix

package witness_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/fleetctl/fleetctl/auditlog"
	"github.com/fleetctl/fleetctl/auditlog/witness"
	"github.com/fleetctl/fleetctl/internal/await"
)

func collect(l *testLog, p *auditlog.Policy, c *auditlog.Checkpoint, a witness.Ask) (*auditlog.Checkpoint, []witness.Answer) {
	return (&witness.Client{Timeout: await.Longest}).Collect(context.Background(), p, c, l.Consistency, a)
}

func TestCollectFollowsTheLog(t *testing.T) {
	l := newLog(t)
	_, line1, _ := ours(t, l, "w.example/1")
	_, line2, _ := ours(t, l, "w.example/2")
	p := policy(t, l, line1+line2, "group both all w-example-1 w-example-2\nquorum both\n")
	var seen []*auditlog.Checkpoint
	for i, n := range []int{1, 5, 300, 1} {
		c := l.grow(t, fmt.Sprint(i), n)
		a := witness.Ask{}
		if i%2 == 0 {
			a.Seen = seen // else they are asked from nothing and say where they are
		}
		got, answers := collect(l, p, c, a)
		for _, x := range answers {
			if x.Err != nil {
				t.Error(x.Err)
			}
		}
		cosigning, err := p.VerifyCheckpoint(got)
		if err != nil || !cosigning.Quorum || len(cosigning.Witnesses) != 2 {
			t.Fatalf("%+v, %v", cosigning, err)
		}
		seen = append(seen, got)
		// Nobody is asked again for what is there, unless that is wanted.
		if _, again := collect(l, p, got, witness.Ask{}); len(again) != 0 {
			t.Errorf("asked again: %v", again)
		}
		if _, again := collect(l, p, got, witness.Ask{Again: true}); len(again) != 2 || again[0].Err != nil {
			t.Errorf("renewed: %v", again)
		}
	}
}

// TestWitnessesThatFail has one good witness beside each kind of bad one.
func TestWitnessesThatFail(t *testing.T) {
	l := newLog(t)
	_, good, url := ours(t, l, "w.example/good")
	c := l.grow(t, "a", 3)
	answer := func(status int, kind, body string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			if kind != "" {
				rw.Header().Set("Content-Type", kind)
			}
			rw.WriteHeader(status)
			_, _ = rw.Write([]byte(body))
		}
	}
	const size = "text/x.tlog.size"
	moving := 0
	for name, test := range map[string]struct {
		h    http.HandlerFunc
		want error
		says string
	}{
		"unknown log":       {answer(404, "", "unknown log\n"), witness.ErrUnknownLog, "unknown log"},
		"key":               {answer(403, "", "invalid signature\n"), witness.ErrKey, ""},
		"fork":              {answer(422, "", "bad proof\n"), witness.ErrFork, ""},
		"ahead":             {answer(409, size, "7\n"), witness.ErrAhead, "7 entries, this one has 3"},
		"bad request":       {answer(400, "", "invalid input\n"), witness.ErrRefused, "400 invalid input"},
		"server error":      {answer(500, "", ""), witness.ErrRefused, "500"},
		"too many":          {answer(429, "", "later"), witness.ErrRefused, "429 later"},
		"409 without type":  {answer(409, "text/plain", "2\n"), witness.ErrMalformed, "409"},
		"409 with junk":     {answer(409, size, "x\n"), witness.ErrMalformed, "409"},
		"409 with 02":       {answer(409, size, "02\n"), witness.ErrMalformed, "409"},
		"409 with the same": {answer(409, size, "0\n"), witness.ErrMalformed, "409"},
		"409 for ever": {func(rw http.ResponseWriter, r *http.Request) {
			moving++
			answer(409, size, fmt.Sprintf("%d\n", 1+moving%2))(rw, r)
		}, witness.ErrMalformed, "another size 3 times"},
		"empty":            {answer(200, "", ""), witness.ErrMalformed, ""},
		"junk":             {answer(200, "", "<html>"), witness.ErrMalformed, ""},
		"other key's line": {answer(200, "", "— x.example AAAAAAA=\n"), witness.ErrMalformed, "no line of its 1"},
		"too large":        {answer(200, "", strings.Repeat("— x.example AAAAAAA=\n", 9000)), witness.ErrUnreachable, "more than"},
		"redirect": {func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, url+r.URL.Path, http.StatusTemporaryRedirect)
		}, witness.ErrRefused, "307"},
		"slow":              {untilTheyLeave, witness.ErrUnreachable, "deadline"},
		"hangs up":          {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, witness.ErrUnreachable, ""},
		"clock a day ahead": {aheadBy(24 * time.Hour), witness.ErrMalformed, "ahead of the clock here"},
		"of another tree":   {otherTree, witness.ErrMalformed, "signature"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(test.h)
			defer srv.Close()
			line := fmt.Sprintf("witness bad %s %s\n", signer("w.example/bad").Key, srv.URL)
			p := policy(t, l, good+line, "group one 1 w-example-good bad\nquorum one\n")
			client := &witness.Client{Timeout: await.Longest}
			if name == "slow" {
				client = &witness.Client{Timeout: 50 * time.Millisecond, HTTP: &http.Client{Transport: unhurried(url)}}
			}
			got, answers := client.Collect(context.Background(), p, c, l.Consistency, witness.Ask{})
			cosigning, err := p.VerifyCheckpoint(got)
			if err != nil || !cosigning.Quorum || len(cosigning.Missing) != 1 {
				t.Errorf("the good one is lost: %+v, %v", cosigning, err)
			}
			var e *witness.Error
			if len(answers) != 2 || answers[0].Err != nil || !errors.As(answers[1].Err, &e) || !errors.Is(e, test.want) || e.Witness != "bad" || !strings.Contains(e.Error(), test.says) {
				t.Errorf("got %v, want %v that says %q", answers, test.want, test.says)
			}
			if alarming := witness.Alarming(answers) != nil; alarming != (test.want == witness.ErrAhead || test.want == witness.ErrFork) {
				t.Errorf("alarming: %v", alarming)
			}
		})
	}
}

// untilTheyLeave answers nothing, as long as somebody waits. That nobody does any
// more is noticed only once the request was read.
func untilTheyLeave(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// unhurried is a transport without a deadline for the witness at this address,
// which is a good one, however busy the machine is.
type unhurried string

func (url unhurried) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasPrefix(r.URL.String(), string(url)) {
		r = r.WithContext(context.WithoutCancel(r.Context()))
	}
	return http.DefaultTransport.RoundTrip(r)
}

// cosigning answers a request as the witness bad, after a change.
func cosigning(change func(*auditlog.Request) time.Time) http.HandlerFunc {
	s := signer("w.example/bad")
	return func(rw http.ResponseWriter, r *http.Request) {
		body := make([]byte, 1<<16)
		n, _ := r.Body.Read(body)
		req, err := auditlog.ParseRequest("r", body[:n])
		if err != nil {
			return
		}
		now := change(req)
		sig, err := req.Checkpoint.Cosign(s.Key, now, s.Sign)
		if err == nil {
			fmt.Fprintln(rw, sig)
		}
	}
}

func aheadBy(d time.Duration) http.HandlerFunc {
	return cosigning(func(*auditlog.Request) time.Time { return time.Now().Add(d) })
}

var otherTree = cosigning(func(r *auditlog.Request) time.Time { r.Checkpoint.Root[0] ^= 1; return time.Now() })

func TestWitnessThatIsDown(t *testing.T) {
	l := newLog(t)
	_, line, _ := ours(t, l, "w.example/up")
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	p := policy(t, l, line+fmt.Sprintf("witness down %s %s\nwitness far %s\n", signer("w.example/down").Key, srv.URL, signer("w.example/far").Key),
		"group two 2 w-example-up down far\nquorum two\n")
	c := l.grow(t, "a", 1)
	got, answers := collect(l, p, c, witness.Ask{})
	if !errors.Is(answers[1].Err, witness.ErrUnreachable) || !errors.Is(answers[2].Err, witness.ErrNoURL) {
		t.Errorf("%v", answers)
	}
	cosigning, err := p.VerifyCheckpoint(got)
	if err != nil || cosigning.Quorum || len(cosigning.Witnesses) != 1 {
		t.Errorf("%+v, %v", cosigning, err)
	}
}

func TestHandlerKeepsToItsLimits(t *testing.T) {
	l := newLog(t)
	_, _, url := ours(t, l, "w.example/1")
	l.grow(t, "a", 1)
	post := func(body string) (int, string) {
		resp, err := http.Post(url+"/add-checkpoint", "text/plain", strings.NewReader(body))
		check(t, err)
		defer resp.Body.Close()
		return resp.StatusCode, resp.Header.Get("Content-Type")
	}
	good := string(l.request(t, 0).Marshal())
	for _, c := range []struct { // in this order: what was cosigned counts for the next
		body string
		want int
	}{
		{"", 400},
		{"old 1\n\n", 400},
		{strings.Repeat("x", 1<<17), 413},
		{good, 200},
		{good + "— x AAAAAAAA\n", 409}, // another's line is no fault; the size is
	} {
		if got, kind := post(c.body); got != c.want || got == 409 && kind != "text/x.tlog.size" {
			t.Errorf("%.40q: %d %s, want %d", c.body, got, kind, c.want)
		}
	}
	for path, want := range map[string]int{
		"/" + witness.OriginID(origin) + "/checkpoint": 200,
		"/" + witness.OriginID("x") + "/checkpoint":    404,
		"/add-checkpoint": 405,
		"/lock":           404,
	} {
		resp, err := http.Get(url + path)
		check(t, err)
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("GET %s: %d, want %d", path, resp.StatusCode, want)
		}
	}
}
