//! How large a response may be.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Response, header::CONTENT_LENGTH};
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::{Body, BoxError, Cause, Error};

struct Limited {
    body: Body,
    left: u64,
}

/// The response, if it does not say that it is larger than that; it is cut where it turns out to be. `head`: what answers HEAD has no
/// body, whatever it says.
///
/// # Errors
/// [`Cause::ResponseTooLarge`].
pub(super) fn limit(response: Response<Body>, most: u64, head: bool) -> Result<Response<Body>, Error> {
    if head {
        return Ok(response);
    }
    let announced = response.headers().get(CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse().ok());
    let length = response.body().size_hint().lower().max(announced.unwrap_or(0));
    if length > most {
        let detail = format!("The component's response has {length} bytes; at most {most} are allowed here");
        return Err(Error::new(Cause::ResponseTooLarge, detail));
    }
    if response.body().size_hint().exact().is_some() {
        return Ok(response);
    }
    Ok(response.map(|body| Body::boxed(Limited { body, left: most })))
}

impl HttpBody for Limited {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            match self.left.checked_sub(length) {
                Some(left) => self.left = left,
                None => {
                    let detail = "The component's response is larger than is allowed here";
                    return Poll::Ready(Some(Err(Error::new(Cause::ResponseTooLarge, detail).into())));
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
