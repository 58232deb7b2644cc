package wire

import (
	"bytes"
	"reflect"
	"testing"
)

// fuzz gives a kind's body whatever bytes: what is taken has that one encoding, and is
// read from a stream as it is from a frame.
func fuzz(f *testing.F, k kind) {
	for _, m := range samples() {
		frame, err := encode(m)
		if err != nil {
			f.Fatal(err)
		}
		if m.kind() == k {
			f.Add(frame[3:])
			f.Add(frame[3 : 3+len(frame[3:])/2])
			f.Add(append(frame[3:], 0))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > 1<<16-1 {
			return
		}
		frame := append([]byte{byte(k), byte(len(body) >> 8), byte(len(body))}, body...)
		m, err := Parse(frame)
		streamed, streamErr := Read(bytes.NewReader(frame))
		if (err == nil) != (streamErr == nil) || !reflect.DeepEqual(m, streamed) {
			t.Fatalf("a frame gives %v, a stream %v", err, streamErr)
		}
		if err != nil {
			if m != nil {
				t.Error("a message comes with an error")
			}
			return
		}
		if again, err := encode(m); err != nil || !bytes.Equal(again, frame) {
			t.Errorf("it is written as %x, %v", again, err)
		}
		if m.kind() != k || len(frame) > MaxFrame {
			t.Errorf("%v of %d bytes", m.kind(), len(frame))
		}
	})
}

func FuzzRegisterStart(f *testing.F)  { fuzz(f, kindRegisterStart) }
func FuzzRegisterAnswer(f *testing.F) { fuzz(f, kindRegisterAnswer) }
func FuzzRegisterFinish(f *testing.F) { fuzz(f, kindRegisterFinish) }
func FuzzRegistered(f *testing.F)     { fuzz(f, kindRegistered) }
func FuzzLoginStart(f *testing.F)     { fuzz(f, kindLoginStart) }
func FuzzLoginAnswer(f *testing.F)    { fuzz(f, kindLoginAnswer) }
func FuzzLoginFinish(f *testing.F)    { fuzz(f, kindLoginFinish) }
func FuzzRecovered(f *testing.F)      { fuzz(f, kindRecovered) }
func FuzzErase(f *testing.F)          { fuzz(f, kindErase) }
func FuzzErased(f *testing.F)         { fuzz(f, kindErased) }
func FuzzStatusRequest(f *testing.F)  { fuzz(f, kindStatusRequest) }
func FuzzStatus(f *testing.F)         { fuzz(f, kindStatus) }
func FuzzRefusal(f *testing.F)        { fuzz(f, kindRefusal) }
