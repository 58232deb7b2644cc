package smartcardhsm

import "fmt"

// field is one data object of a card-verifiable certificate.
type field struct {
	tag   uint32
	value []byte
	whole []byte // with tag and length: what signatures are over
}

// next reads the first data object. Its length must be written in the shortest way,
// so that no data object has two encodings.
func next(in []byte) (f field, rest []byte, err error) {
	at := 0
	take := func() (b byte) {
		if at >= len(in) {
			err = fmt.Errorf("a data object ends inside its tag or length")
			return 0
		}
		b = in[at]
		at++
		return b
	}
	first := take()
	f.tag = uint32(first)
	if first&0x1f == 0x1f {
		second := take()
		if second&0x80 != 0 || second < 0x1f {
			return field{}, nil, fmt.Errorf("a tag starts with %02X%02X, which no certificate has", first, second)
		}
		f.tag = f.tag<<8 | uint32(second)
	}
	length := int(take())
	if long := length &^ 0x80; length >= 0x80 {
		if long != 1 && long != 2 {
			return field{}, nil, fmt.Errorf("data object %X has a length of %d octets; certificates need at most 2", f.tag, long)
		}
		length = 0
		for range long {
			length = length<<8 | int(take())
		}
		if err == nil && (length < 0x80 || long == 2 && length < 0x100) {
			return field{}, nil, fmt.Errorf("data object %X has a length that isn't written in the shortest way", f.tag)
		}
	}
	if err != nil {
		return field{}, nil, err
	}
	if length > len(in)-at {
		return field{}, nil, fmt.Errorf("data object %X has the length %d, but %d bytes are there", f.tag, length, len(in)-at)
	}
	f.value, f.whole = in[at:at+length], in[:at+length]
	return f, in[at+length:], nil
}

// only reads one data object of the given tag, with nothing behind it.
func only(in []byte, tag uint32, what string) (field, error) {
	f, rest, err := next(in)
	switch {
	case err != nil:
		return field{}, fmt.Errorf("%s: %w", what, err)
	case f.tag != tag:
		return field{}, fmt.Errorf("%s: starts with %X, not with %X", what, f.tag, tag)
	case len(rest) > 0:
		return field{}, fmt.Errorf("%s: %d bytes follow its end", what, len(rest))
	}
	return f, nil
}

// sequence reads data objects in the given order, each at most once. One that is
// optional may be missing. Anything else is an error.
func sequence(in []byte, what string, order ...wanted) (map[uint32]field, error) {
	found := map[uint32]field{}
	for len(in) > 0 {
		f, rest, err := next(in)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		if _, twice := found[f.tag]; twice {
			return nil, fmt.Errorf("%s: data object %X stands there twice", what, f.tag)
		}
		for len(order) > 0 && order[0].tag != f.tag {
			if !order[0].optional {
				return nil, fmt.Errorf("%s: has %X where %X belongs", what, f.tag, order[0].tag)
			}
			order = order[1:]
		}
		if len(order) == 0 {
			return nil, fmt.Errorf("%s: data object %X has no place there", what, f.tag)
		}
		found[f.tag], in, order = f, rest, order[1:]
	}
	for _, w := range order {
		if !w.optional {
			return nil, fmt.Errorf("%s: data object %X is missing", what, w.tag)
		}
	}
	return found, nil
}

type wanted struct {
	tag      uint32
	optional bool
}
