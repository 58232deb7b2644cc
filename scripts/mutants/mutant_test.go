package main

import (
	"strings"
	"testing"
)

func TestAChangeIsMadeWhereTheListSays(t *testing.T) {
	const source = "package p\nfunc f(a, b int) bool { return a <= b && a-1 > 0 }\n"
	for _, c := range []struct {
		kind   string
		column int
		want   string
	}{
		{"CONDITIONALS_BOUNDARY", 34, "a < b && a-1 > 0"},
		{"CONDITIONALS_NEGATION", 34, "a > b && a-1 > 0"},
		{"INVERT_LOGICAL", 39, "a <= b || a-1 > 0"},
		{"ARITHMETIC_BASE", 43, "a <= b && a+1 > 0"},
		{"CONDITIONALS_BOUNDARY", 46, "a <= b && a-1 >= 0"},
	} {
		got, err := mutant{Kind: c.kind, Line: 2, Column: c.column}.apply([]byte(source))
		if err != nil || !strings.Contains(string(got), "return "+c.want+" }\n") || len(strings.Split(string(got), "\n")) != 3 {
			t.Errorf("%s at %d: %q, %v", c.kind, c.column, got, err)
		}
	}
	for _, m := range []mutant{{Kind: "INVERT_LOGICAL", Line: 2, Column: 34}, {Kind: "CONDITIONALS_BOUNDARY", Line: 9, Column: 1}, {Kind: "CONDITIONALS_BOUNDARY", Line: 2, Column: 99}, {Kind: "UNKNOWN", Line: 2, Column: 34}} {
		if got, err := m.apply([]byte(source)); err == nil {
			t.Errorf("%s: taken: %q", m, got)
		}
	}
}

func TestAListIsReadAndASeedChooses(t *testing.T) {
	const list = `{"package":"./p","found":{"files":[{"file_name":"a.go","mutations":[{"type":"X","line":1,"column":2},{"type":"X","line":3,"column":4}]},{"file_name":"below/b.go","mutations":[{"type":"X","line":1,"column":1}]}]}}
{"package":"./q","found":{"files":[{"file_name":"c.go","mutations":[{"type":"Y","line":5,"column":6}]}]}}`
	all, err := readList(strings.NewReader(list))
	if err != nil || len(all) != 3 || all[0].File != "p/a.go" || all[2].String() != "q/c.go:5:6 Y" {
		t.Fatalf("%v, %v", all, err)
	}
	backwards := []mutant{all[2], all[1], all[0]}
	a, b := sample(all, 7, 2, 0), sample(backwards, 7, 2, 0)
	if len(a) != 2 || a[0] != b[0] || a[1] != b[1] {
		t.Errorf("one seed chose %v and %v", a, b)
	}
	if left := sample(backwards, 7, 2, 1); len(left) != 1 || left[0] != a[1] {
		t.Errorf("after the first of %v there is %v", a, left)
	}
	if left := sample(backwards, 7, 2, 9); len(left) != 0 {
		t.Errorf("after all there is %v", left)
	}
	if _, err := readList(strings.NewReader(list + "{")); err == nil {
		t.Error("a list that is cut off was taken")
	}
}

func TestAScoreBelowTheLeastFails(t *testing.T) {
	if err := tell(map[result]int{killed: 17, survived: 3}, 85); err != nil {
		t.Error(err)
	}
	for _, c := range []map[result]int{{killed: 16, survived: 3}, {}, {invalid: 5}} {
		if tell(c, 85) == nil {
			t.Errorf("%v passed", c)
		}
	}
}
