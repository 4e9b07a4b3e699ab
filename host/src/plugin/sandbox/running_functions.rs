//! The functions of a plugin that were running when a call failed.

use std::fmt::{self, Write};
use wasmtime::{FrameInfo, WasmBacktrace};

/// Most functions that are named.
const MAX_FUNCTIONS: usize = 4;

/// Most bytes of a name. A plugin chooses its names, and a short mangled name can stand for a long one.
const MAX_NAME: usize = 120;

/// Beginnings of names of functions that every plugin has from its language or from the SDK. They are
/// not what its author looks for.
const LIBRARIES: [&str; 12] = [
    "core::",
    "<core::",
    "std::",
    "<std::",
    "alloc::",
    "<alloc::",
    "dlmalloc::",
    "__rust",
    "rust_",
    "_rust",
    "step_observer_guest::",
    "<step_observer_guest::",
];

/// Names of the plugin's own functions that were running, the innermost first. Empty if the module
/// has no names: most release builds remove them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunningFunctions(Vec<String>);

impl RunningFunctions {
    /// Reads them from the backtrace that wasmtime adds to the error of a call.
    pub(super) fn of(error: &wasmtime::Error) -> Self {
        let backtrace = error.downcast_ref::<WasmBacktrace>();
        let frames = backtrace.map_or(&[][..], WasmBacktrace::frames);
        Self::named(frames.iter().filter_map(FrameInfo::func_name))
    }

    fn named<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut functions: Vec<String> = Vec::new();
        for name in names {
            let name = readable(name);
            let is_own = !name.is_empty()
                // The name of an export, which wasmtime uses if there is no other.
                && !name.contains('#')
                && !LIBRARIES.iter().any(|library| name.starts_with(library));
            // A recursion is named once.
            if is_own && functions.last() != Some(&name) {
                functions.push(name);
            }
            if functions.len() == MAX_FUNCTIONS {
                break;
            }
        }
        Self(functions)
    }
}

/// Writes `, in a, called by b`, or nothing.
impl fmt::Display for RunningFunctions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, function) in self.0.iter().enumerate() {
            let before = if index == 0 { ", in " } else { ", called by " };
            write!(formatter, "{before}{function}")?;
        }
        Ok(())
    }
}

/// Returns a name as its source has it, without the hash of the compiler, and without control
/// characters.
fn readable(name: &str) -> String {
    let mut readable = Bounded(String::new());
    // An error is the end of the bound: what was written until then is the name.
    let _is_whole = match rustc_demangle::try_demangle(name) {
        Ok(demangled) => write!(readable, "{demangled:#}"),
        Err(_) => readable.write_str(name),
    };
    readable.0
}

/// A text that takes no more than [`MAX_NAME`] bytes, so that a hostile name costs no more either.
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if self.0.len() + c.len_utf8() > MAX_NAME {
                return Err(fmt::Error);
            }
            self.0.push(if c.is_control() { '?' } else { c });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(names: &[&str]) -> String {
        RunningFunctions::named(names.iter().copied()).to_string()
    }

    #[test]
    fn the_functions_of_the_plugin_are_named_without_those_of_libraries() {
        let names = [
            "__rust_start_panic",
            "_RNvNtCs1234_4core9panicking5panic",
            "core::panicking::panic",
            "_ZN4shop5parse17h0123456789abcdefE",
            "_ZN4shop5parse17h0123456789abcdefE",
            "_ZN60_$LT$shop..Filter$u20$as$u20$step_observer_guest..Plugin$GT$7process17h0123456789abcdefE",
            "step-observer:plugin/transform@0.1.0#process",
        ];
        assert_eq!(
            shown(&names),
            ", in shop::parse, called by <shop::Filter as step_observer_guest::Plugin>::process"
        );
        assert_eq!(shown(&["step-observer:plugin/transform@0.1.0#process"]), "");
        assert_eq!(shown(&["filter", "main"]), ", in filter, called by main");
    }

    #[test]
    fn names_are_bounded_in_number_and_length_and_have_no_control_characters() {
        assert_eq!(shown(&["a\u{1b}[2J\nb"]), ", in a?[2J?b");
        let many: Vec<String> = (0..9)
            .map(|n| format!("{}{n}", "é".repeat(n * 20)))
            .collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let RunningFunctions(functions) = RunningFunctions::named(many.into_iter());
        assert_eq!(functions.len(), MAX_FUNCTIONS);
        assert!(functions.iter().all(|name| name.len() <= MAX_NAME));
    }

    proptest! {
        /// Names of the second kind are of the mangling of Rust, in which a part can repeat another.
        #[test]
        fn no_name_makes_it_fail(name in "\\PC{0,60}|_R[NICBvtSTAb0-9_E]{0,60}|_ZN[0-9a-z$.]{0,40}E") {
            prop_assert!(readable(&name).len() <= MAX_NAME);
        }
    }
}
