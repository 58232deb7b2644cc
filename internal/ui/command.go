package ui

import (
	"slices"
	"strings"
)

// programs are those whose commands people are given to type.
var programs = []string{"fleetctl", "ssh-keygen", "ssh-add", "openssl", "chmod", "fuser"}

// isCommand tells a line to type from prose. It is never folded like prose: in two
// pieces it would be two commands.
func isCommand(line string) bool {
	first, _, more := strings.Cut(line, " ")
	return more && slices.Contains(programs, first)
}

// breakCommand breaks a command that is wider than n columns where a shell reads on:
// between two words, after a backslash. What stands in quotes stays whole.
func breakCommand(line string, n int) []string {
	const more, indent = ` \`, "    "
	if width(line) <= n {
		return []string{line}
	}
	var lines []string
	at := ""
	for _, word := range withValues(shellFields(line), n-len(indent)-len(more)) {
		switch {
		case at == "":
			at = word
		case width(at)+1+width(word)+width(more) <= n:
			at += " " + word
		default:
			lines = append(lines, at+more)
			at = indent + word
		}
	}
	return append(lines, at)
}

// withValues keeps an option and its value together where n columns hold both.
func withValues(fields []string, n int) (list []string) {
	for i, f := range fields {
		if i > 0 && strings.HasPrefix(fields[i-1], "-") && !strings.HasPrefix(f, "-") && width(fields[i-1]+" "+f) <= n {
			list[len(list)-1] += " " + f
			continue
		}
		list = append(list, f)
	}
	return list
}

// shellFields are the words of a command, each as it is typed.
func shellFields(line string) (list []string) {
	var quote rune
	begun := 0
	for i, r := range line {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '\'' || r == '"':
			quote = r
		case r == ' ':
			if i > begun {
				list = append(list, line[begun:i])
			}
			begun = i + 1
		}
	}
	if begun < len(line) {
		list = append(list, line[begun:])
	}
	return list
}
