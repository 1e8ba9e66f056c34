#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::*;

/// A listener that answers with the caller's port at `/`, and at `/wait` when `answer` is given.
struct Served {
    address: SocketAddr,
    asked: Arc<Notify>,
    answer: Arc<Notify>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

const PATIENT: Limits =
    Limits { connections: 8, head_timeout: Duration::from_secs(60), stop_grace: Duration::from_secs(60) };

impl Served {
    async fn start(limits: Limits) -> Self {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let (asked, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (told, given) = (Arc::clone(&asked), Arc::clone(&answer));
        let wait = async move || {
            told.notify_one();
            given.notified().await;
            "done"
        };
        let router = Router::new()
            .route("/", get(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| peer.port().to_string()))
            .route("/wait", get(wait));
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(Listener::new(tcp, None), router, limits, stop.clone()));
        Self { address, asked, answer, stop, task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

async fn ask(stream: &mut TcpStream, path: &str) {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n").as_bytes()).await.unwrap();
}

/// Reads until the answer ends with `end`.
async fn read_until(stream: &mut TcpStream, end: &str) {
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        let byte = stream.read_u8().await.expect("the answer goes on");
        read.push(byte);
    }
}

async fn is_at_end(stream: &mut TcpStream) -> bool {
    stream.read(&mut [0; 1]).await.unwrap_or(0) == 0
}

#[tokio::test]
async fn requests_know_the_other_end() {
    let served = Served::start(PATIENT).await;
    let mut stream = served.connect().await;
    let port = stream.local_addr().unwrap().port().to_string();
    for _ in 0..2 {
        ask(&mut stream, "/").await;
        read_until(&mut stream, &port).await;
    }
}

#[tokio::test]
async fn more_connections_wait_until_there_is_room() {
    let served = Served::start(Limits { connections: 1, ..PATIENT }).await;
    let mut first = served.connect().await;
    ask(&mut first, "/wait").await;
    served.asked.notified().await;
    let mut second = served.connect().await;
    ask(&mut second, "/wait").await;
    let mut second_asked = std::pin::pin!(served.asked.notified());
    tokio::select! {
        biased;
        () = second_asked.as_mut() => panic!("the second was served beside the first"),
        () = async { served.answer.notify_one(); read_until(&mut first, "done").await } => {}
    }
    drop(first);
    second_asked.await;
    served.answer.notify_one();
    read_until(&mut second, "done").await;
}

#[tokio::test]
async fn who_does_not_ask_is_cut_off() {
    let served = Served::start(Limits { head_timeout: Duration::from_millis(5), ..PATIENT }).await;
    let mut silent = served.connect().await;
    assert!(is_at_end(&mut silent).await);
    let mut slow = served.connect().await;
    slow.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let mut rest = Vec::new();
    // An answer that says so may come first.
    let _ = slow.read_to_end(&mut rest).await;
    assert!(!rest.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn at_the_end_idle_connections_go_and_requests_are_answered() {
    let served = Served::start(PATIENT).await;
    let mut idle = served.connect().await;
    ask(&mut idle, "/").await;
    let port = idle.local_addr().unwrap().port().to_string();
    read_until(&mut idle, &port).await;
    let mut busy = served.connect().await;
    ask(&mut busy, "/wait").await;
    served.asked.notified().await;
    served.stop.cancel();
    assert!(is_at_end(&mut idle).await);
    served.answer.notify_one();
    read_until(&mut busy, "done").await;
    served.task.await.unwrap();
}

#[tokio::test]
async fn what_is_still_busy_after_the_grace_is_cut() {
    let served = Served::start(Limits { stop_grace: Duration::from_millis(5), ..PATIENT }).await;
    let mut busy = served.connect().await;
    ask(&mut busy, "/wait").await;
    served.asked.notified().await;
    served.stop.cancel();
    served.task.await.unwrap();
    assert!(is_at_end(&mut busy).await);
}
