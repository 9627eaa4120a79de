//! Which base URLs a Provider may have: strict in form, and never a way into the cluster.
//!
//! A name is not resolved here; the pod checks the address that it dials by the same rule.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use weir_snapshot::Settings;

/// Why a URL is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Its form.
    Form(String),
    /// Plain text that was not permitted.
    Plaintext,
    /// Its address.
    Address(String),
}

/// The URL as pods take it, without a slash at its end. `plaintext` says whether `http` is permitted.
pub(crate) fn check(url: &str, plaintext: bool, settings: &Settings) -> Result<String, Refused> {
    let form = |why: &str| Refused::Form(why.to_owned());
    let (secure, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return Err(form("the URL must begin with https://")),
    };
    if !url.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(form("the URL holds a space or a letter that is not ASCII; write an international name as xn--"));
    }
    if let Some(bad) = url.chars().find(|c| matches!(c, '?' | '#' | '\\')) {
        return Err(Refused::Form(format!("the URL holds `{bad}`; give a base URL such as https://host/v1 only")));
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if !path.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:@/".contains(&b)) {
        return Err(form("the URL's path holds what must be percent-encoded there"));
    }
    if path.split('/').any(|part| matches!(part, "." | "..")) {
        return Err(form("the URL's path holds . or .. as a part; write the path out"));
    }
    let host = host(authority)?;
    if let Some(why) = host_address(host)?.and_then(|address| settings.forbids(address)) {
        return Err(Refused::Address(format!("the host {host} {why}")));
    }
    if !secure && !plaintext {
        return Err(Refused::Plaintext);
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// The host of an authority: a DNS name or a literal address.
fn host(authority: &str) -> Result<&str, Refused> {
    let form = |why: &str| Refused::Form(why.to_owned());
    if authority.contains('@') {
        return Err(form("the URL holds user information; put credentials into a Secret"));
    }
    if authority.contains('%') {
        return Err(form("the URL's host holds %; write the host plainly"));
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or_else(|| form("the URL's host lacks its closing ]"))?;
            match after {
                "" => (host, None),
                after => (host, Some(after.strip_prefix(':').ok_or_else(|| form("the URL's port is no number"))?)),
            }
        }
        None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
    };
    let digits = |port: &str| port.bytes().all(|b| b.is_ascii_digit());
    if port.is_some_and(|port| !digits(port) || port.parse::<u16>().map_or(true, |port| port == 0)) {
        return Err(form("the URL's port is no number from 1 to 65535"));
    }
    Ok(host)
}

/// The address that a host is, if it is one. What other programs would take for one in another form is refused.
fn host_address(host: &str) -> Result<Option<IpAddr>, Refused> {
    if let Ok(v6) = host.parse::<Ipv6Addr>() {
        return Ok(Some(v6.into()));
    }
    if let Ok(v4) = host.parse::<Ipv4Addr>() {
        return Ok(Some(v4.into()));
    }
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let label = |label: &str| {
        let inner = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        (1..=63).contains(&label.len()) && inner && !label.starts_with('-') && !label.ends_with('-')
    };
    if name.len() > 253 || !name.split('.').all(label) {
        return Err(Refused::Form(format!("the URL's host {host:?} is neither a DNS name nor an address")));
    }
    let last = name.rsplit('.').next().unwrap_or_default();
    let hex = last.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()));
    if hex || last.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Refused::Form(format!(
            "the URL's host {host:?} is an address in an unusual form; write it as 192.0.2.1"
        )));
    }
    Ok((last == "localhost").then_some(Ipv4Addr::LOCALHOST.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(url: &str, cidrs: &[&str]) -> Result<String, Refused> {
        let settings = Settings {
            allow_upstream_cidrs: cidrs.iter().map(ToString::to_string).collect(),
            forbidden_addresses: vec!["203.0.113.1".parse().unwrap()],
            ..Settings::default()
        };
        check(url, false, &settings)
    }

    #[test]
    fn a_base_url_passes_without_its_last_slash() {
        for good in [
            "https://api.openai.com/v1",
            "https://[2001:4860:4860::8888]:8443",
            "https://8.8.8.8/a/b",
            "https://a_b.example",
        ] {
            assert_eq!(checked(good, &[]).as_deref(), Ok(good));
            assert_eq!(checked(&format!("{good}/"), &[]).as_deref(), Ok(good));
        }
    }

    #[test]
    fn a_url_of_another_form_is_refused_f65() {
        for bad in [
            "ftp://a/v1",
            "a/v1",
            "https://",
            "https:///v1",
            "https://a b/v1",
            "https://user@a/v1",
            "https://user:pw@a/v1",
            "https://a/v1?x=1",
            "https://a/v1#x",
            "https://a\\b/v1",
            "https://a%2eb/v1",
            "https://a:0/",
            "https://a:65536/",
            "https://a:+1/",
            "https://a:x/",
            "https://[::1/",
            "https://[::1]x/",
            "https://ä.example/",
            "https://a..b/",
            "https://-a.example/",
            "https://a/../b",
            "https://a/<b>",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0x7f.1/",
            "https://0177.0.0.1/",
            "https://127.1/",
            "https://[::ffff:127.0.0.1%25lo]/",
        ] {
            assert!(
                matches!(checked(bad, &["0.0.0.0/0", "::/0"]), Err(Refused::Form(_))),
                "{bad}: {:?}",
                checked(bad, &[])
            );
        }
    }

    #[test]
    fn internal_addresses_are_refused_unless_permitted_f65() {
        let always = [
            "https://169.254.169.254",
            "https://[fe80::1]",
            "https://0.0.0.0",
            "https://224.0.0.1",
            "https://203.0.113.1",
            "https://[::ffff:169.254.169.254]",
            "https://[64:ff9b::a9fe:a9fe]",
            "https://[fd00:ec2::254]",
            "https://[::]",
        ];
        let internal = [
            "https://127.0.0.1",
            "https://10.0.0.1:8080/v1",
            "https://[::1]",
            "https://localhost",
            "https://LOCALHOST.",
            "https://a.localhost/v1",
            "https://[::ffff:10.0.0.1]",
            "https://100.64.0.1",
            "https://[fd12::1]",
        ];
        for bad in always.iter().chain(&internal) {
            assert!(matches!(checked(bad, &[]), Err(Refused::Address(_))), "{bad}");
        }
        for url in always {
            assert!(matches!(checked(url, &["0.0.0.0/0", "::/0"]), Err(Refused::Address(_))), "{url}");
        }
        for url in internal {
            assert!(checked(url, &["0.0.0.0/0", "::/0"]).is_ok(), "{url}");
        }
    }

    #[test]
    fn plain_text_needs_its_permission() {
        assert_eq!(checked("http://api.example/v1", &[]), Err(Refused::Plaintext));
        assert!(check("http://api.example/v1", true, &Settings::default()).is_ok());
    }
}
