//! The type behind the guest's handle of an event.

/// Stands for the only draft in the guest's store. It has no values: the number of a handle carries
/// no information.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub enum EventHandle {}
