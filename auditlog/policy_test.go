package auditlog

import (
	"fmt"
	"strings"
	"testing"
)

func TestPolicyIsReadAsWritten(t *testing.T) {
	text := "\t# comment\n \t\n" +
		"  log\t" + logKey.vkey() + "  https://log.example/ \n" +
		"witness Café " + w1.vkey() + "\n" +
		"witness log " + w3.vkey() + " https://w.example/sub\n" + // only none is reserved
		"group all any Café\n" +
		"group both all log all\n" +
		"quorum both\n" +
		"# the end\n"
	p := testPolicy(t, text)
	logs, wits := p.Logs(), p.Witnesses()
	if len(logs) != 1 || logs[0].URL != "https://log.example/" || logs[0].Key.String() != logKey.vkey() {
		t.Errorf("logs: %+v", logs)
	}
	if len(wits) != 2 || wits[0].Name != "Café" || wits[0].URL != "" || wits[1].Name != "log" || wits[1].URL != "https://w.example/sub" {
		t.Errorf("witnesses: %+v", wits)
	}
	// What a caller does to the lists must not change the verdict.
	logs[0], wits[0] = Log{}, Witness{}
	if p.Logs()[0].Key == nil || p.Witnesses()[0].Key == nil {
		t.Error("the policy can be changed from outside")
	}
}

func TestPolicyTakesThirtyTwoOfEach(t *testing.T) {
	var b strings.Builder
	for i := range 32 {
		fmt.Fprintf(&b, "log %s\n", newTestKey(fmt.Sprintf("log%d", i), MLDSA44Cosignature).vkey())
		fmt.Fprintf(&b, "witness w%d %s\n", i, newTestKey(fmt.Sprintf("w%d", i), MLDSA44Cosignature).vkey())
		fmt.Fprintf(&b, "group g%d all w%d\n", i, i)
	}
	b.WriteString("quorum g31\n")
	testPolicy(t, b.String())
}

