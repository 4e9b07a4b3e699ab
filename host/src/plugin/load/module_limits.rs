//! Bounds on what a module is made of. Compiling cannot be interrupted, and takes more than linear
//! time in the size of a function: what would take minutes and gigabytes is refused before it starts.

use wasmparser::{Parser, Payload};

/// Largest function body in bytes. The largest of QuickJS has 36 KB, of CPython 427 KB.
const MAX_FUNCTION_BYTES: usize = 512 * 1024;
/// Most functions of all modules in a file. CPython has 13,500.
const MAX_FUNCTIONS: usize = 20_000;
/// Most code of all modules in a file, in bytes. StarlingMonkey has 9.2 MB.
const MAX_CODE_BYTES: usize = 16 * 1024 * 1024;
/// Most locals of a function. Real ones have some hundred.
const MAX_LOCALS: usize = 2_000;
/// Most bytes times locals of a function: the compiler's tables are as large. Real ones stay below
/// 25 million.
const MAX_FUNCTION_TABLE_BYTES: usize = 64_000_000;
/// Most of that of all functions. StarlingMonkey has 130 million, CPython 70 million.
const MAX_TABLE_BYTES: usize = 256_000_000;
/// Most modules and components in a file.
const MAX_PARTS: usize = 100;

/// Why a module is not compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModuleLimitError {
    /// It has too much of something.
    #[error("it has {found} {what}, more than {most}; is it what you meant to deliver?")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How much.
        found: usize,
        /// How much it may have.
        most: usize,
    },
    /// It cannot be read.
    #[error("{0}")]
    Invalid(String),
}

/// Looks at a module or component that is known to be valid.
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
