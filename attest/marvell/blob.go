package marvell

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Limits of what is read. The attestation of an RSA-4096 key has less than 4 KB.
const (
	maxPacked   = 64 << 10
	maxBlob     = 64 << 10
	maxObjects  = 2
	maxAttrs    = 256
	sigLen      = 256 // the partition's key is RSA of 2048 bits
	headerLen   = 16
	infoLen     = 8
	objectLen   = 12
	attrLen     = 8
	oldHeader   = 20 // what stands before the object in firmware 2.x's layout
	flagGetAttr = 1
	flagAttest  = 2
)

// layout says which firmware wrote the attestation.
type layout int

// Marvell speaks of firmware 2.x and 3.x; Google calls the layouts CAVIUM_V1 and CAVIUM_V2.
const (
	firmware2 layout = iota + 2
	firmware3
)

// blob is an attestation as read. Nothing of it is verified.
type blob struct {
	Layout    layout
	Signed    []byte
	Signature []byte
	Objects   []object
}

// object is the attributes of a key, or of one half of a key pair.
type object struct {
	Handle uint32
	Attrs  map[uint32][]byte
}

// parseBlob unpacks and reads an attestation. Every length in it must be exact: no
// byte may be left over between the header and the signature.
func parseBlob(raw []byte) (*blob, error) {
	b, err := unpack(raw)
	if err != nil {
		return nil, err
	}
	if len(b) < headerLen+sigLen {
		return nil, fmt.Errorf("the attestation has %d bytes: too few for a header and a signature", len(b))
	}
	blob := &blob{Signed: b[:len(b)-sigLen], Signature: b[len(b)-sigLen:]}
	if total := u32(b[8:]); uint64(total) == uint64(len(b)) {
		blob.Layout = firmware3
		blob.Objects, err = parseFirmware3(blob.Signed)
		return blob, err
	}
	blob.Layout = firmware2
	if blob.Objects, err = parseFirmware2(blob.Signed); err != nil {
		return nil, fmt.Errorf("the header says %d bytes, but there are %d, so it isn't firmware 3.x's layout; nor is it 2.x's: %w", u32(b[8:]), len(b), err)
	}
	return blob, nil
}

// unpack takes the gzip wrapping off, if there is one, up to maxBlob bytes. A
// second member, or anything behind the first, is refused.
func unpack(raw []byte) ([]byte, error) {
	if len(raw) > maxPacked {
		return nil, fmt.Errorf("an attestation of %d bytes: at most %d are read", len(raw), maxPacked)
	}
	if !bytes.HasPrefix(raw, []byte{0x1f, 0x8b}) {
		return raw, nil
	}
	in := bytes.NewReader(raw)
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, fmt.Errorf("the gzip wrapping can't be read: %w", err)
	}
	z.Multistream(false)
	b, err := io.ReadAll(io.LimitReader(z, maxBlob+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("the gzip wrapping can't be read: %w", err)
	case len(b) > maxBlob:
		return nil, fmt.Errorf("the attestation unpacks to more than %d bytes", maxBlob)
	case in.Len() > 0:
		return nil, fmt.Errorf("%d bytes stand behind the gzip wrapping", in.Len())
	}
	return b, nil
}

// parseFirmware3 reads the response code, the request's flags, the total length, the
// length of what is attested, and a 64-bit handle for each key; then an information
// header (version, flags, offsets of the first and the second object) and the
// objects.
func parseFirmware3(b []byte) ([]object, error) {
	code, flags, size := u32(b), u32(b[4:]), int64(u32(b[12:]))
	start := int64(len(b)) - size
	switch {
	case code != 0:
		return nil, fmt.Errorf("the HSM's answer is an error: code %#x", code)
	case flags != flagGetAttr|flagAttest:
		return nil, fmt.Errorf("the attestation was asked for with flags %#x: attributes and header must both be signed, which is %#x", flags, flagGetAttr|flagAttest)
	case size < infoLen || start < headerLen+8 || start > headerLen+8*maxObjects || (start-headerLen)%8 != 0:
		return nil, fmt.Errorf("the header says that %d bytes are attested, which leaves %d for itself", size, start)
	}
	info := b[start:]
	first, second := int(u16(info[4:])), int(u16(info[6:]))
	handles := b[headerLen:start]
	ends := []int{len(info)}
	if second != 0 {
		ends = []int{second, len(info)}
	}
	switch {
	case u16(info) != 1:
		return nil, fmt.Errorf("the information header is of version %d; 1 is known", u16(info))
	case uint32(u16(info[2:])) != flags:
		return nil, fmt.Errorf("the information header has flags %#x, the response %#x", u16(info[2:]), flags)
	case first != infoLen || second != 0 && (second <= first || second > len(info)):
		return nil, fmt.Errorf("the objects are said to begin at %d and %d of %d bytes", first, second, len(info))
	case len(handles) != 8*len(ends):
		return nil, fmt.Errorf("the header names %d keys, and %d follow", len(handles)/8, len(ends))
	}
	var list []object
	for i, end := range ends {
		o, rest, err := parseObject(info[first:end])
		switch {
		case err != nil:
			return nil, fmt.Errorf("object %d: %w", i+1, err)
		case len(rest) > 0:
			return nil, fmt.Errorf("object %d: %d bytes stand behind its attributes", i+1, len(rest))
		case uint64(o.Handle) != binary.BigEndian.Uint64(handles[8*i:]):
			return nil, fmt.Errorf("object %d has handle %d, the header says another", i+1, o.Handle)
		}
		list, first = append(list, o), end
	}
	return list, nil
}

// parseFirmware2 reads 20 bytes, whose meaning isn't published, and an object.
func parseFirmware2(b []byte) ([]object, error) {
	if len(b) < oldHeader {
		return nil, errors.New("it is too short")
	}
	o, rest, err := parseObject(b[oldHeader:])
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%d bytes stand behind the key's attributes", len(rest))
	}
	return []object{o}, nil
}

// parseObject reads the handle, the number of attributes and their length, then the
// type, length and value of each. It refuses a type that stands twice, because
// readers differ on which one counts.
func parseObject(b []byte) (object, []byte, error) {
	if len(b) < objectLen {
		return object{}, nil, errors.New("its header is cut off")
	}
	o := object{Handle: u32(b), Attrs: map[uint32][]byte{}}
	count, size := u32(b[4:]), uint64(u32(b[8:]))
	b = b[objectLen:]
	if count == 0 || count > maxAttrs || size > uint64(len(b)) {
		return o, nil, fmt.Errorf("it says %d attributes in %d bytes, and %d bytes are there", count, size, len(b))
	}
	body, rest := b[:size], b[size:]
	for range count {
		if len(body) < attrLen {
			return o, nil, errors.New("an attribute is cut off")
		}
		kind, n := u32(body), uint64(u32(body[4:]))
		if body = body[attrLen:]; n > uint64(len(body)) {
			return o, nil, fmt.Errorf("attribute %#04x says %d bytes, and %d are there", kind, n, len(body))
		}
		if _, twice := o.Attrs[kind]; twice {
			return o, nil, fmt.Errorf("attribute %#04x stands twice", kind)
		}
		o.Attrs[kind], body = body[:n:n], body[n:]
	}
	if len(body) > 0 {
		return o, nil, fmt.Errorf("%d bytes stand behind its %d attributes", len(body), count)
	}
	return o, rest, nil
}

func u16(b []byte) uint16 { return binary.BigEndian.Uint16(b) }
func u32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }
