package site

import (
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"strings"
)

// verifyPage is the name of the page on which readers check a package.
const verifyPage = "verify.html"

//go:embed viewer/*.js
var viewer embed.FS

//go:embed ui.js
var ui string

//go:embed verify.html
var verifyMain string

// scripts are the verifier's, in the order of their names, and the page's own, as they
// stand on it: within the page, since from a disk no page can load its neighbours.
func scripts() ([]string, error) {
	files, err := fs.Glob(viewer, "viewer/*.js")
	if err != nil {
		return nil, err
	}
	var list []string
	for _, name := range files {
		data, err := fs.ReadFile(viewer, name)
		if err != nil {
			return nil, err
		}
		list = append(list, string(data))
	}
	list = append(list, ui)
	for _, s := range list {
		if low := strings.ToLower(s); strings.Contains(low, "</script") || strings.Contains(low, "<!--") {
			return nil, fmt.Errorf("a script holds what would end it on a page: %.80s", s)
		}
	}
	return list, nil
}

// checkPage is the page on which readers check a package, under a policy of theirs. Of
// the packages it holds nothing but their digests.
func checkPage(list []*epoch) ([]byte, error) {
	all, err := scripts()
	if err != nil {
		return nil, err
	}
	var m markup
	m.head("Check a package, "+list[0].plan.Namespace, all...)
	m.add("<nav aria-label=\"Site\" class=\"site\"><a href=\"" + pageFile + "\">All epochs</a></nav>\n" + verifyMain)
	m.add("<section aria-labelledby=\"here\">\n<h2 id=\"here\">The packages of this site</h2>\n<ul class=\"downloads\">\n")
	for i := len(list) - 1; i >= 0; i-- {
		e := list[i]
		sum, name := sha256.Sum256(e.files[packageFile]), fmt.Sprintf("epoch %d", e.plan.Epoch)
		if e.account.Abort != nil {
			name += ", aborted"
		} else if e.ended != nil {
			name += ", keys destroyed"
		}
		m.add("<li data-sha256=\"", fmt.Sprintf("%x", sum), "\" data-name=\"", name, "\"><a href=\""+e.dir+"/"+packageFile+"\" download>", name, "</a>\n"+digits("SHA-256", sum)+"</li>\n")
	}
	m.add("</ul>\n</section>\n</main>\n" + footer)
	for _, s := range all {
		m.add("<script>" + s + "</script>\n")
	}
	m.add("</body>\n</html>\n")
	return []byte(m.String()), nil
}
