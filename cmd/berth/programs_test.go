package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/seed-78150930/berth/auth/sigv4/sigv4test"
)

// programs are what scripts can run beside berth, so that they need none that
// a machine may lack.
var programs = map[string]func(){
	"berth": main, dockerHelper: main, kubeletProvider: main,
	"fetch": fetch, "trusting": trusting, "whoami": whoami, "ecr": ecr,
}

// fetch PATH [HEADER: VALUE]... asks the server at $URL, and prints the status
// and headers of its answer, an empty line and the body.
func fetch() {
	req, err := http.NewRequest(http.MethodGet, os.Getenv("URL")+os.Args[1], nil)
	check(err)
	for _, h := range os.Args[2:] {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
		if name == "Host" {
			req.Host = value
		}
	}
	show(req)
}

// trusting FILE HOST asks the server at $URL as if it were a host, trusting
// nobody but the authority whose certificate is in the file.
func trusting() {
	pem, err := os.ReadFile(os.Args[1])
	check(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	http.DefaultTransport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: roots, ServerName: os.Args[2]}
	req, err := http.NewRequest(http.MethodGet, os.Getenv("URL")+"/v2/", nil)
	check(err)
	req.Host = os.Args[2]
	show(req)
}

// whoami ID SECRET asks STS at $URL whose key this is.
func whoami() {
	const ask = "Action=GetCallerIdentity&Version=2011-06-15"
	req, err := http.NewRequest(http.MethodPost, os.Getenv("URL")+"/", strings.NewReader(ask))
	check(err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	sigv4test.Key{ID: os.Args[1], Secret: os.Args[2], Region: "us-east-1", Service: "sts"}.Sign(req, ask, time.Now())
	show(req)
}

// ecr OPERATION JSON calls ECR's API at $URL with the key in $AWS_ACCESS_KEY_ID and
// $AWS_SECRET_ACCESS_KEY or, without one, that of a server for development. It fails
// where the answer is not 200.
func ecr() {
	req, err := http.NewRequest(http.MethodPost, os.Getenv("URL")+"/", strings.NewReader(os.Args[2]))
	check(err)
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921."+os.Args[1])
	key := sigv4test.Key{ID: "test", Secret: "test", Region: "us-east-1", Service: "ecr"}
	if id := os.Getenv("AWS_ACCESS_KEY_ID"); id != "" {
		key.ID, key.Secret = id, os.Getenv("AWS_SECRET_ACCESS_KEY")
	}
	key.Sign(req, os.Args[2], time.Now())
	resp, err := http.DefaultClient.Do(req)
	check(err)
	defer resp.Body.Close()
	_, err = io.Copy(os.Stdout, resp.Body)
	check(err)
	if resp.StatusCode != http.StatusOK {
		check(fmt.Errorf("%s: %s", os.Args[1], resp.Status))
	}
}

func show(req *http.Request) {
	resp, err := http.DefaultClient.Do(req)
	check(err)
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	check(resp.Header.Write(os.Stdout))
	fmt.Println()
	_, err = io.Copy(os.Stdout, resp.Body)
	check(err)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// private FOLDER says whether the folder and everything in it is the owner's
// alone.
func private(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			err = fmt.Errorf("%s has mode %v", name, info.Mode())
		}
		return err
	}))
}

// agekey FILE VARIABLE writes a new private key of age to a file, and sets a variable to
// its public key.
func agekey(ts *testscript.TestScript, _ bool, args []string) {
	key, err := age.GenerateX25519Identity()
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(key.String()+"\n"), 0o600))
	ts.Setenv(args[1], key.Recipient().String())
}

// page NAME LANGUAGE [FILE] runs a page's blocks of shell, or writes its one block of
// another language to a file.
func page(ts *testscript.TestScript, _ bool, args []string) {
	text, err := os.ReadFile(filepath.Join(docs, args[0]))
	ts.Check(err)
	blocks := 0
	for _, part := range strings.Split(string(text), "\n```"+args[1]+"\n")[1:] {
		block, _, _ := strings.Cut(part, "\n```")
		blocks++
		if args[1] != "sh" {
			ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(block), 0o600))
			continue
		}
		if err := ts.Exec("sh", "-euc", block); err != nil {
			ts.Fatalf("%s: %v\n%s", args[0], err, block)
		}
	}
	if blocks == 0 || args[1] != "sh" && blocks > 1 {
		ts.Fatalf("%s has %d blocks of %s", args[0], blocks, args[1])
	}
}

// docs is the folder of pages, wherever scripts run.
var docs, _ = filepath.Abs("../../docs")
