package strict

import (
	"reflect"
	"strings"
	"sync"
)

type tag struct {
	name                         string
	optional, null, empty, token bool
	encoding                     string // hex, base64
	blank                        bool   // a field named _
}

func parseTag(f reflect.StructField) (tag, bool) {
	s, ok := f.Tag.Lookup("strict")
	if !ok {
		return tag{}, false
	}
	parts := strings.Split(s, ",")
	t := tag{name: parts[0], blank: f.Name == "_"}
	for _, o := range parts[1:] {
		switch o {
		case "optional":
			t.optional = true
		case "null":
			t.null = true
		case "empty":
			t.empty = true
		case "token":
			t.token = true
		case "hex", "base64":
			t.encoding = o
		default:
			panic("strict: unknown tag option " + o) // a programmer's slip, found by the first test
		}
	}
	return t, true
}

// member is a field of a struct that takes part.
type member struct {
	tag
	field int    // of the struct
	key   string // the name as it stands in one line of JSON, with its colon
}

// known has the members ([]member) of each struct type (reflect.Type) that was
// read or written. It can't grow beyond the types that the program has.
var known sync.Map

func membersOf(typ reflect.Type) []member {
	if list, ok := known.Load(typ); ok {
		return list.([]member)
	}
	var list []member
	for i := range typ.NumField() {
		if t, ok := parseTag(typ.Field(i)); ok {
			list = append(list, member{t, i, `"` + t.name + `":`})
		}
	}
	known.Store(typ, list)
	return list
}
