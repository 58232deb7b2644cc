// Command front stands before rekor-tiles's posix server, as a web server does
// in production: it serves the checkpoint and tiles from the storage directory,
// which the server itself does not (it answers 501), and hands on all else.
//
//	front LISTEN STORAGE SERVER
package main

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"time"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: front LISTEN STORAGE SERVER")
		os.Exit(2)
	}
	server, err := url.Parse(os.Args[3])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	files := http.StripPrefix("/api/v2", http.FileServer(http.Dir(os.Args[2])))
	proxy := httputil.NewSingleHostReverseProxy(server)
	s := &http.Server{Addr: os.Args[1], ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The directory holds the log's state as well: that is nobody's.
		if name, ok := strings.CutPrefix(r.URL.Path, "/api/v2/"); ok && (name == "checkpoint" || strings.HasPrefix(name, "tile/")) {
			files.ServeHTTP(w, r)
			return
		}
		proxy.ServeHTTP(w, r)
	})}
	fmt.Fprintln(os.Stderr, s.ListenAndServe())
	os.Exit(1)
}
