//! An outgoing request, and what became of it.

use kit::{Json, Target, Url};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{ErrorCode, Fields, OutgoingBody, OutgoingRequest, ResponseOutparam, Scheme};

use crate::reply::say;

/// Most bytes of the answer's body that are told.
const TOLD: u64 = 1024;

/// GETs `url`. 200 with its status and the start of its body, or 502 with the error's name.
pub fn fetch(out: ResponseOutparam, target: &Target<'_>) {
    let url = target.text("url").unwrap_or_default();
    match get(&url) {
        Ok((status, body)) => say(
            out,
            200,
            &Json::new().number("status", status.into()).text("body", &String::from_utf8_lossy(&body)).end(),
        ),
        Err(error) => say(out, 502, &Json::new().text("error", &format!("{error:?}")).end()),
    }
}

fn get(url: &str) -> Result<(u16, Vec<u8>), ErrorCode> {
    let url = Url::parse(url).ok_or(ErrorCode::HttpRequestUriInvalid)?;
    let request = OutgoingRequest::new(Fields::new());
    let scheme = if url.https { Scheme::Https } else { Scheme::Http };
    let invalid = |()| ErrorCode::HttpRequestUriInvalid;
    request.set_scheme(Some(&scheme)).map_err(invalid)?;
    request.set_authority(Some(&url.authority)).map_err(invalid)?;
    request.set_path_with_query(Some(&url.target)).map_err(invalid)?;
    let body = request.body().unwrap();
    let pending = outgoing_handler::handle(request, None)?;
    OutgoingBody::finish(body, None)?;
    pending.subscribe().block();
    let response = pending.get().unwrap().unwrap()?;
    let body = response.consume().unwrap();
    let stream = body.stream().unwrap();
    let mut text = Vec::new();
    while let Ok(piece) = stream.blocking_read(TOLD - text.len() as u64) {
        text.extend(piece);
        if text.len() as u64 >= TOLD {
            break;
        }
    }
    Ok((response.status(), text))
}
