package screen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/ceremony/state"
	"github.com/fleetctl/fleetctl/internal/cli"
	"github.com/fleetctl/fleetctl/internal/qr"
	"github.com/fleetctl/fleetctl/internal/statepage"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// fileSeen is a file as it was when it was read.
type fileSeen struct {
	size    int64
	changed time.Time
}

// maxPictures is how many pictures of a folder are looked at: a camera program that
// never clears its folder is told to.
const maxPictures = 4096

// maxCollecting is how many files are put together from frames at once.
const maxCollecting = 16

// files are the pictures that may have come, in the order of their names.
func (s *Screen) files() (list []string, err error) {
	for _, root := range s.Look {
		info, err := os.Stat(root)
		if err != nil {
			return nil, cli.Usage(cli.Missing(err))
		}
		if !info.IsDir() {
			list = append(list, root)
			continue
		}
		entries, err := os.ReadDir(root)
		if err != nil {
			return nil, err
		}
		if len(entries) > maxPictures {
			return nil, cli.Usagef("move away those that were read", "%s has %d files; %d are looked at", root, len(entries), maxPictures)
		}
		for _, e := range entries {
			if name := e.Name(); !strings.HasPrefix(name, ".") && !e.IsDir() && !strings.EqualFold(filepath.Ext(name), ".pdf") {
				list = append(list, filepath.Join(root, name))
			}
		}
	}
	return list, nil
}

// look takes what has come: pictures first, then the page.
func (s *Screen) look(ctx context.Context) error {
	files, err := s.files()
	if err != nil {
		return err
	}
	for _, file := range files {
		info, err := os.Stat(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the camera program has taken it away
		} else if err != nil {
			return err
		}
		is := fileSeen{info.Size(), info.ModTime()}
		if s.read[file] == is || !info.Mode().IsRegular() || is.size == 0 {
			continue // one that is empty is being written
		}
		s.read[file] = is
		if err := s.takeFile(file, slices.Contains(s.Look, file)); err != nil {
			return err
		}
	}
	if s.From == "" {
		return nil
	}
	return s.takePage(ctx)
}

// takeFile takes a picture, or a file with text. named says that somebody asked for
// this very file: of a camera's folder, pictures without a code are no fault.
func (s *Screen) takeFile(file string, named bool) error {
	data, err := cli.ReadNamed(file, max(qr.MaxImage, ceremony.MaxTranscript))
	if err != nil {
		if named {
			s.faults++
			s.App.UI.Error(err)
		}
		return nil
	}
	if !cli.IsPicture(data) {
		return s.take(file, data, named)
	}
	text, err := qr.Read(file, data)
	if err != nil {
		s.faults++
		s.App.UI.Error(err)
		return nil
	}
	return s.take(file, []byte(text), named)
}

// take takes what somebody was shown: a state, a frame, a chain, a transcript.
func (s *Screen) take(where string, data []byte, named bool) error {
	var err error
	switch text := strings.TrimSpace(string(data[:min(len(data), 4096)])); {
	case strings.HasPrefix(text, state.Prefix):
		var at state.State
		if at, err = state.Parse(strings.TrimSpace(string(data))); err == nil {
			err = s.seen.Claim(s.Plan, at)
		}
	case strings.HasPrefix(text, qr.Prefix):
		return s.takeFrame(where, text, named)
	case state.IsChain(data):
		err = s.seen.LinkFile(s.Plan, where, data)
	case bytes.HasPrefix(data, []byte(`{"n":1,`)):
		err = s.replay(where, data)
	default:
		err = fmt.Errorf("is none of what a second screen takes: a state's code, QR frames, a chain of records, a transcript")
	}
	return s.taken(where, err, named)
}

func (s *Screen) replay(where string, data []byte) error {
	a, err := s.seen.Replay(s.Plan, where, data)
	if err == nil {
		s.account = a
	}
	return err
}

// taken keeps what came of it, and tells what was refused. A picture of what was seen
// that still lies in a camera's folder is nothing to tell.
func (s *Screen) taken(where string, err error, named bool) error {
	if kerr := s.keep(); kerr != nil {
		return kerr
	}
	var r *state.Refusal
	switch {
	case err == nil, errors.As(err, &r) && r.Known && !named:
		return nil
	case errors.As(err, &r):
		s.refusals++
		if what := where + r.Error(); !s.told[what] {
			s.told[what] = true
			s.refusedLoudly(where, err)
		}
	default:
		var f *strict.Error
		if errors.As(err, &f) {
			s.App.UI.Error(err)
		} else {
			s.App.UI.Error(strict.Errorf(where, "%v", err))
		}
	}
	s.faults++
	return nil
}

