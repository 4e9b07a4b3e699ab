//! Evaluates `NO_PROXY` as Go's `golang.org/x/net/http/httpproxy` does, which kubectl uses. Pure.

use std::net::IpAddr;

/// Returns whether a server is reached without the proxies of the environment. `host` is a name or
/// an address; an IPv6 address may have brackets.
///
/// Entries are separated by commas. `*` matches all servers; `10.0.0.0/8` matches addresses;
/// `example.com` matches a host and its subdomains; `.example.com` and `*.example.com` match only
/// the subdomains. Hosts and addresses may have a port. `localhost` and loopback addresses always
/// match.
pub(super) fn excludes(no_proxy: &str, host: &str, port: u16) -> bool {
    let host = without_brackets(host).to_lowercase();
    let address = host
        .parse::<IpAddr>()
        .ok()
        .map(|address| address.to_canonical());
    if host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
        return true;
    }
    let entries = no_proxy.split(',').map(|entry| entry.trim().to_lowercase());
    entries
        .filter(|entry| !entry.is_empty())
        .any(|entry| entry_matches(&entry, &host, address, port))
}

fn entry_matches(entry: &str, host: &str, address: Option<IpAddr>, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    if let Some((network, bits)) = entry.split_once('/') {
        let network = network.parse::<IpAddr>().ok().zip(bits.parse().ok());
        return network
            .zip(address)
            .is_some_and(|((network, bits), address)| contains(network, bits, address));
    }
    let (name, entry_port) = with_port(entry);
    if entry_port.is_some_and(|entry_port| entry_port != port) {
        return false;
    }
    if let Ok(named) = name.parse::<IpAddr>() {
        return address == Some(named.to_canonical());
    }
    let name = name
        .strip_prefix('*')
        .filter(|rest| rest.starts_with('.'))
        .unwrap_or(name);
    let (name, is_itself) = match name.strip_prefix('.') {
        Some(below) => (below, false),
        None => (name, true),
    };
    // Converts the name to the form that it has in a URL: `bücher.example` becomes
    // `xn--bcher-kva.example`.
    let name = url::Host::parse(name).map_or_else(|_| name.to_owned(), |host| host.to_string());
    let below = host.strip_suffix(name.as_str());
    !name.is_empty()
        && below.is_some_and(|below| (below.is_empty() && is_itself) || below.ends_with('.'))
}

/// Returns the host of an entry, and its port if it has one. A text with more than one colon is an
/// IPv6 address, which can have a port only after brackets.
fn with_port(entry: &str) -> (&str, Option<u16>) {
    let split = entry.rsplit_once(':');
    let split = split.filter(|(name, _)| !name.contains(':') || name.ends_with(']'));
    match split.map(|(name, port)| (name, port.parse())) {
        Some((name, Ok(port))) => (without_brackets(name), Some(port)),
        Some((_, Err(_))) | None => (without_brackets(entry), None),
    }
}

/// Removes the brackets of an IPv6 address.
fn without_brackets(host: &str) -> &str {
    let inner = host.strip_prefix('[');
    inner
        .and_then(|inner| inner.strip_suffix(']'))
        .unwrap_or(host)
}

fn contains(network: IpAddr, bits: u32, address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            bits <= 32
                && equal_prefix(
                    network.to_bits().into(),
                    address.to_bits().into(),
                    32 - bits,
                )
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            bits <= 128 && equal_prefix(network.to_bits(), address.to_bits(), 128 - bits)
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

/// Returns whether two addresses are equal except for the last `ignored_bits` bits.
fn equal_prefix(one: u128, other: u128, ignored_bits: u32) -> bool {
    (one ^ other).checked_shr(ignored_bits).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_match_the_same_hosts_as_in_go() {
        let api = "api.cluster.example";
        for (no_proxy, host, expected) in [
            ("", api, false),
            (",, ,", api, false),
            ("*", api, true),
            ("other.example, *", "10.0.0.1", true),
            (api, api, true),
            ("API.Cluster.Example", "api.CLUSTER.example", true),
            ("cluster.example", api, true),
            ("example", api, true),
            (".cluster.example", api, true),
            ("*.cluster.example", api, true),
            (".cluster.example", "cluster.example", false),
            ("*.cluster.example", "cluster.example", false),
            ("cluster.example", "cluster.example", true),
            ("uster.example", api, false),
            ("*cluster.example", api, false),
            (".", api, false),
            ("api.cluster.example:6443", api, true),
            ("api.cluster.example:443", api, false),
            (".example:6443", api, true),
            ("*.example:443", api, false),
            (":6443", api, false),
            ("bücher.example", "xn--bcher-kva.example", true),
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1:6443", "10.0.0.1", true),
            ("10.0.0.1:80", "10.0.0.1", false),
            ("10.0.0.2", "10.0.0.1", false),
            ("10.0.0.0/8", "10.200.0.1", true),
            ("10.1.2.3/8", "10.200.0.1", true),
            ("10.0.0.0/31", "10.0.0.2", false),
            ("0.0.0.0/0", "192.0.2.7", true),
            ("10.0.0.1/32", "10.0.0.1", true),
            ("10.0.0.0/33", "10.0.0.1", false),
            ("10.0.0.0/8", api, false),
            ("0.0.0.0/0", "[fd00::1]", false),
            ("fd00::/8", "[fd00::1]", true),
            ("fd00::/8", "fd00::1", true),
            ("::/0", "10.0.0.1", false),
            ("fd00::1", "[fd00::1]", true),
            ("[fd00::1]", "[fd00::1]", true),
            ("[fd00::1]:6443", "[fd00::1]", true),
            ("[fd00::1]:443", "[fd00::1]", false),
            ("::ffff:10.0.0.1", "10.0.0.1", true),
            ("", "localhost", true),
            ("", "127.8.9.10", true),
            ("", "[::1]", true),
            ("", "localhost.example", false),
            (" other.example , api.cluster.example ", api, true),
            ("other.example api.cluster.example", api, false),
        ] {
            assert_eq!(
                excludes(no_proxy, host, 6443),
                expected,
                "{no_proxy} {host}"
            );
        }
    }
}