func TestParsePolicyRefuses(t *testing.T) {
	log := "log " + logKey.vkey() + "\n"
	one := "witness one " + w1.vkey() + "\n"
	two := "witness two " + w2.vkey() + "\n"
	sameKey := &testKey{name: "elsewhere.example", typ: Ed25519Cosignature, ed: w1.ed}
	selfWitness := &testKey{name: "self.example", typ: Ed25519Cosignature, ed: logKey.ed}
	for name, test := range map[string]struct{ text, says string }{
		"empty":                   {"", "policy:"},
		"no quorum":               {log + one, "has no quorum line"},
		"two quorums":             {log + "quorum none\nquorum none\n", "policy:3: is a second quorum line"},
		"quorum undefined":        {log + "quorum one\n" + one, `policy:2: the quorum "one" is not defined above`},
		"quorum empty":            {log + "quorum\n", "policy:2: is not `quorum <name>`"},
		"quorum of two":           {log + one + two + "quorum one two\n", "policy:4: is not `quorum <name>`"},
		"no LF at the end":        {log + "quorum none", "policy:2: the last line has no LF"},
		"CR LF":                   {log + "quorum none\r\n", "policy:2: has a carriage return"},
		"not UTF-8":               {"# \xff\nquorum none\n", "is not UTF-8"},
		"control character":       {"# \x00\nquorum none\n", `policy:1: has the control character '\x00'`},
		"DEL":                     {"# \x7f\nquorum none\n", `policy:1: has the control character '\x7f'`},
		"unknown word":            {"logs x\n", `policy:1: begins with "logs"`},
		"upper case":              {"LOG x\n", `policy:1: begins with "LOG"`},
		"comment after":           {log + "quorum none # really\n", "policy:2: is not `quorum <name>`"},
		"NBSP is no space":        {"quorum\u00a0none\n", "policy:1: begins with"},
		"log without key":         {"log\n", "policy:1: is not `log <vkey> [url]`"},
		"log with too much":       {"log a b c\n", "policy:1: is not `log <vkey> [url]`"},
		"log with bad key":        {"log a+b+c\n", "policy:1: the key hash"},
		"log with witness key":    {"log " + w1.vkey() + "\n", "policy:1: the key has type 0x04"},
		"log twice":               {log + log, "policy:2: has the same key as fleet.example/log1"},
		"log with bad URL":        {"log " + logKey.vkey() + " log.example\n", "policy:1: \"log.example\" is no absolute URL"},
		"log with user in URL":    {"log " + logKey.vkey() + " https://u:p@log.example/\n", "is no absolute URL without user"},
		"witness without key":     {"witness one\n", "policy:1: is not `witness"},
		"witness with log key":    {"witness one " + logKey.vkey() + "\n", "policy:1: the key has type 0x01"},
		"witness twice":           {one + one, "policy:2: has the same key as w1.example"},
		"witness's name twice":    {one + "witness one " + w2.vkey() + "\n", `policy:2: the name "one" is taken`},
		"witness's key renamed":   {one + "witness two " + sameKey.vkey() + "\n", "policy:2: has the same key as w1.example"},
		"log witnesses itself":    {log + "witness self " + selfWitness.vkey() + "\n", "policy:2: has the same key as fleet.example/log1"},
		"witness named none":      {"witness none " + w1.vkey() + "\n", "policy:1: the name none"},
		"group named none":        {one + "group none all one\n", "policy:2: the name none"},
		"group without members":   {one + "group g all\n", "policy:2: is not `group"},
		"group's name taken":      {one + "group one all one\n", `policy:2: the name "one" is taken`},
		"member undefined":        {one + "group g all one two\n" + two, `policy:2: the member "two" is not defined above`},
		"member is none":          {one + "group g all none\n", `the member "none" is not defined`},
		"group in itself":         {one + "group g all one g\n", `the member "g" is not defined`},
		"member twice":            {one + "group g all one one\n", `policy:2: "one" is a member of a group already`},
		"member of two groups":    {one + "group g all one\ngroup h all one\n", `policy:3: "one" is a member of a group already`},
		"threshold 0":             {one + "group g 0 one\n", "policy:2: the threshold is 0 of 1"},
		"threshold too large":     {one + "group g 2 one\n", "policy:2: the threshold is 2 of 1"},
		"threshold 01":            {one + "group g 01 one\n", "policy:2: the threshold"},
		"threshold -1":            {one + "group g -1 one\n", "policy:2: the threshold"},
		"threshold 2^64":          {one + "group g 18446744073709551616 one\n", "policy:2: the threshold"},
		"threshold 2^53-1":        {one + "group g 9007199254740991 one\n", "policy:2: the threshold"},
		"threshold in words":      {one + "group g most one\n", "policy:2: the threshold"},
		"threshold's upper case":  {one + "group g ALL one\n", "policy:2: the threshold"},
		"too many logs":           {manyLogs(maxPolicyItems + 1), "lists more than 128 logs"},
		"too many groups":         {one + manyGroups(maxPolicyItems), "lists more than 128 witnesses and groups"},
		"the first error is told": {"a\nb\n", "policy:1: "},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := ParsePolicy("policy", []byte(test.text))
			wantStrict(t, err, test.says)
			if p != nil {
				t.Error("there is a policy beside the error")
			}
		})
	}
}

func manyLogs(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "log %s\n", newTestKey(fmt.Sprintf("log%d", i), Ed25519).vkey())
	}
	return b.String()
}

func manyGroups(n int) string {
	var b strings.Builder
	last := "one"
	for i := range n {
		fmt.Fprintf(&b, "group g%d all %s\n", i, last)
		last = fmt.Sprintf("g%d", i)
	}
	return b.String()
}

func TestEmptyPolicyVerifiesNothing(t *testing.T) {
	for _, p := range []*Policy{{}, testPolicy(t, "quorum none\n")} {
		_, err := p.Verify(testLeaf(5), goodProof(t))
		wantStrict(t, err, "no log of the policy signed it")
	}
}
