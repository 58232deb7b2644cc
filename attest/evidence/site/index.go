package site

import (
	"bytes"
	"fmt"

	"github.com/fleetctl/fleetctl/attest/evidence/page"
	"github.com/fleetctl/fleetctl/bundle"
	"github.com/fleetctl/fleetctl/internal/words"
)

// indexPage lists the notices and the epochs, the newest first.
func indexPage(list []*epoch, notices []*notice) ([]byte, error) {
	newest := list[len(list)-1]
	var m markup
	m.head(newest.plan.Namespace)
	m.add("<main id=\"main\">\n<header>\n<p class=\"mode "+newest.plan.Mode+"\">", newest.plan.Mode, "</p>\n<h1>", newest.plan.Fleet, "</h1>\n<dl>\n<dt>namespace</dt><dd>", newest.plan.Namespace,
		"</dd>\n<dt>epochs here</dt><dd>", words.Count(int64(len(list)), "ceremony", "ceremonies"), "</dd>\n</dl>\n</header>\n")
	m.add("<p class=\"note\"><strong>Nothing is verified here.</strong> These pages tell what the packages say that are published beside them. Each says how to verify its package yourself, against keys that you got from their owners; <a href=\"" + verifyPage + "\">this browser can check much of it</a>. " +
		"Whether an epoch is missing, or a later one exists that isn't shown, a page can't say: ask the log.</p>\n")
	for _, n := range notices {
		m.WriteString(n.card())
	}
	b := bytes.NewBufferString(m.String())
	for i := len(list) - 1; i >= 0; i-- {
		if err := page.Fill(b, list[i].content(), list[i].card()); err != nil {
			return nil, err
		}
	}
	b.WriteString("</main>\n" + footer + "</body>\n</html>\n")
	return b.Bytes(), nil
}

// card tells an epoch on the index.
func (e *epoch) card() string {
	var m markup
	m.add("<article class=\"card\">\n<h2><a href=\""+e.dir+"/"+pageFile+"\">Epoch {{epoch}}</a> <small>", e.ending(), "</small></h2>\n"+e.standing()+"<dl>\n<dt>fleet</dt><dd>{{fleet}}</dd>\n<dt>ran</dt><dd>{{ran}}</dd>\n"+
		"<dt>went otherwise than planned</dt><dd>{{otherwise}}</dd>\n")
	if e.set != nil {
		names, _ := e.sites()
		m.add("<dt>keys</dt><dd>", fmt.Sprintf("%s in %s at %s; a majority is %d HSMs", words.Count(int64(len(e.set.Keys)), "key", "keys"), words.Count(int64(len(e.plan.HSMs)), "HSM", "HSMs"),
			words.Count(int64(len(names)), "site", "sites"), e.set.Majority), "</dd>\n<dt>since the epoch before</dt><dd>", e.since(), "</dd>\n<dt>key set</dt><dd>"+digits("SHA-256", e.set.Digest())+"</dd>\n")
	} else if e.ended != nil {
		set := e.ended.brought.KeySet
		m.add("<dt>keys</dt><dd>", fmt.Sprintf("%d of the %s of epoch %d were destroyed, by the HSMs' own word", e.gone(), words.Count(int64(len(set.Keys)), "key", "keys"), set.Epoch), "</dd>\n")
	} else {
		m.add("<dt>keys</dt><dd>none: the ceremony was aborted</dd>\n")
	}
	m.add("</dl>\n</article>\n")
	return m.String()
}

// since says in a few words what changed.
func (e *epoch) since() string {
	switch {
	case e.plan.Epoch == 1:
		return "the first epoch"
	case e.before == nil:
		return fmt.Sprintf("epoch %d is not on this site", e.plan.Epoch-1)
	}
	return changed(bundle.Diff(e.before.set, e.set))
}
