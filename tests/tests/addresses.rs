//! No Provider leads to metadata, loopback, private networks or the API server, however its host is written or resolves.
//!
//! The device of the isolated machine counts every packet to forbidden ranges, whatever its protocol or port.
//! Where no namespace is permitted, connections to loopback are counted alone, by the listeners.

use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;
use weir_tests::fleet::{Fleet, TEAM};
use weir_tests::isolated::{self, sent_to_ranges};
use weir_tests::manifests::{aliased_route, provider};
use weir_tests::provider::{Provider, Script};
use weir_tests::resolver::Resolver;
use weir_tests::wait;

const MODEL: &str = "gpt-test";
/// Of the API server, by its EndpointSlice; in a range that is allowed.
const API_SERVER: &str = "10.20.0.1";
const METADATA: &str = "169.254.169.254";
/// Where the one provider is that may be reached.
const PUBLIC: &str = "203.0.113.10";

/// A listener that counts who connects.
async fn counted(address: &str, port: u16) -> Option<(SocketAddr, Arc<AtomicUsize>)> {
    let listener = TcpListener::bind((address, port)).await.ok()?;
    let (bound, count) = (listener.local_addr().expect("a bound socket has an address"), Arc::default());
    let counting: Arc<AtomicUsize> = Arc::clone(&count);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            counting.fetch_add(1, Ordering::SeqCst);
        }
    });
    Some((bound, count))
}

/// What names the API server in a cluster.
fn api_server_slice() -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"namespace": "default", "name": "api", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "endpoints": [{"addresses": [API_SERVER]}],
        "ports": [{"name": "https", "port": 443}],
    })
}

/// A Provider that fails as often as it likes and is asked again at once, and a route to it that asks once.
fn objects(name: &str, url: &str) -> [Value; 2] {
    let mut object = provider(TEAM, name, url, MODEL);
    object["spec"]["health"] = json!({"consecutiveFailures": 1000, "minEjection": "1ms", "maxEjection": "1ms"});
    let mut route = aliased_route(TEAM, name, name, MODEL);
    route["spec"]["retry"] = json!({"maxAttempts": 1});
    [object, route]
}

#[tokio::test(flavor = "multi_thread")]
async fn f65_a_literal_address_that_is_forbidden_is_refused_before_any_pod_has_it() {
    let (v4, to_v4) = counted("127.0.0.1", 0).await.expect("loopback has a free port");
    let v6 = counted("::1", v4.port()).await;
    let port = v4.port();
    let fleet = Fleet::start_with_upstreams(&["10.0.0.0/8"]).await;
    fleet.apply(&[api_server_slice()]);
    let hosts = [
        ("metadata", METADATA.to_owned(), "AddressForbidden"),
        ("metadata-mapped", format!("[::ffff:{METADATA}]"), "AddressForbidden"),
        ("metadata-v6", "[fd00:ec2::254]".to_owned(), "AddressForbidden"),
        ("metadata-nat64", "[64:ff9b::a9fe:a9fe]".to_owned(), "AddressForbidden"),
        ("loopback", format!("127.0.0.1:{port}"), "AddressForbidden"),
        ("loopback-v6", format!("[::1]:{port}"), "AddressForbidden"),
        ("loopback-mapped", format!("[::ffff:127.0.0.1]:{port}"), "AddressForbidden"),
        ("localhost", format!("localhost:{port}"), "AddressForbidden"),
        ("unspecified", format!("0.0.0.0:{port}"), "AddressForbidden"),
        ("private", "192.168.0.1".to_owned(), "AddressForbidden"),
        ("api-server", format!("{API_SERVER}:443"), "AddressForbidden"),
        ("api-server-mapped", format!("[::ffff:{API_SERVER}]:443"), "AddressForbidden"),
        ("decimal", format!("2130706433:{port}"), "InvalidURL"),
        ("octal", format!("0177.0.0.1:{port}"), "InvalidURL"),
        ("hexadecimal", format!("0x7f000001:{port}"), "InvalidURL"),
        ("short", format!("127.1:{port}"), "InvalidURL"),
    ];
    for (name, host, _) in &hosts {
        fleet.apply(&objects(name, &format!("http://{host}/v1")));
    }
    for (name, host, reason) in &hosts {
        let object = format!("provider.weir.dev/{name}");
        let found = fleet.until(&object, TEAM, "Accepted", |found| !found.status.is_empty()).await;
        assert_eq!((found.status.as_str(), found.reason.as_str()), ("False", *reason), "{host}: {}", found.message);
        fleet.until(&format!("llmroute/{name}"), TEAM, "ResolvedRefs", |found| found.status == "False").await;
        for client in fleet.clients() {
            assert_ne!(client.chat(name).await.status, 200, "{host}");
        }
    }
    for config in fleet.configs().await {
        let providers = config.as_object().map(|all| all.keys().filter(|id| id.starts_with("Provider ")).count());
        assert_eq!(providers, Some(0), "no pod has any of them");
    }
    assert_eq!(to_v4.load(Ordering::SeqCst), 0);
    assert!(v6.is_none_or(|(_, to_v6)| to_v6.load(Ordering::SeqCst) == 0));
}

