package page

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"

	"github.com/fleetctl/fleetctl/ceremony"
	"github.com/fleetctl/fleetctl/internal/explain"
	"github.com/fleetctl/fleetctl/internal/keys"
	"github.com/fleetctl/fleetctl/internal/strict"
)

// rows writes the page's tables row by row: a page has one for each record, and in
// one piece they could be larger than a verifier's memory.
type rows struct {
	to      io.Writer
	account *ceremony.Account
	records []*ceremony.Record // but for the close
	listed  []File
	file    func(path string) []byte
	b       []byte
}

// text appends a text: what means something in HTML, between tags or in a quoted
// attribute, is escaped.
func (r *rows) text(s string) {
	from := 0
	for i := range len(s) {
		escape := ""
		switch s[i] {
		case 0:
			escape = "\uFFFD"
		case '"':
			escape = "&#34;"
		case '&':
			escape = "&amp;"
		case '\'':
			escape = "&#39;"
		case '+':
			escape = "&#43;"
		case '<':
			escape = "&lt;"
		case '>':
			escape = "&gt;"
		default:
			continue
		}
		r.b = append(append(r.b, s[from:i]...), escape...)
		from = i + 1
	}
	r.b = append(r.b, s[from:]...)
}

// add appends markup and texts in turn, markup first, to the row that is next.
func (r *rows) add(parts ...string) {
	for i, s := range parts {
		if i%2 == 0 {
			r.b = append(r.b, s...)
		} else {
			r.text(s)
		}
	}
}

// row ends a row with markup and texts in turn, and writes it.
func (r *rows) row(parts ...string) error {
	r.add(parts...)
	_, err := r.to.Write(r.b)
	r.b = r.b[:0]
	return err
}

// keyRows writes a row for each key.
func (r *rows) keyRows() error {
	for _, k := range r.keys() {
		if k.Outcome == nil {
			continue
		}
		pub, err := keys.ParseAs(k.Intent.Algorithm, k.Outcome.PublicKey)
		if err != nil {
			return err
		}
		sum, h := pub.Fingerprint(), r.account.Plan.HSM(k.HSM)
		err = r.row("<tr><td>", k.HSM, "</td><td>", h.Site, `</td><td class="mono">`, h.Serial, "</td><td>", k.Role,
			"</td><td>", string(pub.Algorithm()), `</td><td class="mono">`, short(hex.EncodeToString(sum[:])), "</td></tr>\n")
		if err != nil {
			return err
		}
	}
	return nil
}

// digestRows writes the digests of the keys in full: who compares one unfolds them.
func (r *rows) digestRows() error {
	for _, k := range r.keys() {
		if k.Outcome == nil {
			continue
		}
		sum := sha256.Sum256(k.Outcome.PublicKey)
		if err := r.row("<dt>key of ", k.HSM+" "+k.Role, "</dt><dd><code>", hex.EncodeToString(sum[:]), "</code></dd>\n"); err != nil {
			return err
		}
	}
	return nil
}

// keys are those that the ceremony made, or destroyed.
func (r *rows) keys() []*ceremony.Key {
	if r.account.Plan.Destroys == nil {
		return r.account.Keys
	}
	var list []*ceremony.Key
	for _, d := range r.account.Doomed {
		list = append(list, d.Key)
	}
	return list
}

// destroyed writes what became of each key, and what no record can show.
func (r *rows) destroyed() error {
	if err := r.row("<h2>Destroyed</h2>\n<div class=\"scroll\"><table>\n<tr><th>HSM</th><th>role</th><th>became</th></tr>\n"); err != nil {
		return err
	}
	for _, d := range r.account.Doomed {
		if err := r.row("<tr><td>", d.HSM, "</td><td>", d.Role, `</td><td class="wide">`, explain.Became(d), "</td></tr>\n"); err != nil {
			return err
		}
	}
	return r.row("</table></div>\n<p>Each showed itself to be the key of retired-bundle.json before. That it is gone is the HSMs' own word, which the people in the room sign. It does not show that there is no backup, copy or clone.</p>\n")
}

// short groups the first eight bytes of a hex digest.
func short(digits string) string {
	return digits[:4] + " " + digits[4:8] + " " + digits[8:12] + " " + digits[12:16]
}

// fleetCheck writes what the HSMs agreed about, if they were asked.
func (r *rows) fleetCheck() error {
	c := r.account.FleetCheck
	if c == nil {
		return nil
	}
	if err := r.row("<h2>Fleet check</h2>\n<div class=\"scroll\"><table>\n"); err != nil {
		return err
	}
	if err := r.checkRows(); err != nil {
		return err
	}
	return r.row("</table></div>\n<p>" + r.checkNote() + "</p>\n")
}

// checkNote says what the fleet check comes to, in characters that need no escape;
// empty where none was made.
func (r *rows) checkNote() string {
	c := r.account.FleetCheck
	if c == nil {
		return ""
	}
	return fmt.Sprintf("Majority %d of %d. These are the HSMs' own words about themselves, as read and tried in the ceremony.", c.Majority, len(c.Rows))
}

func (r *rows) checkRows() error {
	c := r.account.FleetCheck
	if c == nil {
		return nil
	}
	r.add("<tr><th>HSM</th>")
	for _, name := range c.Checks {
		r.add("<th>", name, "</th>")
	}
	if err := r.row("</tr>\n"); err != nil {
		return err
	}
	for _, row := range c.Rows {
		r.add("<tr><td>", row.HSM, "</td>")
		for _, result := range row.Results {
			r.add(`<td class="`, result, `">`, result, "</td>")
		}
		if err := r.row("</tr>\n"); err != nil {
			return err
		}
	}
	return nil
}

// recordRows writes a row for each record.
func (r *rows) recordRows() error {
	words := explain.NewRecords()
	for _, x := range r.records {
		err := r.row(`<tr><td class="num">`, strconv.Itoa(x.N), `</td><td class="mono">`, strict.FormatTime(x.Time), "</td><td>", string(x.Kind),
			`</td><td class="wide">`, words.Public(x), "</td></tr>\n")
		if err != nil {
			return err
		}
	}
	return nil
}

// fileRows writes a row for each file that the close record can list, but for
// the page.
func (r *rows) fileRows() error {
	for _, f := range r.listed {
		err := r.row("<tr><td>", f.Path, `</td><td class="num">`, strconv.Itoa(f.Size), `</td><td class="mono wide">`, hex.EncodeToString(f.Sum[:]), "</td></tr>\n")
		if err != nil {
			return err
		}
	}
	return nil
}
