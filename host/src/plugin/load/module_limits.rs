//! Bounds on the parts of a module. Compilation cannot be interrupted, and its time grows faster
//! than the size of a function. Modules that would take minutes and gigabytes are refused before
//! compilation.

use wasmparser::{Parser, Payload};

/// Largest function body in bytes. The largest body in QuickJS has 36 KB, in CPython 427 KB.
const MAX_FUNCTION_BYTES: usize = 512 * 1024;
/// Largest number of functions in a file. CPython has 13,500.
const MAX_FUNCTIONS: usize = 20_000;
/// Bound of the code in a file, in bytes. StarlingMonkey has 9.2 MB.
const MAX_CODE_BYTES: usize = 16 * 1024 * 1024;
/// Largest number of locals of a function. Real functions have a few hundred.
const MAX_LOCALS: usize = 2_000;
/// Bound of a function's size in bytes times the number of its locals. This product gives the size
/// of the compiler's tables. Real functions stay below 25 million.
const MAX_FUNCTION_TABLE_BYTES: usize = 64_000_000;
/// Bound of the sum, over all functions of a file, of a function's size times the number of its
/// locals. StarlingMonkey has 130 million, CPython 70 million.
const MAX_TABLE_BYTES: usize = 256_000_000;
/// Bound of the modules and components in a file.
const MAX_PARTS: usize = 100;

/// Why a module is not compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModuleLimitError {
    /// It has too many parts of one kind.
    #[error("it has {found} {what}, more than {most}; is it what you meant to deliver?")]
    TooMuch {
        /// The kind of part.
        what: &'static str,
        /// Number that was found.
        found: usize,
        /// The bound.
        most: usize,
    },
    /// It cannot be parsed.
    #[error("{0}")]
    Invalid(String),
}

/// Checks a module or component that is known to be valid.
pub(crate) fn check(wasm: &[u8]) -> Result<(), ModuleLimitError> {
    let invalid =
        |error: wasmparser::BinaryReaderError| ModuleLimitError::Invalid(error.to_string());
    let (mut functions, mut code, mut all_tables, mut parts) = (0_usize, 0_usize, 0_usize, 0_usize);
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.map_err(invalid)? {
            Payload::Version { .. } => parts += 1,
            Payload::CodeSectionEntry(body) => {
                let range = body.range();
                let size = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
                functions += 1;
                code += size;
                check_bound("bytes in a function", size, MAX_FUNCTION_BYTES)?;
                let mut locals = 0_u32;
                for group in body.get_locals_reader().map_err(invalid)? {
                    locals = locals.saturating_add(group.map_err(invalid)?.0);
                }
                let locals = usize::try_from(locals).unwrap_or(usize::MAX);
                check_bound("locals in a function", locals, MAX_LOCALS)?;
                let tables = size.saturating_mul(locals);
                check_bound(
                    "bytes times locals in a function",
                    tables,
                    MAX_FUNCTION_TABLE_BYTES,
                )?;
                all_tables = all_tables.saturating_add(tables);
            }
            _ => {}
        }
    }
    check_bound("functions", functions, MAX_FUNCTIONS)?;
    check_bound("bytes of code", code, MAX_CODE_BYTES)?;
    check_bound("bytes times locals", all_tables, MAX_TABLE_BYTES)?;
    check_bound("modules", parts, MAX_PARTS)
}

fn check_bound(what: &'static str, found: usize, most: usize) -> Result<(), ModuleLimitError> {
    if found > most {
        return Err(ModuleLimitError::TooMuch { what, found, most });
    }
    Ok(())
}
