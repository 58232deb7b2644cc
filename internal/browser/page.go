package browser

import (
	"context"
	"encoding/json"
	"fmt"
)

// Page is a tab.
type Page struct {
	b               *Browser
	session, target string
	heard           func(Event)
	loaded          map[string]bool // by the loader of a page: it is there
	changed         chan struct{}   // something was loaded
}

// Open opens an empty page. heard, if set, is told of every event, and must return at
// once.
func (b *Browser) Open(ctx context.Context, heard func(Event)) (*Page, error) {
	var target struct{ TargetID string }
	if err := b.call(ctx, "", "Target.createTarget", map[string]any{"url": "about:blank"}, &target); err != nil {
		return nil, err
	}
	var at struct{ SessionID string }
	if err := b.call(ctx, "", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &at); err != nil {
		return nil, err
	}
	p := &Page{b: b, session: at.SessionID, target: target.TargetID, heard: heard, loaded: map[string]bool{}, changed: make(chan struct{}, 1)}
	b.mu.Lock()
	b.pages[p.session] = p
	b.mu.Unlock()
	for _, domain := range []string{"Page", "Runtime"} {
		if err := p.Call(ctx, domain+".enable", nil, nil); err != nil {
			return nil, err
		}
	}
	return p, p.Call(ctx, "Page.setLifecycleEventsEnabled", map[string]any{"enabled": true}, nil)
}

// Close closes the page.
func (p *Page) Close(ctx context.Context) error {
	return p.b.call(ctx, "", "Target.closeTarget", map[string]any{"targetId": p.target}, nil)
}

// hear keeps what has been loaded; the browser's lock is held.
func (p *Page) hear(e Event) {
	var l struct{ LoaderID, Name string }
	if e.Method == "Page.lifecycleEvent" && json.Unmarshal(e.Params, &l) == nil && l.Name == "load" {
		p.loaded[l.LoaderID] = true
		select {
		case p.changed <- struct{}{}:
		default: // it is known already that something was
		}
	}
	if p.heard != nil {
		p.heard(e)
	}
}

// Call calls a method of the DevTools protocol, and puts its answer into result where
// that isn't nil.
func (p *Page) Call(ctx context.Context, method string, params, result any) error {
	return p.b.call(ctx, p.session, method, params, result)
}

// Go loads an address and waits until it is there.
func (p *Page) Go(ctx context.Context, url string) error {
	var r struct{ ErrorText, LoaderID string }
	if err := p.Call(ctx, "Page.navigate", map[string]any{"url": url}, &r); err != nil {
		return err
	}
	if r.ErrorText != "" {
		return fmt.Errorf("%s: %s", url, r.ErrorText)
	}
	for {
		p.b.mu.Lock()
		there := p.loaded[r.LoaderID]
		p.b.mu.Unlock()
		if there {
			return nil
		}
		select {
		case <-p.changed:
		case <-p.b.ended:
			return fmt.Errorf("%s: the browser has ended", url)
		case <-ctx.Done():
			return fmt.Errorf("%s doesn't load: %w", url, ctx.Err())
		}
	}
}

// Eval evaluates an expression as if a person had asked for it, waits for it where it is
// a promise, and puts its value into result where that isn't nil.
func (p *Page) Eval(ctx context.Context, expression string, result any) error {
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	if err := p.Call(ctx, "Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true}, &r); err != nil {
		return err
	}
	if x := r.ExceptionDetails; x != nil {
		return fmt.Errorf("%.200s: %s %s", expression, x.Text, x.Exception.Description)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(r.Result.Value, result)
}
