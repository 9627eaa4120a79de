//! The CA as it lies in its Secret, and the certificates made from it. No IO.
//!
//! Keys leave this file only as the bytes of the Secret and as a leaf's signing key.

use super::plan::{CA_LIFE, LEAF_LIFE, Slots, Step};
use k8s_openapi::ByteString;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use std::collections::BTreeMap;
use std::time::Duration;
use weir_snapshot::{OPERATOR_SERVER_NAME, Secret};

/// Name of the Secret with the CA and of the ConfigMap with its public bundle.
pub(super) const CA_NAME: &str = "weir-operator-ca";
/// Clocks of pods may be behind by that much.
const SKEW: Duration = Duration::from_secs(3600);

/// Why there is no certificate.
#[derive(Debug)]
pub(crate) enum MaterialError {
    /// The Secret lacks that key, or it does not read.
    Unreadable(&'static str),
    /// Making or signing failed.
    Signing(String),
}

impl std::fmt::Display for MaterialError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreadable(key) => {
                write!(f, "Secret {} has no usable {key}; delete the Secret, and a new CA is made", CA_NAME)
            }
            Self::Signing(error) => write!(f, "a certificate cannot be made: {error}"),
        }
    }
}

impl From<rcgen::Error> for MaterialError {
    fn from(error: rcgen::Error) -> Self {
        Self::Signing(error.to_string())
    }
}

/// One CA.
struct Ca {
    certificate: String,
    key: Secret,
    since: i64,
}

/// All that the Secret holds.
#[derive(Default)]
pub(crate) struct Material {
    current: Option<Ca>,
    next: Option<Ca>,
    /// The certificate of the one that signed before, and since when it no longer does.
    previous: Option<(String, i64)>,
}

impl Material {
    /// Reads the data of the Secret.
    pub(crate) fn read(data: &BTreeMap<String, ByteString>) -> Result<Self, MaterialError> {
        let ca = |certificate, key, since| -> Result<Option<Ca>, MaterialError> {
            let Some(pem) = text(data, certificate)? else { return Ok(None) };
            let key = Secret::new(text(data, key)?.ok_or(MaterialError::Unreadable(key))?);
            Ok(Some(Ca { certificate: pem, key, since: seconds(data, since)? }))
        };
        let previous = match text(data, "previous.crt")? {
            Some(pem) => Some((pem, seconds(data, "previous.since")?)),
            None => None,
        };
        Ok(Self {
            current: ca("ca.crt", "ca.key", "ca.since")?,
            next: ca("next.crt", "next.key", "next.since")?,
            previous,
        })
    }

    /// The data of the Secret.
    pub(crate) fn data(&self) -> BTreeMap<String, ByteString> {
        let mut data = BTreeMap::new();
        let mut put = |key: &str, value: &str| data.insert(key.to_owned(), ByteString(value.as_bytes().to_vec()));
        for (slot, ca) in [("ca", &self.current), ("next", &self.next)] {
            if let Some(Ca { certificate, key, since }) = ca {
                put(&format!("{slot}.crt"), certificate);
                put(&format!("{slot}.key"), key.expose());
                put(&format!("{slot}.since"), &since.to_string());
            }
        }
        if let Some((certificate, since)) = &self.previous {
            put("previous.crt", certificate);
            put("previous.since", &since.to_string());
        }
        data
    }

    /// The public bundle: every CA that signs, will sign or signed.
    pub(crate) fn bundle(&self) -> String {
        let cas = [&self.current, &self.next].into_iter().flatten().map(|ca| ca.certificate.as_str());
        cas.chain(self.previous.as_ref().map(|(certificate, _)| certificate.as_str())).collect()
    }

    /// Since when each slot is filled.
    pub(crate) fn slots(&self) -> Slots {
        Slots {
            current: self.current.as_ref().map(|ca| ca.since),
            next: self.next.as_ref().map(|ca| ca.since),
            previous: self.previous.as_ref().map(|(_, since)| *since),
        }
    }

    /// Takes one step of the plan at `now` (unix seconds).
    pub(crate) fn take(self, step: Step, now: i64) -> Result<Self, MaterialError> {
        let Self { current, next, previous } = self;
        Ok(match step {
            Step::Keep => Self { current, next, previous },
            Step::Make => Self { current: Some(make_ca(now)?), next: None, previous },
            Step::Announce => Self { current, next: Some(make_ca(now)?), previous },
            Step::Promote => Self { current: next, next: None, previous: current.map(|old| (old.certificate, now)) },
            Step::Forget => Self { current, next, previous: None },
        })
    }

