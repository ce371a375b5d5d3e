//! Frames that are no messages.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use isc_proto::v1;
use tonic::Status;
use tonic_prost::ProstCodec;

use super::ANSWER_LIMIT;

/// Opens a stream, sends a frame that is no message of the protocol, and tells how the stream ends.
///
/// # Errors
/// When the watcher does not take the stream or does not end it.
pub async fn junk(watcher: SocketAddr) -> Result<Status> {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{watcher}"))?;
    let mut client = tonic::client::Grpc::new(endpoint.connect().await?);
    client.ready().await?;
    // Its field 2 is a number, where the protocol has a message.
    let frame = v1::AttemptId {
        uid: String::new(),
        attempt: 1,
    };
    let frames = futures::stream::once(async { frame }).chain(futures::stream::pending());
    let codec = ProstCodec::<v1::AttemptId, v1::WatcherMessage>::default();
    let path = http::uri::PathAndQuery::from_static("/isc.v1.Workers/Session");
    let call = client.streaming(tonic::Request::new(frames), path, codec);
    let answer = tokio::time::timeout(ANSWER_LIMIT, async {
        match call.await {
            Ok(stream) => stream.into_inner().message().await.err(),
            Err(status) => Some(status),
        }
    });
    answer.await?.context("the watcher took it")
}
