// Keeps failures: an example of a plugin by hand, without generated code.
//
// The names and the shapes of all functions here follow from plugin.wit by the rules of the
// component model's canonical ABI. In short, for this contract:
//
//   - a string or list is a pointer and a length, both 32 bits;
//   - an option, result or variant is a byte that tells the case, then, aligned, what the case holds;
//   - a resource is a handle, an `int`;
//   - a parameter that is a string, list or option is passed as its parts, one after the other;
//   - a result of more than one part is written to memory: an import gets, as its last parameter, the
//     place to write it to, an export returns the place where it has written it.
//
// The host wraps the module into a component. As the module does not describe its world, it gets the
// world `plugin` of the contract.

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *at;
    size_t size;
} string;

#define TEXT(literal) ((string){(literal), sizeof(literal) - 1})

// === what is imported ===

#define IMPORT(function)                                                                           \
    __attribute__((import_module("step-observer:plugin/events@0.1.0"), import_name(function)))

typedef int event;

// option<string>
typedef struct {
    uint8_t is_some;
    string value;
} option_string;

// result<_, edit-error>
typedef struct {
    uint8_t is_err;
    struct {
        uint8_t kind;
        string why;
    } error;
} edited;

enum { READ_ONLY, INVALID, TOO_LARGE };

_Static_assert(sizeof(option_string) == 12, "as the canonical ABI lays it out");
_Static_assert(sizeof(edited) == 16, "as the canonical ABI lays it out");

IMPORT("[method]event.attribute")
void event_attribute(event self, const char *name, size_t name_size, option_string *answer);

IMPORT("[method]event.label")
void event_label(event self, const char *name, size_t name_size, option_string *answer);

IMPORT("[method]event.set-attribute")
void event_set_attribute(event self, const char *name, size_t name_size, int value_is_some,
                         const char *value, size_t value_size, edited *answer);

IMPORT("[resource-drop]event")
void event_drop(event self);

// === memory that the host asks for ===

#define PAGE 65536

// The linker puts it behind everything of ours.
extern char __heap_base;

// Called where a string is handed to us. Memory is only ever taken: the host starts every event in a
// fresh instance, and all memory goes away with it.
__attribute__((export_name("cabi_realloc"))) void *cabi_realloc(void *old, size_t old_size,
                                                               size_t align, size_t size) {
    static uintptr_t end;
    (void)old; // strings come in one piece, so nothing is ever asked to grow
    (void)old_size;
    if (end == 0) {
        end = (uintptr_t)&__heap_base;
    }
    uintptr_t start = (end + align - 1) & ~(uintptr_t)(align - 1);
    size_t have = __builtin_wasm_memory_size(0) * PAGE;
    if (size > UINTPTR_MAX - PAGE - start) {
        __builtin_trap();
    }
    if (start + size > have) {
        size_t pages = (start + size - have + PAGE - 1) / PAGE;
        if (__builtin_wasm_memory_grow(0, pages) == (size_t)-1) {
            __builtin_trap(); // the host reports that the plugin wanted too much memory
        }
    }
    end = start + size;
    return (void *)start;
}

// === configure: func(config: string) -> result<setup, string> ===

typedef struct {
    string id;
    // and so on: this plugin has no rules
} rule_set;

typedef struct {
    uint8_t is_err;
    union {
        struct {
            string name;
            string version;
            const rule_set *rule_sets;
            size_t rule_sets_count;
        } setup;
        string error;
    };
} configured;

_Static_assert(sizeof(configured) == 28, "as the canonical ABI lays it out");

static int equal(const char *a, const char *b, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (a[i] != b[i]) {
            return 0;
        }
    }
    return 1;
}

__attribute__((export_name("step-observer:plugin/transform@0.1.0#configure"))) const configured *
configure(const char *config, size_t config_size) {
    // What is returned must outlive the function.
    static configured answer;
    string none = TEXT("null");
    if (config_size != none.size || !equal(config, none.at, none.size)) {
        answer.is_err = 1;
        answer.error = TEXT("only-failures takes no configuration");
        return &answer;
    }
    answer.is_err = 0;
    answer.setup.name = TEXT("only-failures");
    answer.setup.version = TEXT("0.1.0");
    answer.setup.rule_sets = NULL;
    answer.setup.rule_sets_count = 0;
    return &answer;
}

// === process: func(event: borrow<event>) -> result<verdict, string> ===

enum { KEEP, DROP };

typedef struct {
    uint8_t is_err;
    union {
        struct {
            uint8_t kind;
            string reason;
        } verdict;
        string error;
    };
} processed;

_Static_assert(sizeof(processed) == 16, "as the canonical ABI lays it out");

static int ends_with(string text, string end) {
    return text.size >= end.size && equal(text.at + text.size - end.size, end.at, end.size);
}

static processed keep(void) {
    return (processed){.is_err = 0, .verdict = {.kind = KEEP}};
}

static processed drop(string reason) {
    return (processed){.is_err = 0, .verdict = {.kind = DROP, .reason = reason}};
}

static processed failed(const edited *edit) {
    int has_text = edit->error.kind != TOO_LARGE;
    string why = has_text ? edit->error.why : TEXT("the changes are too large");
    return (processed){.is_err = 1, .error = why};
}

static edited set_attribute(event self, string name, string value) {
    edited answer;
    event_set_attribute(self, name.at, name.size, 1, value.at, value.size, &answer);
    return answer;
}

static processed only_failures(event self) {
    option_string type;
    string name = TEXT("type");
    event_attribute(self, name.at, name.size, &type);
    if (!type.is_some || !ends_with(type.value, TEXT(".failed.v1"))) {
        return drop(TEXT("not a failure"));
    }
    edited edit = set_attribute(self, TEXT("severity"), TEXT("error"));
    if (edit.is_err) {
        return failed(&edit);
    }
    option_string team;
    name = TEXT("team");
    event_label(self, name.at, name.size, &team);
    if (team.is_some) {
        edit = set_attribute(self, name, team.value);
        if (edit.is_err) {
            return failed(&edit);
        }
    }
    return keep();
}

__attribute__((export_name("step-observer:plugin/transform@0.1.0#process"))) const processed *
process(event borrowed) {
    static processed answer;
    answer = only_failures(borrowed);
    // The event is only lent: with the handle still open, the call would end in a trap.
    event_drop(borrowed);
    return &answer;
}
