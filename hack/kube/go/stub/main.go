// Stub is the test workload and the pause container of the local node, in one static binary:
//
//	stub pause                 do nothing until told to end (the sandbox's first process)
//	stub serve [ADDRESS]       answer every HTTP request with the pod's host name (default :8080)
//	stub get URL               one HTTP request with a time limit; prints the answer
//	stub resolve [-tcp] NAME   look a name up over UDP or TCP; prints the addresses
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const limit = 3 * time.Second

func main() {
	args := append(os.Args[1:], "", "")
	if err := run(args[0], args[1], args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "stub:", err)
		os.Exit(1)
	}
}

func run(command, first, second string) error {
	switch command {
	case "pause":
		return pause()
	case "serve":
		return serve(first)
	case "get":
		return get(first)
	case "resolve":
		if first == "-tcp" {
			return resolve("tcp", second)
		}
		return resolve("udp", first)
	}
	return fmt.Errorf("unknown command %q", command)
}

// pause also reaps: with a shared process namespace it is everybody's init.
func pause() error {
	end, child := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
	signal.Notify(child, syscall.SIGCHLD)
	for {
		select {
		case <-end:
			return nil
		case <-child:
			for pid := 1; pid > 0; {
				pid, _ = syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
			}
		}
	}
}

func serve(address string) error {
	if address == "" {
		address = ":8080"
	}
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	go func() {
		_ = pause()
		os.Exit(0)
	}()
	server := &http.Server{
		Addr:              address,
		ReadHeaderTimeout: limit,
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, name) }),
	}
	return server.ListenAndServe()
}

func get(url string) error {
	client := &http.Client{Timeout: limit}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(os.Stdout, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", response.Status)
	}
	return nil
}

func resolve(network, name string) error {
	resolver := &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, _, server string) (net.Conn, error) {
			return (&net.Dialer{Timeout: limit}).DialContext(ctx, network, server)
		},
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*limit)
	defer cancel()
	addresses, err := resolver.LookupHost(ctx, name)
	if err != nil {
		return err
	}
	fmt.Println(strings.Join(addresses, " "))
	return nil
}
