package log

import (
	"net/http"
	"strings"
)

// route names what is asked of a log.
func route(r *http.Request) string {
	switch path := r.URL.Path; {
	case path == "/checkpoint":
		return "checkpoint"
	case strings.HasPrefix(path, "/tile/entries/"):
		return "entries"
	case strings.HasPrefix(path, "/tile/"):
		return "tile"
	}
	return "other"
}
