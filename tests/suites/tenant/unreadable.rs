//! An object that cannot be read stops no other object's events.
