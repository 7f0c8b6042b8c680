//! What a component prints becomes log lines that name the workload and component.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

/// A line longer than this is cut into several, so that a guest cannot make us buffer without end.
const MAX_LINE: usize = 8 * 1024;

/// One of an instance's two output streams.
#[derive(Clone, Debug)]
pub(crate) struct LogStream(Arc<Lines>);

#[derive(Debug)]
struct Lines {
    share: Arc<str>,
    component: Arc<str>,
    stream: &'static str,
    partial: Mutex<Vec<u8>>,
}

impl LogStream {
    pub(crate) fn new(share: Arc<str>, component: Arc<str>, stream: &'static str) -> Self {
        Self(Arc::new(Lines { share, component, stream, partial: Mutex::default() }))
    }
}

impl Lines {
    fn emit(&self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end_matches('\r');
        tracing::info!(target: "guest", share = %self.share, component = %self.component, stream = self.stream, "{text}");
    }

    fn push(&self, mut bytes: &[u8]) {
        let mut partial = self.partial.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            let (line, rest) = bytes.split_at(end);
            partial.extend_from_slice(line);
            self.emit(&partial);
            partial.clear();
            bytes = rest.get(1..).unwrap_or_default();
        }
        for chunk in bytes.chunks(MAX_LINE) {
            if partial.len() + chunk.len() > MAX_LINE {
                self.emit(&partial);
                partial.clear();
            }
            partial.extend_from_slice(chunk);
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let partial = std::mem::take(self.partial.get_mut().unwrap_or_else(PoisonError::into_inner));
        if !partial.is_empty() {
            self.emit(&partial);
        }
    }
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for LogStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
