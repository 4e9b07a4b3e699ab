//! The host's type for the guest's handle of an event.

/// Represents the only draft in the guest's store. It has no fields, because the number of a handle
/// carries no information.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub enum EventHandle {}
