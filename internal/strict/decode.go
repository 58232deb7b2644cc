package strict

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Decode fills the struct that v points to from an Object.
//
// A struct field takes part by its tag: `strict:"name"`, with options behind
// commas. Each named field must be there unless it is marked optional; each
// member must belong to a field. Go types decide how a member is read:
//
//	string           a string, not empty unless marked empty;
//	                 option token: CheckToken
//	bool             true or false
//	int, uint64      an integer in ParseUint's range
//	[32]byte, []byte a string: option hex or base64
//	time.Time        a string in timeLayout
//	struct, *struct  an object (a nil pointer where optional and absent)
//	[]T              a list of any of these
//	*Node            anything, as read
//
// A field _ *Node says that the member is known and may be anything: the caller
// reads it from the tree.
//
// An optional integer, time or [n]byte that isn't a pointer is zero when it is
// absent, so a file may not give zero for it. Where zero has a meaning of its
// own, use a pointer: nil is absent.
//
// The option null lets an optional member be null, which reads as absent: some
// other people's formats write it so.
func Decode(file string, n *Node, v any) error { return decode(file, n, v, false) }

func decode(file string, n *Node, v any, shared bool) error {
	d := &decoder{file: file, shared: shared}
	d.object(n, reflect.ValueOf(v).Elem(), nil)
	slices.SortStableFunc(d.errs, func(a, b *Error) int { return a.Line - b.Line })
	if d.more > 0 {
		d.errs = append(d.errs, Errorf(file, "has %d faults more", d.more))
	}
	return d.errs.Err()
}

// DecodeJSON is ParseJSON and Decode.
func DecodeJSON(file string, data []byte, limit int, v any) error {
	n, err := ParseJSON(file, data, limit)
	if err != nil {
		return err
	}
	return Decode(file, n, v)
}

// DecodeText is DecodeJSON for a text that stays in memory as long as what is
// read from it: strings in v share the text's memory, where Decode makes copies.
func DecodeText(file, text string, limit int, v any) error {
	n, err := parseJSON(file, text, limit)
	if err != nil {
		return err
	}
	return decode(file, n, v, true)
}

// DecodeYAML is ParseYAML and Decode. It also gives the tree, so that a fault
// which only a look at the whole file finds can name its line.
func DecodeYAML(file string, data []byte, limit int, v any) (*Node, error) {
	n, err := ParseYAML(file, data, limit)
	if err != nil {
		return nil, err
	}
	return n, Decode(file, n, v)
}

// DecodeFormat is DecodeYAML for a file that names its format: the tree is nil
// where it isn't of that format at all.
func DecodeFormat(file string, data []byte, limit int, format string, v any) (*Node, error) {
	n, err := ParseYAML(file, data, limit)
	if err == nil {
		err = Format(file, n, format)
	}
	if err != nil {
		return nil, err
	}
	return n, Decode(file, n, v)
}

// maxFaults is how many faults of one file are reported; any others are only
// counted. A stranger can put half a million into a file.
const maxFaults = 100

type decoder struct {
	file   string
	errs   Errors
	more   int
	shared bool
}

func (d *decoder) failf(line int, format string, args ...any) {
	if len(d.errs) >= maxFaults {
		d.more++
		return
	}
	d.errs = append(d.errs, At(d.file, line, format, args...))
}

// place is where a value stands in a file. It is put into words only for an error.
type place struct {
	in   *place
	name string // of a member; empty of an item
	item int
}

func (p *place) String() string {
	switch {
	case p == nil:
		return ""
	case p.name == "":
		return fmt.Sprintf("%s[%d]", p.in, p.item)
	}
	return join(p.in.String(), p.name)
}

func (d *decoder) object(n *Node, v reflect.Value, at *place) {
	if n.Kind != Object {
		d.failf(n.Line, "%s is %s, not an object", where(at), n.Kind)
		return
	}
	members, taken := membersOf(v.Type()), 0
	here := place{in: at}
	for i := range members {
		t := &members[i]
		m := n.member(t.name, i)
		if m != nil {
			taken++
			if m.Kind == Null && t.null {
				m = nil
			}
		}
		here.name = t.name
		if m == nil {
			if !t.optional {
				d.failf(n.Line, "%s is missing", &here)
			}
			continue
		}
		if t.blank {
			continue
		}
		before := len(d.errs)
		d.value(m, v.Field(t.field), &t.tag, &here)
		if t.optional && !t.empty && len(d.errs) == before && zeroMeansAbsent(v.Field(t.field)) {
			d.failf(m.Line, "%s is zero, which would mean the same as nothing: give another value, or leave it out", &here)
		}
	}
	if taken == len(n.Fields) {
		return
	}
	for _, f := range n.Fields {
		if !slices.ContainsFunc(members, func(t member) bool { return t.name == f.Name }) {
			d.failf(f.Line, "%s is not a field of this format%s", join(at.String(), shown(f.Name)), didYouMean(f.Name, members))
		}
	}
}

var (
	timeType = reflect.TypeFor[time.Time]()
	nodeType = reflect.TypeFor[*Node]()
)

