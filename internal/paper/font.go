package paper

import (
	"encoding/binary"
	"slices"
)

// font is a TrueType font for a PDF: a rune's glyph, its advance, and a subset with the
// outlines that are used. The subset keeps the glyphs' numbers and leaves unused outlines
// empty, so that it is the same in every run; libraries' subsets were not.
//
// It only reads the fonts that are compiled in, so it doesn't check their tables.
type font struct {
	name    string
	tables  map[string][]byte
	upem    int
	cmap    map[rune]uint16
	advance []int // by glyph, in units of the em
	used    map[uint16]rune
}

func u16(b []byte) uint16 { return binary.BigEndian.Uint16(b) }
func u32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }

func parseFont(name string, ttf []byte) *font {
	f := &font{name: name, tables: map[string][]byte{}, used: map[uint16]rune{}}
	for i := range int(u16(ttf[4:])) {
		e := ttf[12+16*i:]
		f.tables[string(e[:4])] = ttf[u32(e[8:]) : u32(e[8:])+u32(e[12:])]
	}
	f.upem = int(u16(f.tables["head"][18:]))
	f.readCmap()
	metrics, hmtx := int(u16(f.tables["hhea"][34:])), f.tables["hmtx"]
	for g := range f.glyphs() {
		f.advance = append(f.advance, int(u16(hmtx[4*min(g, metrics-1):])))
	}
	return f
}

func (f *font) glyphs() int { return int(u16(f.tables["maxp"][4:])) }

// readCmap reads the subtable of format 4 (OpenType, cmap), which maps the Basic
// Multilingual Plane.
func (f *font) readCmap() {
	f.cmap = map[rune]uint16{}
	t := f.tables["cmap"]
	for i := range int(u16(t[2:])) {
		e := t[4+8*i:]
		sub := t[u32(e[4:]):]
		if u16(e) != 3 || u16(e[2:]) != 1 || u16(sub) != 4 {
			continue
		}
		n := int(u16(sub[6:]))
		ends, starts := sub[14:], sub[16+n:]
		deltas, offsets := sub[16+2*n:], sub[16+3*n:]
		for s := 0; s < n; s += 2 {
			start, end := int(u16(starts[s:])), int(u16(ends[s:]))
			for c := start; c <= end && c < 0xffff; c++ {
				g := uint16(c)
				if off := int(u16(offsets[s:])); off != 0 {
					if g = u16(offsets[s+off+2*(c-start):]); g == 0 {
						continue
					}
				}
				f.cmap[rune(c)] = g + u16(deltas[s:])
			}
		}
	}
}

// glyph is a rune's glyph; a question mark's if the font lacks it.
func (f *font) glyph(r rune) uint16 {
	g, ok := f.cmap[r]
	if !ok {
		r, g = '?', f.cmap['?']
	}
	return g
}

// width is a text's width in ems.
func (f *font) width(s string) float64 {
	n := 0
	for _, r := range s {
		n += f.advance[f.glyph(r)]
	}
	return float64(n) / float64(f.upem)
}

// outline is a glyph's bytes in the table glyf.
func (f *font) outline(g uint16) []byte {
	loca, glyf := f.tables["loca"], f.tables["glyf"]
	if u16(f.tables["head"][50:]) == 0 {
		return glyf[2*int(u16(loca[2*int(g):])) : 2*int(u16(loca[2*int(g)+2:]))]
	}
	return glyf[u32(loca[4*int(g):]):u32(loca[4*int(g)+4:])]
}

// needed are the glyphs used, and those that they are composed of.
func (f *font) needed() map[uint16]bool {
	set := map[uint16]bool{}
	var add func(g uint16)
	add = func(g uint16) {
		if set[g] {
			return
		}
		set[g] = true
		o := f.outline(g)
		if len(o) < 10 || int16(u16(o)) >= 0 {
			return
		}
		for o, more := o[10:], true; more; {
			flags := u16(o)
			add(u16(o[2:]))
			size := 6 // of flags, glyph and two bytes of arguments
			for _, grows := range []struct {
				flag uint16
				by   int
			}{{0x1, 2}, {0x8, 2}, {0x40, 4}, {0x80, 8}} { // words, one scale, two, a matrix
				if flags&grows.flag != 0 {
					size += grows.by
				}
			}
			o, more = o[size:], flags&0x20 != 0
		}
	}
	add(0)
	for g := range f.used {
		add(g)
	}
	return set
}

// subset is the font with only the outlines that are needed.
func (f *font) subset() []byte {
	needed := f.needed()
	var glyf, loca []byte
	for g := range f.glyphs() {
		loca = binary.BigEndian.AppendUint32(loca, uint32(len(glyf)))
		if needed[uint16(g)] {
			glyf = append(glyf, f.outline(uint16(g))...)
			glyf = append(glyf, make([]byte, -len(glyf)&3)...)
		}
	}
	loca = binary.BigEndian.AppendUint32(loca, uint32(len(glyf)))
	head := slices.Clone(f.tables["head"])
	copy(head[8:], []byte{0, 0, 0, 0}) // the checksum of the whole font, which PDF readers ignore
	head[51] = 1                       // offsets of four bytes
	tables := map[string][]byte{"head": head, "glyf": glyf, "loca": loca}
	names := []string{"cvt ", "fpgm", "glyf", "head", "hhea", "hmtx", "loca", "maxp", "prep"}
	out := []byte{0, 1, 0, 0, 0, byte(len(names)), 0, 128, 0, 3, 0, 16}
	at := len(out) + 16*len(names)
	var data []byte
	for _, name := range names {
		t, ok := tables[name]
		if !ok {
			t = f.tables[name]
		}
		out = append(out, name...)
		out = binary.BigEndian.AppendUint32(out, checksum(t))
		out = binary.BigEndian.AppendUint32(out, uint32(at+len(data)))
		out = binary.BigEndian.AppendUint32(out, uint32(len(t)))
		data = append(data, t...)
		data = append(data, make([]byte, -len(data)&3)...)
	}
	return append(out, data...)
}

func checksum(t []byte) (sum uint32) {
	t = append(slices.Clone(t), 0, 0, 0)
	for i := 0; i+4 <= len(t); i += 4 {
		sum += u32(t[i:])
	}
	return sum
}
