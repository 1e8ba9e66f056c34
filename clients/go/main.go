// The Go clients of the matrix: ADBC's driver for Flight SQL, and Grafana's calls.
//
//	clients adbc TARGET
//	clients grafana TARGET DASHBOARD
//
// TARGET is a file of key=value lines that says where the servers are; one line is printed per feature.
package main

import (
	"fmt"
	"os"

	"pintail/clients/adbcflight"
	"pintail/clients/check"
	"pintail/clients/grafana"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) < 2 {
		return fmt.Errorf("usage: clients adbc TARGET | clients grafana TARGET DASHBOARD")
	}
	target, err := check.ReadTarget(arguments[1])
	if err != nil {
		return err
	}
	switch {
	case arguments[0] == "adbc":
		return adbcflight.Run(target)
	case arguments[0] == "grafana" && len(arguments) == 3:
		return grafana.Run(target, arguments[2])
	}
	return fmt.Errorf("unknown arguments: %v", arguments)
}
