//! The name of this observer among others.

/// Returns the name of the host: in a cluster, that of the Pod.
pub(super) fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// Returns a name that no other process has: that of the host and a random part, because a container that was
/// restarted is another holder of a Lease.
pub(super) fn lease_holder() -> String {
    let host = host_name();
    let host = host.as_deref().unwrap_or("step-observer");
    format!("{host}_{:016x}", fastrand::u64(..))
}
