//! An outgoing request, and what became of it.

use kit::{Json, Target, Url};
use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Fields, Request, Response, Scheme};
use wasip3::wit_bindgen::StreamResult;
use wasip3::wit_future;

use crate::reply::say;

/// Most bytes of the answer's body that are told.
const TOLD: usize = 1024;

/// GETs `url`. 200 with its status and the start of its body, or 502 with the error's name.
pub async fn fetch(target: &Target<'_>) -> Response {
    let url = target.text("url").unwrap_or_default();
    match get(&url).await {
        Ok((status, body)) => {
            let body = String::from_utf8_lossy(&body);
            say(200, &Json::new().number("status", status.into()).text("body", &body).end())
        }
        Err(error) => say(502, &Json::new().text("error", &format!("{error:?}")).end()),
    }
}

async fn get(url: &str) -> Result<(u16, Vec<u8>), ErrorCode> {
    let url = Url::parse(url).ok_or(ErrorCode::HttpRequestUriInvalid)?;
    let (_trailers, trailers) = wit_future::new(|| Ok(None));
    let (request, _sent) = Request::new(Fields::new(), None, trailers, None);
    let scheme = if url.https { Scheme::Https } else { Scheme::Http };
    let invalid = |()| ErrorCode::HttpRequestUriInvalid;
    request.set_scheme(Some(&scheme)).map_err(invalid)?;
    request.set_authority(Some(&url.authority)).map_err(invalid)?;
    request.set_path_with_query(Some(&url.target)).map_err(invalid)?;
    let response = client::send(request).await?;
    let status = response.get_status_code();
    let (_done, result) = wit_future::new(|| Ok::<(), ErrorCode>(()));
    let (mut stream, _trailers) = Response::consume_body(response, result);
    let mut text = Vec::with_capacity(TOLD);
    while text.len() < TOLD {
        let (result, piece) = stream.read(Vec::with_capacity(TOLD - text.len())).await;
        text.extend(piece);
        if !matches!(result, StreamResult::Complete(_)) {
            break;
        }
    }
    Ok((status, text))
}
