// The contract (plugin.wit) in Go, by hand: no generated code and no module from outside. plugin.wit says
// what each part means.
//
// The names and the shapes of all functions here follow from plugin.wit by the rules of the
// component model's canonical ABI. In short, for this contract:
//
//   - a string or list is an address and a length, both 32 bits. A parameter of type string is passed
//     like that by Go itself;
//   - an option, result or variant is a byte that tells the case, then, aligned, what the case holds;
//   - an enum is a byte, as a parameter an int32. A resource is a handle, an int32;
//   - a parameter that is an option is passed as its parts, one after the other;
//   - a result of more than one part is written to memory: an import gets, as its last parameter, the
//     place to write it to, an export returns the place where it has written it.
//
// A pointer of Go has 64 bits, so the structures hold addresses as uint32. What an address points to is
// kept alive by `kept`. The imports have no go:noescape: what they write to is then on the heap, where it
// stays in its place while the host calls cabi_realloc.
//
// The host wraps the module into a component. As the module does not describe its world, it gets the
// world `plugin` of the contract.
package main

import (
	"errors"
	"structs"
	"unsafe"
)

// Required by the toolchain. Nothing calls it.
func main() {}

// === memory ===

// All memory whose address the host has or gets. It is never given up: the host starts every event in a
// fresh instance, and all memory goes away with it.
var kept []any

// The host asks here for the memory of each string and list that it returns.
//
//go:wasmexport cabi_realloc
func cabiRealloc(old, oldSize, align, size uint32) unsafe.Pointer {
	// They come in one piece, so nothing is ever asked to grow. A uint64 is aligned to 8 bytes, as much as
	// the contract ever needs.
	block := make([]uint64, (uint64(size)+7)/8+1)
	kept = append(kept, block)
	return unsafe.Pointer(&block[0])
}

// A string or a list.
type span struct {
	_    structs.HostLayout
	at   uint32
	size uint32
}

func address(at unsafe.Pointer) uint32 { return uint32(uintptr(at)) }

func spanOf(text string) span {
	return span{at: address(unsafe.Pointer(unsafe.StringData(text))), size: uint32(len(text))}.keep(text)
}

func listOf[T any](items []T) span {
	return span{at: address(unsafe.Pointer(unsafe.SliceData(items))), size: uint32(len(items))}.keep(items)
}

func (s span) keep(content any) span {
	if s.size == 0 {
		return span{}
	}
	kept = append(kept, content)
	return s
}

func (s span) String() string {
	return unsafe.String((*byte)(unsafe.Pointer(uintptr(s.at))), s.size)
}

func items[T any](s span) []T {
	return unsafe.Slice((*T)(unsafe.Pointer(uintptr(s.at))), s.size)
}

// Makes another list of each item of a list.
func each[A, B any](list []A, change func(A) B) []B {
	var changed []B
	for _, item := range list {
		changed = append(changed, change(item))
	}
	return changed
}

// option<string>
type optionText struct {
	_      structs.HostLayout
	isSome uint8
	value  span
}

func (o *optionText) get() (string, bool) { return o.text(), o.isSome != 0 }

// Empty if there is none.
func (o *optionText) text() string {
	if o.isSome == 0 {
		return ""
	}
	return o.value.String()
}

// option<s32>
type optionNumber struct {
	_      structs.HostLayout
	isSome uint8
	value  int32
}

// result<_, edit-error>
type edited struct {
	_     structs.HostLayout
	isErr uint8
	err   editError
}

type editError struct {
	_    structs.HostLayout
	kind uint8
	why  span
}

const tooLarge = 2

func (e *edited) get() error {
	switch {
	case e.isErr == 0:
		return nil
	case e.err.kind == tooLarge:
		return errors.New("the changes are too large")
	default:
		return errors.New(e.err.why.String())
	}
}

// === interface events ===

// Header is the context attributes of an event. What it does not have is empty.
type Header struct {
	ID, Source, Type, Subject, Time, DataContentType string
}

// Phase is what a step did.
type Phase uint8

