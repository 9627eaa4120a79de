//! Generated from `dataplane/snapshot/proto/ledger.proto`; `UPDATE=1 cargo test -p weir-tests --test tidy` writes it anew.
#![allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub, unused_qualifications, reason = "generated")]
/// One pot: what a limit allows one partition in one window.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Pot {
    /// `Budget/<namespace>/<name>/<unit>`, `LLMRoute/<namespace>/<name>/<limit>` or
    /// `Provider/<namespace>/<name>/<limit>`.
    #[prost(string, tag = "1")]
    pub limit: ::prost::alloc::string::String,
    /// Empty where the limit has one pot for all.
    #[prost(string, tag = "2")]
    pub partition: ::prost::alloc::string::String,
    /// Only grows; 0 for limits without windows.
    #[prost(uint64, tag = "3")]
    pub window: u64,
}
/// What one start of a pod's process has of a pot.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Held {
    #[prost(message, optional, tag = "1")]
    pub pot: ::core::option::Option<Pot>,
    /// Given by the leader.
    #[prost(uint64, tag = "2")]
    pub granted: u64,
    /// Spent.
    #[prost(uint64, tag = "3")]
    pub settled: u64,
    /// Given back.
    #[prost(uint64, tag = "4")]
    pub returned: u64,
    /// Spent above what was granted.
    #[prost(uint64, tag = "5")]
    pub overrun: u64,
    /// Reserved by requests that run.
    #[prost(uint64, tag = "6")]
    pub outstanding: u64,
    /// Requests whose price nobody knew; they count as nothing spent.
    #[prost(uint64, tag = "7")]
    pub unpriced: u64,
}
/// All that was ever granted of a pot, as a leader said; the highest (epoch, sequence) holds.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Total {
    #[prost(message, optional, tag = "1")]
    pub pot: ::core::option::Option<Pot>,
    #[prost(uint64, tag = "2")]
    pub epoch: u64,
    #[prost(uint64, tag = "3")]
    pub sequence: u64,
    #[prost(uint64, tag = "4")]
    pub granted: u64,
    /// Milliseconds from now until its window ends; absent = never, or not told.
    #[prost(uint64, optional, tag = "5")]
    pub ends_in_ms: ::core::option::Option<u64>,
}
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
        Report(super::Report),
        #[prost(message, tag = "3")]
        Ask(super::Ask),
        #[prost(message, tag = "4")]
        Costs(super::CostReport),
    }
}
/// The first message of a stream. Where the pod holds much, more of them follow at once, each of which adds to what was
/// said; a leader that does not say in `Leads` that it takes parts is told all in one.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Hello {
    /// The pod's projected ServiceAccount token, audience `weir-operator`.
    #[prost(string, tag = "1")]
    pub token: ::prost::alloc::string::String,
    /// Changes with every start of the process.
    #[prost(string, tag = "2")]
    pub incarnation: ::prost::alloc::string::String,
    /// The highest leader epoch that this pod saw.
    #[prost(uint64, tag = "3")]
    pub highest_epoch: u64,
    /// All that this start holds.
    #[prost(message, repeated, tag = "4")]
    pub held: ::prost::alloc::vec::Vec<Held>,
    /// What it was told of pots, its own and others.
    #[prost(message, repeated, tag = "5")]
    pub totals: ::prost::alloc::vec::Vec<Total>,
    /// Another part follows.
    #[prost(bool, tag = "6")]
    pub more: bool,
}
/// What changed since the last report, as it is now.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Report {
    /// Counts up; the leader's answer names it.
    #[prost(uint64, tag = "1")]
    pub round: u64,
    #[prost(message, repeated, tag = "2")]
    pub held: ::prost::alloc::vec::Vec<Held>,
    /// The process ends, and nothing of it is outstanding.
    #[prost(bool, tag = "3")]
    pub last: bool,
}
/// A request for room in several pots, granted all or none. A want of nothing is one ahead of need: it is granted or
/// left out by itself.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Ask {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    #[prost(message, repeated, tag = "2")]
    pub wants: ::prost::alloc::vec::Vec<Want>,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Want {
    #[prost(string, tag = "1")]
    pub limit: ::prost::alloc::string::String,
    #[prost(string, tag = "2")]
    pub partition: ::prost::alloc::string::String,
    /// At least so much.
    #[prost(uint64, tag = "3")]
    pub need: u64,
    /// So much more, if there is plenty.
    #[prost(uint64, tag = "4")]
    pub ahead: u64,
}
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct ToPod {
    #[prost(oneof = "to_pod::Kind", tags = "1, 2, 3, 4, 5, 6, 7, 8")]
    pub kind: ::core::option::Option<to_pod::Kind>,
}
/// Nested message and enum types in `ToPod`.
pub mod to_pod {
    #[derive(Clone, PartialEq, ::prost::Oneof)]
    pub enum Kind {
        #[prost(message, tag = "1")]
        Round(super::Round),
        #[prost(message, tag = "2")]
        Answer(super::Answer),
        #[prost(message, tag = "3")]
        Recall(super::Recall),
        #[prost(message, tag = "4")]
        NotLeader(super::NotLeader),
        #[prost(message, tag = "5")]
        Closed(super::Closed),
        #[prost(message, tag = "6")]
        CostsStored(super::CostsStored),
        #[prost(message, tag = "7")]
        Leads(super::Leads),
        #[prost(message, tag = "8")]
        Adrift(super::Adrift),
    }
}
/// The answer to a report; the first one answers the hello. Where much has changed it comes in parts, of which the last
/// tells that all reports up to its round are known.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Round {
    #[prost(uint64, tag = "1")]
    pub epoch: u64,
    /// Of the report; 0 for the hello.
    #[prost(uint64, tag = "2")]
    pub round: u64,
    /// Pods that share the limits.
    #[prost(uint32, tag = "3")]
    pub pods: u32,
    /// Pots of this pod of which something changed.
    #[prost(message, repeated, tag = "4")]
    pub states: ::prost::alloc::vec::Vec<State>,
    /// For safekeeping.
    #[prost(message, repeated, tag = "5")]
    pub totals: ::prost::alloc::vec::Vec<Total>,
    /// Another part follows.
    #[prost(bool, tag = "6")]
    pub more: bool,
}
/// One pot, as the leader sees it.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct State {
    #[prost(message, optional, tag = "1")]
    pub pot: ::core::option::Option<Pot>,
    /// To this start, all in all.
    #[prost(uint64, tag = "2")]
    pub granted: u64,
    #[prost(uint64, tag = "3")]
    pub epoch: u64,
    #[prost(uint64, tag = "4")]
    pub sequence: u64,
    /// Of `Total`.
    #[prost(uint64, tag = "5")]
    pub total: u64,
    /// What may be spent in the window.
    #[prost(uint64, tag = "6")]
    pub limit: u64,
    /// What was spent of it or is leased.
    #[prost(uint64, tag = "7")]
    pub committed: u64,
    /// What was spent of it.
    #[prost(uint64, tag = "8")]
    pub spent: u64,
    /// Milliseconds from now until it ends; absent = never.
    #[prost(uint64, optional, tag = "9")]
    pub ends_in_ms: ::core::option::Option<u64>,
}
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Answer {
    #[prost(uint64, tag = "1")]
    pub epoch: u64,
    #[prost(uint64, tag = "2")]
    pub id: u64,
    #[prost(message, repeated, tag = "3")]
    pub states: ::prost::alloc::vec::Vec<State>,
    /// Why nothing was granted.
    #[prost(message, optional, tag = "4")]
    pub refused: ::core::option::Option<Refused>,
    /// Wants ahead of need that got nothing.
    #[prost(message, repeated, tag = "5")]
    pub left_out: ::prost::alloc::vec::Vec<Refused>,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Refused {
    #[prost(string, tag = "1")]
    pub limit: ::prost::alloc::string::String,
    #[prost(string, tag = "2")]
    pub partition: ::prost::alloc::string::String,
    #[prost(enumeration = "refused::Why", tag = "3")]
    pub why: i32,
    #[prost(uint64, tag = "4")]
    pub amount: u64,
    #[prost(uint64, tag = "5")]
    pub spent: u64,
    /// When asking again may help; absent = not by waiting.
    #[prost(uint64, optional, tag = "6")]
    pub retry_after_ms: ::core::option::Option<u64>,
    /// What was wanted at least.
    #[prost(uint64, tag = "7")]
    pub need: u64,
}
/// Nested message and enum types in `Refused`.
pub mod refused {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::prost::Enumeration)]
    #[repr(i32)]
    pub enum Why {
        /// The limit is used up.
        Exhausted = 0,
        /// What is left cannot be told or reached now.
        Unavailable = 1,
        /// The leader does not know the limit (yet).
        Unknown = 2,
        /// The limit, or its namespace, has as many pots as its share of the ledger's room.
        TooManyPartitions = 3,
    }
    impl Why {
        /// String value of the enum field names used in the ProtoBuf definition.
        ///
        /// The values are not transformed in any way and thus are considered stable
        /// (if the ProtoBuf definition does not change) and safe for programmatic use.
        pub fn as_str_name(&self) -> &'static str {
            match self {
                Self::Exhausted => "EXHAUSTED",
                Self::Unavailable => "UNAVAILABLE",
                Self::Unknown => "UNKNOWN",
                Self::TooManyPartitions => "TOO_MANY_PARTITIONS",
            }
        }
        /// Creates an enum from field names used in the ProtoBuf definition.
        pub fn from_str_name(value: &str) -> ::core::option::Option<Self> {
            match value {
                "EXHAUSTED" => Some(Self::Exhausted),
                "UNAVAILABLE" => Some(Self::Unavailable),
                "UNKNOWN" => Some(Self::Unknown),
                "TOO_MANY_PARTITIONS" => Some(Self::TooManyPartitions),
                _ => None,
            }
        }
    }
}
/// Give back what no request has reserved.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Recall {
    #[prost(message, repeated, tag = "1")]
    pub pots: ::prost::alloc::vec::Vec<Pot>,
}
/// The answer of a standby: dial this address instead; empty while none leads.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct NotLeader {
    #[prost(string, tag = "1")]
    pub address: ::prost::alloc::string::String,
}
/// The first word of a leader, before the hello: a pod that looks for a newer one goes on only where it has found it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Leads {
    #[prost(uint64, tag = "1")]
    pub epoch: u64,
    /// Whether it takes hellos in parts.
    #[prost(bool, tag = "2")]
    pub parts: bool,
}
/// Whether the leader of this stream cannot prove that it still leads. While it cannot, it grants from what is stored
/// alone, and the pod looks for a newer one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Adrift {
    #[prost(uint64, tag = "1")]
    pub epoch: u64,
    #[prost(bool, tag = "2")]
    pub adrift: bool,
}
/// This start was given up as lost; begin anew under another name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Closed {}
/// What requests cost, of some hours and names: absolute sums of one start of a process, which only grow.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct CostReport {
    /// Changes with every start of the process, whatever becomes of its leases.
    #[prost(string, tag = "1")]
    pub start: ::prost::alloc::string::String,
    /// The leader's word that it is stored names it.
    #[prost(uint64, tag = "2")]
    pub version: u64,
    /// Sums of hours before it do not change any more; hours since the Unix epoch.
    #[prost(uint64, tag = "3")]
    pub open_from: u64,
    /// What rows name, each once.
    #[prost(string, repeated, tag = "4")]
    pub texts: ::prost::alloc::vec::Vec<::prost::alloc::string::String>,
    #[prost(message, repeated, tag = "5")]
    pub rows: ::prost::alloc::vec::Vec<CostRow>,
    /// The process ends: it is stored at once.
    #[prost(bool, tag = "6")]
    pub last: bool,
}
/// One sum.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct CostRow {
    /// Since the Unix epoch.
    #[prost(uint64, tag = "1")]
    pub hour: u64,
    /// So many are summed: 1, or 24 once they are old.
    #[prost(uint64, tag = "2")]
    pub hours: u64,
    /// Places of currency, namespace, user, team, project, cost centre, route (namespace, name), provider (namespace,
    /// name), its type, model.
    #[prost(uint32, repeated, tag = "3")]
    pub texts: ::prost::alloc::vec::Vec<u32>,
    /// By class: input, cache read, cache writes of 5 minutes and of 1 hour, output, reasoning, requests.
    #[prost(uint64, repeated, tag = "4")]
    pub counts: ::prost::alloc::vec::Vec<u64>,
    /// Their price: 10^-9 of the currency's unit, and the 10^-12 that are left.
    #[prost(uint64, repeated, tag = "5")]
    pub nano_of_classes: ::prost::alloc::vec::Vec<u64>,
    #[prost(uint32, repeated, tag = "6")]
    pub pico_of_classes: ::prost::alloc::vec::Vec<u32>,
    /// Requests of models without a price.
    #[prost(uint64, tag = "7")]
    pub unpriced: u64,
    /// What the ledger was charged, each request rounded up.
    #[prost(uint64, tag = "8")]
    pub nano: u64,
}
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct CostsStored {
    #[prost(uint64, tag = "1")]
    pub version: u64,
}
/// What requests of one day cost, as it is stored.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct CostDay {
    /// Since the Unix epoch.
    #[prost(uint64, tag = "1")]
    pub day: u64,
    /// It takes nothing in any more.
    #[prost(bool, tag = "2")]
    pub folded: bool,
    #[prost(string, repeated, tag = "3")]
    pub texts: ::prost::alloc::vec::Vec<::prost::alloc::string::String>,
    /// Of closed hours, over all pods.
    #[prost(message, repeated, tag = "4")]
    pub base: ::prost::alloc::vec::Vec<CostRow>,
    #[prost(message, repeated, tag = "5")]
    pub pages: ::prost::alloc::vec::Vec<CostPage>,
}
/// Open hours of one start of a process.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct CostPage {
    #[prost(string, tag = "1")]
    pub start: ::prost::alloc::string::String,
    #[prost(uint64, tag = "2")]
    pub open_from: u64,
    #[prost(message, repeated, tag = "3")]
    pub rows: ::prost::alloc::vec::Vec<CostRow>,
}
/// A part of the ledger as it is stored.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Shard {
    #[prost(uint64, tag = "1")]
    pub epoch: u64,
    /// Of the process that wrote it.
    #[prost(uint64, tag = "2")]
    pub nonce: u64,
    #[prost(uint64, tag = "3")]
    pub sequence: u64,
    #[prost(message, repeated, tag = "4")]
    pub pots: ::prost::alloc::vec::Vec<StoredPot>,
    /// In the first shard alone.
    #[prost(message, repeated, tag = "5")]
    pub members: ::prost::alloc::vec::Vec<Member>,
    #[prost(message, repeated, tag = "6")]
    pub tombstones: ::prost::alloc::vec::Vec<Tombstone>,
}
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct StoredPot {
    #[prost(message, optional, tag = "1")]
    pub pot: ::core::option::Option<Pot>,
    /// No grant goes beyond it.
    #[prost(uint64, tag = "2")]
    pub mark: u64,
    /// Of starts that are closed.
    #[prost(uint64, tag = "3")]
    pub base: u64,
    /// The part of `base` that nobody can tell the fate of.
    #[prost(uint64, tag = "4")]
    pub unaccounted: u64,
    /// What has aged out of a rolling window.
    #[prost(uint64, tag = "5")]
    pub aged: u64,
    /// Unix milliseconds at which its window ends; 0 = never.
    #[prost(int64, tag = "6")]
    pub ends: i64,
    #[prost(message, repeated, tag = "7")]
    pub held: ::prost::alloc::vec::Vec<StoredHeld>,
    #[prost(message, repeated, tag = "8")]
    pub buckets: ::prost::alloc::vec::Vec<Bucket>,
    /// The newest word of a leader that had heard of everybody, on what was granted of it.
    #[prost(message, optional, tag = "9")]
    pub told: ::core::option::Option<Total>,
    /// Requests without a price, of starts that are closed.
    #[prost(uint64, tag = "10")]
    pub unpriced: u64,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct StoredHeld {
    #[prost(string, tag = "1")]
    pub incarnation: ::prost::alloc::string::String,
    #[prost(uint64, tag = "2")]
    pub granted: u64,
    #[prost(uint64, tag = "3")]
    pub settled: u64,
    #[prost(uint64, tag = "4")]
    pub returned: u64,
    #[prost(uint64, tag = "5")]
    pub overrun: u64,
    #[prost(uint64, tag = "6")]
    pub unpriced: u64,
}
/// Spending of one sixtieth of a rolling window.
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Bucket {
    #[prost(uint64, tag = "1")]
    pub id: u64,
    #[prost(uint64, tag = "2")]
    pub spent: u64,
}
/// A start of a pod's process that may hold leases.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Member {
    #[prost(string, tag = "1")]
    pub incarnation: ::prost::alloc::string::String,
    /// UID of its Pod.
    #[prost(string, tag = "2")]
    pub pod: ::prost::alloc::string::String,
}
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Tombstone {
    #[prost(string, tag = "1")]
    pub incarnation: ::prost::alloc::string::String,
    /// Unix seconds.
    #[prost(int64, tag = "2")]
    pub closed_at: i64,
}
