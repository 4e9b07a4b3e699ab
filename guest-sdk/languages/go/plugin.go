// Keeps failures: an example of a plugin in Go. The functions of the contract are in contract.go.
package main

import (
	"errors"
	"strings"
)

// Called once. What it leaves in memory is what every event finds.
func configure(config string) (Setup, error) {
	if config != "null" {
		return Setup{}, errors.New("only-failures takes no configuration")
	}
	return Setup{Name: "only-failures", Version: "0.1.0"}, nil
}

// Called for every event, in a fresh instance.
func process(event Event) (Verdict, error) {
	kind, _ := event.Attribute("type")
	if !strings.HasSuffix(kind, ".failed.v1") {
		return Drop("not a failure"), nil
	}
	if err := event.SetAttribute("severity", "error"); err != nil {
		return Verdict{}, err
	}
	if team, ok := event.Label("team"); ok {
		if err := event.SetAttribute("team", team); err != nil {
			return Verdict{}, err
		}
	}
	return Keep(), nil
}
