//! Connections to the observer's own ports are bounded, and what shows events is not open to every pod.
