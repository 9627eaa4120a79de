//! Which addresses an upstream may have: one function for the operator's verdict and the pod's dial.

use crate::Settings;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where clouds keep metadata and credentials beyond the link-local addresses.
const METADATA_V4: [Ipv4Addr; 4] = [
    // Azure's wire server.
    Ipv4Addr::new(168, 63, 129, 16),
    // Alibaba Cloud.
    Ipv4Addr::new(100, 100, 100, 200),
    // Oracle Cloud Classic.
    Ipv4Addr::new(192, 0, 0, 192),
    // Volcano Engine.
    Ipv4Addr::new(100, 96, 0, 96),
];

/// The same, as the start of a range and the bits that its addresses share.
const METADATA_V6: [(Ipv6Addr, u32); 5] = [
    // AWS: instance metadata (::254), credentials of EKS pods (::23), time and DNS.
    (Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0), 32),
    // Google Cloud (::254).
    (Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0), 64),
    // Oracle Cloud.
    (Ipv6Addr::new(0xfd00, 0x00c1, 0, 0, 0, 0, 0xa9fe, 0xa9fe), 128),
    // Akamai (Linode).
    (Ipv6Addr::new(0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1), 128),
    // Scaleway.
    (Ipv6Addr::new(0xfd00, 0x0042, 0, 0, 0, 0, 0, 0x0042), 128),
];

impl Settings {
    /// Why an upstream must not be at that address, as a sentence about the address; `None` if it may.
    ///
    /// Public addresses may; loopback and private ones by `allow_upstream_cidrs`; link-local, metadata,
    /// multicast, the cluster's API server and the gateway itself never.
    pub fn forbids(&self, address: IpAddr) -> Option<&'static str> {
        let address = plain(address);
        if let Some(why) = self.never(address) {
            return Some(why);
        }
        let allowed =
            self.allow_upstream_cidrs.iter().any(|cidr| cidr.parse::<IpNet>().is_ok_and(|net| net.contains(&address)));
        if allowed || !is_internal(address) {
            return None;
        }
        Some("is loopback or private; the operator's --allow-upstream-cidr can permit its range")
    }

    /// The same for a Pod behind a Service of the Provider's own namespace, which is private by nature.
    pub fn forbids_pod(&self, address: IpAddr) -> Option<&'static str> {
        let address = plain(address);
        if address.is_loopback() { self.forbids(address) } else { self.never(address) }
    }

    fn never(&self, address: IpAddr) -> Option<&'static str> {
        if self.forbidden_addresses.contains(&address) {
            return Some("belongs to the cluster's API server");
        }
        if self.gateway_addresses.contains(&address) {
            return Some("belongs to this gateway, which would send requests to itself");
        }
        let (special, local, metadata) = match address {
            IpAddr::V4(v4) => (
                v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast() || v4.octets()[0] == 0,
                v4.is_link_local(),
                METADATA_V4.contains(&v4),
            ),
            IpAddr::V6(v6) => (
                v6.is_unspecified() || v6.is_multicast(),
                v6.is_unicast_link_local(),
                METADATA_V6.iter().any(|(start, bits)| v6.to_bits() >> (128 - bits) == start.to_bits() >> (128 - bits)),
            ),
        };
        if local {
            return Some("is link-local, where instance metadata lives");
        }
        if metadata {
            return Some("is where a cloud keeps instance metadata or credentials");
        }
        special.then_some("is no address of a host")
    }
}

/// An IPv4 address within an IPv6 one (mapped, compatible, NAT64, 6to4) is judged as what it is.
fn plain(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => address,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)).into()
        }
        _ => address,
    }
}

