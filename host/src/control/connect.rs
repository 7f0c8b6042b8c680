//! A connection to the operator, with the token and the certificates that are on disk now.

use std::{error::Error, path::Path, time::Duration};

use tonic::{
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use super::ControlConfig;

const CONNECT: Duration = Duration::from_secs(5);
/// An operator that is gone without a word is found out within the sum of these.
const PING: Duration = Duration::from_secs(5);
const PONG: Duration = Duration::from_secs(5);
/// What may be under way to this host: a snapshot is one large message.
const WINDOW: u32 = 4 << 20;

/// Connects to `address`, or to the operator's Service. The error is a sentence.
pub(super) async fn connect(config: &ControlConfig, address: Option<&str>) -> Result<Channel, String> {
    let operator = address.map_or_else(|| config.operator.clone(), |address| format!("https://{address}"));
    let bundle = read(&config.ca_file, "the certificates of the operator").await?;
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(bundle))
        .domain_name(&config.server_name)
        .timeout(CONNECT);
    let endpoint = Endpoint::from_shared(operator.clone())
        .and_then(|endpoint| endpoint.tls_config(tls))
        .map_err(|error| format!("{operator} is no address such as https://HOST:9443: {}", chain(&error)))?;
    endpoint
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .connect()
        .await
        .map_err(|error| format!("cannot connect: {}", chain(&error)))
}

/// The `authorization` of a request.
pub(super) async fn authorization(config: &ControlConfig) -> Result<MetadataValue<Ascii>, String> {
    let token = read(&config.token_file, "this pod's token").await?;
    let mut value = MetadataValue::try_from(format!("Bearer {}", token.trim()))
        .map_err(|_| format!("this pod's token in {} is not one line of text", config.token_file.display()))?;
    // Never in a log.
    value.set_sensitive(true);
    Ok(value)
}

async fn read(path: &Path, what: &str) -> Result<String, String> {
    tokio::fs::read_to_string(path)
        .await
        .map_err(|error| format!("{what} cannot be read from {}: {error}", path.display()))
}

/// An error with all that caused it: the outermost often says just "transport error".
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}