// The phases.
const (
	Started Phase = iota
	Succeeded
	Failed
	Skipped
)

// Step is the step that an event is about. What it does not have is empty.
type Step struct {
	Namespace, PipelineRun, PipelineTask, TaskRun, Name string
	Index, Attempt                                      uint32
	Pod, Container, Image                               string
	Phase                                               Phase
	ExitCode                                            *int32
	Reason, StartedAt, FinishedAt                       string
}

// LogEdit is a replacement in the log: of the bytes from Start up to End.
type LogEdit struct {
	Start, End uint64
	Text       string
}

// Scope is what Redact looks at.
type Scope uint8

// The scopes.
const (
	Log Scope = iota
	Everything
)

// Redaction says how often a rule matched.
type Redaction struct {
	Rule  string
	Count uint32
}

type header struct {
	_                              structs.HostLayout
	id, source, kind               span
	subject, time, datacontenttype optionText
}

type step struct {
	_                         structs.HostLayout
	namespace                 span
	pipelineRun, pipelineTask optionText
	taskRun, name             span
	index, attempt            uint32
	pod, container            span
	image                     optionText
	phase                     uint8
	exitCode                  optionNumber
	reason, started, finished optionText
}

type logEdit struct {
	_          structs.HostLayout
	start, end uint64
	text       span
}

type redaction struct {
	_     structs.HostLayout
	rule  span
	count uint32
}

// result<list<redaction>, edit-error>
type redacted struct {
	_     structs.HostLayout
	isErr uint8
	parts [3]uint32
}

//go:wasmimport step-observer:plugin/events@0.1.0 [method]event.header
func eventHeader(event int32, answer *header)

//go:wasmimport step-observer:plugin/events@0.1.0 [method]event.step
func eventStep(event int32, answer *step)

//go:wasmimport step-observer:plugin/events@0.1.0 [method]event.attribute
func eventAttribute(event int32, name string, answer *optionText)

//go:wasmimport step-observer:plugin/events@0.1.0 [method]event.set-attribute
func eventSetAttribute(event int32, name string, isSome int32, value string, answer *edited)

//go:wasmimport step-observer:plugin/events@0.1.0 [method]event.extensions
func eventExtensions(event int32, answer *span)

//go:wasmimport step-observer:plugin/events@0.1.0 [method]event.data-json
func eventDataJSON(event int32, answer *span)

//go:wasmimport step-observer:plugin/events@0.1.0 [method]event.get
func eventGet(event int32, pointer string, answer *optionText)

//go:wasmimport step-observer:plugin/events@0.1.0 [method]event.set
func eventSet(event int32, pointer string, isSome int32, json string, answer *edited)

//go:wasmimport step-observer:plugin/events@0.1.0 [method]event.label
func eventLabel(event int32, name string, answer *optionText)

//go:wasmimport step-observer:plugin/events@0.1.0 [method]event.annotation
func eventAnnotation(event int32, name string, answer *optionText)

//go:wasmimport step-observer:plugin/events@0.1.0 [method]event.log-size
func eventLogSize(event int32) uint64

//go:wasmimport step-observer:plugin/events@0.1.0 [method]event.log
func eventLog(event int32, answer *span)

//go:wasmimport step-observer:plugin/events@0.1.0 [method]event.read-log
func eventReadLog(event int32, offset uint64, length uint32, answer *span)

//go:wasmimport step-observer:plugin/events@0.1.0 [method]event.set-log
func eventSetLog(event int32, text string, answer *edited)

//go:wasmimport step-observer:plugin/events@0.1.0 [method]event.edit-log
func eventEditLog(event int32, edits, count uint32, answer *edited)

//go:wasmimport step-observer:plugin/events@0.1.0 [method]event.redact
func eventRedact(event int32, rules string, scope int32, answer *redacted)

//go:wasmimport step-observer:plugin/events@0.1.0 [resource-drop]event
func eventDrop(event int32)

// Event is one event: a handle, which is valid until process returns.
type Event struct{ handle int32 }