/// What the test's names resolve to: at every lookup the same, but for two.
fn resolved(name: &str, before: usize) -> Vec<IpAddr> {
    let addresses: &[&str] = match name {
        "public.test" => &[PUBLIC],
        "metadata.test" => &[METADATA],
        "loopback.test" => &["127.0.0.9"],
        "private.test" => &["192.168.7.7"],
        "shared.test" => &["100.64.0.1"],
        "api-server.test" => &[API_SERVER],
        "mapped.test" => &["::ffff:169.254.169.254"],
        "nat64.test" => &["64:ff9b::a9fe:a9fe"],
        "metadata-v6.test" => &["fd00:ec2::254"],
        "mixed.test" => &[METADATA, PUBLIC, API_SERVER],
        // Public for whoever checks, forbidden for whoever looks up again.
        "rebind.test" if before.is_multiple_of(2) => &[PUBLIC],
        "rebind.test" => &[METADATA],
        _ => &[],
    };
    addresses.iter().map(|address| address.parse().expect("an address")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn f65_whatever_a_name_resolves_to_nothing_is_sent_to_a_forbidden_range() {
    const RANGES: [&str; 8] = [
        "169.254.0.0/16",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "198.18.0.0/15",
        "64:ff9b::/96",
        "fd00::/8",
    ];
    let this = "f65_whatever_a_name_resolves_to_nothing_is_sent_to_a_forbidden_range";
    if !isolated::is_inside(this, &RANGES, &[PUBLIC]).await {
        return;
    }
    for (from, to) in [("0.0.0.0:0", METADATA), ("[::]:0", "fd00:ec2::254"), ("[::]:0", "64:ff9b::a9fe:a9fe")] {
        let before = sent_to_ranges();
        let to: IpAddr = to.parse().expect("an address");
        UdpSocket::bind(from).and_then(|socket| socket.send_to(b"x", (to, 80))).expect("a packet is sent");
        assert_eq!(sent_to_ranges(), before + 1, "what is sent to {to} is counted");
    }

    let upstream = Provider::start_at(PUBLIC.parse().expect("an address")).await;
    let body = json!({"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}]});
    let headers = [("content-type", "application/json"), ("connection", "close")];
    upstream.always(Script::whole(200, &headers, body.to_string()));
    let port = upstream.address().port();
    let (_, to_loopback) = counted("127.0.0.9", port).await.expect("the port is free there");
    let resolver = Resolver::start(isolated::NAME_SERVER.parse().expect("an address"), resolved);

    let fleet = Fleet::start_with_upstreams(&["10.0.0.0/8"]).await;
    let before = sent_to_ranges();
    let forbidden = ["metadata", "loopback", "private", "shared", "api-server", "mapped", "nat64", "metadata-v6"];
    let names = forbidden.iter().chain(&["public", "mixed", "rebind"]);
    let all = names.flat_map(|name| objects(name, &format!("http://{name}.test:{port}/v1")));
    fleet.apply(&[vec![api_server_slice()], all.collect()].concat());
    for object in ["public", "mixed", "rebind", "metadata-v6"] {
        fleet.wait_ready(&format!("llmroute/{object}"), TEAM);
    }

    for name in forbidden {
        for client in fleet.clients() {
            let reply = client.chat(name).await;
            assert_eq!(reply.status, 502, "{name}");
            let text = String::from_utf8_lossy(&reply.body).into_owned();
            assert!(text.contains("must not be dialled") && !text.contains("169.254"), "{text}");
        }
        let object = format!("provider.weir.dev/{name}");
        let found = fleet.until(&object, TEAM, "Healthy", |found| found.status == "False").await;
        assert_eq!(found.reason, "AddressForbidden", "{name}: {}", found.message);
    }
    for client in fleet.clients() {
        assert_eq!(client.chat("public").await.text(), "Hello");
        assert_eq!(client.chat("mixed").await.text(), "Hello", "the address that may be dialled is");
    }

    // Each request dials anew. One lookup a dial: what is dialled is what was checked.
    const REQUESTS: usize = 20;
    let (client, reached) = (fleet.dataplanes[0].client(), upstream.requests().len());
    for request in 0..REQUESTS {
        let wanted = if request.is_multiple_of(2) { 200 } else { 502 };
        // For a millisecond after a refused dial nothing is dialled at all.
        let asked = wait::until("the provider is dialled", || async {
            Some(client.chat("rebind").await.status).filter(|status| *status != 503)
        });
        assert_eq!(asked.await, wanted, "request {request}");
        assert_eq!(resolver.lookups("rebind.test"), request + 1);
    }
    assert_eq!(upstream.requests().len(), reached + REQUESTS / 2);
    let found = fleet.until("provider.weir.dev/rebind", TEAM, "Healthy", |found| found.status == "False").await;
    assert_eq!(found.reason, "AddressForbidden", "{}", found.message);
    assert_eq!(to_loopback.load(Ordering::SeqCst), 0);
    assert_eq!(sent_to_ranges(), before, "not one packet went where none may go");
}
