//! Who a client certificate is of, once TLS found it good.

use rustls_pki_types::CertificateDer;
use webpki::EndEntityCert;

/// The names in a client certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    uris: Vec<String>,
    /// URIs, DNS names, and last the subject's common name.
    pub(crate) names: Vec<String>,
}

impl Certificate {
    /// Reads a certificate; `None` where it is none, or names nobody.
    pub fn read(der: &[u8]) -> Option<Self> {
        let der = CertificateDer::from(der);
        let certificate = EndEntityCert::try_from(&der).ok()?;
        let uris: Vec<String> = certificate.valid_uri_names().map(str::to_owned).collect();
        let mut names = uris.clone();
        names.extend(certificate.valid_dns_names().map(str::to_owned));
        names.extend(common_name(certificate.subject()).map(str::to_owned));
        (!names.is_empty()).then_some(Self { uris, names })
    }

    /// Whether it is of that name, exactly.
    pub(crate) fn is_of(&self, subject: &str) -> bool {
        self.names.iter().any(|name| name == subject)
    }

    /// Namespace and name of the ServiceAccount that it is of in that trust domain (SPIFFE, as Istio and SPIRE write
    /// it). A SPIFFE certificate has one URI and no other.
    pub(crate) fn account(&self, trust_domain: &str) -> Option<(&str, &str)> {
        let [uri] = &*self.uris else { return None };
        let path = uri.strip_prefix("spiffe://")?.strip_prefix(trust_domain)?.strip_prefix("/ns/")?;
        path.split_once("/sa/").filter(|(namespace, name)| !namespace.contains('/') && !name.contains('/'))
    }
}

/// The common name of a subject in DER, without its outer tag.
fn common_name(mut subject: &[u8]) -> Option<&str> {
    const OBJECT: u8 = 0x06;
    const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
    const TEXTS: [u8; 2] = [0x0c, 0x13];
    while let Some((_, mut attributes, rest)) = element(subject) {
        while let Some((_, attribute, more)) = element(attributes) {
            match element(attribute) {
                Some((OBJECT, object, value)) if object == COMMON_NAME => {
                    let (tag, text, _) = element(value)?;
                    return std::str::from_utf8(text).ok().filter(|text| TEXTS.contains(&tag) && !text.is_empty());
                }
                _ => attributes = more,
            }
        }
        subject = rest;
    }
    None
}

/// The first element of DER: its tag, its content, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let ([tag, length], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        0x81 => rest.split_first().map(|(length, rest)| (usize::from(*length), rest))?,
        0x82 => rest.split_first_chunk().map(|(length, rest)| (usize::from(u16::from_be_bytes(*length)), rest))?,
        _ => return None,
    };
    let (content, after) = rest.split_at_checked(length)?;
    Some((*tag, content, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, u8::try_from(content.len()).unwrap()], content].concat()
    }

    fn attribute(kind: u8, text: &[u8]) -> Vec<u8> {
        der(0x31, &der(0x30, &[der(0x06, &[0x55, 0x04, kind]), der(0x0c, text)].concat()))
    }

    #[test]
    fn the_common_name_is_that_attribute_and_nothing_that_looks_like_it() {
        let forged = attribute(0x0a, &attribute(0x03, b"admin"));
        let subject = [forged.clone(), attribute(0x03, b"app")].concat();
        assert_eq!(common_name(&subject), Some("app"));
        assert_eq!(common_name(&forged), None);
        for cut in 0..subject.len() {
            let _ = common_name(&subject[..cut]);
        }
    }

    #[test]
    fn an_account_is_of_its_trust_domain_alone() {
        let account = |uris: &[&str]| {
            let uris: Vec<String> = uris.iter().map(|uri| (*uri).to_owned()).collect();
            let names = uris.clone();
            let certificate = Certificate { uris, names };
            certificate.account("cluster.local").map(|(namespace, name)| format!("{namespace}/{name}"))
        };
        assert_eq!(account(&["spiffe://cluster.local/ns/a/sa/app"]).as_deref(), Some("a/app"));
        for other in [
            "spiffe://elsewhere/ns/a/sa/app",
            "spiffe://cluster.local.evil/ns/a/sa/app",
            "spiffe://cluster.local/ns/a/sa/app/x",
            "spiffe://cluster.local/ns/a/b/sa/app",
            "spiffe://cluster.local/app",
        ] {
            assert_eq!(account(&[other]), None, "{other}");
        }
        assert_eq!(account(&["spiffe://cluster.local/ns/a/sa/app", "https://x"]), None, "it has one URI");
    }
}
