//! Generated from `dataplane/snapshot/proto/config.proto`; `UPDATE=1 cargo test -p weir-tests --test tidy` writes it anew.
#![allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub, unused_qualifications, reason = "generated")]
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct FromPod {
    #[prost(oneof = "from_pod::Kind", tags = "1, 2, 3, 4")]
    pub kind: ::core::option::Option<from_pod::Kind>,
}
/// Nested message and enum types in `FromPod`.
pub mod from_pod {
    #[derive(Clone, PartialEq, ::prost::Oneof)]
    pub enum Kind {
        #[prost(message, tag = "1")]
        Hello(super::Hello),
        #[prost(message, tag = "2")]
        Token(super::Token),
        #[prost(message, tag = "3")]
        Ack(super::Ack),
        #[prost(message, tag = "4")]
        Observed(super::Observed),
    }
}
/// The first message of a stream. Where the pod holds so much that one message would be too large, more of them follow
/// at once, of which `held` alone counts.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Hello {
    /// The pod's projected ServiceAccount token, audience `weir-operator`.
    #[prost(string, tag = "1")]
    pub token: ::prost::alloc::string::String,
    /// Name of the data-plane deployment this pod belongs to.
    #[prost(string, tag = "2")]
    pub gateway: ::prost::alloc::string::String,
    /// Changes with every start of the process.
    #[prost(string, tag = "3")]
    pub incarnation: ::prost::alloc::string::String,
    /// What this build understands; a resource that needs more is not applied.
    #[prost(string, repeated, tag = "4")]
    pub features: ::prost::alloc::vec::Vec<::prost::alloc::string::String>,
    /// The highest leader epoch this pod has taken config from.
    #[prost(uint64, tag = "5")]
    pub highest_epoch: u64,
    /// What the pod holds now, so that only the difference is sent.
    #[prost(message, repeated, tag = "6")]
    pub held: ::prost::alloc::vec::Vec<Held>,
    /// Another part follows.
    #[prost(bool, tag = "7")]
    pub more: bool,
}
/// A token newer than that of the hello; the newest is the one reviewed.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Token {
    #[prost(string, tag = "1")]
    pub token: ::prost::alloc::string::String,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Held {
    #[prost(string, tag = "1")]
    pub kind: ::prost::alloc::string::String,
    #[prost(string, tag = "2")]
    pub namespace: ::prost::alloc::string::String,
    #[prost(string, tag = "3")]
    pub name: ::prost::alloc::string::String,
    #[prost(string, tag = "4")]
    pub digest: ::prost::alloc::string::String,
}
/// What became of one commit. Resources that are not named were applied.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Ack {
    #[prost(uint64, tag = "1")]
    pub revision: u64,
    #[prost(message, repeated, tag = "2")]
    pub rejected: ::prost::alloc::vec::Vec<Rejected>,
    /// Another part follows.
    #[prost(bool, tag = "3")]
    pub more: bool,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Rejected {
    #[prost(string, tag = "1")]
    pub kind: ::prost::alloc::string::String,
    #[prost(string, tag = "2")]
    pub namespace: ::prost::alloc::string::String,
    #[prost(string, tag = "3")]
    pub name: ::prost::alloc::string::String,
    #[prost(string, tag = "4")]
    pub digest: ::prost::alloc::string::String,
    /// At most 1 KiB, without secrets.
    #[prost(string, tag = "5")]
    pub reason: ::prost::alloc::string::String,
}
/// What the pod saw of real upstream answers; sent whole whenever it changes.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Observed {
    #[prost(message, repeated, tag = "1")]
    pub providers: ::prost::alloc::vec::Vec<ProviderState>,
    /// Another part follows.
    #[prost(bool, tag = "2")]
    pub more: bool,
}
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct ProviderState {
    #[prost(string, tag = "1")]
    pub namespace: ::prost::alloc::string::String,
    #[prost(string, tag = "2")]
    pub name: ::prost::alloc::string::String,
    /// Absent while there is nothing to complain about.
    #[prost(message, optional, tag = "3")]
    pub trouble: ::core::option::Option<Trouble>,
    #[prost(message, repeated, tag = "4")]
    pub credentials: ::prost::alloc::vec::Vec<CredentialState>,
    #[prost(uint32, tag = "5")]
    pub endpoints_healthy: u32,
    #[prost(uint32, tag = "6")]
    pub endpoints_total: u32,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Trouble {
    /// CamelCase, as in a condition: `Ejected`, `TLSFailed`, `QuotaExhausted`, ...
    #[prost(string, tag = "1")]
    pub reason: ::prost::alloc::string::String,
    #[prost(string, tag = "2")]
    pub message: ::prost::alloc::string::String,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct CredentialState {
    #[prost(string, tag = "1")]
    pub name: ::prost::alloc::string::String,
    /// Whether a real upstream answer has accepted it, refused it, or neither yet.
    #[prost(enumeration = "credential_state::Verdict", tag = "2")]
    pub verdict: i32,
    #[prost(string, tag = "3")]
    pub message: ::prost::alloc::string::String,
}
/// Nested message and enum types in `CredentialState`.
pub mod credential_state {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
    #[repr(i32)]
    pub enum Verdict {
        Untried = 0,
        Accepted = 1,
        Rejected = 2,
        Exhausted = 3,
    }
    impl Verdict {
        /// String value of the enum field names used in the ProtoBuf definition.
        ///
        /// The values are not transformed in any way and thus are considered stable
        /// (if the ProtoBuf definition does not change) and safe for programmatic use.
        pub fn as_str_name(&self) -> &'static str {
            match self {
                Self::Untried => "UNTRIED",
                Self::Accepted => "ACCEPTED",
                Self::Rejected => "REJECTED",
                Self::Exhausted => "EXHAUSTED",
            }
        }
        /// Creates an enum from field names used in the ProtoBuf definition.
        pub fn from_str_name(value: &str) -> ::core::option::Option<Self> {
            match value {
                "UNTRIED" => Some(Self::Untried),
                "ACCEPTED" => Some(Self::Accepted),
                "REJECTED" => Some(Self::Rejected),
                "EXHAUSTED" => Some(Self::Exhausted),
                _ => None,
            }
        }
    }
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct ToPod {
    #[prost(oneof = "to_pod::Kind", tags = "1, 2, 3, 4")]
    pub kind: ::core::option::Option<to_pod::Kind>,
}
/// Nested message and enum types in `ToPod`.
pub mod to_pod {
    #[derive(Clone, PartialEq, Eq, Hash, ::prost::Oneof)]
    pub enum Kind {
        #[prost(message, tag = "1")]
        Put(super::Put),
        #[prost(message, tag = "2")]
        Remove(super::Remove),
        #[prost(message, tag = "3")]
        Commit(super::Commit),
        #[prost(message, tag = "4")]
        NotLeader(super::NotLeader),
    }
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Put {
    #[prost(string, tag = "1")]
    pub kind: ::prost::alloc::string::String,
    #[prost(string, tag = "2")]
    pub namespace: ::prost::alloc::string::String,
    #[prost(string, tag = "3")]
    pub name: ::prost::alloc::string::String,
    #[prost(string, tag = "4")]
    pub digest: ::prost::alloc::string::String,
    #[prost(string, repeated, tag = "5")]
    pub needs: ::prost::alloc::vec::Vec<::prost::alloc::string::String>,
    /// JSON; a body over 1 MiB comes in several messages of which all but the last have `more` set.
    #[prost(bytes = "vec", tag = "6")]
    pub body: ::prost::alloc::vec::Vec<u8>,
    #[prost(bool, tag = "7")]
    pub more: bool,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Remove {
    #[prost(string, tag = "1")]
    pub kind: ::prost::alloc::string::String,
    #[prost(string, tag = "2")]
    pub namespace: ::prost::alloc::string::String,
    #[prost(string, tag = "3")]
    pub name: ::prost::alloc::string::String,
}
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Commit {
    /// Of the leader that sends this; a pod that saw a higher one refuses it.
    #[prost(uint64, tag = "1")]
    pub epoch: u64,
    #[prost(uint64, tag = "2")]
    pub revision: u64,
}
/// The answer of a standby: dial this address instead; empty while none leads.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct NotLeader {
    #[prost(string, tag = "1")]
    pub address: ::prost::alloc::string::String,
}
