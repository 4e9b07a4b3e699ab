//! Plugins share one memory budget, and a plugin during whose calls the process died is refused.
