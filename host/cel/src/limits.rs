//! The bounds of expressions and of their evaluation.

/// Largest expression in bytes.
pub const MAX_SOURCE_BYTES: usize = 4096;

/// Largest number of operators, names and literals of an expression.
pub const MAX_NODES: usize = 512;

/// Largest number of expressions inside each other. Parsing and evaluation use the stack in proportion to
/// it: a few hundred bytes for each.
pub const MAX_DEPTH: u16 = 48;

/// Largest number of elements of a list or a map in an expression.
pub const MAX_ELEMENTS: usize = 100;

/// Largest number of regular expressions of an expression.
pub const MAX_PATTERNS: usize = 8;

/// Largest compiled regular expression in bytes.
pub const MAX_PATTERN_BYTES: usize = 64 * 1024;

/// Bytes of states that one search with a regular expression may make. The time to make a state is
/// proportional to its size, so that this bounds the time, too.
pub const MAX_STATES_BYTES: usize = 32 * 1024;

/// Steps of one evaluation. A step takes 10 to 60 ns, so that all of them take less than a millisecond.
pub const BUDGET: u32 = 16_384;

/// Bytes of text that are read or written in one step.
pub const BYTES_PER_STEP: usize = 32;
