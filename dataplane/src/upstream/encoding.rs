//! How the body of an answer is encoded: servers compress although they are asked not to.

use hyper::header::{CONTENT_ENCODING, HeaderMap};
use weir_dialect::gzip::{Inflate, NoGzip};
use weir_policy::{Failure, FailureKind};

/// An encoding of a body.
pub(crate) enum Encoding {
    Identity,
    Gzip(Box<Inflate>),
    /// One that is not read.
    Other,
}

impl Encoding {
    /// As the head of an answer says.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(CONTENT_ENCODING).iter();
        let Some(value) = values.next() else { return Self::Identity };
        let name = value.to_str().unwrap_or_default().trim().to_ascii_lowercase();
        match &*name {
            _ if values.next().is_some() => Self::Other,
            "" | "identity" => Self::Identity,
            "gzip" | "x-gzip" => Self::Gzip(Box::default()),
            _ => Self::Other,
        }
    }
}

/// The failure of an answer whose body cannot be decoded.
pub(crate) fn undecoded(why: NoGzip) -> Failure {
    let kind = match why {
        NoGzip::Cut => FailureKind::Reset,
        NoGzip::Other => FailureKind::Malformed,
    };
    Failure::local(kind, why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_encodings_are_told_apart() {
        let of = |values: &[&str]| {
            Encoding::of(&values.iter().map(|value| (CONTENT_ENCODING, value.parse().unwrap())).collect())
        };
        for identity in [&[][..], &["identity"], &[""]] {
            assert!(matches!(of(identity), Encoding::Identity), "{identity:?}");
        }
        for other in [&["br"][..], &["gzip, gzip"], &["gzip", "gzip"], &["zstd"]] {
            assert!(matches!(of(other), Encoding::Other), "{other:?}");
        }
    }
}