// zeroMeansAbsent says whether v holds the zero of a type for which zero and
// absent can't be told apart. The readers of text and lists check this
// themselves, and a boolean that is left out means false.
func zeroMeansAbsent(v reflect.Value) bool {
	if v.Type() == timeType {
		return v.Addr().Interface().(*time.Time).IsZero()
	}
	return (v.CanInt() || v.CanUint() || v.Kind() == reflect.Array) && v.IsZero()
}

func (d *decoder) value(n *Node, v reflect.Value, t *tag, at *place) {
	switch {
	case v.Type() == nodeType:
		v.Set(reflect.ValueOf(n))
	case v.Type() == timeType:
		if s, ok := d.str(n, t, at); ok {
			tm, err := ParseTime(s)
			d.check(n, at, err)
			v.Set(reflect.ValueOf(tm))
		}
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), t, at)
	case v.Kind() == reflect.Struct:
		d.object(n, v, at)
	case t.encoding != "" && isBytes(v.Type()):
		d.bytes(n, v, t, at)
	case v.Kind() == reflect.Slice:
		if n.Kind != Array {
			d.failf(n.Line, "%s is %s, not a list", where(at), n.Kind)
			return
		}
		list := reflect.MakeSlice(v.Type(), len(n.Items), len(n.Items))
		here := place{in: at}
		for i, item := range n.Items {
			here.item = i
			d.value(item, list.Index(i), t, &here)
		}
		v.Set(list)
	case v.Kind() == reflect.String:
		if s, ok := d.str(n, t, at); ok {
			if t.token {
				d.check(n, at, CheckToken(s))
			}
			if !d.shared {
				s = strings.Clone(s)
			}
			v.SetString(s)
		}
	case v.Kind() == reflect.Bool:
		if n.Kind != Bool {
			d.failf(n.Line, "%s is %s, not true or false", where(at), n.Kind)
			return
		}
		v.SetBool(n.Text == "true")
	case v.CanInt() || v.CanUint():
		d.integer(n, v, at)
	default:
		panic("strict: cannot read into " + v.Type().String()) // a programmer's slip
	}
}

func isBytes(t reflect.Type) bool {
	return (t.Kind() == reflect.Slice || t.Kind() == reflect.Array) && t.Elem().Kind() == reflect.Uint8
}

func (d *decoder) str(n *Node, t *tag, at *place) (string, bool) {
	if n.Kind != String {
		d.failf(n.Line, "%s is %s, not a string", where(at), n.Kind)
		return "", false
	}
	if n.Text == "" && !t.empty {
		d.failf(n.Line, "%s is empty", where(at))
		return "", false
	}
	return n.Text, true
}

func (d *decoder) bytes(n *Node, v reflect.Value, t *tag, at *place) {
	s, ok := d.str(n, t, at)
	if !ok {
		return
	}
	var b []byte
	var err error
	switch {
	case s == "": // allowed by the option empty
	case t.encoding == "base64":
		b, err = ParseBase64(s)
	case v.Kind() == reflect.Array:
		b, err = ParseHex(s, v.Len())
	default:
		b, err = ParseHex(s, len(s)/2)
	}
	if err == nil && v.Kind() == reflect.Array && s != "" && len(b) != v.Len() {
		err = fmt.Errorf("has %d bytes, not %d", len(b), v.Len())
	}
	if err == nil && v.Kind() == reflect.Array && t.empty && s != "" && allZero(b) {
		err = errors.New("is all zeros, which is written as an empty string")
	}
	if err != nil {
		d.check(n, at, err)
		return
	}
	if v.Kind() == reflect.Array {
		copy(v.Slice(0, v.Len()).Bytes(), b)
		return
	}
	v.SetBytes(b)
}

func allZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

func (d *decoder) integer(n *Node, v reflect.Value, at *place) {
	if n.Kind != Number {
		d.failf(n.Line, "%s is %s, not an integer", where(at), n.Kind)
		return
	}
	u, err := ParseUint(n.Text)
	if err == nil && v.CanInt() && v.OverflowInt(int64(u)) || err == nil && v.CanUint() && v.OverflowUint(u) {
		err = fmt.Errorf("%d is too large", u)
	}
	if err != nil {
		d.check(n, at, err)
		return
	}
	if v.CanInt() {
		v.SetInt(int64(u))
	} else {
		v.SetUint(u)
	}
}

func (d *decoder) check(n *Node, at *place, err error) {
	if err != nil {
		d.failf(n.Line, "%s %v", where(at), err)
	}
}

func where(at *place) string {
	if at == nil {
		return "the document"
	}
	return at.String()
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// shown keeps a stranger's name from writing control characters, or words of
// its own, into a message.
func shown(name string) string {
	if CheckToken(name) == nil {
		return Clip(name)
	}
	return strconv.Quote(Clip(name))
}

func didYouMean(name string, known []member) string {
	for _, k := range known {
		if strings.EqualFold(k.name, name) {
			return fmt.Sprintf("; did you mean %q?", k.name)
		}
	}
	return ""
}
