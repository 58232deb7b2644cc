package page

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// strangePage is the template of today, as a later version could have it.
func strangePage(t testing.TB) []byte {
	t.Helper()
	source, err := os.ReadFile("page.html")
	if err != nil {
		t.Fatal(err)
	}
	text := string(source)
	for {
		before, rest, ok := strings.Cut(text, "{{")
		if !ok {
			break
		}
		inside, after, _ := strings.Cut(rest, "}}")
		if inside = "x"; strings.HasSuffix(before, `name="generator" content="`) {
			inside = "fleetctl page v4"
		}
		text = before + inside + after
	}
	return []byte(text)
}

func TestAPageThatOnlyShowsTextIsPassive(t *testing.T) {
	for page, want := range map[string]string{
		string(strangePage(t)):                                      "fleetctl page v4",
		"<!doctype html><title>x</title>":                           "",
		"<!DOCTYPE HTML>\n<P CLASS=\"a\">1 &lt; 2, javascript:</P>": "",
		"<!doctype html><style>p { color: rgb(1 2 3) } @media (min-width: 1em) { p { margin: calc(1px + 2px) } }</style>": "",
	} {
		if got, err := Passive([]byte(page)); err != nil || got != want {
			t.Errorf("%.60q: version %q, %v", page, got, err)
		}
	}
}

// active are pages each of which does more than show text, or hides from this
// reader what a browser would see.
var active = map[string]string{
	"a script":                          `<script>alert(1)</script>`,
	"a script in capitals":              `<SCRIPT>alert(1)</SCRIPT>`,
	"a script from elsewhere":           `<script src="https://x.example/x.js"></script>`,
	"a script after a slash":            `<script/x>alert(1)</script>`,
	"a handler":                         `<p onclick="alert(1)">x</p>`,
	"a handler in capitals":             `<p ONLOAD="alert(1)">x</p>`,
	"a handler without quotes":          `<p onclick=alert(1)>x</p>`,
	"a handler in single quotes":        `<p class='a' onclick='alert(1)'>x</p>`,
	"a handler after a slash":           `<p/onclick="alert(1)">x</p>`,
	"a javascript link":                 `<a href="javascript:alert(1)">x</a>`,
	"a link":                            `<a href="https://x.example/">x</a>`,
	"an image":                          `<img src="https://x.example/x.png">`,
	"an image that fails":               `<img src="x" onerror="alert(1)">`,
	"a style sheet from elsewhere":      `<link rel="stylesheet" href="https://x.example/x.css">`,
	"a base":                            `<base href="https://x.example/">`,
	"a frame":                           `<iframe src="https://x.example/"></iframe>`,
	"a frame with a page in it":         `<iframe srcdoc="x"></iframe>`,
	"an object":                         `<object data="x"></object>`,
	"an embedded thing":                 `<embed src="x">`,
	"a form":                            `<form action="https://x.example/"><input name="pin"></form>`,
	"a button":                          `<button formaction="https://x.example/">go</button>`,
	"a refresh":                         `<meta http-equiv="refresh" content="0; url=https://x.example/">`,
	"a refresh in capitals":             `<META HTTP-EQUIV="Refresh" CONTENT="0">`,
	"a meta element with three":         `<meta name="viewport" http-equiv="refresh" content="0">`,
	"another character set":             `<meta charset="utf-7">`,
	"a drawing":                         `<svg onload="alert(1)"></svg>`,
	"mathematics":                       `<math><mi></mi></math>`,
	"a template":                        `<template><p></p></template>`,
	"a text area":                       `<textarea><p></textarea>`,
	"plain text for ever":               `<plaintext>`,
	"no script":                         `<noscript><p title="</noscript><script>alert(1)</script>"></noscript>`,
	"an element of the future":          `<fencedframe></fencedframe>`,
	"an element of one's own":           `<x-y></x-y>`,
	"a style that loads":                `<style>p { background: url(https://x.example/) }</style>`,
	"a style that loads by an escape":   `<style>p { background: u\72l(https://x.example/) }</style>`,
	"a style that imports":              `<style>@import "https://x.example/x.css";</style>`,
	"a style that loads a font":         `<style>@font-face { font-family: x; src: local("x") }</style>`,
	"a style that loads a set":          `<style>p { background: image-set("x" 1x) }</style>`,
	"a style within an element":         `<p style="background: url(x)">x</p>`,
	"a style that hides a script":       `<title><style></title><script>alert(1)</script></style>`,
	"a title that hides a script":       `<title><p title="</title><script>alert(1)</script>"></title>`,
	"a style that ends otherwise":       `<style>p {} </style ><script>alert(1)</script>`,
	"a style without an end":            `<style>p {}`,
	"a comment":                         `<!-- x --><p>x</p>`,
	"a comment for one browser":         `<!--[if IE]><script>alert(1)</script><![endif]-->`,
	"a declaration":                     `<!ENTITY x "y">`,
	"an instruction":                    `<?xml-stylesheet href="https://x.example/x.xsl"?>`,
	"a tag without an end":              `<p class="a"`,
	"a quote without an end":            `<p title="a>x</p>`,
	"a < in a value":                    `<p title="<script>">x</p>`,
	"a < that begins nothing":           `<p>1 < 2</p>`,
	"an attribute twice":                `<p class="a" class="b">x</p>`,
	"an attribute at the end":           `<p>x</p class="a">`,
	"two versions":                      `<meta name="generator" content="a"><meta name="generator" content="b">`,
	"a character that ends the text":    "<p>\x00<script>",
	"an escape sequence":                "<p>\x1b$B",
	"bytes that aren't UTF-8":           "<p>\xff",
	"a byte order mark":                 "<p>\ufeff",
	"an attribute that leads elsewhere": `<blockquote cite="https://x.example/">x</blockquote>`,
	"a background":                      `<body background="https://x.example/x.png">`,
	"a manifest":                        `<html manifest="x">`,
	"a pop-over":                        `<p popover="auto">x</p>`,
	"a page in a page":                  `<p is="x">x</p>`,
}

