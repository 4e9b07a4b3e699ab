//go:build ignore

// Gives a module of Go an empty WASI: go run stub_wasi.go IN.wasm OUT.wasm
//
// The runtime of Go imports WASI, which plugins do not get. So each function of WASI that the module
// imports becomes a function of the module, which does nothing:
//
//   - there are no arguments, no environment, no files and no network;
//   - what is printed is lost; exit ends the call;
//   - random bytes are zero;
//   - the clock starts in 1970 and advances by a millisecond whenever it is read, because the runtime
//     does not start with a clock at zero, and a sleep would never end with a clock that stands still.
//
// And `_initialize` does nothing the second time: the host calls `configure` once and starts every event
// with the memory that it left, in which the runtime runs already.
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
)

const wasi = "wasi_snapshot_preview1"

// Ids of sections.
const (
	custom, imports, functions, globals, exports, elements, code = 0, 2, 3, 6, 7, 9, 10
)

// Instructions.
const (
	unreachable, ifThen, end, ret, call = 0x00, 0x04, 0x0b, 0x0f, 0x10
	localGet, globalGet, globalSet      = 0x20, 0x23, 0x24
	load32, store32, store64            = 0x28, 0x36, 0x37
	i32const, i64const, i64add          = 0x41, 0x42, 0x7c
	prefixed, memoryFill                = 0xfc, 0x0b
	i32, i64, noType                    = 0x7f, 0x7e, 0x40
)

func main() {
	if len(os.Args) != 3 {
		fail("usage: go run stub_wasi.go IN.wasm OUT.wasm")
	}
	module, err := os.ReadFile(os.Args[1])
	if err != nil {
		fail(err.Error())
	}
	if err := os.WriteFile(os.Args[2], stub(module), 0o644); err != nil {
		fail(err.Error())
	}
}

func fail(why string) {
	fmt.Fprintln(os.Stderr, "stub_wasi.go:", why)
	os.Exit(1)
}

// The functions that the module imports. Functions are numbered: first those that are imported, then
// those that are defined. The new module imports only those of the contract. The stubs become the first
// functions that are defined, so all functions behind them keep their number.
type numbering struct {
	stubs   []stubbed
	numbers []uint64 // the new number of each imported function
	clock   uint64   // number of the global that holds the time
	started uint64   // number of the global that says whether `_initialize` has run
	guard   uint64   // number of the function that is `_initialize` from now on
}

type stubbed struct {
	name string
	kind uint64
}

func (n *numbering) of(function uint64) uint64 {
	if function < uint64(len(n.numbers)) {
		return n.numbers[function]
	}
	return function
}

func stub(module []byte) []byte {
	sections := split(module)
	var made numbering
	all := &reader{bytes: sections[imports]}
	newImports := made.readImports(all)
	defined := (&reader{bytes: sections[functions]}).number()
	made.guard = uint64(len(made.numbers)) + defined
	made.clock = (&reader{bytes: sections[globals]}).number()
	made.started = made.clock + 1
	initialize, newExports := made.changeExports(sections[exports])

	out := append([]byte{}, module[:8]...)
	rest := &reader{bytes: module[8:]}
	for rest.at < len(rest.bytes) {
		id := rest.byte()
		content := rest.take(rest.number())
		switch id {
		case custom:
			if bytes.HasPrefix(content, []byte("\x04name")) {
				continue // the numbers in it have changed
			}
		case imports:
			content = newImports
		case functions:
			content = made.changeFunctions(content, initialize)
		case globals:
			clock := append([]byte{i64, 1, i64const}, 0, end)
			started := append([]byte{i32, 1, i32const}, 0, end)
			content = extend(content, nil, [][]byte{clock, started})
		case exports:
			content = newExports
		case elements:
			content = made.changeElements(content)
		case code:
			content = made.changeCode(content, initialize)
		}
		out = append(append(out, id), sized(content)...)
	}
	return out
}

