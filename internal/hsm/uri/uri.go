// Package uri reads and writes PKCS#11 URIs (RFC 7512).
package uri

import (
	"strings"

	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/token"
)

// URI is a PKCS#11 URI (RFC 7512), read strictly: it names a token, perhaps an
// object on it, and never holds a PIN.
type URI struct {
	Token        string
	Manufacturer string
	Serial       string
	Model        string
	Library      token.Library
	Object       string // CKA_LABEL
	Type         string // public, private, cert, secret-key, data
	ID           []byte // CKA_ID

	ModulePath string
	PINSource  string
}

const (
	scheme    = "pkcs11:"
	maxURI    = 4096
	seeRefuse = "see RFC 7512; accepted are token, manufacturer, serial, model, library-manufacturer, library-description, library-version, object, type and id, and after a question mark module-path and pin-source"
)

// Parse reads a URI. Whatever it can't keep to the letter it refuses:
// attributes it doesn't know would narrow the choice if it did.
func Parse(s string) (*URI, error) {
	if len(s) > maxURI {
		return nil, uriErr("has %d bytes, %d are allowed", len(s), maxURI)
	}
	if len(s) < len(scheme) || !strings.EqualFold(s[:len(scheme)], scheme) {
		return nil, uriErr("does not begin with %q", scheme)
	}
	path, query, hasQuery := strings.Cut(s[len(scheme):], "?")
	u := new(URI)
	if path != "" {
		if err := u.attributes(path, ";", pathChars, u.pathAttribute); err != nil {
			return nil, err
		}
	}
	if hasQuery {
		if err := u.attributes(query, "&", queryChars, u.queryAttribute); err != nil {
			return nil, err
		}
	}
	return u, nil
}

// attributes takes name=value pairs apart; set stores one of them.
func (u *URI) attributes(list, separator, chars string, set func(name string, value []byte) error) error {
	seen := make(map[string]bool)
	for pair := range strings.SplitSeq(list, separator) {
		name, raw, ok := strings.Cut(pair, "=")
		if !ok {
			return uriErr("has an attribute without name=value") // not shown: it may be a PIN
		}
		if why, refused := refusedAttributes()[name]; refused {
			return uriErr("has the attribute %s", name).WithHint("%s", why)
		}
		if seen[name] {
			return uriErr("has the attribute %s twice", name)
		}
		seen[name] = true
		value, err := unescape(raw, chars)
		if err != nil {
			return uriErr("%s: %v", name, err)
		}
		if len(value) == 0 {
			return uriErr("%s is empty", name).WithHint("leave %s out if it doesn't matter", name)
		}
		if err := set(name, value); err != nil {
			return err
		}
	}
	return nil
}

// Why each of these is refused, rather than ignored.
func refusedAttributes() map[string]string {
	return map[string]string{
		"slot-id":           "slot numbers change when a module is loaded again; name the token by serial or token",
		"slot-manufacturer": "slots are places, not tokens; name the token by serial or token",
		"slot-description":  "slots are places, not tokens; name the token by serial or token",
		"module-name":       "a name is looked up in places that may hold another file; give the file itself: module-path=/…",
		"pin-value":         "a PIN in a URI ends up in shell histories, process lists and logs; leave it out and type it, or name its source: pin-source=…",
	}
}

func (u *URI) pathAttribute(name string, value []byte) error {
	text := string(value)
	switch name {
	case "token":
		return setField(&u.Token, name, text, 32)
	case "manufacturer":
		return setField(&u.Manufacturer, name, text, 32)
	case "serial":
		return setField(&u.Serial, name, text, 16)
	case "model":
		return setField(&u.Model, name, text, 16)
	case "library-manufacturer":
		return setField(&u.Library.Manufacturer, name, text, 32)
	case "library-description":
		return setField(&u.Library.Description, name, text, 32)
	case "library-version":
		if !isVersion(text) {
			return uriErr("library-version %q is not like 2.6", text)
		}
		u.Library.Version = text
	case "object":
		return setText(&u.Object, name, text)
	case "type":
		switch text {
		case "public", "private", "cert", "secret-key", "data":
			u.Type = text
		default:
			return uriErr("type %q is not one of public, private, cert, secret-key, data", text)
		}
	case "id":
		u.ID = value
	default:
		return uriErr("has the attribute %q, which has no meaning here", name).WithHint(seeRefuse)
	}
	return nil
}

func (u *URI) queryAttribute(name string, value []byte) error {
	text := string(value)
	switch name {
	case "module-path":
		if !strings.HasPrefix(text, "/") {
			return uriErr("module-path %q is not absolute", text).WithHint("begin it with a slash: what a relative path names depends on where one stands")
		}
		return setText(&u.ModulePath, name, text)
	case "pin-source":
		if strings.HasPrefix(text, "|") {
			return uriErr("pin-source names a program").WithHint("no programs are run for a PIN; name a file")
		}
		return setText(&u.PINSource, name, text)
	default:
		return uriErr("has the query attribute %q, which has no meaning here", name).WithHint(seeRefuse)
	}
}

// String is the canonical spelling: fixed order, the least escaping that RFC
// 7512 allows, an id in escapes throughout. Parse reads it back unchanged.
func (u *URI) String() string {
	var path, query []string
	add := func(list *[]string, name, value, chars string) {
		if value != "" {
			*list = append(*list, name+"="+escape(value, chars))
		}
	}
	add(&path, "token", u.Token, pathChars)
	add(&path, "manufacturer", u.Manufacturer, pathChars)
	add(&path, "serial", u.Serial, pathChars)
	add(&path, "model", u.Model, pathChars)
	add(&path, "library-manufacturer", u.Library.Manufacturer, pathChars)
	add(&path, "library-description", u.Library.Description, pathChars)
	add(&path, "library-version", u.Library.Version, pathChars)
	add(&path, "object", u.Object, pathChars)
	add(&path, "type", u.Type, pathChars)
	add(&path, "id", string(u.ID), "")
	add(&query, "module-path", u.ModulePath, queryChars)
	add(&query, "pin-source", u.PINSource, queryChars)
	s := scheme + strings.Join(path, ";")
	if len(query) > 0 {
		s += "?" + strings.Join(query, "&")
	}
	return s
}

func uriErr(format string, args ...any) *strict.Error {
	return strict.Errorf("PKCS#11 URI", format, args...)
}
