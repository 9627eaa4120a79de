//! A name server of a test's own: what a name resolves to, lookup by lookup, is the test's to say.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};

const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
/// Longest question of a resolver that speaks of one name.
const QUESTION_BYTES: usize = 512;

/// A name server; it ends with the process.
pub struct Resolver {
    asked: Arc<Mutex<BTreeMap<(String, u16), usize>>>,
}

impl Resolver {
    /// Answers at `address`: `answer` gets a name and how often it was looked up before.
    pub fn start(address: SocketAddr, answer: impl Fn(&str, usize) -> Vec<IpAddr> + Send + 'static) -> Self {
        let socket = UdpSocket::bind(address).expect("the name server's port is free");
        let asked = Arc::new(Mutex::new(BTreeMap::new()));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut question = [0; QUESTION_BYTES];
            while let Ok((length, from)) = socket.recv_from(&mut question) {
                let Some((name, kind)) = parsed(&question[..length]) else { continue };
                let before = {
                    let mut asked = count.lock().expect("no holder panics");
                    let times = asked.entry((name.clone(), kind)).or_insert(0);
                    *times += 1;
                    *times - 1
                };
                let _ = socket.send_to(&reply(&question[..length], kind, &answer(&name, before)), from);
            }
        });
        Self { asked }
    }

    /// How often a name was looked up.
    pub fn lookups(&self, name: &str) -> usize {
        let asked = self.asked.lock().expect("no holder panics");
        asked.get(&(name.to_owned(), TYPE_A)).copied().unwrap_or(0)
    }
}

/// Name and type of the one question.
fn parsed(message: &[u8]) -> Option<(String, u16)> {
    let mut labels = Vec::new();
    let mut rest = message.get(12..)?;
    loop {
        let length = usize::from(*rest.first()?);
        if length == 0 {
            let kind = u16::from_be_bytes([*rest.get(1)?, *rest.get(2)?]);
            return Some((labels.join("."), kind));
        }
        labels.push(String::from_utf8_lossy(rest.get(1..=length)?).to_ascii_lowercase());
        rest = rest.get(length + 1..)?;
    }
}

/// The question with the addresses that are of its type.
fn reply(question: &[u8], kind: u16, addresses: &[IpAddr]) -> Vec<u8> {
    let records: Vec<Vec<u8>> = addresses
        .iter()
        .filter_map(|address| match address {
            IpAddr::V4(v4) if kind == TYPE_A => Some(v4.octets().to_vec()),
            IpAddr::V6(v6) if kind == TYPE_AAAA => Some(v6.octets().to_vec()),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        })
        .collect();
    let end = 12 + question[12..].iter().position(|byte| *byte == 0).expect("the question was parsed") + 5;
    let mut reply = question[..end].to_vec();
    // An answer that may be trusted, recursion wanted and offered; one question, nothing beside answers.
    reply[2..4].copy_from_slice(&[0x81, 0x80]);
    reply[4..12].copy_from_slice(&[0, 1, 0, u8::try_from(records.len()).expect("few addresses"), 0, 0, 0, 0]);
    for record in records {
        // The name of the question, class IN, no time to live.
        reply.extend([0xc0, 12]);
        reply.extend(kind.to_be_bytes());
        reply.extend([0, 1, 0, 0, 0, 0, 0, u8::try_from(record.len()).expect("an address is short")]);
        reply.extend(record);
    }
    reply
}
