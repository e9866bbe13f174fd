//! The token introspection (RFC 7662) that Dovecot asks about OAuth2 access tokens.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use axum::extract::State;
use axum::routing::post;
use axum::{Form, Json, Router};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::listener::{Acceptor, listen};
use crate::record::lock;

/// Access tokens with their users.
type Tokens = Arc<Mutex<HashMap<String, String>>>;

#[derive(Deserialize)]
struct Question {
    token: String,
}

/// Our endpoint, on a free port.
pub(super) struct Introspection {
    address: SocketAddr,
    tokens: Tokens,
    _acceptor: Acceptor,
}

impl Introspection {
    pub(super) async fn start() -> Result<Self> {
        let tokens = Tokens::default();
        let routes = Router::new().route("/introspect", post(introspect)).with_state(Arc::clone(&tokens));
        let service = TowerToHyperService::new(routes);
        let (listener, address) = listen(0).await?;
        let acceptor = Acceptor::new(listener, move |stream, _peer| {
            let service = service.clone();
            async move {
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                // How Dovecot ends its connection doesn't matter.
                let _ = connection.await;
            }
        });
        Ok(Self { address, tokens, _acceptor: acceptor })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/introspect", self.address)
    }

    pub(super) fn accept(&self, token: &str, user: &str) {
        lock(&self.tokens).insert(token.to_owned(), user.to_owned());
    }

    pub(super) fn refuse(&self, token: &str) {
        lock(&self.tokens).remove(token);
    }
}

async fn introspect(State(tokens): State<Tokens>, Form(question): Form<Question>) -> Json<Value> {
    Json(match lock(&tokens).get(&question.token) {
        Some(user) => json!({"active": true, "username": user}),
        None => json!({"active": false}),
    })
}
