//! Reads from connections in large pieces.
//!
//! rustls reads at most 4 KiB at a time. Directly from a socket, one update of a Pod would take
//! seven system calls.

use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, BufReader, ReadBuf};

/// Bytes that are read at once: more than most updates of a Pod. Each connection to the API server
/// keeps a buffer of this size.
const BUFFER_BYTES: usize = 32 * 1024;

/// A connection with a buffer for reads. Writes are not buffered.
#[derive(Debug)]
pub(super) struct LargeReads<S>(BufReader<S>);

impl<T> LargeReads<TokioIo<T>>
where
    TokioIo<T>: AsyncRead,
{
    /// Wraps a connection of a connector.
    pub(super) fn wrap(connection: T) -> TokioIo<Self> {
        let reader = BufReader::with_capacity(BUFFER_BYTES, TokioIo::new(connection));
        TokioIo::new(Self(reader))
    }
}

impl<S: Unpin> LargeReads<S> {
    fn inner(self: Pin<&mut Self>) -> Pin<&mut BufReader<S>> {
        Pin::new(&mut self.get_mut().0)
    }
}

impl<S: AsyncRead + Connection> Connection for LargeReads<S> {
    fn connected(&self) -> Connected {
        self.0.get_ref().connected()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for LargeReads<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        self.inner().poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for LargeReads<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        self.inner().poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.inner().poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner().poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.inner().poll_shutdown(context)
    }
}
