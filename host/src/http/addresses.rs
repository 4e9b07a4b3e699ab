//! Addresses to which a client may connect if others choose the host.

use super::HttpUrl;
use super::proxy::{self, ProxyUse};
use ::url::Host;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// Whether a client connects to addresses of this machine and its network link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LocalAddresses {
    /// As to any other.
    #[default]
    Permitted,
    /// Only to these: the others are loopback, link-local (where clouds give out credentials), unspecified, broadcast and multicast
    /// addresses.
    Refused {
        /// The exceptions, if a URL has them in place of a name: other services may have other ports of the same address.
        except: Vec<SocketAddr>,
    },
}

/// Refuses addresses, however a URL or a name server writes them. Names are checked when they are resolved for a connection, so that a
/// name that has another address later is checked again.
#[derive(Clone, Debug)]
pub(super) struct AddressGuard(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    except: Vec<SocketAddr>,
    /// Name of the proxy, which the operator chose. Behind it, the proxy resolves names.
    proxy: Option<String>,
}

impl AddressGuard {
    /// Returns the guard of a client for a URL; `None` if nothing is refused.
    pub(super) fn new(local: &LocalAddresses, url: &HttpUrl, proxy_use: ProxyUse) -> Option<Self> {
        let LocalAddresses::Refused { except } = local else {
            return None;
        };
        let proxy = match proxy_use {
            ProxyUse::None => None,
            ProxyUse::Environment | ProxyUse::Trusted => proxy::host(url),
        };
        let except = except.clone();
        Some(Self(Arc::new(Inner { except, proxy })))
    }

    /// Checks the host of a request. An address in a URL is never resolved.
    ///
    /// # Errors
    ///
    /// The host is an address that is refused, or the proxy itself.
    pub(super) fn check(&self, url: &HttpUrl) -> Result<(), String> {
        let address: IpAddr = match url.0.host() {
            Some(Host::Ipv4(address)) => address.into(),
            Some(Host::Ipv6(address)) => address.into(),
            Some(Host::Domain(name)) if self.is_proxy(name) => {
                return Err(format!("{name} is the proxy itself"));
            }
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        let port = url.0.port_or_known_default().unwrap_or_default();
        let is_listed = self.0.except.contains(&SocketAddr::new(address, port));
        match is_listed || !is_local(address) {
            true => Ok(()),
            false => Err(refused(url.host(), address)),
        }
    }

    fn is_proxy(&self, name: &str) -> bool {
        let proxy = self.0.proxy.as_deref();
        proxy.is_some_and(|proxy| proxy.eq_ignore_ascii_case(name))
    }

    fn permitted(&self, name: &str, found: Vec<SocketAddr>) -> io::Result<Vec<SocketAddr>> {
        let local = found.iter().find(|found| is_local(found.ip()));
        let problem = local.map(|address| refused(name, address.ip()));
        let permitted: Vec<_> = found
            .into_iter()
            .filter(|found| self.is_proxy(name) || !is_local(found.ip()))
            .collect();
        match problem {
            Some(problem) if permitted.is_empty() => Err(io::Error::other(problem)),
            _ => Ok(permitted),
        }
    }
}

impl Resolve for AddressGuard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let permitted = guard.permitted(name.as_str(), found.collect())?;
            Ok(Box::new(permitted.into_iter()) as Addrs)
        })
    }
}

fn refused(host: &str, address: IpAddr) -> String {
    format!(
        "{host} has the address {address}, which is local to this machine or its link: only an entry of dropIn.registries with this \
         address and port permits it"
    )
}

/// Returns whether an address is of this machine or its link, or of no single machine (RFC 6890).
fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_local_v4(address),
        IpAddr::V6(address) => {
            address.is_loopback()
                || address.is_unspecified()
                || address.is_unicast_link_local()
                || address.is_multicast()
                || embedded(address).is_some_and(is_local_v4)
        }
    }
}

fn is_local_v4(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    // 0.0.0.0/8 is this network: Linux connects to this machine.
    first == 0
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_multicast()
}

/// Returns the address of version 4 in one of version 6: mapped (RFC 4291), by NAT64 (RFC 6052) or 6to4 (RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] => Some(v4(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn guard(except: &[&str]) -> AddressGuard {
        let except = except.iter().map(|text| text.parse().unwrap()).collect();
        AddressGuard(Arc::new(Inner {
            except,
            proxy: Some("proxy.example".to_owned()),
        }))
    }

    fn check(guard: &AddressGuard, host: &str) -> Result<(), String> {
        let url = HttpUrl::try_from(format!("https://{host}/v2/"));
        guard.check(&url.unwrap())
    }

    #[test]
    fn local_addresses_are_refused_in_every_spelling() {
        let guard = guard(&["127.0.0.1:5000", "[::1]:443"]);
        for host in [
            "127.0.0.2:5000",
            "127.0.0.1",
            "127.0.0.1:5001",
            "[::1]:5000",
            "127.1.2.3",
            "2130706434",
            "0x7f.2",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.1",
            "255.255.255.255",
            "[::]",
            "[fe80::1]",
            "[ff02::1]",
            "[::ffff:127.0.0.1]",
            "[::127.0.0.1]",
            "[64:ff9b::169.254.169.254]",
            "[2002:7f00:1::]",
            "proxy.example",
        ] {
            assert!(check(&guard, host).is_err(), "{host}");
        }
        for host in [
            "127.0.0.1:5000",
            "[::1]",
            "10.0.0.1",
            "192.168.1.1:5000",
            "93.184.215.14",
            "[fd00::1]",
            "[2001:db8::1]",
            "registry.example",
        ] {
            assert_eq!(check(&guard, host), Ok(()), "{host}");
        }
    }

    #[test]
    fn a_name_with_only_local_addresses_is_refused() {
        let guard = guard(&["127.0.0.1:5000"]);
        let addresses = |texts: &[&str]| -> Vec<SocketAddr> {
            let parsed = texts.iter().map(|text| text.parse::<IpAddr>().unwrap());
            parsed.map(|address| (address, 0).into()).collect()
        };
        let permitted = |name, found: &[&str]| guard.permitted(name, addresses(found));
        let refused = permitted("evil.example", &["127.0.0.2", "::1"]).unwrap_err();
        assert!(
            refused
                .to_string()
                .starts_with("evil.example has the address 127.0.0.2, which is local"),
            "{refused}"
        );
        let mixed = permitted("a.example", &["::1", "10.0.0.1"]).unwrap();
        assert_eq!(mixed, addresses(&["10.0.0.1"]));
        assert!(permitted("b.example", &["127.0.0.1"]).is_err());
        assert_eq!(permitted("Proxy.example", &["::1"]).unwrap().len(), 1);
    }

    proptest! {
        #[test]
        fn an_address_is_judged_alike_in_both_versions(bytes: [u8; 4]) {
            let address = Ipv4Addr::from(bytes);
            prop_assert_eq!(is_local(address.into()), is_local(address.to_ipv6_mapped().into()));
        }
    }
}
