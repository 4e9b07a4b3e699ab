//! Tests of whole expressions.

mod budget;
mod event;
mod mistakes;
mod properties;
mod results;
