//! A certificate authority of a test's own.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, SanType,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// Signs certificates that only who is given its PEM trusts.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// The names in a client's certificate.
#[derive(Default)]
pub struct Named<'a> {
    /// A URI.
    pub uri: Option<&'a str>,
    /// A DNS name.
    pub dns: Option<&'a str>,
    /// The common name.
    pub common_name: Option<&'a str>,
}

impl Default for Authority {
    fn default() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names is fine");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key pair");
        Self { issuer: CertifiedIssuer::self_signed(params, key).expect("a certificate can sign itself") }
    }
}

impl Authority {
    /// Its certificate.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for `names`, with its key, both PEM.
    pub fn certificate(&self, names: &[&str]) -> (String, String) {
        let (certificate, key) = self.issue(names);
        (certificate.pem(), key.serialize_pem())
    }

    /// A certificate of a client, with its key, both PEM.
    pub fn client_certificate(&self, named: &Named<'_>) -> (String, String) {
        let Named { uri, dns, common_name } = named;
        let (mut params, key) = asked(&[]);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let name = |text: &str| text.try_into().expect("a name is ASCII");
        params.subject_alt_names.extend(uri.map(|uri| SanType::URI(name(uri))));
        params.subject_alt_names.extend(dns.map(|dns| SanType::DnsName(name(dns))));
        params.distinguished_name = DistinguishedName::new();
        if let Some(common_name) = common_name {
            params.distinguished_name.push(DnType::CommonName, *common_name);
        }
        (params.signed_by(&key, &self.issuer).expect("the authority can sign").pem(), key.serialize_pem())
    }

    /// What a server for `names` accepts connections with.
    pub fn acceptor(&self, names: &[&str], protocols: &[&[u8]]) -> TlsAcceptor {
        let (certificate, key) = self.issue(names);
        acceptor(&certificate, &key, protocols)
    }

    /// The same with a certificate that has expired.
    pub fn expired_acceptor(&self, names: &[&str], protocols: &[&[u8]]) -> TlsAcceptor {
        let (mut params, key) = asked(names);
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        acceptor(&params.signed_by(&key, &self.issuer).expect("the authority can sign"), &key, protocols)
    }

    fn issue(&self, names: &[&str]) -> (rcgen::Certificate, KeyPair) {
        let (params, key) = asked(names);
        (params.signed_by(&key, &self.issuer).expect("the authority can sign"), key)
    }
}

/// What a server for `names` accepts connections with that vouches for itself.
pub fn self_signed_acceptor(names: &[&str], protocols: &[&[u8]]) -> TlsAcceptor {
    let (params, key) = asked(names);
    acceptor(&params.self_signed(&key).expect("a certificate can sign itself"), &key, protocols)
}

fn asked(names: &[&str]) -> (CertificateParams, KeyPair) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let params = CertificateParams::new(names).expect("the names are DNS names or addresses");
    (params, KeyPair::generate().expect("a key pair"))
}

fn acceptor(certificate: &rcgen::Certificate, key: &KeyPair, protocols: &[&[u8]]) -> TlsAcceptor {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("the key fits the certificate");
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}
