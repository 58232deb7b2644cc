package drill

import "testing"

func TestACrowdLocksNoAccountByChance(t *testing.T) {
	var s streak
	wrong := func() (n int) {
		for range 10000 {
			if s.next() {
				n++
			}
		}
		return n
	}
	if n := wrong(); n != limit/2 {
		t.Errorf("%d wrong codes without a right one, of %d guesses", n, limit)
	}
	s.right()
	if n := wrong(); n != limit/2 {
		t.Errorf("after a right code %d wrong ones", n)
	}
}
