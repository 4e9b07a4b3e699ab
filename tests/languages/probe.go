// Calls every function of the contract with the bindings of guest-sdk/languages/go/contract.go.
package main

import "fmt"

func configure(config string) (Setup, error) {
	word := "limit"
	return Setup{Name: "probe", Version: "0.1.0", RuleSets: []RuleSet{
		{Name: "unused"},
		{Name: "words", Rules: []Rule{
			{ID: "other", Pattern: "nowhere"},
			{ID: "word", Pattern: "quota", Keywords: []string{"QUOTA"}, Replacement: &word},
		}, Values: []string{"unused", "exceeded"}},
	}}, nil
}

// Calls every function of the contract, and writes what they answer to the log.
func process(event Event) (Verdict, error) {
	WriteLog(Warn, "the probe runs")
	step, code := event.Step(), "none"
	if step.ExitCode != nil {
		code, step.ExitCode = fmt.Sprint(*step.ExitCode), nil
	}
	says := fmt.Sprintf("%+v\n%+v %s\n", event.Header(), step, code)
	says += fmt.Sprintln(event.Extensions(), event.LogSize(), len(event.Log()), string(event.ReadLog(2, 6)))
	says += fmt.Sprintln(event.Get("/stepIndex"))
	says += fmt.Sprintln(event.Get("/none"))
	says += fmt.Sprintln(event.Label("team"))
	says += fmt.Sprintln(event.Annotation("none"))
	says += fmt.Sprintln(event.DataJSON()[:10], event.Set("/podRef", "1"), event.Set("/made", `{"by": "probe"}`), event.Remove("/labels"))
	says += fmt.Sprintln(event.SetAttribute("severity", "error"), event.RemoveAttribute("subject"))
	says += fmt.Sprintln(event.Redact("words", Log))
	says += fmt.Sprintln(event.Redact("nothing", Everything))
	says += fmt.Sprintln(event.EditLog([]LogEdit{{9, 8, "a"}, {1, 2, "b"}}))
	return Keep(), event.SetLog(says)
}