fn is_internal(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            v4.is_loopback()
                || v4.is_private()
                || (a == 100 && (64..128).contains(&b))
                || (a == 198 && (b == 18 || b == 19))
                || (a, b, c) == (192, 0, 0)
                || a >= 240
        }
        IpAddr::V6(v6) => {
            let [a, b, c, ..] = v6.segments();
            // Besides: site-local, and NAT64 with the network's own prefixes.
            v6.is_loopback() || v6.is_unique_local() || a & 0xffc0 == 0xfec0 || [a, b, c] == [0x64, 0xff9b, 1]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(cidrs: &[&str]) -> Settings {
        Settings {
            allow_upstream_cidrs: cidrs.iter().map(ToString::to_string).collect(),
            forbidden_addresses: vec!["10.0.0.1".parse().unwrap()],
            gateway_addresses: ["10.0.0.2", "10.96.0.9", "203.0.113.7", "fd12::7"].map(|a| a.parse().unwrap()).to_vec(),
            ..Settings::default()
        }
    }

    #[test]
    fn only_public_addresses_are_free_f65() {
        let rules = settings(&[]);
        for free in ["8.8.8.8", "2001:4860:4860::8888", "172.32.0.1"] {
            assert_eq!(rules.forbids(free.parse().unwrap()), None, "{free}");
        }
        for bound in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "198.18.0.1",
            "::1",
            "fd12::1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::7f00:1",
            "::127.0.0.1",
            "2002:7f00:1::1",
            "fec0::1",
            "169.254.169.254",
            "fe80::1",
            "0.0.0.0",
            "224.0.0.1",
            "::",
        ] {
            assert!(rules.forbids(bound.parse().unwrap()).is_some(), "{bound}");
        }
    }

    #[test]
    fn a_flag_permits_ranges_but_never_metadata_or_the_api_server() {
        let rules = settings(&["0.0.0.0/0", "::/0"]);
        assert_eq!(rules.forbids("127.0.0.1".parse().unwrap()), None);
        assert_eq!(rules.forbids("::ffff:10.1.2.3".parse().unwrap()), None);
        for never in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "::169.254.169.254",
            "fd00:ec2::254",
            "10.0.0.1",
            "::ffff:10.0.0.1",
            "168.63.129.16",
            "::ffff:168.63.129.16",
            "64:ff9b::a83f:8110",
            "100.100.100.200",
            "192.0.0.192",
            "100.96.0.96",
            "169.254.170.2",
            "169.254.170.23",
            "169.254.42.42",
            "fd00:ec2::23",
            "fd00:ec2::253",
            "fd20:ce::254",
            "fd00:c1::a9fe:a9fe",
            "fd00:a9fe:a9fe::1",
            "fd00:42::42",
        ] {
            assert!(rules.forbids(never.parse().unwrap()).is_some(), "{never}");
            assert!(rules.forbids_pod(never.parse().unwrap()).is_some(), "{never}");
        }
        for free in ["168.63.129.17", "fd00:ec3::254", "fd20:cf::254"] {
            assert_eq!(rules.forbids(free.parse().unwrap()), None, "{free}");
        }
    }

    #[test]
    fn the_gateway_is_no_upstream_of_its_own_in_any_form() {
        let rules = settings(&["0.0.0.0/0", "::/0"]);
        for own in [
            "10.0.0.2",
            "::ffff:10.0.0.2",
            "64:ff9b::10.0.0.2",
            "2002:a00:2::1",
            "10.96.0.9",
            "203.0.113.7",
            "::ffff:203.0.113.7",
            "fd12::7",
        ] {
            let found = [rules.forbids(own.parse().unwrap()), rules.forbids_pod(own.parse().unwrap())];
            assert!(found.iter().all(|why| why.is_some_and(|why| why.starts_with("belongs to this gateway"))), "{own}");
        }
        assert_eq!(rules.forbids("10.0.0.3".parse().unwrap()), None);
    }

    #[test]
    fn pods_may_be_private_but_not_the_pod_itself() {
        let rules = settings(&[]);
        assert_eq!(rules.forbids_pod("10.1.2.3".parse().unwrap()), None);
        for never in ["127.0.0.1", "169.254.0.1", "10.0.0.1"] {
            assert!(rules.forbids_pod(never.parse().unwrap()).is_some(), "{never}");
        }
    }
}
