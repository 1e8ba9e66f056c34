// Package check prints one line per feature and holds what the Go clients share.
package check

import (
	"bufio"
	"fmt"
	"os"
	"reflect"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// Patience is how long to wait for what must happen soon, such as a cancelled query to end.
const Patience = 20 * time.Second

var input = bufio.NewReader(os.Stdin)

// Target says where the servers are, what is in them and who may come in.
type Target map[string]string

// ReadTarget reads a file of key=value lines.
func ReadTarget(path string) (Target, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	target := Target{}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		key, value, found := strings.Cut(line, "=")
		if !found {
			return nil, fmt.Errorf("%s: %q is no key=value", path, line)
		}
		target[key] = value
	}
	return target, nil
}

// Number is the value of a key that holds a number.
func (target Target) Number(key string) int64 {
	number, err := strconv.ParseInt(target[key], 10, 64)
	if err != nil {
		panic(fmt.Sprintf("target: %s: %v", key, err))
	}
	return number
}

// ModuleVersion is the version of a module that this program was built with.
func ModuleVersion(path string) string {
	build, _ := debug.ReadBuildInfo()
	for _, module := range build.Deps {
		if module.Path == path {
			return module.Version
		}
	}
	return "unknown"
}

// Client prints the lines of one client.
type Client struct{ name string }

// New begins the lines of a client with its version.
func New(name, version string) Client {
	client := Client{name}
	client.line("version", version, "")
	return client
}

// Feature runs one feature; its text, if any, is the detail of the line.
func (client Client) Feature(name string, run func() (string, error)) {
	detail, err := guarded(run)
	if err != nil {
		client.line(name, "fail", err.Error())
		return
	}
	client.line(name, "pass", detail)
}

// guarded turns a panic of the driver into an error: drivers cast without checks.
func guarded(run func() (string, error)) (detail string, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v: %s", cause, debug.Stack())
		}
	}()
	return run()
}

func (client Client) line(feature, outcome, detail string) {
	detail = strings.Join(strings.Fields(detail), " ")
	if len(detail) > 400 {
		detail = strings.ToValidUTF8(detail[:400], "")
	}
	fmt.Printf("%s\t%s\t%s\t%s\n", client.name, feature, outcome, detail)
}

// RestartServer asks whoever started us to restart the server with TLS, and waits until it is there again.
func RestartServer() error {
	fmt.Println("restart")
	_, err := input.ReadString('\n')
	return err
}

// Equal is an error unless both values are the same.
func Equal(actual, expected any, what string) error {
	if !reflect.DeepEqual(actual, expected) {
		return fmt.Errorf("%s is %v and should be %v", what, actual, expected)
	}
	return nil
}

// Fails is an error unless err is one that holds every part, in any case of letters.
func Fails(err error, parts ...string) error {
	if err == nil {
		return fmt.Errorf("should have failed")
	}
	for _, part := range parts {
		if !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(part)) {
			return fmt.Errorf("the error should say %q: %w", part, err)
		}
	}
	return nil
}

// First is the first error that is not nil.
func First(errors ...error) error {
	for _, err := range errors {
		if err != nil {
			return err
		}
	}
	return nil
}

// WaitUntilIdle waits until live finds no query that runs.
func WaitUntilIdle(live func() (int64, error)) error {
	for limit := time.Now().Add(Patience); ; {
		number, err := live()
		if err != nil || number == 0 {
			return err
		}
		if time.Now().After(limit) {
			return fmt.Errorf("the cancelled query still runs after %v", Patience)
		}
	}
}