func split(module []byte) map[byte][]byte {
	if len(module) < 8 || !bytes.HasPrefix(module, []byte("\x00asm\x01\x00\x00\x00")) {
		fail("this is no module of WebAssembly")
	}
	sections := map[byte][]byte{}
	all := &reader{bytes: module[8:]}
	for all.at < len(all.bytes) {
		id := all.byte()
		sections[id] = all.take(all.number())
	}
	return sections
}

func (n *numbering) readImports(all *reader) []byte {
	var kept [][]byte
	var isStub []bool
	for count := all.number(); count > 0; count-- {
		start := all.at
		from, name := all.text(), all.text()
		if all.byte() != 0 {
			fail("it imports " + name + ", which is no function")
		}
		kind := all.number()
		isStub = append(isStub, from == wasi)
		if from == wasi {
			n.stubs = append(n.stubs, stubbed{name, kind})
		} else {
			kept = append(kept, all.bytes[start:all.at])
		}
	}
	contract, stubs := uint64(0), uint64(len(kept))
	for _, is := range isStub {
		next := &contract
		if is {
			next = &stubs
		}
		n.numbers = append(n.numbers, *next)
		*next++
	}
	return list(kept)
}

func (n *numbering) changeExports(section []byte) (uint64, []byte) {
	var kept [][]byte
	initialize := uint64(0)
	all := &reader{bytes: section}
	for count := all.number(); count > 0; count-- {
		name, kind, number := all.text(), all.byte(), all.number()
		if kind == 0 {
			number = n.of(number)
		}
		if name == "_initialize" {
			initialize, number = number, n.guard
		}
		kept = append(kept, append(append(sized([]byte(name)), kind), leb(number)...))
	}
	if initialize == 0 {
		fail("it exports no _initialize: build it with -buildmode=c-shared")
	}
	return initialize, list(kept)
}

func (n *numbering) changeFunctions(section []byte, initialize uint64) []byte {
	var stubs [][]byte
	for _, stub := range n.stubs {
		stubs = append(stubs, leb(stub.kind))
	}
	all := &reader{bytes: section}
	kinds := make([]uint64, all.number())
	for i := range kinds {
		kinds[i] = all.number()
	}
	guard := leb(kinds[initialize-uint64(len(n.numbers))])
	return extend(section, stubs, [][]byte{guard})
}

func (n *numbering) changeElements(section []byte) []byte {
	all := &reader{bytes: section}
	out := leb(all.number())
	for all.at < len(all.bytes) {
		start := all.at
		if all.number() != 0 {
			fail("it has elements of an unknown kind")
		}
		for all.byte() != end {
		}
		out = append(out, all.bytes[start:all.at]...)
		count := all.number()
		out = append(out, leb(count)...)
		for ; count > 0; count-- {
			out = append(out, leb(n.of(all.number()))...)
		}
	}
	return out
}

func (n *numbering) changeCode(section []byte, initialize uint64) []byte {
	all := &reader{bytes: section}
	var bodies [][]byte
	for _, stub := range n.stubs {
		bodies = append(bodies, sized(n.body(stub.name)))
	}
	for count := all.number(); count > 0; count-- {
		bodies = append(bodies, sized(n.changeBody(all.take(all.number()))))
	}
	guard := join([]byte{0, globalGet}, leb(n.started), []byte{ifThen, noType, ret, end, i32const, 1, globalSet},
		leb(n.started), []byte{call}, leb(initialize), []byte{end})
	return list(append(bodies, sized(guard)))
}

// What a function of WASI does. Without locals; parameters have the numbers from 0.
func (n *numbering) body(name string) []byte {
	ok, badFile := []byte{i32const, 0, end}, []byte{i32const, 8, end}
	zeroAt := func(parameter byte) []byte {
		return []byte{localGet, parameter, i32const, 0, store32, 2, 0}
	}
	do := func(parts ...[]byte) []byte { return join([]byte{0}, join(parts...)) }
	switch name {
	case "args_get", "environ_get", "sched_yield":
		return do(ok)
	case "args_sizes_get", "environ_sizes_get":
		return do(zeroAt(0), zeroAt(1), ok)
	case "poll_oneoff":
		return do(zeroAt(3), ok)
	case "fd_write":
		// Go writes one buffer at a time: all of it is written.
		return do([]byte{localGet, 3, localGet, 1, load32, 2, 4, store32, 2, 0}, ok)
	case "random_get":
		return do([]byte{localGet, 0, i32const, 0, localGet, 1, prefixed, memoryFill, 0}, ok)
	case "clock_time_get":
		millisecond := []byte{i64const, 0xc0, 0x84, 0x3d, i64add}
		return do([]byte{globalGet}, leb(n.clock), millisecond, []byte{globalSet}, leb(n.clock),
			[]byte{localGet, 2, globalGet}, leb(n.clock), []byte{store64, 3, 0}, ok)
	case "proc_exit":
		return do([]byte{unreachable, end})
	default:
		return do(badFile)
	}
}

