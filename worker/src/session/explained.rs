//! A connection that remembers why it was refused: the layers above pass on that it ended, not why.

use std::{
    io,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
};

use isc_runtime::tls;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::watcher::TLS_SECTION;

/// Why a connection ended, once that is known and has to do with TLS.
pub(super) type Why = Arc<OnceLock<String>>;

/// A stream with TLS whose first trouble is noted.
pub(super) struct Explained<S> {
    stream: S,
    why: Why,
}

// === impl Explained ===

impl<S> Explained<S> {
    pub(super) fn new(stream: S, why: Why) -> Self {
        Self { stream, why }
    }

    fn note<T>(&self, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &polled
            && let Some(words) = tls::explain(error, TLS_SECTION)
        {
            self.why.get_or_init(|| words);
        }
        polled
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Explained<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.note(polled)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Explained<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note(polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.note(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