// Header returns the context attributes.
func (e Event) Header() Header {
	var h header
	eventHeader(e.handle, &h)
	return Header{h.id.String(), h.source.String(), h.kind.String(), h.subject.text(), h.time.text(), h.datacontenttype.text()}
}

// Step returns the step.
func (e Event) Step() Step {
	var s step
	eventStep(e.handle, &s)
	var exitCode *int32
	if s.exitCode.isSome != 0 {
		exitCode = &s.exitCode.value
	}
	return Step{
		s.namespace.String(), s.pipelineRun.text(), s.pipelineTask.text(), s.taskRun.String(), s.name.String(),
		s.index, s.attempt,
		s.pod.String(), s.container.String(), s.image.text(),
		Phase(s.phase),
		exitCode,
		s.reason.text(), s.started.text(), s.finished.text(),
	}
}

// Attribute returns a context attribute or extension as text.
func (e Event) Attribute(name string) (string, bool) {
	var answer optionText
	eventAttribute(e.handle, name, &answer)
	return answer.get()
}

// SetAttribute sets an extension or the subject.
func (e Event) SetAttribute(name, value string) error {
	var answer edited
	eventSetAttribute(e.handle, name, 1, value, &answer)
	return answer.get()
}

// RemoveAttribute removes an extension or the subject.
func (e Event) RemoveAttribute(name string) error {
	var answer edited
	eventSetAttribute(e.handle, name, 0, "", &answer)
	return answer.get()
}

// Extensions returns the names and values of all extensions.
func (e Event) Extensions() [][2]string {
	var answer span
	eventExtensions(e.handle, &answer)
	return each(items[[2]span](answer), func(pair [2]span) [2]string {
		return [2]string{pair[0].String(), pair[1].String()}
	})
}

// DataJSON returns the data without the log, as JSON text.
func (e Event) DataJSON() string {
	var answer span
	eventDataJSON(e.handle, &answer)
	return answer.String()
}

// Get returns a part of the data as JSON text, by JSON pointer.
func (e Event) Get(pointer string) (string, bool) {
	var answer optionText
	eventGet(e.handle, pointer, &answer)
	return answer.get()
}

// Set sets a part of the data.
func (e Event) Set(pointer, json string) error {
	var answer edited
	eventSet(e.handle, pointer, 1, json, &answer)
	return answer.get()
}

// Remove removes a part of the data.
func (e Event) Remove(pointer string) error {
	var answer edited
	eventSet(e.handle, pointer, 0, "", &answer)
	return answer.get()
}

// Label returns a label of the TaskRun.
func (e Event) Label(name string) (string, bool) {
	var answer optionText
	eventLabel(e.handle, name, &answer)
	return answer.get()
}

// Annotation returns an annotation of the TaskRun.
func (e Event) Annotation(name string) (string, bool) {
	var answer optionText
	eventAnnotation(e.handle, name, &answer)
	return answer.get()
}

// LogSize returns the size of the log in bytes.
func (e Event) LogSize() uint64 { return eventLogSize(e.handle) }

// Log returns the whole log.
func (e Event) Log() string {
	var answer span
	eventLog(e.handle, &answer)
	return answer.String()
}

// ReadLog returns a piece of the log, shorter than length at its end.
func (e Event) ReadLog(offset uint64, length uint32) []byte {
	var answer span
	eventReadLog(e.handle, offset, length, &answer)
	return items[byte](answer)
}

// SetLog replaces the log.
func (e Event) SetLog(text string) error {
	var answer edited
	eventSetLog(e.handle, text, &answer)
	return answer.get()
}

// EditLog replaces ranges of the log, sorted and not overlapping.
func (e Event) EditLog(edits []LogEdit) error {
	list := listOf(each(edits, func(edit LogEdit) logEdit {
		return logEdit{start: edit.Start, end: edit.End, text: spanOf(edit.Text)}
	}))
	var answer edited
	eventEditLog(e.handle, list.at, list.size, &answer)
	return answer.get()
}