// Changes the numbers in the calls of a function, and copies everything else.
func (n *numbering) changeBody(body []byte) []byte {
	all := &reader{bytes: body}
	for count := all.number(); count > 0; count-- {
		all.number()
		all.byte()
	}
	var out []byte
	copied := 0
	for all.at < len(body) {
		operation := all.byte()
		if operation == call {
			out = append(out, body[copied:all.at]...)
			out = append(out, leb(n.of(all.number()))...)
			copied = all.at
		} else {
			all.skipOperands(operation)
		}
	}
	return append(out, body[copied:]...)
}

// === reading ===

type reader struct {
	bytes []byte
	at    int
}

func (r *reader) byte() byte {
	return r.take(1)[0]
}

func (r *reader) number() uint64 {
	number, size := binary.Uvarint(r.bytes[r.at:])
	if size <= 0 {
		fail("the module is damaged")
	}
	r.at += size
	return number
}

func (r *reader) skipSigned() {
	for r.byte() >= 0x80 {
	}
}

func (r *reader) take(size uint64) []byte {
	if size > uint64(len(r.bytes)-r.at) {
		fail("the module is damaged")
	}
	r.at += int(size)
	return r.bytes[r.at-int(size) : r.at]
}

func (r *reader) text() string {
	return string(r.take(r.number()))
}

func (r *reader) skipOperands(operation byte) {
	switch {
	case operation == 0xfc:
		r.skipPrefixed(r.number())
	case operation == 0x0e: // br_table
		for count := r.number() + 1; count > 0; count-- {
			r.number()
		}
	case operation == 0x11, 0x28 <= operation && operation <= 0x3e: // call_indirect, loads and stores
		r.number()
		r.number()
	case 0x02 <= operation && operation <= 0x04, operation == 0x0c, operation == 0x0d, // blocks, branches
		0x20 <= operation && operation <= 0x24, operation == 0x3f, operation == 0x40: // variables, size of the memory
		r.number()
	case operation == i32const, operation == i64const:
		r.skipSigned()
	case operation == 0x43:
		r.take(4)
	case operation == 0x44:
		r.take(8)
	case operation <= 0x01, operation == 0x05, operation == end, operation == ret, operation == 0x1a, operation == 0x1b,
		0x45 <= operation && operation <= 0xc4: // no operands
	default:
		fail(fmt.Sprintf("it has the instruction %#x, which this version of Go should not make", operation))
	}
}

func (r *reader) skipPrefixed(operation uint64) {
	switch {
	case operation <= 7: // conversions of numbers
	case operation == 8, operation == 10: // memory.init, memory.copy
		r.number()
		r.number()
	case operation == 9, operation == memoryFill:
		r.number()
	default:
		fail(fmt.Sprintf("it has the instruction 0xfc %#x, which this version of Go should not make", operation))
	}
}

// === writing ===

func leb(number uint64) []byte { return binary.AppendUvarint(nil, number) }

func sized(content []byte) []byte { return append(leb(uint64(len(content))), content...) }

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func list(items [][]byte) []byte { return append(leb(uint64(len(items))), join(items...)...) }

// A list with more items before and after it.
func extend(section []byte, before, after [][]byte) []byte {
	all := &reader{bytes: section}
	count := all.number() + uint64(len(before)+len(after))
	return join(leb(count), join(before...), section[all.at:], join(after...))
}
