package testbrowser

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/fleetctl/fleetctl/internal/browser"
)

// Page is a tab.
type Page struct {
	t      testing.TB
	page   *browser.Page
	mu     sync.Mutex
	faults []string
	asked  []string
}

// Open opens an empty page of a size, with a colour scheme, light or dark, until the
// test ends.
func (b *Browser) Open(t testing.TB, width, height int, scheme string) *Page {
	t.Helper()
	ctx, done := within()
	defer done()
	p := &Page{t: t}
	var err error
	p.page, err = b.b.Open(ctx, p.heard)
	must(t, err)
	t.Cleanup(func() {
		ctx, done := within()
		defer done()
		_ = p.page.Close(ctx)
	})
	for _, domain := range []string{"Log", "DOM", "Network"} {
		p.Call(domain+".enable", nil, nil)
	}
	p.Call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
	p.Call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	return p
}

// heard keeps what a test has to know.
func (p *Page) heard(e browser.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e.Method {
	case "Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled":
		p.faults = append(p.faults, string(e.Params))
	case "Network.requestWillBeSent":
		var r struct{ Request struct{ URL string } }
		if json.Unmarshal(e.Params, &r) == nil && !strings.HasPrefix(r.Request.URL, "data:") {
			p.asked = append(p.asked, r.Request.URL)
		}
	}
}

// Call calls a method of the DevTools protocol, and puts its answer into result where
// that isn't nil.
func (p *Page) Call(method string, params, result any) {
	p.t.Helper()
	ctx, done := within()
	defer done()
	must(p.t, p.page.Call(ctx, method, params, result))
}

// Go loads an address and waits until it is there.
func (p *Page) Go(url string) {
	p.t.Helper()
	ctx, done := within()
	defer done()
	must(p.t, p.page.Go(ctx, url))
}

// Eval evaluates an expression, waits for it where it is a promise, and puts its
// value into result where that isn't nil.
func (p *Page) Eval(expression string, result any) {
	p.t.Helper()
	ctx, done := within()
	defer done()
	must(p.t, p.page.Eval(ctx, expression, result))
}

// Choose puts files into the file input that a selector finds, as a person would.
func (p *Page) Choose(selector string, files ...string) {
	p.t.Helper()
	var r struct{ Result struct{ ObjectID string } }
	p.Call("Runtime.evaluate", map[string]any{"expression": fmt.Sprintf("document.querySelector(%q)", selector)}, &r)
	p.Call("DOM.setFileInputFiles", map[string]any{"files": files, "objectId": r.Result.ObjectID}, nil)
}

// Drop drops a file at a point of the page.
func (p *Page) Drop(x, y int, files ...string) {
	p.t.Helper()
	data := map[string]any{"items": []any{}, "files": files, "dragOperationsMask": 1}
	for _, kind := range []string{"dragEnter", "dragOver", "drop"} {
		p.Call("Input.dispatchDragEvent", map[string]any{"type": kind, "x": x, "y": y, "data": data}, nil)
	}
}

// Press presses a key: Tab or Enter.
func (p *Page) Press(key string) {
	p.t.Helper()
	down := map[string]any{"type": "rawKeyDown", "key": key, "code": key, "windowsVirtualKeyCode": 9}
	if key == "Enter" {
		down["type"], down["text"], down["windowsVirtualKeyCode"] = "keyDown", "\r", 13
	}
	p.Call("Input.dispatchKeyEvent", down, nil)
	p.Call("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": down["windowsVirtualKeyCode"]}, nil)
}

// Faults are the complaints of the browser so far: exceptions, what was written to the
// console, violations of a content security policy.
func (p *Page) Faults() []string {
	p.Eval("0", nil) // what came before has been heard by then
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.faults...)
}

// Asked are the addresses that were asked for.
func (p *Page) Asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.asked...)
}

// Picture is the whole page as PNG.
func (p *Page) Picture() []byte {
	p.t.Helper()
	var r struct{ Data []byte }
	p.Call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true, "clip": p.whole()}, &r)
	return r.Data
}

func (p *Page) whole() map[string]any {
	var m struct {
		CSSContentSize struct{ Width, Height float64 }
	}
	p.Call("Page.getLayoutMetrics", nil, &m)
	return map[string]any{"x": 0, "y": 0, "width": m.CSSContentSize.Width, "height": min(m.CSSContentSize.Height, 16000), "scale": 1}
}

// Print is the page on paper, as PDF.
func (p *Page) Print() []byte {
	p.t.Helper()
	var r struct{ Data []byte }
	p.Call("Page.printToPDF", map[string]any{"paperWidth": 8.27, "paperHeight": 11.69, "printBackground": false}, &r)
	return r.Data
}
