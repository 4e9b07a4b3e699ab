//! A Pod belongs to a TaskRun only if the TaskRun says so.
