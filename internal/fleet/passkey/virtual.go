package passkey

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/fleetctl/fleetctl/internal/browser"
)

// Virtual is a headless Chromium with an authenticator in software, which has PRF and
// says yes to everything. Its passkeys are gone with it: it is for drills.
type Virtual struct {
	home          string
	browser       *browser.Browser
	page          *browser.Page
	authenticator string
	stop          func()
	ended         chan struct{}
}

// Chromium is where a Chromium is.
func Chromium() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("no Chromium is installed (Debian: chromium)")
}

// StartVirtual starts one. ctx bounds its start alone.
func StartVirtual(ctx context.Context, chromium string) (_ *Virtual, err error) {
	home, err := os.MkdirTemp("", "fleetctl-passkey-")
	if err != nil {
		return nil, err
	}
	v := &Virtual{home: home, ended: make(chan struct{})}
	cmd, b, err := browser.Command(chromium, home)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(home))
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, b.Close(), os.RemoveAll(home))
	}
	v.browser, v.stop = b, func() { _ = cmd.Process.Kill() }
	go func() {
		_ = cmd.Wait()
		close(v.ended)
	}()
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("starting Chromium: %w", err), v.Close())
		}
	}()
	if err := b.Begin(); err != nil {
		return nil, err
	}
	if v.page, err = b.Open(ctx, nil); err != nil {
		return nil, err
	}
	if err := v.page.Call(ctx, "WebAuthn.enable", nil, nil); err != nil {
		return nil, err
	}
	var added struct{ AuthenticatorID string }
	err = v.page.Call(ctx, "WebAuthn.addVirtualAuthenticator", map[string]any{"options": map[string]any{"protocol": "ctap2", "ctap2Version": "ctap2_1", "transport": "internal",
		"hasResidentKey": true, "hasUserVerification": true, "isUserVerified": true, "hasPrf": true, "automaticPresenceSimulation": true}}, &added)
	if err != nil {
		return nil, fmt.Errorf("this Chromium has no virtual authenticator with PRF: %w", err)
	}
	v.authenticator = added.AuthenticatorID
	return v, nil
}

// Visit opens a page of [Create] or [Recover] and presses its button.
func (v *Virtual) Visit(ctx context.Context, url string) error {
	if err := v.page.Go(ctx, url); err != nil {
		return err
	}
	return v.page.Eval(ctx, `document.querySelector("button").click()`, nil)
}

// Lose has the authenticator lose its passkeys, as a person loses a phone.
func (v *Virtual) Lose(ctx context.Context) error {
	return v.page.Call(ctx, "WebAuthn.clearCredentials", map[string]any{"authenticatorId": v.authenticator}, nil)
}

// Close ends Chromium and removes what it kept.
func (v *Virtual) Close() error {
	err := v.browser.Close()
	v.stop()
	<-v.ended
	// Its children end after it, and write to its profile until then.
	for range 100 {
		if os.RemoveAll(v.home) == nil {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
	return errors.Join(err, os.RemoveAll(v.home))
}