    /// A leaf of the current CA for the stream, valid from `now` (unix seconds) for [`LEAF_LIFE`].
    pub(crate) fn leaf(&self, now: i64) -> Result<CertifiedKey, MaterialError> {
        let ca = self.current.as_ref().ok_or(MaterialError::Unreadable("ca.crt"))?;
        let ca_key = KeyPair::from_pem(ca.key.expose()).map_err(|_| MaterialError::Unreadable("ca.key"))?;
        let issuer = Issuer::new(ca_params(ca.since), ca_key);
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![OPERATOR_SERVER_NAME.to_owned()])?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, OPERATOR_SERVER_NAME);
        set_validity(&mut params, now, LEAF_LIFE);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &issuer)?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let signer = any_supported_type(&private).map_err(|error| MaterialError::Signing(error.to_string()))?;
        Ok(CertifiedKey::new(vec![certificate.der().clone()], signer))
    }
}

fn make_ca(now: i64) -> Result<Ca, MaterialError> {
    let key = KeyPair::generate()?;
    let certificate = ca_params(now).self_signed(&key)?.pem();
    Ok(Ca { certificate, key: Secret::new(key.serialize_pem()), since: now })
}

/// The same parameters for the same moment, so that a stored CA can sign again. Each CA has a name of its own.
fn ca_params(since: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("weir-operator CA {since}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params, since, CA_LIFE);
    params
}

fn set_validity(params: &mut CertificateParams, from: i64, life: Duration) {
    let start = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(from.unsigned_abs());
    params.not_before = start - SKEW;
    params.not_after = start + life;
}

fn text(data: &BTreeMap<String, ByteString>, key: &'static str) -> Result<Option<String>, MaterialError> {
    let bytes = data.get(key).map(|value| value.0.clone());
    bytes.map(|bytes| String::from_utf8(bytes).map_err(|_| MaterialError::Unreadable(key))).transpose()
}

fn seconds(data: &BTreeMap<String, ByteString>, key: &'static str) -> Result<i64, MaterialError> {
    text(data, key)?.and_then(|text| text.parse().ok()).ok_or(MaterialError::Unreadable(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::client::WebPkiServerVerifier;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use std::sync::Arc;

    const NOW: i64 = 1_800_000_000;

    fn verify(bundle: &str, leaf: &CertifiedKey, now: i64) -> Result<(), rustls::Error> {
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let name = ServerName::try_from(OPERATOR_SERVER_NAME).unwrap();
        let at = UnixTime::since_unix_epoch(Duration::from_secs(now.unsigned_abs()));
        use rustls::client::danger::ServerCertVerifier as _;
        verifier.verify_server_cert(&leaf.cert[0], &[], &name, &[], at).map(|_| ())
    }

    #[test]
    fn a_leaf_of_a_ca_read_back_from_its_secret_verifies_against_the_bundle_for_its_day() {
        let made = Material::default().take(Step::Make, NOW).unwrap();
        let read = Material::read(&made.data()).unwrap();
        assert_eq!(read.data(), made.data());
        let leaf = read.leaf(NOW + 60).unwrap();
        verify(&made.bundle(), &leaf, NOW + 61).unwrap();
        verify(&made.bundle(), &leaf, NOW + 60 + LEAF_LIFE.as_secs().cast_signed() + 1).unwrap_err();
        let other = Material::default().take(Step::Make, NOW).unwrap();
        verify(&other.bundle(), &leaf, NOW + 61).unwrap_err();
    }

    #[test]
    fn whoever_holds_the_bundle_of_before_or_after_a_promotion_trusts_both_leaves() {
        let old = Material::default().take(Step::Make, NOW).unwrap();
        let leaf_of_old = old.leaf(NOW).unwrap();
        let announced = old.take(Step::Announce, NOW).unwrap();
        let before = announced.bundle();
        let promoted = announced.take(Step::Promote, NOW).unwrap();
        let leaf_of_new = promoted.leaf(NOW).unwrap();
        for bundle in [before, promoted.bundle()] {
            verify(&bundle, &leaf_of_old, NOW).unwrap();
            verify(&bundle, &leaf_of_new, NOW).unwrap();
        }
        let forgotten = promoted.take(Step::Forget, NOW).unwrap();
        verify(&forgotten.bundle(), &leaf_of_old, NOW).unwrap_err();
    }

    #[test]
    fn a_mangled_secret_is_an_error_that_says_what_to_do() {
        let mut data = Material::default().take(Step::Make, NOW).unwrap().data();
        data.remove("ca.key");
        let error = Material::read(&data).err().unwrap().to_string();
        assert_eq!(error, "Secret weir-operator-ca has no usable ca.key; delete the Secret, and a new CA is made");
    }
}
