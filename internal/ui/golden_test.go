package ui

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"

	"github.com/fleetctl/fleetctl/internal/strict"
	"github.com/fleetctl/fleetctl/internal/words"
)

var update = flag.Bool("update", false, "write the golden files anew")

// testOutput talks to nobody, at a width and with the wishes given.
func testOutput(t *testing.T, o Options) *Output {
	t.Helper()
	if o.Stdout == nil {
		o.Stdout = new(bytes.Buffer)
	}
	if o.Stderr == nil {
		o.Stderr = new(bytes.Buffer)
	}
	if o.Stdin == nil {
		o.Stdin = strings.NewReader("")
	}
	if o.Env == nil {
		o.Env = func(string) string { return "" }
	}
	out, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var digest = bytes.Repeat([]byte{0x5f, 0x2c, 0x91, 0xaa, 0x03, 0xd7, 0x77, 0xe1}, 4)

// screens is at least one of everything that Page renders.
func screens(p Page) string {
	return strings.Join([]string{
		p.Fields([][2]string{
			{"evidence", "backup-2026a · epoch 7 · PRODUCTION · " + words.Count(61, "file", "files") + ", " + words.Size(412345)},
			{"policy", "acme.yaml · " + words.Short(digest) + " · every key pinned"},
			{"time", "2026-11-21T10:00:00Z (clock)"},
			{"", "a long note without a label, which goes on below itself and keeps its distance from the edge of the screen"},
		}),
		p.Claims([]ClaimLine{
			{Grade: "proven", Name: "plan.approved", Detail: "3 of 5 officers signed plan 8c1f02de…"},
			{Grade: "attested", Name: "key.attested", Detail: "10 of 10 vendor-signed, anchored, fresh"},
			{Grade: "device", Name: "key.nonexportable", Detail: "read back as planned; 60 attempts refused by the tokens, each with one of the listed codes"},
			{Grade: "proven", Name: "log.included", Detail: "entry 42 of 43, log.東京.example"},
			{Grade: "not shown", Name: "rekor.included", Detail: "no Rekor entry; the policy doesn't ask for one"},
			{Grade: "not shown", Name: "signoffs.close", Wrong: true, Detail: "1 of 3 officers"},
		}),
		p.Verdict(true, "16 claims demanded, 16 shown"),
		p.Verdict(false, "1 of 16 claims demanded falls short"),
		p.Claims([]ClaimLine{{Name: "log.witnessed", Wrong: true, Detail: "1 of 3 witnesses cosigned, the policy wants 2", More: []string{
			"missing witness-b, witness-c", "bundle.json.tlog-proof, checkpoint of size 43",
			"next: fleetctl log prove --refresh bundle.json --log https://log.acme.example/fleet/2026 --quorum 2-of-3",
		}}}),
		p.Header("backup-2026a", "PRODUCTION") + p.Line("step 14 of 61 · HSM 2 of 5 · generate · about 3 min"),
		p.Step(Done, "intent recorded", "record 87") +
			p.Step(Done, "session key generated in the token, Ed25519", "") +
			p.Step(Noted, "seal number typed by one person only, an exception the witness and the auditor have signed", "record 88") +
			p.Step(Failed, "6 attempts to take the key out, 1 of them not refused", "") +
			p.Step(Now, "found again by a new process", ""),
		p.Words(digest, 0, true),
		p.Words(digest[:6], 4, false),
		p.Footer("record 93 · brickyard Pegasus tonic embezzle"),
		p.Table([]string{"slot", "serial", "label", "says"}, [][]string{
			{"0", "77310042", "iad-2", "initialized, login required, its PIN never tried since"},
			{"12", "77310043", "東京-1", "empty"},
			{"13", "77310044"},
		}, Right),
		p.Table([]string{"key", "digest"}, [][]string{{strings.Repeat("k", 50), strings.Repeat("0123456789abcdef", 4)}}),
		p.Fault(strict.At("plan.yaml", 14, `hsm "iad-2" has no serial`).WithHint("every HSM is named by the serial its token reports; list them with\nfleetctl hsm list --module /usr/lib/softhsm/libsofthsm2.so --and-a-line-too-long-to-fit")),
		p.Fault(fmt.Errorf("reading the plan: %w", strict.Errors{
			strict.At("plan.yaml", 3, `field "namespce" is unknown`).WithHint("did you mean namespace?"),
			strict.At("plan.yaml", 9, "officer \x1b[31mmallory\u202e is listed twice, and her key is one that another officer has as well"),
		})),
		p.Fault(errors.Join(errors.New("disk full"), errors.New("and\n\tlate"))),
	}, "\n")
}

var looks = []struct {
	name string
	Options
}{
	{"80", Options{Width: 80}},
	{"120", Options{Width: 120}},
	{"60", Options{Width: 60}},
	{"80-plain", Options{Width: 80, Plain: true}},
	{"80-color", Options{Width: 80, Color: "always"}},
}

func TestGolden(t *testing.T) {
	for _, l := range looks {
		t.Run(l.name, func(t *testing.T) {
			got := strings.ReplaceAll(screens(testOutput(t, l.Options).Page), "\x1b", "␛")
			path := filepath.Join("testdata", l.name+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("not as in %s (look, then -update):\n%s", path, got)
			}
		})
	}
}

// What a person can't see colour or lines for is said in words all the same.
func TestColourAndLinesCarryNoMeaningOfTheirOwn(t *testing.T) {
	page := func(o Options) string { return screens(testOutput(t, o).Page) }
	bare := page(Options{Width: 80})
	if got := ansi.Strip(page(Options{Width: 80, Color: "always"})); got != bare {
		t.Error("with colour the text is another")
	}
	words := strings.Fields(strings.ReplaceAll(bare, "─", ""))
	if got := strings.Fields(page(Options{Width: 80, Plain: true})); !slices.Equal(got, words) {
		t.Errorf("plain says %q\nnot %q", got, words)
	}
}

// Commands and single words are left whole, to be copied.
func TestNoLineIsTooWideButCommands(t *testing.T) {
	for _, l := range looks {
		p := testOutput(t, l.Options).Page
		for line := range strings.Lines(screens(p)) {
			line = strings.TrimRight(line, "\n")
			single := len(strings.Fields(line)) == 2 // a label and its value
			if width(line) > p.Width()-2 && !strings.Contains(line, "fleetctl ") && !single {
				t.Errorf("%s: %d columns: %s", l.name, width(line), line)
			}
			if strings.HasSuffix(line, " ") {
				t.Errorf("%s: space at the end of %q", l.name, line)
			}
		}
	}
}