// takeFrame puts files together from their frames, several at once: a folder has the
// frames of the next chain beside those of the last.
func (s *Screen) takeFrame(where, text string, named bool) error {
	sum, err := qr.FileOf(text)
	if err != nil {
		return s.taken(where, err, named)
	}
	c := s.frames[sum]
	if c == nil {
		if len(s.frames) >= maxCollecting {
			clear(s.frames)
		}
		c = &qr.Collector{}
		s.frames[sum] = c
	}
	if err := c.Add(where, text); err != nil {
		return s.taken(where, err, named)
	}
	if missing, of := c.Missing(); len(missing) > 0 {
		s.say(fmt.Sprintf("%d of %d frames; not yet: %s", of-len(missing), of, qr.Numbers(missing)))
		return nil
	}
	delete(s.frames, sum)
	data, err := c.File()
	if err != nil {
		return s.taken(where, err, named)
	}
	if bytes.HasPrefix(data, []byte(qr.Prefix)) {
		return s.taken(where, fmt.Errorf("has frames within frames"), named)
	}
	return s.take(where, data, named)
}

// takePage reads the page: the state first, and where that is new, all records.
func (s *Screen) takePage(ctx context.Context) error {
	where := s.From + statepage.StatePath
	data, err := fetch(ctx, where, 1<<10)
	what := "no connection to the room"
	if err == nil {
		what = "what the room serves can't be read"
		var at state.State
		if at, err = state.Parse(strings.TrimSpace(string(data))); err == nil {
			if last, how, ok := s.seen.Last(); ok && at == last && how == state.Replayed && s.account != nil {
				s.connected(at)
				return nil
			}
			if err := s.seen.Claim(s.Plan, at); err != nil {
				return s.taken(where, err, true)
			}
			where = s.From + statepage.TranscriptPath
			if data, err = fetch(ctx, where, ceremony.MaxTranscript); err == nil {
				s.connected(at)
				return s.taken(where, s.replay(where, data), true)
			}
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !s.told["page"] { // once, until it answers again
		s.told["page"] = true
		s.faults++
		s.App.UI.Error(strict.Errorf("", "%s %s: %s: %v", s.clock(), what, where, err).WithHint("ask whether the ceremony's machine serves it (--listen), or take its codes by camera"))
	}
	return nil
}

// connected says that the page answers again, where it was told that it doesn't.
func (s *Screen) connected(at state.State) {
	if !s.told["page"] {
		return
	}
	s.told["page"] = false
	still := "now"
	if at.Record == s.shown.Record {
		still = "still"
	}
	s.say(fmt.Sprintf("%s connected again, %s record %d", s.clock(), still, at.Record))
}

func (s *Screen) clock() string { return s.App.Now().UTC().Format("15:04") }

// progress changes with everything that a look can bring.
func (s *Screen) progress() string {
	last, how, _ := s.seen.Last()
	return fmt.Sprint(last, how, len(s.seen.Alarms), s.faults, s.told["page"], len(s.frames))
}

// lookAgain looks because somebody pressed Enter, and says so where nothing has come.
func (s *Screen) lookAgain(ctx context.Context) error {
	before := s.progress()
	if err := s.look(ctx); err != nil || s.progress() != before {
		return err
	}
	if s.told["page"] {
		s.say("looked: still no connection to the room")
		return nil
	}
	s.say("looked: nothing new")
	return nil
}

func client() *http.Client {
	return &http.Client{
		Timeout:   20 * time.Second,
		Transport: &http.Transport{Proxy: nil, MaxIdleConns: 2, MaxResponseHeaderBytes: 16 << 10, ResponseHeaderTimeout: 10 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return errors.New("it sends elsewhere, where nobody was sent")
		},
	}
}

func fetch(ctx context.Context, address string, limit int) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client().Do(req)
	var u *url.Error
	if errors.As(err, &u) {
		return nil, u.Err // the address is said by whoever tells it
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answers %s", resp.Status)
	}
	return cli.ReadAll(resp.Body, address, 0, limit)
}
