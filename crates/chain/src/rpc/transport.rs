//! The in-process transport: alloy's requests answered without a socket.

use std::task::{Context, Poll};

use alloy_json_rpc::{RequestPacket, Response, ResponsePacket, ResponsePayload, SerializedRequest};
use alloy_transport::{TransportError, TransportFut};
use tower::Service;

use super::{Rpc, failure};
use crate::EmbeddedChain;

/// A transport that calls an embedded chain directly. Clones share the chain and keep it open.
#[derive(Clone, Debug)]
pub struct InProcess {
    rpc: Rpc,
}

impl InProcess {
    /// A transport to `chain`.
    pub fn new(chain: &EmbeddedChain) -> Self {
        Self { rpc: Rpc::new(chain.clone()) }
    }

    async fn answer(rpc: &Rpc, request: &SerializedRequest) -> Response {
        let id = request.id().clone();
        match rpc.call(request.method(), request.params()).await {
            Ok(result) => Response { id, payload: ResponsePayload::Success(result) },
            Err(error) => failure(id, error),
        }
    }
}

impl Service<RequestPacket> for InProcess {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        let rpc = self.rpc.clone();
        Box::pin(async move {
            match packet {
                RequestPacket::Single(request) => {
                    Ok(ResponsePacket::Single(Self::answer(&rpc, &request).await))
                }
                RequestPacket::Batch(requests) => {
                    let answers = requests.iter().map(|request| Self::answer(&rpc, request));
                    Ok(ResponsePacket::Batch(futures_util::future::join_all(answers).await))
                }
            }
        })
    }
}
