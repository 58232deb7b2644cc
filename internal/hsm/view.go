//go:build cgo && unix

package hsm

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/miekg/pkcs11"

	"github.com/fleetctl/fleetctl/internal/token"
)

// view is one look at a token.
type view struct {
	token.Info
	minPIN, maxPIN uint
	userPIN        bool // a user PIN is set
}

func (c *calls) view(n uint) (view, error) {
	info, err := c.tokenInfo(n)
	if err != nil {
		return view{}, err
	}
	has := func(flag uint) bool { return info.Flags&flag != 0 }
	return view{
		Info: token.Info{
			Module:        c.lib.path,
			Slot:          n,
			Label:         cleanText(info.Label),
			Manufacturer:  cleanText(info.ManufacturerID),
			Model:         cleanText(info.Model),
			Serial:        cleanText(info.SerialNumber),
			Hardware:      version(info.HardwareVersion.Major, info.HardwareVersion.Minor),
			Firmware:      version(info.FirmwareVersion.Major, info.FirmwareVersion.Minor),
			Initialized:   has(pkcs11.CKF_TOKEN_INITIALIZED),
			LoginRequired: has(pkcs11.CKF_LOGIN_REQUIRED),
			ProtectedPIN:  has(pkcs11.CKF_PROTECTED_AUTHENTICATION_PATH),
			PINLow:        has(pkcs11.CKF_USER_PIN_COUNT_LOW),
			PINFinalTry:   has(pkcs11.CKF_USER_PIN_FINAL_TRY),
			PINLocked:     has(pkcs11.CKF_USER_PIN_LOCKED),
		},
		minPIN:  info.MinPinLen,
		maxPIN:  info.MaxPinLen,
		userPIN: has(pkcs11.CKF_USER_PIN_INITIALIZED),
	}, nil
}

// views looks at every token. One that can't be read fails the whole: whether
// a choice is unique can't be said of tokens unseen.
func (c *calls) views() ([]view, error) {
	slots, err := c.slots()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.lib.path, err)
	}
	var list []view
	for _, n := range slots {
		v, err := c.view(n)
		switch Code(err) {
		case "CKR_TOKEN_NOT_PRESENT", "CKR_TOKEN_NOT_RECOGNIZED": // pulled out since, or no token at all
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: slot %d: %w", c.lib.path, n, err)
		}
		list = append(list, v)
	}
	return list, nil
}

// one picks the single token that matches.
func one(views []view, sel Selector) (view, error) {
	var found []view
	for _, v := range views {
		if sel.matches(v.Info) {
			found = append(found, v)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return view{}, fmt.Errorf("%w: none with %s; the module shows %s", ErrNoToken, sel, describeAll(views))
	}
	return view{}, fmt.Errorf("%w: with %s there are %s; name one by its serial number", ErrManyTokens, sel, describeAll(found))
}

func (s Selector) matches(i token.Info) bool {
	fits := func(want, got string) bool { return want == "" || want == got }
	return fits(s.Serial, i.Serial) && fits(s.Label, i.Label) && fits(s.Manufacturer, i.Manufacturer) && fits(s.Model, i.Model)
}

// String says what is asked for, in words for an error.
func (s Selector) String() string {
	var parts []string
	for _, p := range []struct{ name, value string }{
		{"serial", s.Serial}, {"label", s.Label}, {"manufacturer", s.Manufacturer}, {"model", s.Model},
	} {
		if p.value != "" {
			parts = append(parts, fmt.Sprintf("%s %q", p.name, p.value))
		}
	}
	return strings.Join(parts, ", ")
}

func checkLibrary(want, got token.Library) error {
	for _, p := range []struct{ name, want, got string }{
		{"manufacturer", want.Manufacturer, got.Manufacturer},
		{"description", want.Description, got.Description},
		{"version", want.Version, got.Version},
	} {
		if p.want != "" && p.want != p.got {
			return fmt.Errorf("%w: the library's %s is %q, not %q", ErrNoToken, p.name, p.got, p.want)
		}
	}
	return nil
}

func describe(i token.Info) string {
	if !i.Initialized {
		return fmt.Sprintf("an uninitialised token (serial %q, model %q)", i.Serial, i.Model)
	}
	return fmt.Sprintf("token %q (serial %q)", i.Label, i.Serial)
}

func describeAll(views []view) string {
	if len(views) == 0 {
		return "no token"
	}
	names := make([]string, len(views))
	for i, v := range views {
		names[i] = describe(v.Info)
	}
	return strings.Join(names, ", ")
}

// cleanText takes the padding off a field, which is spaces by the standard and
// zeros in some modules, and lets nothing through that could move a cursor.
func cleanText(s string) string {
	s = strings.ToValidUTF8(strings.TrimRight(s, " \x00"), "\uFFFD")
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}

func version(major, minor byte) string { return fmt.Sprintf("%d.%d", major, minor) }
