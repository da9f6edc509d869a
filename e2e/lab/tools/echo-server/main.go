// A small HTTP server for Pods of the lab's own tests. It tells what a Pod sees, and fails on request.
//
//	GET /                          the Pod's name
//	GET /healthz                   200; 503 before -ready-after has passed and after /break
//	GET /break                     makes /healthz fail
//	GET /fetch?url=                what another address says
//	GET /env?name=                 an environment variable
//	GET /file?path=[&write=TEXT]   reads a file, or writes it
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// Without keep-alive, or a client of a Service would meet the same Pod each time.
var client = http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

func fetch(w http.ResponseWriter, r *http.Request) {
	answer, err := client.Get(r.URL.Query().Get("url"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	w.WriteHeader(answer.StatusCode)
	io.Copy(w, answer.Body)
}

func file(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	var text []byte
	var err error
	if query.Has("write") {
		err = os.WriteFile(query.Get("path"), []byte(query.Get("write")), 0o644)
	} else {
		text, err = os.ReadFile(query.Get("path"))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	w.Write(text)
}

func main() {
	address := flag.String("listen", ":8080", "address")
	readyAfter := flag.Duration("ready-after", 0, "time until /healthz succeeds")
	flag.Parse()
	host, err := os.Hostname()
	if err != nil {
		log.Fatal(err)
	}
	start := time.Now()
	var broken atomic.Bool
	http.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, host) })
	http.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) {
		if broken.Load() || time.Since(start) < *readyAfter {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
		}
	})
	http.HandleFunc("/break", func(w http.ResponseWriter, r *http.Request) { broken.Store(true) })
	http.HandleFunc("/env", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, os.Getenv(r.URL.Query().Get("name")))
	})
	http.HandleFunc("/fetch", fetch)
	http.HandleFunc("/file", file)
	log.Fatal(http.ListenAndServe(*address, nil))
}
