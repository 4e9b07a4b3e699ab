//! Settings that decide what strangers can learn or influence.
