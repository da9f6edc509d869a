// Carries TCP connections from this network namespace into another: it listens here and connects there. Needs root.
//
//	forward [-while PID] [-for DURATION] NETNS[,NETNS...] LISTEN=TARGET...
//
// NETNS is a file such as /proc/PID/ns/net, opened anew for each connection, so that it may be a link that changes; of several the first that
// connects is taken. LISTEN and TARGET are ADDRESS:PORT with literal addresses. A LISTEN of PORT alone means 127.0.0.1, and any free port if
// that one is taken. Once all listen, standard output gets a line "ADDRESS:PORT TARGET" for each. With -while it ends when that process does.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

var (
	while = flag.Int("while", 0, "end when this process does")
	limit = flag.Duration("for", 2*time.Second, "time to connect from one namespace")
)

// dialFrom connects from within the namespace. A socket belongs to the namespace of the thread that made it, for good.
func dialFrom(netns, target string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		file, err := os.Open(netns)
		if err != nil {
			done <- result{nil, err}
			return
		}
		defer file.Close()
		if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- result{nil, fmt.Errorf("setns: %w", err)}
			return
		}
		conn, err := net.DialTimeout("tcp", target, *limit)
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}

func dial(namespaces []string, target string) (net.Conn, error) {
	var failed []error
	for _, netns := range namespaces {
		conn, err := dialFrom(netns, target)
		if err == nil {
			return conn, nil
		}
		failed = append(failed, err)
	}
	return nil, errors.Join(failed...)
}

func listen(address string) (net.Listener, error) {
	if strings.Contains(address, ":") {
		return net.Listen("tcp", address)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return net.Listen("tcp", "127.0.0.1:0")
	}
	return listener, err
}

func carry(from, to net.Conn, done chan<- struct{}) {
	io.Copy(to, from)
	to.(*net.TCPConn).CloseWrite()
	done <- struct{}{}
}

func serve(listener net.Listener, namespaces []string, target string) {
	for {
		out, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer out.Close()
			in, err := dial(namespaces, target)
			if err != nil {
				log.Print(err)
				return
			}
			defer in.Close()
			done := make(chan struct{}, 2)
			go carry(out, in, done)
			go carry(in, out, done)
			<-done
			<-done
		}()
	}
}

// wait returns when the process has ended, or never for 0.
func wait(pid int) {
	if pid == 0 {
		select {}
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		log.Fatalf("process %d: %v", pid, err)
	}
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		if n > 0 || (err != nil && err != unix.EINTR) {
			return
		}
	}
}

func main() {
	flag.Parse()
	if flag.NArg() < 2 {
		flag.Usage()
		os.Exit(2)
	}
	namespaces := strings.Split(flag.Arg(0), ",")
	for _, pair := range flag.Args()[1:] {
		address, target, ok := strings.Cut(pair, "=")
		if !ok {
			log.Fatalf("%q is not LISTEN=TARGET", pair)
		}
		listener, err := listen(address)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s %s\n", listener.Addr(), target)
		go serve(listener, namespaces, target)
	}
	os.Stdout.Close()
	wait(*while)
}