func TestAnActivePageIsRefused(t *testing.T) {
	for name, body := range active {
		if _, err := Passive([]byte("<!doctype html>" + body)); err == nil {
			t.Errorf("%s passes: %s", name, body)
		}
	}
	for _, page := range []string{"", "x", "<p>x</p>", "<!doctype html public>", "<html><!doctype html>", "\n<!doctype html>"} {
		if _, err := Passive([]byte(page)); err == nil {
			t.Errorf("%q passes", page)
		}
	}
	t.Logf("%d active pages", len(active))
}

// TestAStrangePageIsReadInTime: the most elements that its bytes can hold.
func TestAStrangePageIsReadInTime(t *testing.T) {
	for _, part := range []string{"<b>", `<p class="" id="">`, "<style></style>", "a"} {
		page := append([]byte("<!doctype html>"), bytes.Repeat([]byte(part), (maxStrange-16)/len(part))...)
		start := time.Now()
		if _, err := Passive(page); err != nil {
			t.Errorf("%q: %v", part, err)
		}
		t.Logf("%d bytes of %q: %s", len(page), part, time.Since(start).Round(time.Millisecond))
	}
	if _, err := Passive(make([]byte, maxStrange+1)); err == nil {
		t.Error("a larger one is read")
	}
}

func FuzzPassive(f *testing.F) {
	f.Add(strangePage(f))
	for _, body := range active {
		f.Add([]byte("<!doctype html>" + body))
	}
	begin := regexp.MustCompile(`^</?([A-Za-z][A-Za-z0-9]*)[ \n\t>]`)
	f.Fuzz(func(t *testing.T, page []byte) {
		if _, err := Passive(page); err != nil {
			return
		}
		// Every < that there is begins an element that is known, whatever a
		// browser takes for what stands around it.
		for i := len("<!doctype html>"); i < len(page); i++ {
			if page[i] != '<' {
				continue
			}
			if m := begin.FindSubmatch(page[i:]); m == nil || !shown(strings.ToLower(string(m[1]))) {
				t.Errorf("%q passes in %q", page[i:min(i+20, len(page))], page)
			}
		}
	})
}
