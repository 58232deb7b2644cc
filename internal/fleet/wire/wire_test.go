package wire

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/fleetctl/fleetctl/internal/fleet/opaque"
)

// samples has a message of each kind, in which no field is zero.
func samples() []Message {
	return []Message{
		&RegisterStart{Account: "drill.a", Request: [32]byte{1}},
		&RegisterAnswer{Response: [64]byte{2}},
		&RegisterFinish{Record: [192]byte{3}, Envelope: []byte("sealed"), Used: 4},
		&Registered{Registration: [16]byte{5}, Epoch: 6, Remaining: 7, Limit: 8},
		&LoginStart{Account: "drill.b", KE1: [96]byte{9}},
		&LoginAnswer{Remaining: 10, KE2: [320]byte{11}},
		&LoginFinish{KE3: [64]byte{12}},
		&Recovered{Registration: [16]byte{13}, Epoch: 14, Remaining: 15, Limit: 16, Envelope: []byte("sealed")},
		&Erase{Account: "drill.c", Registration: [16]byte{17}},
		&Erased{Used: 18, Limit: 19},
		&StatusRequest{},
		&Status{Node: "a", Leader: "b", State: "leads", Anchor: "kryoptic", Voters: "a b c", Version: "v1", Epoch: 20, Term: 21, Last: 22, Applied: 23, Accounts: 24, Locked: 25},
		&Refusal{Code: CodeNotLeader, Leader: "b", Detail: "at term 3"},
	}
}

func TestEachMessageIsReadAsItWasWritten(t *testing.T) {
	var stream bytes.Buffer
	for _, m := range samples() {
		if err := Write(&stream, m); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range samples() {
		got, err := Read(&stream)
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%v: %+v, %v", m.kind(), got, err)
		}
	}
	if _, err := Read(&stream); !errors.Is(err, io.EOF) {
		t.Errorf("after the last message: %v", err)
	}
	if len(samples()) != len(messages) || len(kindNames) != len(messages) {
		t.Errorf("%d samples and %d names of %d kinds", len(samples()), len(kindNames), len(messages))
	}
}

func TestAFrameThatIsNotExactlyAMessageIsRefused(t *testing.T) {
	for _, m := range samples() {
		frame, err := encode(m)
		if err != nil {
			t.Fatal(err)
		}
		for n := range frame {
			if _, err := Parse(frame[:n]); err == nil {
				t.Errorf("%v: %d of its %d bytes are taken", m.kind(), n, len(frame))
			}
			if _, err := Read(bytes.NewReader(frame[:n])); err == nil || n > 0 && err == io.EOF {
				t.Errorf("%v: a stream that ends after %d of its %d bytes: %v", m.kind(), n, len(frame), err)
			}
		}
		longer := append(bytes.Clone(frame), 0)
		longer[2]++
		if _, err := Parse(longer); err == nil {
			t.Errorf("%v: one byte more is taken", m.kind())
		}
		if len(frame) > MaxFrame {
			t.Errorf("%v: %d bytes, and %d are the most", m.kind(), len(frame), MaxFrame)
		}
	}
}

func TestAValueOutOfItsBoundsIsNeitherWrittenNorRead(t *testing.T) {
	for _, c := range []struct {
		m    Message
		want string
	}{
		{&RegisterStart{}, "the account is empty"},
		{&RegisterStart{Account: strings.Repeat("a", 65)}, "65 bytes, of at most 64"},
		{&LoginStart{Account: "drill.\n"}, "no printable ASCII"},
		{&LoginStart{Account: "drill.ä"}, "no printable ASCII"},
		{&RegisterFinish{}, "the envelope has 0 bytes"},
		{&Recovered{Envelope: make([]byte, 1025)}, "the envelope has 1025 bytes"},
		{&Refusal{}, "no refusal with code 0"},
		{&Refusal{Code: 200}, "no refusal with code 200"},
		{&Refusal{Code: CodeNode, Detail: strings.Repeat("a", 513)}, "513 bytes, of at most 512"},
		{&Refusal{Code: CodeNode, Detail: "\x1b[31m"}, "no printable ASCII"},
	} {
		if _, err := encode(c.m); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v is written: %v", c.m, err)
		}
	}
	for frame, want := range map[string]string{
		"\x00\x00\x00":                         "no message of kind 0",
		"\x63\x00\x00":                         "no message of kind 99",
		"\x05\xff\xff":                         "login-start: its body has 65535 bytes",
		"\x0d\x00\x05\x00\x00\x00\x00\x00":     "no refusal with code 0",
		"\x0d\x00\x06\x0d\x00\x01\x00\x00\x00": "no printable ASCII",
		"\x0d\x00\x05\x0d\x00\x09\x00\x00":     "it ends in the middle",
	} {
		if _, err := Read(strings.NewReader(frame)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%x: %v, want %q", frame, err, want)
		}
	}
}

// TestNoBodyIsReadThatIsTooLongForItsKind: a peer that announces 64 KiB gets none of
// them read.
func TestNoBodyIsReadThatIsTooLongForItsKind(t *testing.T) {
	r := strings.NewReader("\x07\xff\xff" + strings.Repeat("a", 1<<16))
	if _, err := Read(r); err == nil || r.Len() != 1<<16 {
		t.Errorf("%v, and %d bytes are left unread", err, r.Len())
	}
}

// TestTheLengthsAreThoseOfWhatIsSent: OPAQUE's messages and the counter's bounds.
func TestTheLengthsAreThoseOfWhatIsSent(t *testing.T) {
	for what, n := range map[string][2]int{
		"request":  {len(RegisterStart{}.Request), opaque.RequestSize},
		"response": {len(RegisterAnswer{}.Response), opaque.ResponseSize},
		"record":   {len(RegisterFinish{}.Record), opaque.RecordSize},
		"KE1":      {len(LoginStart{}.KE1), opaque.KE1Size},
		"KE2":      {len(LoginAnswer{}.KE2), opaque.KE2Size},
		"KE3":      {len(LoginFinish{}.KE3), opaque.KE3Size},
	} {
		if n[0] != n[1] {
			t.Errorf("%s: %d bytes here, %d there", what, n[0], n[1])
		}
	}
}

func TestEachRefusalHasItsWords(t *testing.T) {
	for code := CodeMalformed; code <= CodeFull; code++ {
		if codes[code] == "" {
			t.Errorf("code %d has no words", code)
		}
	}
	if got := (&Refusal{Code: CodeNotLeader, Leader: "b", Detail: "term 3"}).Error(); !strings.HasSuffix(got, ": b is: term 3") {
		t.Errorf("%q", got)
	}
}

func TestADetailThatCanNotBeShownIsSentInPlainLetters(t *testing.T) {
	r := Refuse(CodeNode, "a\n\x1b[31m\u00e4 "+strings.Repeat("x", 1000))
	if !strings.HasPrefix(r.Detail, "a??[31m? xxx") || len(r.Detail) != MaxText {
		t.Errorf("%q", r.Detail)
	}
	if _, err := encode(r); err != nil {
		t.Error(err)
	}
}

func TestALoginIsNotBoundToNothing(t *testing.T) {
	for _, exporter := range [][]byte{nil, make([]byte, 32), bytes.Repeat([]byte{1}, 31), bytes.Repeat([]byte{1}, 33)} {
		if _, err := Context(exporter); err == nil {
			t.Errorf("%x is taken for a session's exporter", exporter)
		}
	}
	a, err := Context(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	if b, err := Context(bytes.Repeat([]byte{2}, 32)); err != nil || bytes.Equal(a, b) {
		t.Errorf("two sessions have the same context: %v", err)
	}
}
