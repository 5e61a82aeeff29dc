//! Requests to the hub: plain HTTPS, and one sentence for what can go wrong. The token goes to the hub alone.

use std::io::Read;
use std::time::Duration;

use ureq::http::Response;
use ureq::{Agent, Body};

use super::Hub;
use crate::error::{Error, Result};

/// Larger answers of the listing are refused.
const MAX_LISTING: u64 = 32 << 20;

pub(super) struct Client<'a> {
    hub: &'a Hub,
    agent: Agent,
}

/// A body that is being received, and where it begins in the file.
pub(super) struct Part {
    pub from: u64,
    pub reader: Box<dyn Read>,
}

impl<'a> Client<'a> {
    pub fn new(hub: &'a Hub) -> Self {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(20)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .user_agent(concat!("patchglass/", env!("CARGO_PKG_VERSION")));
        let is_here = |name: &&str| hub.host().starts_with(*name);
        if ["127.0.0.1", "localhost", "[::1]"].iter().any(is_here) {
            config = config.proxy(None);
        }
        Self {
            hub,
            agent: config.build().into(),
        }
    }

    /// The text of a small answer. `about` is the model, for messages.
    pub fn text(&self, path: &str, about: &str) -> Result<String> {
        let mut response = self.get(path, 0)?;
        self.check(&response, about)?;
        let body = response.body_mut().with_config().limit(MAX_LISTING);
        body.read_to_string().map_err(|e| self.broken(&e))
    }

    /// A file from a byte on. A hub that cannot begin there sends all of it.
    pub fn file(&self, path: &str, from: u64, about: &str) -> Result<Part> {
        let mut response = self.get(path, from)?;
        if response.status().as_u16() == 416 {
            response = self.get(path, 0)?;
        }
        self.check(&response, about)?;
        let from = match response.status().as_u16() {
            206 => from,
            _ => 0,
        };
        Ok(Part {
            from,
            reader: Box::new(response.into_body().into_reader()),
        })
    }

    fn get(&self, path: &str, from: u64) -> Result<Response<Body>> {
        let mut request = self.agent.get(format!("{}/{path}", self.hub.endpoint));
        if let Some(token) = &self.hub.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        if from > 0 {
            request = request.header("Range", format!("bytes={from}-"));
        }
        request.call().map_err(|e| self.broken(&e))
    }

    fn broken(&self, error: &ureq::Error) -> Error {
        Error::internal(format!(
            "{} could not be reached: {error}; check the network (HF_ENDPOINT and HTTPS_PROXY are honoured) and try again: \
             what has come is kept",
            self.hub.host()
        ))
    }

    fn check(&self, response: &Response<Body>, about: &str) -> Result<()> {
        let host = self.hub.host();
        match response.status().as_u16() {
            200 | 206 => Ok(()),
            401 | 403 if self.hub.token.is_none() => Err(Error::input(format!(
                "{host} does not give {about} to everybody, or does not know it: accept its terms there, then set HF_TOKEN \
                 to a token of yours"
            ))),
            401 | 403 => Err(Error::input(format!(
                "{host} does not give {about} to the token in HF_TOKEN: accept the model's terms there, or use another token"
            ))),
            404 => Err(Error::input(format!(
                "{host} has no {about}: check the name, owner and all"
            ))),
            429 => Err(Error::internal(format!(
                "{host} asks to wait a while before the next request (HTTP 429)"
            ))),
            code => Err(Error::internal(format!(
                "{host} answered with HTTP {code} for {about}: try again later"
            ))),
        }
    }
}
