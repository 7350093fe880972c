//! A chat server on this machine that answers as it is told: real HTTP, no model.

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle};

/// What a model makes of the facts it is sent.
pub(crate) type Model = fn(&Value) -> Value;

/// One answer.
pub(crate) enum Reply {
    /// A model's opinion on the facts, in the form of a chat, with what it used.
    Opinion(Model),
    /// The same without saying what was used.
    Uncounted(Model),
    /// A model's words.
    Words(String),
    /// A message as a chat server forms it, and why it ended.
    Message(Value, &'static str),
    /// A status, a header and a body.
    Plain(u16, Option<(&'static str, &'static str)>, String),
    /// Nothing, for as long as the server is there.
    Silence,
}

/// What was received.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

struct Script {
    replies: Mutex<VecDeque<Reply>>,
    received: Mutex<Vec<Received>>,
    /// Answers that may be given; everybody waits for one.
    may_answer: Semaphore,
}

/// The server; it ends when it is dropped. Without a script it agrees.
pub(crate) struct ChatServer {
    pub(crate) base_url: String,
    script: Arc<Script>,
    serving: JoinHandle<()>,
}

/// An opinion that agrees.
pub(crate) fn agrees(facts: &Value) -> Value {
    json!({
        "request_id": facts["request_id"], "market_id": facts["market_id"], "verdict": "agree",
        "direction": facts["direction"], "logit_shift": 0.0, "confidence": 0.6, "evidence": [], "risk_flags": [],
        "rationale": "Arsenal look strong.",
    })
}

/// An opinion that says no.
pub(crate) fn vetoes(facts: &Value) -> Value {
    let mut opinion = agrees(facts);
    opinion["verdict"] = json!("veto");
    opinion
}

impl ChatServer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let script = Arc::new(Script {
            replies: Mutex::default(),
            received: Mutex::default(),
            may_answer: Semaphore::new(1_000_000),
        });
        let app = Router::new().fallback(answer).with_state(Arc::clone(&script));
        let serving = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("a served socket");
        });
        Self { base_url: format!("http://{address}/v1"), script, serving }
    }

    /// What it answers next, in this order; then it agrees.
    pub(crate) fn will(&self, replies: impl IntoIterator<Item = Reply>) {
        self.script.replies.lock().expect("not poisoned").extend(replies);
    }

    /// From now on it answers only when it is let.
    pub(crate) fn hold(&self) {
        self.script.may_answer.forget_permits(usize::MAX);
    }

    /// Lets it answer so many times.
    pub(crate) fn let_answer(&self, times: usize) {
        self.script.may_answer.add_permits(times);
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.script.received.lock().expect("not poisoned").clone()
    }

    /// Waits until it has received so many requests.
    pub(crate) async fn wait_received(&self, count: usize) {
        let wait = async {
            while self.received().len() < count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), wait).await.expect("the requests come");
    }
}

impl Drop for ChatServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Received {
    /// The facts it was asked about.
    pub(crate) fn facts(&self) -> Value {
        let body: Value = serde_json::from_str(&self.body).expect("JSON");
        serde_json::from_str(body["messages"][1]["content"].as_str().expect("a text")).expect("facts")
    }
}

async fn answer(State(script): State<Arc<Script>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let received = Received { uri, headers, body: String::from_utf8(body.to_vec()).expect("text") };
    let facts = received.facts();
    script.received.lock().expect("not poisoned").push(received);
    script.may_answer.acquire().await.expect("open").forget();
    let reply = script.replies.lock().expect("not poisoned").pop_front().unwrap_or(Reply::Opinion(agrees));
    let usage = json!({
        "prompt_tokens": 1_200, "completion_tokens": 250, "prompt_tokens_details": { "cached_tokens": 0 },
    });
    match reply {
        Reply::Opinion(model) => chat(json!({ "content": model(&facts).to_string() }), "stop", usage),
        Reply::Uncounted(model) => chat(json!({ "content": model(&facts).to_string() }), "stop", Value::Null),
        Reply::Words(words) => chat(json!({ "content": words }), "stop", usage),
        Reply::Message(message, finish_reason) => chat(message, finish_reason, usage),
        Reply::Plain(status, header, body) => {
            let status = StatusCode::from_u16(status).expect("a status");
            match header {
                Some(header) => (status, [header], body).into_response(),
                None => (status, body).into_response(),
            }
        }
        Reply::Silence => std::future::pending().await,
    }
}

fn chat(message: Value, finish_reason: &str, usage: Value) -> Response {
    let choice = json!({ "index": 0, "message": message, "finish_reason": finish_reason });
    let body = json!({ "id": "chat-1", "object": "chat.completion", "choices": [choice], "usage": usage });
    ([("content-type", "application/json")], body.to_string()).into_response()
}
