//! A server that ends its HTTP/2 connection says how far it got: what it did not begin is sent again, and nothing
//! is done twice.

use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use weir_tests::client::chat;
use weir_tests::frames::{self, flag, frame, kind};
use weir_tests::gateway::Gateway;
use weir_tests::manifests::{file, open_route, provider};
use weir_tests::tls::Authority;

const MODEL: &str = "gpt-test";
const REQUESTS: usize = 800;
const AT_ONCE: usize = 10;

/// What becomes of a connection's streams, by their number from 0.
#[derive(Debug, Clone, Copy)]
struct Plan {
    /// So many are executed; GOAWAY says that those after them are not begun.
    executed: u32,
    /// One of them is refused instead.
    refused: Option<u32>,
    /// Whether the connection stays open after that.
    stays: bool,
}

/// Every other connection goes on for long enough that no request is left out more than twice.
fn plan(connection: u32) -> Plan {
    match connection % 6 {
        1 => Plan { executed: connection * 7 % 9, refused: None, stays: false },
        3 => Plan { executed: connection * 5 % 9, refused: None, stays: true },
        5 => Plan { executed: 60, refused: Some(connection % 9), stays: false },
        _ => Plan { executed: 60, refused: None, stays: false },
    }
}

/// Texts of the requests that were executed, in order.
type Executed = Arc<Mutex<Vec<String>>>;

async fn serve(socket: TcpStream, tls: TlsAcceptor, connection: u32, executed: Executed) -> std::io::Result<()> {
    let mut socket = tls.accept(socket).await?;
    let mut preface = vec![0; frames::PREFACE.len()];
    socket.read_exact(&mut preface).await?;
    socket.write_all(&frame(kind::SETTINGS, flag::NONE, 0, b"")).await?;
    let plan = plan(connection);
    let refused = plan.refused.map(|number| 2 * number + 1);
    let last = (2 * plan.executed).saturating_sub(1);
    let (mut bodies, mut open, mut told) = (HashMap::<u32, Vec<u8>>::new(), 0, false);
    while let Some(read) = frames::read(&mut socket).await? {
        match read.kind {
            kind::SETTINGS if read.flags & flag::ACK == 0 => {
                socket.write_all(&frame(kind::SETTINGS, flag::ACK, 0, b"")).await?;
            }
            kind::HEADERS if Some(read.stream) == refused => {
                socket.write_all(&frame(kind::RST_STREAM, flag::NONE, read.stream, &7u32.to_be_bytes())).await?;
            }
            kind::HEADERS if read.stream <= last => open += 1,
            kind::HEADERS if !told => {
                told = true;
                let payload = [last.to_be_bytes(), 0u32.to_be_bytes()].concat();
                socket.write_all(&frame(kind::GOAWAY, flag::NONE, 0, &payload)).await?;
            }
            kind::DATA if read.stream <= last && Some(read.stream) != refused => {
                bodies.entry(read.stream).or_default().extend(&read.payload);
                if read.flags & flag::END_STREAM != 0 {
                    let asked: Value = serde_json::from_slice(&bodies[&read.stream]).expect("JSON");
                    let text = asked["messages"][0]["content"].as_str().expect("a text").to_owned();
                    executed.lock().expect("no holder panics").push(text.clone());
                    socket.write_all(&answer(read.stream, &text)).await?;
                    open -= 1;
                }
            }
            _ => {}
        }
        if told && open == 0 && !plan.stays {
            socket.shutdown().await?;
            // What still comes is read: a reset would take the GOAWAY from who has not read it yet.
            return tokio::io::copy(&mut socket, &mut tokio::io::sink()).await.map(drop);
        }
    }
    Ok(())
}

fn answer(stream: u32, text: &str) -> Vec<u8> {
    let message = json!({"role": "assistant", "content": text});
    let body = json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).to_string();
    let head = frames::headers(&[(":status", "200"), ("content-type", "application/json")]);
    [
        frame(kind::HEADERS, flag::END_HEADERS, stream, &head),
        frame(kind::DATA, flag::END_STREAM, stream, body.as_bytes()),
    ]
    .concat()
}

#[tokio::test]
async fn f07_streams_that_a_goaway_left_out_are_sent_again_and_none_is_executed_twice() {
    let authority = Authority::default();
    let tls = authority.acceptor(&["localhost"], &[b"h2"]);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("https://localhost:{}/v1", listener.local_addr().expect("bound").port());
    let executed = Executed::default();
    let (kept, connections) = (Arc::clone(&executed), Arc::new(Mutex::new(0)));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        for connection in 1.. {
            let (socket, _) = listener.accept().await.expect("it accepts");
            *counted.lock().expect("no holder panics") = connection;
            tokio::spawn(serve(socket, tls.clone(), connection, Arc::clone(&kept)));
        }
    });
    let bundle = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "default", "name": "ca"},
        "data": {"ca.crt": authority.pem()},
    });
    let mut object = provider("default", "upstream", &url, MODEL);
    object["spec"]["endpoint"] = json!({"url": url});
    object["spec"]["tls"] = json!({"caConfigMapRef": {"name": "ca"}});
    let gateway = Gateway::up(&file(&[bundle, object, open_route("default", "chat", MODEL, &["upstream"])])).await;
    let asked: Vec<_> = (0..AT_ONCE)
        .map(|lane| {
            let client = gateway.client();
            tokio::spawn(async move {
                for n in (lane..REQUESTS).step_by(AT_ONCE) {
                    let mut body = chat(MODEL);
                    body["messages"][0]["content"] = json!(format!("request {n}"));
                    let reply = client.post("/v1/chat/completions", &body).await;
                    let own = reply.json()["choices"][0]["message"]["content"] == json!(format!("request {n}"));
                    assert!(own || reply.status != 200, "the answer of another: {}", reply.text());
                }
            })
        })
        .collect();
    for asked in asked {
        asked.await.expect("each answer is its request's own");
    }
    let lines = gateway.access_log(REQUESTS).await;
    let failed: Vec<_> = lines.iter().filter(|line| line["status"] != 200).collect();
    assert!(failed.is_empty(), "each is answered: {failed:#?}");
    let mut all = executed.lock().expect("no holder panics").clone();
    let connections = *connections.lock().expect("no holder panics");
    println!("{REQUESTS} requests over {connections} connections, {} executed", all.len());
    assert!(connections > 10, "the connections leave off: {connections}");
    all.sort();
    let before = all.len();
    all.dedup();
    assert_eq!((before, all.len()), (REQUESTS, REQUESTS), "each is executed once");
    let again = lines.iter().filter_map(|line| line["failed_attempts"].as_array()).flatten();
    let left_out = again.filter(|failed| failed["error"] == "unprocessed").count();
    println!("{left_out} times a request was left out and sent again");
    assert!(left_out > 0);
}
