package bundle

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// signatureMessage is what Cloudflare's auditor signs in ciphersuite 1, as its
// types.proto declares it: proto2, every field required.
func signatureMessage(t *testing.T) protoreflect.MessageDescriptor {
	t.Helper()
	field := func(name string, n int32, typ descriptorpb.FieldDescriptorProto_Type) *descriptorpb.FieldDescriptorProto {
		return &descriptorpb.FieldDescriptorProto{Name: proto.String(name), Number: proto.Int32(n), Type: typ.Enum(),
			Label: descriptorpb.FieldDescriptorProto_LABEL_REQUIRED.Enum()}
	}
	inner := field("epoch", 4, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE)
	inner.TypeName = proto.String(".Epoch")
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{
		Name: proto.String("types.proto"), Syntax: proto.String("proto2"),
		MessageType: []*descriptorpb.DescriptorProto{
			{Name: proto.String("Epoch"), Field: []*descriptorpb.FieldDescriptorProto{field("inner", 1, descriptorpb.FieldDescriptorProto_TYPE_UINT64)}},
			{Name: proto.String("Message"), Field: []*descriptorpb.FieldDescriptorProto{
				field("ciphersuite", 1, descriptorpb.FieldDescriptorProto_TYPE_UINT32),
				field("namespace", 2, descriptorpb.FieldDescriptorProto_TYPE_STRING),
				field("timestamp", 3, descriptorpb.FieldDescriptorProto_TYPE_UINT64),
				inner,
				field("digest", 5, descriptorpb.FieldDescriptorProto_TYPE_BYTES),
			}},
		},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return file.Messages().ByName("Message")
}

// TestAProtobufLibraryAgrees compares with google.golang.org/protobuf, which
// knows the message by its declaration alone: what it writes is what we write,
// and what we write is what it reads.
func TestAProtobufLibraryAgrees(t *testing.T) {
	desc := signatureMessage(t)
	name := func(n protoreflect.Name) protoreflect.FieldDescriptor { return desc.Fields().ByName(n) }
	rnd := rand.New(rand.NewChaCha8([32]byte(seed("protobuf"))))
	number := func() uint64 { return rnd.Uint64() >> rnd.IntN(64) }
	const runs = 5000
	for i := range runs {
		s := &Statement{Ciphersuite: Protobuf, Timestamp: number(), Epoch: number(), Namespace: string(bytes.Repeat([]byte("ö"), rnd.IntN(70)))}
		if i%10 == 0 { // required fields are written where they are zero too
			s.Timestamp, s.Epoch, s.Namespace = 0, 0, ""
		}
		for j := range s.Digest {
			s.Digest[j] = byte(rnd.Uint32())
		}
		m := dynamicpb.NewMessage(desc)
		m.Set(name("ciphersuite"), protoreflect.ValueOfUint32(Protobuf))
		m.Set(name("namespace"), protoreflect.ValueOfString(s.Namespace))
		m.Set(name("timestamp"), protoreflect.ValueOfUint64(s.Timestamp))
		m.Mutable(name("epoch")).Message().Set(name("epoch").Message().Fields().ByNumber(1), protoreflect.ValueOfUint64(s.Epoch))
		m.Set(name("digest"), protoreflect.ValueOfBytes(s.Digest[:]))
		want, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		got := s.Message()
		if !bytes.Equal(got, want) {
			t.Fatalf("%+v: we write %x, the library %x", s, got, want)
		}
		back := dynamicpb.NewMessage(desc)
		if err := proto.Unmarshal(got, back); err != nil || !proto.Equal(back, m) {
			t.Fatalf("%+v: the library reads %v, %v", s, back, err)
		}
	}
}

// The library takes several spellings of one message, we take one.
func TestWhatALibraryForgivesWeDoNot(t *testing.T) {
	desc := signatureMessage(t)
	good := must(NewStatement(Protobuf, "ns", 5, 6, [32]byte{7})).Message()
	for name, bad := range map[string][]byte{
		"an unknown field":  append(bytes.Clone(good), 0x30, 1),
		"a field twice":     append(bytes.Clone(good), 0x18, 5),
		"another order":     append(append([]byte{0x18, 5}, good[:6]...), good[8:]...),
		"a long varint":     append(append(bytes.Clone(good[:6]), 0x18, 0x85, 0x00), good[8:]...),
		"fields in between": append([]byte{0x18, 9}, good...),
	} {
		if err := proto.Unmarshal(bad, dynamicpb.NewMessage(desc)); err != nil {
			t.Errorf("%s: the library refuses it too: %v", name, err)
		}
		if s, err := parseMessage("m", bad); err == nil {
			t.Errorf("%s: we take it: %+v", name, s)
		}
	}
}
