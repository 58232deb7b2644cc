package nshield

import (
	"fmt"
	"math/big"
)

// symbol is a name in DDDS, Entrust's encoding of warrants.
type symbol string

// dict is a map in DDDS. In warrants its keys are symbols or strings.
type dict map[string]any

// ddds reads the part of DDDS that warrants use: small integers, strings, symbols,
// lists, maps, bytes, and integers made of bytes.
type ddds struct {
	in    []byte
	count int
}

// Limits of a warrant. Entrust's have 50 values, nested four deep.
const (
	maxValues = 256
	maxDepth  = 8
)

func parseDDDS(in []byte, what string) (any, error) {
	d := &ddds{in: in}
	v, err := d.value(0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	if len(d.in) > 0 {
		return nil, fmt.Errorf("%s: %d bytes follow its end", what, len(d.in))
	}
	return v, nil
}

func (d *ddds) take(n int) ([]byte, error) {
	if n > len(d.in) {
		return nil, errShort
	}
	b := d.in[:n]
	d.in = d.in[n:]
	return b, nil
}

// sized reads bytes behind their length, of the given number of octets.
func (d *ddds) sized(octets int) ([]byte, error) {
	b, err := d.take(octets)
	if err != nil {
		return nil, err
	}
	n := 0
	for _, x := range b {
		n = n<<8 | int(x)
	}
	return d.take(n)
}

func (d *ddds) value(depth int) (any, error) {
	if d.count++; d.count > maxValues || depth > maxDepth {
		return nil, fmt.Errorf("more than %d values, or more than %d inside each other", maxValues, maxDepth)
	}
	b, err := d.take(1)
	if err != nil {
		return nil, err
	}
	tag, low := b[0], int(b[0]&0x0f)
	switch {
	case tag < 0x20:
		return int(tag), nil
	case tag < 0x30:
		b, err = d.take(low)
		return string(b), err
	case tag < 0x40:
		b, err = d.take(low)
		return symbol(b), err
	case tag&0xf0 == 0x90:
		return d.list(low, depth)
	case tag&0xf0 == 0xb0:
		return d.dict(low, depth)
	case tag == 0xc4:
		b, err = d.sized(1)
		return symbol(b), err
	case tag == 0xc5:
		return d.sized(1)
	case tag == 0xd5:
		return d.sized(2)
	case tag == 0xf4:
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if b, ok := v.([]byte); ok && len(b) <= 66 {
			return new(big.Int).SetBytes(b), nil
		}
		return nil, fmt.Errorf("an integer that isn't made of at most 66 bytes")
	}
	return nil, fmt.Errorf("tag %02X, which warrants don't use", tag)
}

func (d *ddds) list(n, depth int) (any, error) {
	list := make([]any, 0, n)
	for range n {
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

func (d *ddds) dict(n, depth int) (any, error) {
	m := dict{}
	for range n {
		k, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		name := ""
		switch k := k.(type) {
		case symbol:
			name = string(k)
		case string:
			name = k
		default:
			return nil, fmt.Errorf("a map's key that is neither symbol nor string")
		}
		if _, twice := m[name]; twice {
			return nil, fmt.Errorf("%q stands there twice", name)
		}
		if m[name], err = d.value(depth + 1); err != nil {
			return nil, err
		}
	}
	return m, nil
}
