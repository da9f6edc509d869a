// Command hpa-oracle runs the unmodified HPA controller of Kubernetes in virtual time.
//
// Each line of standard input is a scenario in JSON (see scenario.go); each line of standard output is the list of the passes that
// the controller made in it, or {"error": "..."}. An hour of virtual time takes a fraction of a second.
//
// The controller asks time.Now() for the time, so nothing but a bubble of testing/synctest can lead it, and only a test may open
// one: that is why this program is a test that reads and writes.
package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"testing"
	"testing/synctest"

	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/klog/v2"
)

func main() {
	// what testing prints is not for the reader of the answers
	out := bufio.NewWriter(os.Stdout)
	os.Stdout = os.Stderr
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	// the usual ones wait by a clock outside of the bubble
	utilruntime.ErrorHandlers = nil
	testing.Init()
	all := func(string, string) (bool, error) { return true, nil }
	testing.Main(all, []testing.InternalTest{{Name: "answers", F: func(t *testing.T) { answer(t, os.Stdin, out) }}}, nil, nil)
}

func answer(t *testing.T, in io.Reader, out *bufio.Writer) {
	lines := json.NewDecoder(bufio.NewReaderSize(in, 1<<20))
	answers := json.NewEncoder(out)
	for {
		var asked scenario
		if err := lines.Decode(&asked); err == io.EOF {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		var passes []pass
		var failed error
		synctest.Test(t, func(t *testing.T) { passes, failed = run(t, asked) })
		var said any = passes
		if failed != nil {
			said = map[string]string{"error": failed.Error()}
		}
		if err := answers.Encode(said); err != nil {
			t.Fatal(err)
		}
		if err := out.Flush(); err != nil {
			t.Fatal(err)
		}
	}
}