// Redact replaces every match of a rule set that configure declared.
func (e Event) Redact(rules string, scope Scope) ([]Redaction, error) {
	var answer redacted
	eventRedact(e.handle, rules, int32(scope), &answer)
	if answer.isErr != 0 {
		kind, why := uint8(answer.parts[0]), span{at: answer.parts[1], size: answer.parts[2]}
		return nil, (&edited{isErr: 1, err: editError{kind: kind, why: why}}).get()
	}
	found := items[redaction](span{at: answer.parts[0], size: answer.parts[1]})
	return each(found, func(r redaction) Redaction { return Redaction{r.rule.String(), r.count} }), nil
}

// === interface logging ===

// Level says how important a line for the operator is.
type Level uint8

// The levels.
const (
	Debug Level = iota
	Info
	Warn
	Error
)

//go:wasmimport step-observer:plugin/logging@0.1.0 log
func loggingLog(level int32, message string)

// WriteLog writes a line to the host's log. Not in configure, which calls nothing of the host.
func WriteLog(level Level, message string) { loggingLog(int32(level), message) }

// === interface transform, configure: func(config: string) -> result<setup, string> ===

// Rule is one kind of secret.
type Rule struct {
	ID, Pattern string
	Keywords    []string
	Replacement *string
}

// RuleSet is rules and secrets that Redact applies together.
type RuleSet struct {
	Name   string
	Rules  []Rule
	Values []string
}

// Setup is what the plugin is.
type Setup struct {
	Name, Version string
	RuleSets      []RuleSet
}

type rule struct {
	_                     structs.HostLayout
	id, pattern, keywords span
	replacement           optionText
}

type ruleSet struct {
	_                   structs.HostLayout
	name, rules, values span
}

func (r Rule) lower() rule {
	lowered := rule{id: spanOf(r.ID), pattern: spanOf(r.Pattern), keywords: listOf(each(r.Keywords, spanOf))}
	if r.Replacement != nil {
		lowered.replacement = optionText{isSome: 1, value: spanOf(*r.Replacement)}
	}
	return lowered
}

func (s RuleSet) lower() ruleSet {
	return ruleSet{
		name:   spanOf(s.Name),
		rules:  listOf(each(s.Rules, Rule.lower)),
		values: listOf(each(s.Values, spanOf)),
	}
}

type configured struct {
	_                 structs.HostLayout
	isErr             uint8
	name              span // or the error
	version, ruleSets span
}

//go:wasmexport step-observer:plugin/transform@0.1.0#configure
func exportConfigure(at, size uint32) *configured {
	setup, err := configure(span{at: at, size: size}.String())
	answer := new(configured)
	kept = append(kept, answer)
	if err != nil {
		answer.isErr, answer.name = 1, spanOf(err.Error())
		return answer
	}
	answer.name, answer.version = spanOf(setup.Name), spanOf(setup.Version)
	answer.ruleSets = listOf(each(setup.RuleSets, RuleSet.lower))
	return answer
}

// === interface transform, process: func(event: borrow<event>) -> result<verdict, string> ===

// Verdict is what becomes of the event.
type Verdict struct {
	isDrop bool
	reason string
}

// Keep lets the event go on, with its changes.
func Keep() Verdict { return Verdict{} }

// Drop ends the event, for this reason.
func Drop(reason string) Verdict { return Verdict{isDrop: true, reason: reason} }

// A verdict is a case and a text. An error is a text in the place of both.
type processed struct {
	_     structs.HostLayout
	isErr uint8
	parts [3]uint32
}

//go:wasmexport step-observer:plugin/transform@0.1.0#process
func exportProcess(handle int32) *processed {
	verdict, err := process(Event{handle})
	// The event is only lent: with the handle still open, the call would end in a trap.
	eventDrop(handle)
	answer := new(processed)
	kept = append(kept, answer)
	switch {
	case err != nil:
		why := spanOf(err.Error())
		answer.isErr, answer.parts = 1, [3]uint32{why.at, why.size}
	case verdict.isDrop:
		reason := spanOf(verdict.reason)
		answer.parts = [3]uint32{1, reason.at, reason.size}
	}
	return answer
}
