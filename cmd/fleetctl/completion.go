package main

import (
	"regexp"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// completeFlags has a shell complete what a flag's help lists: a flag whose help ends
// in "agree, agree-with-exceptions or do-not-agree" takes one of these. So the two
// can't differ.
func completeFlags(c *cobra.Command) {
	register := func(f *pflag.Flag) {
		if list := choices(f.Usage); list != nil {
			// It fails only for a flag that isn't the command's, or that is
			// registered already.
			_ = c.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(list, cobra.ShellCompDirectiveNoFileComp))
		}
	}
	c.PersistentFlags().VisitAll(register)
	c.LocalNonPersistentFlags().VisitAll(register)
	for _, child := range c.Commands() {
		completeFlags(child)
	}
}

var (
	aside  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(` ?\([^)]*\)`) })
	choice = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`) })
)

// choices are what a flag's help lists after its last colon: words with commas and a
// last "or" between, and nothing else.
func choices(usage string) []string {
	usage = aside().ReplaceAllString(usage, "")
	if i := strings.LastIndex(usage, ": "); i >= 0 {
		usage = usage[i+2:]
	}
	list := strings.Split(strings.ReplaceAll(usage, " or ", ", "), ", ")
	for _, word := range list {
		if !choice().MatchString(word) {
			return nil
		}
	}
	if len(list) < 2 {
		return nil
	}
	return list
}
